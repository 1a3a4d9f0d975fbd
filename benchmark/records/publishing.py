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
    """What publishing changes: keys that are `new`, `replaced` by another result, and `kept` as they are.

    `timings` names the hardware whose measurements are added.
    """

    new: set[str] = field(default_factory=set)
    replaced: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    timings: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """The counts in words."""
        timings = f", {len(self.timings)} timings added" if self.timings else ""
        return f"{len(self.new)} records new, {len(self.replaced)} replaced, {len(self.kept)} kept{timings}"


def compare(source: ResultsFolder, target: ResultsFolder, keys: Set[str], warn: Warn) -> Addition:
    """What publishing these records of `source` to `target` would change.

    Raises UsageError where both are one folder, or hold different things.
    """
    if target.path.resolve() == source.path.resolve():
        raise UsageError(
            f"'{target.path}' is the folder the records come from; publish into another one with --into"
        )
    addition = Addition()
    if not target.is_claimed:
        addition.new = set(keys)
        addition.timings = [timing.hardware for timing in source.timings()]
        return addition
    target.check(source.manifest())
    held = {record.key: record for record in target.scan(warn)}
    addition.kept = held.keys() - keys
    for record in source.scan(warn):
        if record.key not in keys:
            continue
        known = held.get(record.key)
        if known is None:
            addition.new.add(record.key)
        elif known.result == record.result:
            addition.kept.add(record.key)
        else:
            addition.replaced.add(record.key)
    known_hardware = {timing.hardware for timing in target.timings()}
    addition.timings = [
        timing.hardware for timing in source.timings() if timing.hardware not in known_hardware
    ]
    return addition


def add(source: ResultsFolder, target: ResultsFolder, addition: Addition, warn: Warn) -> None:
    """Write the additions to `target`, packed with what it holds; raises UsageError where that cannot be read."""

    def refuse(problem: str) -> None:
        raise UsageError(f"{problem}; mend or remove it, so that publishing does not drop it")

    target.claim(source.manifest())
    taken = addition.new | addition.replaced
    if taken or not target.is_packed:
        target.pack(_prefer(source.all_of(taken, warn), target.outcomes(refuse)))
    for timing in source.timings():
        if timing.hardware in addition.timings:
            target.write_timing(timing)


def _prefer(first: Iterator[Outcome], second: Iterator[Outcome]) -> Iterator[Outcome]:
    """The outcomes of both in the order of keys, of one key that of the first."""
    both = heapq.merge(
        ((outcome.record.key, 0, outcome) for outcome in first),
        ((outcome.record.key, 1, outcome) for outcome in second),
        key=lambda item: item[:2],
    )
    return (next(items)[2] for _, items in groupby(both, lambda item: item[0]))
