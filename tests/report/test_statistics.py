"""Summaries over seeds, against textbook values and against simulation."""

import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reweightbench.benchmark.report.statistics import compute_p_value, correct_holm, summarise

# Two-sided 95% quantiles of Student's t by number of seeds, from printed tables.
QUANTILES = {2: 12.7062, 3: 4.3027, 4: 3.1824, 5: 2.7764, 10: 2.2622}


@pytest.mark.parametrize(("count", "quantile"), QUANTILES.items())
def test_interval_is_students(count: int, quantile: float) -> None:
    values = [0.5 + 0.03 * place**2 for place in range(count)]
    summary = summarise(values)
    assert summary.count == count
    assert summary.mean == pytest.approx(statistics.mean(values))
    assert summary.deviation == pytest.approx(statistics.stdev(values))
    half = quantile * statistics.stdev(values) / math.sqrt(count)
    assert summary.interval == pytest.approx(half, rel=1e-4)


def test_one_value_has_no_interval() -> None:
    summary = summarise([0.7])
    assert (summary.count, summary.mean) == (1, 0.7)
    assert math.isnan(summary.deviation)
    assert math.isnan(summary.interval)


def test_no_value_has_no_mean() -> None:
    summary = summarise([])
    assert summary.count == 0
    assert math.isnan(summary.mean)


def test_missing_values_do_not_count() -> None:
    assert summarise([0.1, math.nan, 0.4]) == summarise([0.1, 0.4])


def test_interval_covers_the_mean_in_95_of_100() -> None:
    samples = np.random.default_rng(0).normal(size=(2000, 4))
    summaries = [summarise(sample) for sample in samples]
    covered = np.mean([abs(summary.mean) <= summary.interval for summary in summaries])
    assert covered == pytest.approx(0.95, abs=0.015)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.floats(-1, 1), st.floats(0.1, 10))
def test_interval_scales_with_the_values(values: list[float], shift: float, scale: float) -> None:
    before, after = summarise(values), summarise([shift + scale * value for value in values])
    assert after.mean == pytest.approx(shift + scale * before.mean, abs=1e-9)
    assert after.interval == pytest.approx(scale * before.interval, abs=1e-9)


# p.adjust(p, method = "holm") of R.
HOLM = [
    ([0.001, 0.01, 0.05, 0.1, 0.5, 0.9], [0.006, 0.05, 0.2, 0.3, 1.0, 1.0]),
    ([0.319, 0.201, 0.4, 0.374, 0.113], [0.957, 0.804, 0.957, 0.957, 0.565]),
    ([0.02, 0.02, 0.02], [0.06, 0.06, 0.06]),
    ([0.3], [0.3]),
    ([], []),
]


@pytest.mark.parametrize(("p_values", "corrected"), HOLM)
def test_holm_is_that_of_r(p_values: list[float], corrected: list[float]) -> None:
    assert correct_holm(p_values) == pytest.approx(corrected)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.randoms())
def test_holm_follows_the_order_of_the_claims(p_values: list[float], random: random.Random) -> None:
    order = random.sample(range(len(p_values)), len(p_values))
    corrected = correct_holm(p_values)
    assert correct_holm([p_values[place] for place in order]) == [corrected[place] for place in order]
    assert all(before <= after <= 1 for before, after in zip(p_values, corrected, strict=True))


@pytest.mark.parametrize("differences", [[0.1, 0.2], [0.01, -0.02, 0.03, 0.0], [0.3, 0.31, 0.29, 0.3, 0.3]])
def test_p_value_is_that_of_scipy(differences: list[float]) -> None:
    assert compute_p_value(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [([], 1), ([0.4], 1), ([0.0, 0.0], 1), ([0.1, 0.1], 0.5), ([-0.1] * 5, 1 / 16)],
)
def test_p_value_without_spread(differences: list[float], p_value: float) -> None:
    assert compute_p_value(differences) == p_value
