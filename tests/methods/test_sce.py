"""Symmetric cross-entropy against known values, a loop over classes, and its limits."""

import math
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.sce import Sce

quick = settings(max_examples=50, deadline=None, derandomize=True)
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=4), min_size=1, max_size=6)


def make_batch(logits: Tensor) -> Batch:
    targets = torch.arange(len(logits)) % logits.shape[1]
    return Batch(torch.arange(len(logits)), torch.zeros(len(logits), 1, 1, 1), targets)


def loop(logits: list[float], target: int, alpha: float, beta: float, label_floor: float) -> float:
    """The cross-entropy of p against the label and that of the label against p, in python's floats."""
    total = sum(math.exp(value) for value in logits)
    p = [math.exp(value) / total for value in logits]
    label = [1.0 if index == target else 0.0 for index in range(len(logits))]
    forward = -sum(q * math.log(p_k) for q, p_k in zip(label, p, strict=True))
    reverse = -sum(p_k * math.log(max(q, label_floor)) for q, p_k in zip(label, p, strict=True))
    return alpha * forward + beta * reverse


def test_known_values(golden_batch: Any) -> None:
    reverse = Sce(alpha=0, beta=1).example_losses(*golden_batch)
    assert reverse.tolist() == pytest.approx([2.713509, 7.918642, 5.891886], abs=5e-7)
    both = Sce(alpha=0.1, beta=1).example_losses(*golden_batch)
    assert both.mean().item() == pytest.approx(5.619153, abs=5e-7)


def test_the_default_is_the_authors_for_cifar10() -> None:
    assert Sce() == Sce(alpha=0.1, beta=1.0, label_floor=1e-4)


@quick
@given(
    logit_rows,
    st.sampled_from([0.0, 0.1, 6.0]),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([1e-4, 0.1, 1.0]),
)
def test_equals_a_loop(rows: list[list[float]], alpha: float, beta: float, label_floor: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    losses = Sce(alpha, beta, label_floor).example_losses(logits, make_batch(logits))
    expected = [loop(row, index % 4, alpha, beta, label_floor) for index, row in enumerate(rows)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@quick
@given(logit_rows)
def test_without_the_reverse_it_is_cross_entropy(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows)
    batch = make_batch(logits)
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(Sce(alpha=1, beta=0).example_losses(logits, batch), expected)


@quick
@given(logit_rows)
def test_the_reverse_is_mae_where_the_logarithm_is_minus_two(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    batch = make_batch(logits)
    distances = (F.one_hot(batch.targets, 4) - logits.softmax(1)).abs().sum(1)
    losses = Sce(alpha=0, beta=1, label_floor=math.exp(-2)).example_losses(logits, batch)
    torch.testing.assert_close(losses, distances)


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("value", [-0.1, math.nan])
def test_impossible_factor_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .* at least 0"):
        Sce(**{name: value})


@pytest.mark.parametrize("label_floor", [0.0, -0.1, 1.1, math.nan])
def test_impossible_label_floor_is_refused(label_floor: float) -> None:
    with pytest.raises(ValueError, match=r"label_floor is .* above 0 and at most 1"):
        Sce(label_floor=label_floor)
