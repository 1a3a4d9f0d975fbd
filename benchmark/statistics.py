"""What the seeds of a setting say together: mean, spread and a confidence interval."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


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
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return Summary(count, mean, deviation, quantile * deviation / math.sqrt(count))
