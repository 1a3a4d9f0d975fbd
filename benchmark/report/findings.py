"""What the records say about a suite's cells: which are finished, which are not, and what must be said."""

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.cells.rates import Edge, Selection
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.contracts.text import one_line
from reweightbench.benchmark.records.record import COMPARED_FIELDS, Environment, Record
from reweightbench.benchmark.records.timing import Timing
from reweightbench.benchmark.report.choices import (
    Choices,
    Place,
    find_choices,
    find_groups,
    place_of,
    reselect,
)
from reweightbench.benchmark.report.finished import (
    Finished,
    condense,
    count_classes,
    keep_shared_seeds,
    score_as_chance,
)
from reweightbench.benchmark.report.overhead import Overheads
from reweightbench.benchmark.report.trials import TrialReader, Trials

A = TypeVar("A", bound=Hashable)

Confusions = dict[Place, NDArray[np.int64]]
"""Confusion matrices by place, those of the seeds added up."""


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

    `planned` and `finished` are the cells of the table; those that diverged are finished too, and score as chance.
    `reselected` has the cells at rates chosen on corrupted validation, by the key of the table's cell; `cells`
    counts both, each once. `confusions` are of the last epoch, without diverged runs.
    """

    suite: Suite
    planned: Sequence[Planned]
    finished: Sequence[Finished]
    absent: Sequence[Absent]
    confusions: Confusions
    trials: Trials
    choices: Choices
    reselected: Mapping[str, Finished]
    cells: int
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
    def everything(self) -> list[Finished]:
        """The finished cells of the table and those at rates chosen on corrupted validation, each once."""
        cells = [*self.finished, *self.reselected.values()]
        return list({finished.planned.key: finished for finished in cells}.values())

    @cached_property
    def compared(self) -> list[Finished]:
        """The finished cells of those seeds that all methods with a result in the setting have."""
        return keep_shared_seeds(self.finished)

    @cached_property
    def diverged(self) -> int:
        """How many cells diverged."""
        return sum(finished.is_diverged for finished in self.everything)

    @property
    def chance(self) -> float:
        """Balanced accuracy of guessing."""
        return self.trials.chance

    @cached_property
    def tuned_budgets(self) -> set[str]:
        """Budgets whose learning rates are chosen for each method and setting."""
        return {place.budget for place in self.choices}

    def edge(self, place: Place, selection: Selection = "clean") -> Edge | None:
        """At which end of the rates tried the chosen one lies."""
        choice = self.choices.get(place, {}).get(selection)
        return choice.edge if choice else None

    @cached_property
    def marks(self) -> tuple[str, ...]:
        """What every page made from these records must say about them."""
        marks = []
        if self.absent:
            marks.append(f"partial: {self.cells - len(self.absent)} of {self.cells} cells")
        if self.diverged:
            marks.append(f"diverged: {self.diverged} of {self.cells} cells, which count as guessing")
        if self.mixture:
            marks.append(f"mixed environments: {'; '.join(self.mixture)}")
        return tuple(marks)

    def environment_values(self, field: str) -> list[str]:
        """The different values of a field of the finished cells' environments, sorted; absent is `none`."""
        values = {getattr(finished.environment, field) for finished in self.everything}
        return sorted({one_line(value or "none") for value in values})

    def select(self, budget: str, clean_size: int) -> list[Finished]:
        """The finished cells of one budget and clean-set size that are compared."""
        return [
            finished
            for finished in self.compared
            if (finished.planned.budget, finished.planned.clean_size) == (budget, clean_size)
        ]

    def _axis(self, read: Callable[[Planned], A]) -> list[A]:
        return list(dict.fromkeys(map(read, self.planned)))


def make_findings(
    suite: Suite, planned: Sequence[Planned], records: Iterable[Record], timings: Sequence[Timing] = ()
) -> Findings:
    """What the records say, from one pass in which no record stays in memory; those of other cells are left out."""
    groups = find_groups(suite, planned)
    choices, reader = find_choices(suite, groups), TrialReader(suite.tuning, groups)
    reselected = reselect(choices, planned)
    table = {plan.key for plan in planned}
    plans = {plan.key: plan for plan in [*planned, *reselected.values()]}
    finished: dict[str, Finished] = {}
    absent = {plan.key: Absent(plan, "missing", "") for plan in plans.values()}
    confusions: Confusions = {}
    diverged: dict[str, Environment] = {}
    environments: dict[Environment, Environment] = {}
    for record in records:
        if record.cell.purpose == "trial":
            reader.read(record)
            continue
        if (plan := plans.get(record.key)) is None:
            continue
        environment = environments.setdefault(record.environment, record.environment)
        if record.status == "nonfinite":
            diverged[plan.key] = environment
        elif record.status != "ok" or record.result is None or record.cost is None:
            absent[plan.key] = Absent(plan, record.status, record.reason or "")
            continue
        else:
            finished[plan.key] = condense(plan, record.result, record.cost, environment)
            if plan.key in table:
                place = place_of(plan)
                confusions[place] = confusions.get(place, 0) + np.array(record.result.tested.confusion)
        del absent[plan.key]
    classes = count_classes(finished.values(), planned) if diverged or suite.tuning else 0
    for key, environment in diverged.items():
        finished[key] = score_as_chance(plans[key], environment, classes)
    return Findings(
        suite,
        planned,
        [finished[plan.key] for plan in planned if plan.key in finished],
        list(absent.values()),
        confusions,
        reader.trials(chance=1 / classes if classes else math.nan),
        choices,
        {key: finished[plan.key] for key, plan in reselected.items() if plan.key in finished},
        len(plans),
        timings,
    )
