"""What the records say about a suite's cells: which are finished, which are not, and what must be said."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.contracts.text import one_line
from reweightbench.benchmark.records.record import COMPARED_FIELDS, Environment, Record
from reweightbench.benchmark.records.timing import Timing
from reweightbench.benchmark.report.finished import Finished, condense
from reweightbench.benchmark.report.overhead import Overheads

A = TypeVar("A", bound=Hashable)


Confusions = dict[tuple[str, int, str, str], NDArray[np.int64]]
"""Confusion matrices by budget, clean-set size, corruption and method, those of the seeds added up."""


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
    """A suite's cells, finished ones and others, and its finished timings, everything in the order of the plan.

    `confusions` are of the last epoch.
    """

    suite: Suite
    planned: Sequence[Planned]
    finished: Sequence[Finished]
    absent: Sequence[Absent]
    confusions: Confusions
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
    def overheads(self) -> list[Overheads]:
        """What the timings say, by hardware."""
        return [Overheads(timing) for timing in self.timings]

    @cached_property
    def mixture(self) -> list[str]:
        """The fields of the environment in which finished cells differ, with their values."""
        values = {field: self.environment_values(field) for field in COMPARED_FIELDS}
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
        values = {getattr(finished.environment, field) for finished in self.finished}
        return sorted({one_line(value or "none") for value in values})

    def select(self, budget: str, clean_size: int) -> list[Finished]:
        """The finished cells of one budget and clean-set size."""
        return [
            finished
            for finished in self.finished
            if (finished.planned.budget, finished.planned.clean_size) == (budget, clean_size)
        ]

    def _axis(self, read: Callable[[Planned], A]) -> list[A]:
        return list(dict.fromkeys(map(read, self.planned)))


def make_findings(
    suite: Suite, planned: Sequence[Planned], records: Iterable[Record], timings: Sequence[Timing] = ()
) -> Findings:
    """What the records say, from one pass in which no record stays in memory; those of other cells are left out."""
    plans = {plan.key: plan for plan in planned}
    finished: dict[str, Finished] = {}
    absent = {plan.key: Absent(plan, "missing", "") for plan in planned}
    confusions: Confusions = {}
    environments: dict[Environment, Environment] = {}
    for record in records:
        if (plan := plans.get(record.key)) is None:
            continue
        if record.status != "ok" or record.result is None or record.cost is None:
            absent[plan.key] = Absent(plan, record.status, record.reason or "")
            continue
        del absent[plan.key]
        environment = environments.setdefault(record.environment, record.environment)
        finished[plan.key] = condense(plan, record.result, record.cost, environment)
        place = plan.budget, plan.clean_size, plan.corruption, plan.method
        confusions[place] = confusions.get(place, 0) + np.array(record.result.last.confusion)
    return Findings(
        suite,
        planned,
        [finished[plan.key] for plan in planned if plan.key in finished],
        list(absent.values()),
        confusions,
        timings,
    )
