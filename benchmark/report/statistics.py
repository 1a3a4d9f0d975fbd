"""What several values say together: mean or median, spread and a confidence interval."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

CONFIDENCE = 0.95
RESAMPLES = 1999
SAME = 1e-9
"""Scores that differ by less differ in rounding only."""


@dataclass(frozen=True)
class Summary:
    """Seeds counted, their mean, sample standard deviation and the half-width of the interval of the mean.

    One seed has neither deviation nor interval, none has no mean either: these are NaN. `diverged` runs are among
    what was counted, with the score of guessing.
    """

    count: int
    mean: float
    deviation: float
    interval: float
    diverged: int = 0


def summarise(values: Iterable[float], diverged: int = 0) -> Summary:
    """The summary of one value per seed, NaN values left out.

    The deviation divides by n - 1, and the interval is Student's t with n - 1 degrees of freedom at 95%.
    """
    sample = np.asarray([value for value in values if not math.isnan(value)], dtype=np.float64)
    count = len(sample)
    mean = float(sample.mean()) if count else math.nan
    if count < 2:
        return Summary(count, mean, math.nan, math.nan, diverged)
    deviation = float(sample.std(ddof=1))
    quantile = float(special.stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    return Summary(count, mean, deviation, quantile * deviation / math.sqrt(count), diverged)


def compute_p_value(differences: Sequence[float]) -> float:
    """The p-value of Student's two-sided t test that the mean of paired differences is 0.

    1 for fewer than two, which say nothing, and where all are 0. Where all are equal, the t test would take them for
    certain, but scores are counted in whole test examples, and few seeds agree by chance: then 2 / 2^n, the p-value
    of flipping their signs.
    """
    count = len(differences)
    if count < 2 or not any(differences):
        return 1.0
    if max(differences) - min(differences) < SAME:
        return float(2 ** (1 - count))
    summary = summarise(differences)
    t = summary.mean / (summary.deviation / math.sqrt(count))
    return float(2 * special.stdtr(count - 1, -abs(t)))


def correct_holm(p_values: Sequence[float]) -> list[float]:
    """The p-values `(n,)` of one family after Holm's step-down correction (1979), in their order."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


@dataclass(frozen=True)
class Median:
    """A median and the bounds of its interval."""

    value: float
    low: float
    high: float


def bootstrap_median(values: Sequence[float]) -> Median:
    """The median and its percentile bootstrap interval at 95%; equal for equal values."""
    # Imported here because it takes a second, and few reports have timings.
    from scipy import stats  # noqa: PLC0415

    interval = stats.bootstrap(
        (values,),
        np.median,
        confidence_level=CONFIDENCE,
        n_resamples=RESAMPLES,
        # Resamples are drawn in batches of about a million values: all at once would fill the memory.
        batch=max(1, 10**6 // len(values)),
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Median(float(np.median(values)), float(interval.low), float(interval.high))
