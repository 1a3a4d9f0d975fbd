"""What trials found: scores on validation by learning rate, and what a number of trials is expected to find."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from reweightbench.benchmark.cells.rates import Selection, group_of
from reweightbench.benchmark.cells.suite import EXTENSIONS, Tuning
from reweightbench.benchmark.records.record import Record
from reweightbench.benchmark.records.survey import know
from reweightbench.benchmark.report.choices import Place

Scores = Mapping[Selection, float]
"""Balanced accuracy by validation part; a trial that diverged has none."""


class TrialReader:
    """Keeps the scores of a suite's trials while its records pass by."""

    def __init__(self, tuning: Tuning | None, groups: Mapping[str, Place]) -> None:
        self._groups = groups
        self._seeds = tuning.seeds if tuning else ()
        steps = range(-EXTENSIONS, tuning.count + EXTENSIONS) if tuning else ()
        self._rates = {tuning.rate(step) for step in steps} if tuning else set()
        self._scores: dict[Place, dict[float, dict[int, Scores]]] = {}

    def read(self, record: Record) -> None:
        """Take the scores of a trial; one of another grid, or without a result or a divergence, is none of ours."""
        rate, seed = record.cell.budget.learning_rate, record.cell.seed
        if rate not in self._rates or seed not in self._seeds or record.status not in ("ok", "nonfinite"):
            return
        place = self._groups.get(group_of(record.cell))
        if place is not None:
            self._scores.setdefault(place, {}).setdefault(rate, {})[seed] = know(record).scores

    def trials(self, chance: float) -> "Trials":
        """Those rates of which every seed was read, lowest first."""
        whole = {
            place: {
                rate: [seeds[seed] for seed in self._seeds]
                for rate, seeds in sorted(rates.items())
                if len(seeds) == len(self._seeds)
            }
            for place, rates in self._scores.items()
        }
        return Trials(whole, chance)


@dataclass(frozen=True)
class Trials:
    """Scores by place and learning rate, one for each seed of the tuning; a diverged trial scores as `chance`."""

    scores: Mapping[Place, Mapping[float, Sequence[Scores]]]
    chance: float

    def means(self, place: Place, selection: Selection = "clean") -> dict[float, float]:
        """The mean score over seeds of each rate, lowest rate first."""
        return {
            rate: fmean(scores.get(selection, self.chance) for scores in seeds)
            for rate, seeds in self.scores.get(place, {}).items()
        }


def expect_best(scores: Sequence[float], count: int) -> Iterator[float]:
    """The expected best score of 1 to `count` trials, drawn with replacement from those that were run.

    E[max of n] = sum over v of v * (F(v)^n - F(v-)^n), with F the empirical distribution of the scores: equations
    1 to 3 of Dodge et al. 2019, Show Your Work: Improved Reporting of Experimental Results.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    shares = np.arange(len(ordered) + 1) / len(ordered)
    for number in range(1, count + 1):
        yield float(ordered @ np.diff(shares**number))
