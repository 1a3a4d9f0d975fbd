"""What the records say about a suite's cells: which are finished, which are not, and what must be said."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from reweightbench.benchmark.overhead import Overheads
from reweightbench.benchmark.record import Cost, Environment, Record, Result
from reweightbench.benchmark.suite import Planned, Suite
from reweightbench.benchmark.timing import Timing

ENVIRONMENT_FIELDS = ("suite_version", "torch", "platform", "processor", "gpu")
"""What must be equal for numbers to stand in one table."""

A = TypeVar("A", bound=Hashable)


@dataclass(frozen=True)
class Finished:
    """A cell that ran to its end."""

    planned: Planned
    result: Result
    cost: Cost
    environment: Environment


@dataclass(frozen=True)
class Absent:
    """A cell without a result: the status of its record or `missing`, and the reason the record gives."""

    planned: Planned
    status: str
    reason: str

    def __str__(self) -> str:
        cell = self.planned
        return (
            f"{cell.method} / {cell.corruption} / clean {cell.clean_size} / {cell.budget} / "
            f"seed {cell.seed} ({self.status})"
        )


@dataclass(frozen=True)
class Findings:
    """A suite's cells, their records by key and its finished timings; every axis keeps the order of the plan."""

    suite: Suite
    planned: Sequence[Planned]
    records: Mapping[str, Record]
    timings: Sequence[Timing] = ()

    @cached_property
    def methods(self) -> list[str]:
        """Labels of the methods."""
        return self._axis(lambda planned: planned.method)

    @cached_property
    def corruptions(self) -> list[str]:
        """Labels of the corruption settings."""
        return self._axis(lambda planned: planned.corruption)

    @cached_property
    def budgets(self) -> list[str]:
        """Names of the budgets."""
        return self._axis(lambda planned: planned.budget)

    @cached_property
    def clean_sizes(self) -> list[int]:
        """Sizes of the clean set."""
        return self._axis(lambda planned: planned.clean_size)

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds of the cells."""
        return self._axis(lambda planned: planned.seed)

    @cached_property
    def finished(self) -> list[Finished]:
        """The cells whose record is `ok`."""
        found = []
        for planned in self.planned:
            record = self.records.get(planned.key)
            if record and record.status == "ok" and record.result and record.cost:
                found.append(Finished(planned, record.result, record.cost, record.environment))
        return found

    @cached_property
    def absent(self) -> list[Absent]:
        """The cells without a result."""
        done = {finished.planned.key for finished in self.finished}
        absent = []
        for planned in self.planned:
            if planned.key not in done:
                record = self.records.get(planned.key)
                status, reason = (record.status, record.reason) if record else ("missing", None)
                absent.append(Absent(planned, status, reason or ""))
        return absent

    @cached_property
    def overheads(self) -> list[Overheads]:
        """What the timings say, by hardware."""
        return [Overheads(timing) for timing in self.timings]

    @cached_property
    def mixture(self) -> list[str]:
        """The fields of the environment in which finished cells differ, with their values."""
        values = {field: self.environment_values(field) for field in ENVIRONMENT_FIELDS}
        return [f"{field} {' and '.join(found)}" for field, found in values.items() if len(found) > 1]

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """What every page made from these records must say about them."""
        marks = []
        if self.absent:
            marks.append(f"partial: {len(self.finished)} of {len(self.planned)} cells")
        if self.mixture:
            marks.append(f"mixed environments: {'; '.join(self.mixture)}")
        return tuple(marks)

    def environment_values(self, field: str) -> list[str]:
        """The different values of a field of the finished cells' environments, sorted; absent is `none`."""
        return sorted({str(getattr(finished.environment, field) or "none") for finished in self.finished})

    def select(self, budget: str, clean_size: int) -> list[Finished]:
        """The finished cells of one budget and clean-set size."""
        return [
            finished
            for finished in self.finished
            if (finished.planned.budget, finished.planned.clean_size) == (budget, clean_size)
        ]

    def _axis(self, read: Callable[[Planned], A]) -> list[A]:
        return list(dict.fromkeys(map(read, self.planned)))
