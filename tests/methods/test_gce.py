"""Generalised cross-entropy against known values, loops over examples, and the two losses at its ends."""

import math
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.gce import Gce
from reweightbench.methods.mae import Mae

quick = settings(max_examples=50, deadline=None, derandomize=True)
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=4), min_size=1, max_size=6)
exponents = st.sampled_from([0.05, 0.3, 0.7, 1.0])


def make_batch(logits: Tensor) -> Batch:
    targets = torch.arange(len(logits)) % logits.shape[1]
    return Batch(torch.arange(len(logits)), torch.zeros(len(logits), 1, 1, 1), targets)


def softmax(logits: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total for value in logits]


def loop(logits: list[float], target: int, q: float) -> float:
    """(1 - p^q) / q of one example, in python's floats."""
    return (1 - softmax(logits)[target] ** q) / q


def gradient_loop(logits: list[float], target: int, q: float) -> list[float]:
    """p^q times the gradient of cross-entropy."""
    p = softmax(logits)
    return [p[target] ** q * (value - (index == target)) for index, value in enumerate(p)]


def test_known_values(golden_batch: Any) -> None:
    losses = Gce(q=0.7).example_losses(*golden_batch)
    assert losses.tolist() == pytest.approx([0.309649, 1.067393, 0.729432], abs=5e-7)
    assert losses.mean().item() == pytest.approx(0.702158, abs=5e-7)


def test_the_default_is_the_papers() -> None:
    assert Gce() == Gce(q=0.7)


@quick
@given(logit_rows, exponents)
def test_equals_a_loop(rows: list[list[float]], q: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    losses = Gce(q).example_losses(logits, make_batch(logits))
    expected = [loop(row, index % 4, q) for index, row in enumerate(rows)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@quick
@given(logit_rows, exponents)
def test_gradient_is_that_of_cross_entropy_times_a_power_of_p(rows: list[list[float]], q: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    Gce(q).example_losses(logits, make_batch(logits)).sum().backward()
    for index, row in enumerate(rows):
        expected = gradient_loop(row, index % 4, q)
        assert logits.grad[index].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@quick
@given(logit_rows)
def test_a_vanishing_q_is_cross_entropy(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows)
    batch = make_batch(logits)
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(Gce(q=1e-9).example_losses(logits, batch), expected)


@quick
@given(logit_rows)
def test_q_one_is_half_of_mae(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows)
    batch = make_batch(logits)
    losses = Gce(q=1).example_losses(logits, batch)
    torch.testing.assert_close(2 * losses, Mae().example_losses(logits, batch))


@pytest.mark.parametrize("q", [0.0, -0.1, 1.1, math.nan])
def test_impossible_q_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match=r"q is .* above 0 and at most 1"):
        Gce(q=q)
