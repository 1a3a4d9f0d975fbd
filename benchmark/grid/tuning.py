"""Choosing learning rates by trials: for every method in every setting from the same grid, grown by the same rule."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from reweightbench.benchmark.cells.plan import Planned, Setting
from reweightbench.benchmark.cells.rates import Choice, Edge, Selection
from reweightbench.benchmark.cells.suite import EXTENSIONS, Tuning
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records.survey import Known, describe_plan

RunTrials = Callable[[Sequence[Planned]], Mapping[str, Known]]
"""Runs those trials that have no record yet; returns what the records of all of them say, by key."""


@dataclass
class Group:
    """The trials of one setting: places `low` to `high - 1` of the grid, with every seed of the tuning."""

    setting: Setting
    tuning: Tuning
    low: int
    high: int

    def plan(self) -> list[Planned]:
        """The trials of the present grid."""
        return [plan for place in self.places for plan in self._plan_at(place)]

    @property
    def places(self) -> range:
        """The places of the rates tried."""
        return range(self.low, self.high)

    def best_place(self, known: Mapping[str, Known], selection: Selection, chance: float) -> int:
        """The place whose mean score is best, the lowest rate of equals; a diverged trial scores as chance."""

        def score(place: int) -> float:
            entries = [known[plan.key] for plan in self._plan_at(place)]
            return fmean(entry.scores.get(selection, chance) for entry in entries)

        return max(self.places, key=score)

    def grow(self, best: Iterable[int]) -> bool:
        """Add the next rate where one of the best is the first or the last, unless that side has grown enough."""
        before, places = (self.low, self.high), set(best)
        if before[0] in places:
            self.low = max(self.low - 1, -EXTENSIONS)
        if before[1] - 1 in places:
            self.high = min(self.high + 1, self.tuning.count + EXTENSIONS)
        return (self.low, self.high) != before

    def choose(self, place: int, selection: Selection) -> Choice:
        """The rate at a place as a choice."""
        edge: Edge | None = "lowest" if place == self.low else "highest" if place == self.high - 1 else None
        return Choice(
            group=self.setting.group,
            method=self.setting.method,
            corruption=self.setting.corruption,
            clean_size=self.setting.clean_size,
            budget=self.setting.budget.name,
            selection=selection,
            learning_rate=self.tuning.rate(place),
            rates_tried=len(self.places),
            edge=edge,
        )

    def _plan_at(self, place: int) -> list[Planned]:
        rate = self.tuning.rate(place)
        return [self.setting.plan(rate, seed, "trial") for seed in self.tuning.seeds]


def plan_trials(settings: Iterable[Setting], tuning: Tuning) -> list[Planned]:
    """The trials that every setting begins with."""
    return [plan for setting in settings for plan in Group(setting, tuning, 0, tuning.count).plan()]


def choose_rates(
    settings: Iterable[Setting],
    tuning: Tuning,
    selections: Sequence[Selection],
    chance: float,
    run_trials: RunTrials,
) -> list[Choice]:
    """The rate of each setting and selection that has the best mean score over the tuning's seeds.

    The grid of a setting grows while the best rate under any selection is the first or the last. `chance` is the
    balanced accuracy of guessing. Raises UsageError where a trial ended neither well nor by diverging.
    """
    groups = [Group(setting, tuning, 0, tuning.count) for setting in settings]
    growing = groups
    while growing:
        known = run_trials([plan for group in groups for plan in group.plan()])
        _check_ends(groups, known)
        growing = [
            group
            for group in growing
            if group.grow([group.best_place(known, selection, chance) for selection in selections])
        ]
    return [
        group.choose(group.best_place(known, selection, chance), selection)
        for group in groups
        for selection in selections
    ]


def _check_ends(groups: Iterable[Group], known: Mapping[str, Known]) -> None:
    failed = [
        plan for group in groups for plan in group.plan() if known[plan.key].status not in ("ok", "nonfinite")
    ]
    if failed:
        entry = known[failed[0].key]
        raise UsageError(
            f"{len(failed)} trials failed, so no rates are chosen; the first, {describe_plan(failed[0])}: "
            f"{entry.status}: {entry.reason}; mend it, --retry-failed repeats them"
        )
