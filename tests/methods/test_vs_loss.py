"""The vector-scaling loss against a loop over examples, and the losses that it contains."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from made_up import prepare_with_counts
from reweightbench.benchmark.contracts.method import Method
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.logit_adjustment import LogitAdjustment
from reweightbench.methods.vs_loss import VsLoss

quick = settings(max_examples=50, deadline=None, derandomize=True)
class_counts = st.lists(st.integers(1, 300), min_size=3, max_size=3)
powers = st.sampled_from([0.0, 0.2, 0.5, 1.2])
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=1, max_size=6)


def prepared(counts: list[int], method: Method) -> Method:
    return prepare_with_counts(method, counts)


def make_batch(size: int) -> Batch:
    return Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.arange(size) % 3)


def loop(logits: list[float], target: int, counts: list[int], gamma: float, tau: float) -> float:
    """CE of (n / n_max)^gamma * z + tau * log(n / sum n), in python's floats."""
    powers = []
    for value, count in zip(logits, counts, strict=True):
        scale, share = (count / max(counts)) ** gamma, count / sum(counts)
        powers.append(share**tau * math.exp(scale * value))
    return -math.log(powers[target] / sum(powers))


def test_the_default_is_the_authors() -> None:
    assert VsLoss() == VsLoss(gamma=0.2, tau=1.2)


@quick
@given(logit_rows, class_counts, powers, powers)
def test_equals_a_loop(rows: list[list[float]], counts: list[int], gamma: float, tau: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    losses = prepared(counts, VsLoss(gamma, tau)).example_losses(logits, make_batch(len(rows)))
    expected = [loop(row, index % 3, counts, gamma, tau) for index, row in enumerate(rows)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@quick
@given(logit_rows, class_counts, powers)
def test_gamma_zero_is_logit_adjustment(rows: list[list[float]], counts: list[int], tau: float) -> None:
    logits, batch = torch.tensor(rows, dtype=torch.float64), make_batch(len(rows))
    expected = prepared(counts, LogitAdjustment(tau=tau)).example_losses(logits, batch)
    torch.testing.assert_close(prepared(counts, VsLoss(0, tau)).example_losses(logits, batch), expected)


@quick
@given(logit_rows, class_counts)
def test_gamma_and_tau_zero_are_cross_entropy(rows: list[list[float]], counts: list[int]) -> None:
    logits, batch = torch.tensor(rows, dtype=torch.float64), make_batch(len(rows))
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(prepared(counts, VsLoss(0, 0)).example_losses(logits, batch), expected)


def test_the_logits_of_rare_classes_move_the_loss_less() -> None:
    logits = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    method = prepared([500, 50, 5], VsLoss(gamma=0.5, tau=0))
    method.example_losses(logits, make_batch(3)).sum().backward()
    # At equal probabilities the gradient of the target's own logit is -2/3 times its scale.
    assert logits.grad is not None
    scales = (-1.5 * logits.grad.diagonal()).tolist()
    assert scales == pytest.approx([1, 0.1**0.5, 0.1])


def test_a_class_without_examples_counts_as_one_example(golden_batch: Any) -> None:
    """Label noise can empty a class."""
    empty = prepared([500, 50, 0], VsLoss()).example_losses(*golden_batch)
    torch.testing.assert_close(empty, prepared([500, 50, 1], VsLoss()).example_losses(*golden_batch))


def test_only_the_loss_is_adjusted(golden_batch: Any, step_of: Callable[..., Any]) -> None:
    method = prepared([500, 50, 5], VsLoss())
    logits, _ = golden_batch
    assert torch.equal(method.adjust_logits(logits), logits)
    assert method.example_weights(step_of(torch.ones(4))).tolist() == [1] * 4


@pytest.mark.parametrize("option", ["gamma", "tau"])
@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_impossible_options_are_refused(option: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{option} is .* at least 0"):
        VsLoss(**{option: value})
