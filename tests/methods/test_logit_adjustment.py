"""Logit adjustment in the loss and afterwards: known values, loops over examples, limits, never both."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from made_up import prepare_with_counts
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.logit_adjustment import LogitAdjustment

GOLDEN = {
    1.0: ([0.036608, 2.886775, 4.772550], 2.565311),
    1.5: ([0.011615, 3.975540, 7.027641], 3.671599),
}

quick = settings(max_examples=50, deadline=None, derandomize=True)
class_counts = st.lists(st.integers(1, 300), min_size=3, max_size=3)
taus = st.sampled_from([0.0, 0.5, 1.0, 1.5, 3.0])
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=1, max_size=6)


def prepared(counts: list[int], **options: Any) -> LogitAdjustment:
    return prepare_with_counts(LogitAdjustment(**options), counts)


def make_batch(size: int) -> Batch:
    return Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.arange(size) % 3)


def loop(logits: list[float], target: int, counts: list[int], tau: float) -> float:
    """-log of pi_y^tau e^z_y over the sum of pi_j^tau e^z_j, in python's floats."""
    shares = [count / sum(counts) for count in counts]
    total = sum(share**tau * math.exp(value) for share, value in zip(shares, logits, strict=True))
    return -math.log(shares[target] ** tau * math.exp(logits[target]) / total)


@pytest.mark.parametrize("tau", GOLDEN)
def test_known_values(tau: float, golden_batch: Any) -> None:
    losses = prepared([500, 50, 5], tau=tau).example_losses(*golden_batch)
    values, mean = GOLDEN[tau]
    assert losses.tolist() == pytest.approx(values, abs=5e-7)
    assert losses.mean().item() == pytest.approx(mean, abs=5e-7)


def test_the_default_is_the_papers() -> None:
    assert LogitAdjustment() == LogitAdjustment(tau=1.0, form="loss")


@quick
@given(logit_rows, class_counts, taus)
def test_loss_equals_a_loop(rows: list[list[float]], counts: list[int], tau: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    losses = prepared(counts, tau=tau).example_losses(logits, make_batch(len(rows)))
    expected = [loop(row, index % 3, counts, tau) for index, row in enumerate(rows)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@quick
@given(logit_rows, class_counts, taus)
def test_post_hoc_evaluation_equals_a_loop(rows: list[list[float]], counts: list[int], tau: float) -> None:
    method = prepared(counts, tau=tau, form="post_hoc")
    adjusted = method.adjust_logits(torch.tensor(rows, dtype=torch.float64))
    for row, found in zip(rows, adjusted.tolist(), strict=True):
        pairs = zip(row, counts, strict=True)
        assert found == pytest.approx([value - tau * math.log(n / sum(counts)) for value, n in pairs])


@quick
@given(logit_rows, class_counts, taus)
def test_post_hoc_leaves_the_loss_plain(rows: list[list[float]], counts: list[int], tau: float) -> None:
    logits, batch = torch.tensor(rows, dtype=torch.float64), make_batch(len(rows))
    losses = prepared(counts, tau=tau, form="post_hoc").example_losses(logits, batch)
    torch.testing.assert_close(losses, F.cross_entropy(logits, batch.targets, reduction="none"))


@quick
@given(logit_rows, class_counts, taus)
def test_loss_form_leaves_evaluation_alone(rows: list[list[float]], counts: list[int], tau: float) -> None:
    logits = torch.tensor(rows)
    assert torch.equal(prepared(counts, tau=tau).adjust_logits(logits), logits)


@quick
@given(logit_rows, class_counts)
def test_tau_zero_is_cross_entropy(rows: list[list[float]], counts: list[int]) -> None:
    logits, batch = torch.tensor(rows, dtype=torch.float64), make_batch(len(rows))
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(prepared(counts, tau=0).example_losses(logits, batch), expected)
    torch.testing.assert_close(prepared(counts, tau=0, form="post_hoc").adjust_logits(logits), logits)


def test_a_class_without_examples_is_no_obstacle(golden_batch: Any) -> None:
    """Label noise can empty a class."""
    logits, batch = golden_batch
    empty = prepared([500, 50, 0]).example_losses(logits, batch)
    torch.testing.assert_close(empty, prepared([500, 50, 1]).example_losses(logits, batch))
    assert prepared([500, 50, 0], form="post_hoc").adjust_logits(logits).isfinite().all()


def test_examples_weigh_one(step_of: Callable[..., Any]) -> None:
    assert prepared([500, 50, 5]).example_weights(step_of(torch.ones(4))).tolist() == [1] * 4


@pytest.mark.parametrize("tau", [-0.1, math.nan])
def test_impossible_tau_is_refused(tau: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        LogitAdjustment(tau=tau)
