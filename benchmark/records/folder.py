"""A results folder: one record per cell, written so that a crash at any moment loses nothing.

<folder>/manifest.json       what all records have in common
<folder>/records/<key>.json  the record; its presence says that the cell is finished
<folder>/records/<key>.npz   ids of the split and the test predictions
<folder>/checkpoints/        of cells that are not finished
<folder>/timing/<name>.json  seconds per step of the suite's methods on one machine
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from reweightbench.benchmark.cells.cell import Frozen
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records.files import write_atomically
from reweightbench.benchmark.records.record import SCHEMA_VERSION, Outcome, Record
from reweightbench.benchmark.records.timing import Timing, file_name

ENDS = {"ok", "error", "nonfinite"}
"""Statuses to which a cell would come from its checkpoint again."""

RECORD_NAME = re.compile(r"[0-9a-f]{64}\.json")


class Manifest(Frozen):
    """What a results folder holds; cells of anything else are refused.

    `deterministic` None leaves the arithmetic to the suite.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
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
        self._timing = path / "timing"
        self._manifest = path / "manifest.json"

    def claim(self, manifest: Manifest) -> None:
        """Make the folder hold `manifest`; raises UsageError where it holds another one."""
        if not self._manifest.exists():
            self._records.mkdir(parents=True, exist_ok=True)
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
        if not self._manifest.is_file():
            raise UsageError(f"no results in '{self.path}'; start with 'reweightbench run'")
        try:
            return Manifest.model_validate_json(self._manifest.read_bytes())
        except ValidationError:
            raise UsageError(
                f"'{self._manifest}' does not parse; remove it and run the suite again, records are kept"
            ) from None

    def read(self, warn: Callable[[str], None], *, move: bool = True) -> dict[str, Record]:
        """All records by key: some 30 KB of memory each, so only for a folder known to be small."""
        return {record.key: record for record in self.scan(warn, move=move)}

    def scan(self, warn: Callable[[str], None], *, move: bool = True) -> Iterator[Record]:
        """The records by and by, in the order of keys, each checked when its turn comes.

        A file that does not parse is named through `warn`, and moved aside if `move`. Keep of a record what
        is needed: thousands of whole ones fill the memory and slow down Python's garbage collector.
        """
        for path in sorted(self._records.glob("*.json"), key=lambda path: path.name):
            if not RECORD_NAME.fullmatch(path.name):
                continue
            try:
                record = Record.model_validate_json(path.read_bytes())
                problem = "" if record.key == record.cell.key == path.stem else "its key is not its cell's"
            except ValidationError as error:
                _check_schema(path)
                problem = f"{error.error_count()} fields do not fit, first {error.errors()[0]['msg']}"
            if problem and not move:
                warn(f"record '{path}' is unreadable ({problem}) and left out")
            elif problem:
                aside = path.with_suffix(".json.unreadable")
                path.replace(aside)
                warn(
                    f"record '{path}' is unreadable ({problem}); moved to '{aside.name}', the cell will run again"
                )
            else:
                yield record

    def write(self, outcome: Outcome, *, replace: bool = False) -> Record:
        """Write a record and its arrays, the record last, unless the cell is finished already.

        With `replace` a result takes the place of an earlier one; a failure never does. Returns the record that
        stands. Raises UsageError where another process has finished it with another result.
        """
        name = outcome.record.key
        finished = self._find_finished(name)
        if finished is not None and not (replace and outcome.record.status == "ok"):
            if outcome.record.result not in (None, finished.result):
                raise UsageError(
                    f"another process has finished a cell in '{self.path}' with a different result "
                    f"(records/{name}.json), which stays; 'reweightbench verify' tells whether it is right"
                )
            self._remove_checkpoint(name)
            return finished
        if outcome.arrays:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, allow_pickle=False, **outcome.arrays)
            write_atomically(self._records / f"{name}.npz", buffer.getvalue())
        write_atomically(self._records / f"{name}.json", outcome.record.model_dump_json().encode() + b"\n")
        if outcome.record.status in ENDS:
            self._remove_checkpoint(name)
        return outcome.record

    def _remove_checkpoint(self, key: str) -> None:
        """Also what a process left that was killed while it wrote."""
        for path in self.checkpoints.glob(f"*{key}*"):
            path.unlink(missing_ok=True)

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

    def copy_from(self, source: "ResultsFolder", keys: Set[str]) -> None:
        """Make these records of another folder, and its finished timings, the only ones here."""
        for key in sorted(keys):
            self.take(source, key)
        for path in self._records.iterdir():
            if path.stem not in keys:
                path.unlink()
        for path in self._timing.glob("*.json"):
            path.unlink()
        for timing in source.timings():
            self.write_timing(timing)

    def take(self, source: "ResultsFolder", key: str) -> None:
        """Copy one record of another folder in the place of any here, the record itself last."""
        for path in sorted(source.files(key), key=lambda path: path.suffix, reverse=True):
            write_atomically(self._records / path.name, path.read_bytes())

    def _find_finished(self, key: str) -> Record | None:
        path = self._records / f"{key}.json"
        record = Record.model_validate_json(path.read_bytes()) if path.exists() else None
        return record if record and record.status == "ok" else None

    def files(self, key: str) -> Iterator[Path]:
        """The files of one record."""
        return (
            path for path in (self._records / f"{key}.json", self._records / f"{key}.npz") if path.exists()
        )


def _parse_timing(path: Path) -> Timing:
    try:
        return Timing.model_validate_json(path.read_bytes())
    except ValidationError:
        raise UsageError(f"timing '{path}' does not parse; remove it and measure again") from None


def _check_schema(path: Path) -> None:
    """Raise UsageError for a record of another schema version: it is no damage, and stays where it is."""
    with suppress(ValueError, AttributeError):
        version = json.loads(path.read_bytes()).get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"record '{path}' has schema version {version}, this installation reads {SCHEMA_VERSION}; "
                "use the version of reweightbench that wrote it"
            )
