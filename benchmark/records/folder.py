"""A results folder: one record per cell, in single files while cells run, in one packed file when published.

<folder>/manifest.json       what all records have in common
<folder>/rates.json          learning rates that trials have chosen
<folder>/records/<key>.json  the record; its presence says that the cell is finished
<folder>/records/<key>.npz   ids of the split and the test predictions
<folder>/records.parquet     records and their arrays, a row each; a single file counts where the row is a failure
<folder>/checkpoints/        of cells that are not finished
<folder>/timing/<name>.json  seconds per step of the suite's methods on one machine
"""

import heapq
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Literal

from filelock import FileLock
from pydantic import ValidationError

from reweightbench.benchmark.cells.cell import Frozen
from reweightbench.benchmark.cells.rates import Choice, Rates
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.cells.suite_file import read_rates
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import read_foreign
from reweightbench.benchmark.records import single
from reweightbench.benchmark.records.files import refuse_detours, write_atomically
from reweightbench.benchmark.records.record import Outcome, Record
from reweightbench.benchmark.records.timing import Timing, file_name

MOST_MANIFEST_BYTES, MOST_TIMING_BYTES = 2**20, 2**28

ENDS = {"ok", "error", "nonfinite"}
"""Statuses to which a cell would come from its checkpoint again."""


class Manifest(Frozen):
    """What a results folder holds; cells of anything else are refused.

    `deterministic` None leaves the arithmetic to the suite.
    """

    schema_version: Literal[1] = 1
    suite: str
    variant: str
    fingerprint: str
    model: str
    device: Literal["cpu", "cuda"]
    deterministic: bool | None = None


