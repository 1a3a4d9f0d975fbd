"""What several values say together: mean or median, spread and a confidence interval."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

CONFIDENCE = 0.95
RESAMPLES = 1999


@dataclass(frozen=True)
class Summary:
    """Seeds counted, their mean, sample standard deviation and the half-width of the interval of the mean.

    One seed has neither deviation nor interval, none has no mean either: these are NaN.
    """

    count: int
    mean: float
    deviation: float
    interval: float


def summarise(values: Iterable[float]) -> Summary:
    """The summary of one value per seed, NaN values left out.

    The deviation divides by n - 1, and the interval is Student's t with n - 1 degrees of freedom at 95%.
    """
    sample = np.asarray([value for value in values if not math.isnan(value)], dtype=np.float64)
    count = len(sample)
    mean = float(sample.mean()) if count else math.nan
    if count < 2:
        return Summary(count, mean, math.nan, math.nan)
    deviation = float(sample.std(ddof=1))
    quantile = float(special.stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    return Summary(count, mean, deviation, quantile * deviation / math.sqrt(count))


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
