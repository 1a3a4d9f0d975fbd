"""Differences of balanced accuracy between two groups of cells, paired by seed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reweightbench.benchmark.report.choices import Place, place_of
from reweightbench.benchmark.report.entries import describe_percent
from reweightbench.benchmark.report.finished import Finished
from reweightbench.benchmark.report.formats import ABSENT
from reweightbench.benchmark.report.statistics import Summary, summarise

BySeed = Mapping[int, Finished]


@dataclass(frozen=True)
class Paired:
    """One difference per seed that both groups have, and how many of their runs diverged."""

    differences: Sequence[float]
    diverged: int = 0

    @property
    def summary(self) -> Summary:
        """The summary over seeds."""
        return summarise(self.differences, self.diverged)

    def describe(self, seeds: int) -> str:
        """Mean and interval in points; `0` alone where every difference is exactly 0."""
        if not self.differences:
            return ABSENT
        return describe_percent(self.summary, seeds) if any(self.differences) else "0"


def group_by_place(cells: Iterable[Finished]) -> dict[Place, dict[int, Finished]]:
    """Cells by place and seed."""
    groups: dict[Place, dict[int, Finished]] = {}
    for cell in cells:
        groups.setdefault(place_of(cell.planned), {})[cell.planned.seed] = cell
    return groups


def pair(first: BySeed, second: BySeed) -> Paired:
    """The first group's balanced accuracies at the last epoch less the second's; 0 for a cell against itself."""
    pairs = [(cell, second[seed]) for seed, cell in first.items() if seed in second]
    runs = {cell.planned.key: cell.is_diverged for pair in pairs for cell in pair}
    differences = [one.figures.balanced_accuracy - other.figures.balanced_accuracy for one, other in pairs]
    return Paired(differences, sum(runs.values()))
