"""Adding the records of a results folder to published ones, and nothing else."""

import heapq
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from itertools import groupby

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.record import Outcome

Warn = Callable[[str], None]


@dataclass
class Addition:
    """What publishing changes: keys that are `new`, `replaced`, `confirmed`, and `kept` as they are.

    Another result replaces the published one; the same result made by other code confirms it, and its record is
    taken with the digests of that code. `timings` names the hardware whose measurements are added.
    """

    new: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    confirmed: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    timings: list[str] = field(default_factory=list)

    @property
    def taken(self) -> set[str]:
        """The keys of the records that are written."""
        return self.new | self.replaced | self.confirmed

    def describe(self) -> str:
        """The counts in words."""
        confirmed = f", {len(self.confirmed)} confirmed by other code" if self.confirmed else ""
        timings = f", {len(self.timings)} timings added" if self.timings else ""
        return f"{len(self.new)} records new, {len(self.replaced)} replaced{confirmed}, {len(self.kept)} kept{timings}"


def compare(
    source: ResultsFolder, target: ResultsFolder, keys: Set[str], warn: Warn, *, replace: bool = False
) -> Addition:
    """What publishing these records of `source` to `target` would change.

    Raises UsageError where both are one folder, or hold different things, and, unless `replace`, where a result
    would be replaced.
    """
    if target.path.resolve() == source.path.resolve():
        raise UsageError(
            f"'{target.path}' is the folder the records come from; publish into another one with --into"
        )
    # A folder that has lost its manifest may hold records still.
    if target.is_claimed:
        target.check(source.manifest())
    addition = Addition()
    held = {record.key: (record.result_digest, record.sources) for record in target.scan(warn)}
    addition.kept = held.keys() - keys
    for record in source.scan(warn):
        if record.key not in keys:
            continue
        digest, code = held.get(record.key, (None, None))
        if digest is None:
            addition.new.add(record.key)
        elif digest != record.result_digest:
            addition.replaced.add(record.key)
        elif record.sources not in (None, code):
            addition.confirmed.add(record.key)
        else:
            addition.kept.add(record.key)
    if addition.replaced and not replace:
        raise UsageError(
            f"{len(addition.replaced)} records of '{source.path}' have other results than the published ones in "
            f"'{target.path}'; nothing is published, --replace puts them in their place"
        )
    known_hardware = {timing.hardware for timing in target.timings()}
    addition.timings = [
        timing.hardware for timing in source.timings() if timing.hardware not in known_hardware
    ]
    return addition


def add(
    source: ResultsFolder, target: ResultsFolder, keys: Set[str], warn: Warn, *, replace: bool = False
) -> Addition:
    """Add these records of `source` to `target`, packed with what it holds; returns what has changed.

    Another process that publishes there is waited for. Raises UsageError where `compare` does, and where a record
    of the target cannot be read.
    """

    def refuse(problem: str) -> None:
        raise UsageError(f"{problem}; mend or remove it, so that publishing does not drop it")

    with target.lock():
        addition = compare(source, target, keys, warn, replace=replace)
        target.claim(source.manifest())
        if addition.taken or not target.is_packed:
            target.pack(_prefer(source.all_of(addition.taken, warn), target.outcomes(refuse)))
        for timing in source.timings():
            if timing.hardware in addition.timings:
                target.write_timing(timing)
    return addition


def _prefer(first: Iterator[Outcome], second: Iterator[Outcome]) -> Iterator[Outcome]:
    """The outcomes of both in the order of keys, of one key that of the first."""
    both = heapq.merge(
        ((outcome.record.key, 0, outcome) for outcome in first),
        ((outcome.record.key, 1, outcome) for outcome in second),
        key=lambda item: item[:2],
    )
    return (next(items)[2] for _, items in groupby(both, lambda item: item[0]))
