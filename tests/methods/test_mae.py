"""The mean absolute error against a loop over classes, its bounds and its symmetry."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.mae import Mae

quick = settings(max_examples=50, deadline=None, derandomize=True)
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=4), min_size=1, max_size=6)


def losses_of(rows: list[list[float]], targets: list[int], dtype: torch.dtype = torch.float64) -> Tensor:
    size = len(rows)
    batch = Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.tensor(targets))
    return Mae().example_losses(torch.tensor(rows, dtype=dtype), batch)


def loop(logits: list[float], target: int) -> float:
    """The sum of |one-hot - softmax| of one example, in python's floats."""
    total = sum(math.exp(value) for value in logits)
    return sum(abs((index == target) - math.exp(value) / total) for index, value in enumerate(logits))


@quick
@given(logit_rows)
def test_equals_a_loop(rows: list[list[float]]) -> None:
    targets = [index % 4 for index in range(len(rows))]
    expected = [loop(row, target) for row, target in zip(rows, targets, strict=True)]
    assert losses_of(rows, targets).tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@quick
@given(logit_rows)
def test_lies_between_zero_and_two(rows: list[list[float]]) -> None:
    losses = losses_of(rows, [0] * len(rows), torch.float32)
    assert (losses >= 0).all()
    assert (losses <= 2).all()


@pytest.mark.parametrize(("target", "expected"), [(0, 0), (1, 2)])
def test_reaches_its_bounds(target: int, expected: float) -> None:
    assert losses_of([[200.0, -200.0, 0.0]], [target]).item() == expected


@quick
@given(st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=7))
def test_sum_over_all_targets_is_constant(row: list[float]) -> None:
    """The symmetry that makes it robust."""
    classes = len(row)
    total = losses_of([row] * classes, list(range(classes))).sum().item()
    assert total == pytest.approx(2 * (classes - 1), rel=1e-12)