class ResultsFolder:
    """The records of one suite on one variant of its data, one model, one device class and one arithmetic."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoints"
        self._records = path / "records"
        self._packed = path / "records.parquet"
        self._timing = path / "timing"
        self._manifest = path / "manifest.json"
        self._rates = path / "rates.json"

    def claim(self, manifest: Manifest) -> None:
        """Make the folder hold `manifest`; raises UsageError where it holds another one, or leads elsewhere."""
        refuse_detours([self._records, self._timing, self.checkpoints])
        if not self.is_claimed:
            self.path.mkdir(parents=True, exist_ok=True)
            write_atomically(self._manifest, manifest.model_dump_json(indent=1).encode())
            return
        self.check(manifest)

    def check(self, manifest: Manifest) -> None:
        """Raise UsageError where the folder holds something else."""
        held = self.manifest()
        for field in Manifest.model_fields:
            if getattr(held, field) not in (None, getattr(manifest, field)):
                raise UsageError(
                    f"'{self.path}' holds results with {field} '{getattr(held, field)}', "
                    f"not '{getattr(manifest, field)}'; choose another folder with --results"
                )

    def manifest(self) -> Manifest:
        """What the folder holds."""
        if not self.is_claimed:
            raise UsageError(f"no results in '{self.path}'; start with 'reweightbench run'")
        content = read_foreign(self._manifest, MOST_MANIFEST_BYTES)
        try:
            return Manifest.model_validate_json(content)
        except ValidationError:
            raise UsageError(
                f"'{self._manifest}' does not parse; remove it and run the suite again, records are kept"
            ) from None

    @property
    def is_claimed(self) -> bool:
        """Whether the folder is one of results."""
        return os.path.lexists(self._manifest)

    @property
    def is_packed(self) -> bool:
        """Whether there is a file of packed records, whatever it is."""
        return os.path.lexists(self._packed)

    def read(self, warn: Callable[[str], None], *, move: bool = False) -> dict[str, Record]:
        """All records by key: some 30 KB of memory each, so only for a folder known to be small."""
        return {record.key: record for record in self.scan(warn, move=move)}

    def scan(self, warn: Callable[[str], None], *, move: bool = False) -> Iterator[Record]:
        """The records by and by, in the order of keys, each checked when its turn comes.

        One that does not parse is named through `warn`, and its file moved aside if `move`. Keep of a record what
        is needed: thousands of whole ones fill the memory and slow down Python's garbage collector.
        """
        return (outcome.record for outcome in self.outcomes(warn, with_arrays=False, move=move))

    def outcomes(
        self,
        warn: Callable[[str], None],
        *,
        keys: Set[str] | None = None,
        with_arrays: bool = True,
        move: bool = False,
    ) -> Iterator[Outcome]:
        """The records of some keys, or all, with their arrays, as `scan` reads them.

        Raises UsageError where the folder has a packed file that is damaged, or two results of one cell.
        """
        singles = single.read(self._records, warn, keys=keys, with_arrays=with_arrays, move=move)
        if not self.is_packed:
            return singles
        # A folder without such a file does not wait for the library that reads it.
        from reweightbench.benchmark.records import packed

        rows = packed.read(self._packed, warn, keys=keys, with_arrays=with_arrays)
        if not self._records.is_dir():
            return rows
        both = heapq.merge(rows, singles, key=_key)
        return (self._choose(list(held)) for _, held in groupby(both, _key))

    def _choose(self, held: Sequence[Outcome]) -> Outcome:
        """Of a cell's packed record and its single one the finished one, else the single one."""
        finished = [outcome for outcome in held if outcome.record.status == "ok"]
        if len(finished) > 1 and finished[0].record.result != finished[1].record.result:
            raise UsageError(
                f"'{self._packed}' and '{self._records}' hold different results of cell {_key(held[0])}; remove the "
                "wrong one, 'reweightbench verify' tells which it is"
            )
        return finished[0] if finished else held[-1]

    def write(self, outcome: Outcome, *, replace: bool = False) -> Record:
        """Write a record and its arrays, the record last, unless the cell is finished already.

        With `replace` a result takes the place of an earlier one; a failure never does. Returns the record that
        stands. Raises UsageError where another process has finished it with another result.
        """
        name = outcome.record.key
        held = next(self.outcomes(lambda _: None, keys={name}, with_arrays=False), None)
        is_finished = held is not None and held.record.status == "ok"
        if held is not None and is_finished and not (replace and outcome.record.status == "ok"):
            if outcome.record.result not in (None, held.record.result):
                raise UsageError(
                    f"another process has finished a cell in '{self.path}' with a different result "
                    f"(record {name}), which stays; 'reweightbench verify' tells whether it is right"
                )
            self._remove_checkpoint(name)
            return held.record
        single.write(self._records, outcome)
        if outcome.record.status in ENDS:
            self._remove_checkpoint(name)
        return outcome.record

    def _remove_checkpoint(self, key: str) -> None:
        """Also what a process left that was killed while it wrote."""
        for path in self.checkpoints.glob(f"*{key}*"):
            path.unlink(missing_ok=True)

    def with_rates(self, suite: Suite) -> Suite:
        """The suite with the learning rates that were chosen here in the place of those it brings along."""
        return suite.model_copy(update={"rates": suite.rates.updated(self.rates().choices)})

    def write_rates(self, choices: Iterable[Choice]) -> None:
        """Keep chosen learning rates, in the place of earlier ones for the same groups."""
        content = self.rates().updated(choices).model_dump_json(indent=1)
        write_atomically(self._rates, content.encode() + b"\n")

    def rates(self) -> Rates:
        """The learning rates that were chosen here."""
        return read_rates(self._rates)

    def timing(self, hardware: str) -> Timing | None:
        """What was measured on that hardware."""
        path = self._timing_path(hardware)
        return _parse_timing(path) if path.is_file() else None

    def timings(self) -> list[Timing]:
        """All finished measurements, by hardware."""
        found = [_parse_timing(path) for path in sorted(self._timing.glob("*.json"))]
        return [timing for timing in found if timing.is_complete]

    def write_timing(self, timing: Timing) -> None:
        """Write a measurement in the place of an earlier one on the same hardware."""
        path = self._timing_path(timing.hardware)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, timing.model_dump_json().encode() + b"\n")

    def _timing_path(self, hardware: str) -> Path:
        return self._timing / f"{file_name(hardware)}.json"

    def take(self, source: "ResultsFolder", keys: Set[str], warn: Callable[[str], None]) -> None:
        """Write these records of another folder as single files, in the place of any here."""
        for outcome in source.all_of(keys, warn):
            single.write(self._records, outcome)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Wait until no other process packs records here; the folder is made if there is none."""
        self.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self._packed.with_name(f".{self._packed.name}.lock")):
            yield

    def pack(self, outcomes: Iterator[Outcome]) -> None:
        """Hold these records, in the order of keys, in the packed file; single files of them are removed.

        The outcomes are read only now: a single file that is written meanwhile stays.
        """
        from reweightbench.benchmark.records import packed

        keys, stamps = set(), single.find_stamps(self._records)

        def noted() -> Iterator[Outcome]:
            for outcome in outcomes:
                keys.add(outcome.record.key)
                yield outcome

        packed.write(self._packed, noted())
        single.remove(self._records, keys, stamps)

    def all_of(self, keys: Set[str], warn: Callable[[str], None]) -> Iterator[Outcome]:
        """The records of all these keys with their arrays; raises UsageError at the end where some are missing."""
        missing = set(keys)
        for outcome in self.outcomes(warn, keys=keys):
            missing.remove(outcome.record.key)
            yield outcome
        if missing:
            raise UsageError(
                f"{len(missing)} of {len(keys)} records of '{self.path}' cannot be read with their arrays; "
                "remove them and run their cells again"
            )


def _key(outcome: Outcome) -> str:
    return outcome.record.key


def _parse_timing(path: Path) -> Timing:
    content = read_foreign(path, MOST_TIMING_BYTES)
    try:
        return Timing.model_validate_json(content)
    except ValidationError:
        raise UsageError(f"timing '{path}' does not parse; remove it and measure again") from None
