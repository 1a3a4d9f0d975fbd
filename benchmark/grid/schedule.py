"""The order in which a grid's cells are run, and how long they will take."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.records.record import Record

ROUNDS = 10
"""Rounds of fitting, each of which brings the two factors of a duration closer together."""


@dataclass(frozen=True)
class Group:
    """Cells that differ in their seed only: the method with its budget, on a corruption and a clean set."""

    method: str
    budget: str
    epochs: int
    corruption: str
    clean_size: int

    @property
    def kind(self) -> tuple[str, str]:
        """What a cell's duration mostly depends on."""
        return self.method, self.budget

    @property
    def setting(self) -> tuple[str, int]:
        """What says how many examples there are."""
        return self.corruption, self.clean_size


class Schedule:
    """Cells to run: one of every kind first, to know how long each takes, then the longest first.

    Long cells at the end would keep one worker busy while the others wait. A duration is taken to be a factor
    of the cell's kind times one of its setting.
    """

    def __init__(
        self, todo: Iterable[Planned], planned: Iterable[Planned], finished: Mapping[str, float]
    ) -> None:
        """`finished` has the seconds that cells took earlier, by key."""
        self._groups = {plan.key: _group(plan) for plan in planned}
        self._waiting: dict[Group, deque[Planned]] = {}
        # In the order of keys, which is random, so that the first of a kind is not always the same setting.
        for plan in sorted(todo, key=lambda plan: plan.key):
            self._waiting.setdefault(_group(plan), deque()).append(plan)
        self._running: set[str] = set()
        self._at_once = 0
        self._seconds: dict[Group, list[float]] = {}
        for key, seconds in finished.items():
            if key in self._groups:
                self._add(key, seconds)
        self._tried = {group.kind for group in self._seconds}
        self._fit()

    def __iter__(self) -> Iterator[Cell]:
        while self._waiting:
            untried = (group for group in self._waiting if group.kind not in self._tried)
            group = next(untried, None) or max(self._waiting, key=self._expect)
            plan = self._waiting[group].popleft()
            if not self._waiting[group]:
                del self._waiting[group]
            self._tried.add(group.kind)
            self._running.add(plan.key)
            yield plan.cell

    @property
    def at_once(self) -> int:
        """How many cells were running when the last one ended; 0 before that."""
        return self._at_once

    def note(self, record: Record, seconds: float) -> None:
        """A cell ended after occupying a worker for `seconds`."""
        self._at_once = len(self._running)
        self._running.discard(record.key)
        if record.status == "ok":
            is_first = self._groups[record.key] not in self._seconds
            self._add(record.key, seconds)
            # Later ones change the factors little, and a large grid has many.
            if is_first:
                self._fit()

    def seconds_left(self, jobs: int) -> float:
        """Seconds until all cells have ended, with that many workers; NaN while no cell's duration is known."""
        waiting = [(len(plans), self._expect(group)) for group, plans in self._waiting.items()]
        # A running cell has half of its time before it, on average.
        running = [0.5 * self._expect(self._groups[key]) for key in self._running]
        total = sum(count * seconds for count, seconds in waiting) + sum(running)
        # Workers wait for the longest cell at the end.
        return max([total / jobs, *(seconds for _, seconds in waiting), *running])

    def _add(self, key: str, seconds: float) -> None:
        self._seconds.setdefault(self._groups[key], []).append(seconds)

    def _fit(self) -> None:
        """Find the factors, as logarithms, from the mean duration of each group that has one."""
        means = {group: math.log(fmean(seconds)) for group, seconds in self._seconds.items()}
        self._kinds: dict[tuple[str, str], float] = {}
        self._settings: dict[tuple[str, int], float] = {}
        for _ in range(ROUNDS):
            residuals: dict[tuple[str, str], list[float]] = {}
            for group, mean in means.items():
                residuals.setdefault(group.kind, []).append(mean - self._settings.get(group.setting, 0.0))
            self._kinds = {kind: fmean(values) for kind, values in residuals.items()}
            others: dict[tuple[str, int], list[float]] = {}
            for group, mean in means.items():
                others.setdefault(group.setting, []).append(mean - self._kinds[group.kind])
            self._settings = {setting: fmean(values) for setting, values in others.items()}
        paces = {group.kind: self._kinds[group.kind] - math.log(group.epochs) for group in means}
        self._pace = fmean(paces.values()) if paces else math.nan

    def _expect(self, group: Group) -> float:
        """Seconds of a cell: what its group took, or else its factors; a kind without one goes by its epochs."""
        if group in self._seconds:
            return fmean(self._seconds[group])
        kind = self._kinds.get(group.kind, self._pace + math.log(group.epochs))
        return math.exp(kind + self._settings.get(group.setting, 0.0))


def _group(plan: Planned) -> Group:
    return Group(plan.method, plan.budget, plan.cell.budget.epoch_count, plan.corruption, plan.clean_size)
