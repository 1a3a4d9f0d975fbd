"""The balanced softmax against known values, a loop over examples, and its limits."""

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
from reweightbench.methods.balanced_softmax import BalancedSoftmax
from reweightbench.methods.logit_adjustment import LogitAdjustment

quick = settings(max_examples=50, deadline=None, derandomize=True)
class_counts = st.lists(st.integers(1, 300), min_size=3, max_size=3)
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=1, max_size=6)


def prepared(counts: list[int], method: Method | None = None) -> Method:
    return prepare_with_counts(method or BalancedSoftmax(), counts)


def make_batch(size: int) -> Batch:
    return Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.arange(size) % 3)


def loop(logits: list[float], target: int, counts: list[int]) -> float:
    """-log of n_y e^z_y over the sum of n_j e^z_j, in python's floats."""
    total = sum(count * math.exp(value) for count, value in zip(counts, logits, strict=True))
    return math.log(total) - math.log(counts[target]) - logits[target]


def test_known_values(golden_batch: Any) -> None:
    losses = prepared([500, 50, 5]).example_losses(*golden_batch)
    assert losses.tolist() == pytest.approx([0.036608, 2.886775, 4.772550], abs=5e-7)
    assert losses.mean().item() == pytest.approx(2.565311, abs=5e-7)


@quick
@given(logit_rows, class_counts)
def test_equals_a_loop(rows: list[list[float]], counts: list[int]) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    losses = prepared(counts).example_losses(logits, make_batch(len(rows)))
    expected = [loop(row, index % 3, counts) for index, row in enumerate(rows)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@quick
@given(logit_rows, class_counts)
def test_equals_logit_adjustment_at_tau_one(rows: list[list[float]], counts: list[int]) -> None:
    logits, batch = torch.tensor(rows, dtype=torch.float64), make_batch(len(rows))
    expected = prepared(counts, LogitAdjustment(tau=1)).example_losses(logits, batch)
    torch.testing.assert_close(prepared(counts).example_losses(logits, batch), expected)


@quick
@given(logit_rows, st.integers(1, 300))
def test_equal_classes_leave_cross_entropy(rows: list[list[float]], count: int) -> None:
    logits, batch = torch.tensor(rows, dtype=torch.float64), make_batch(len(rows))
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(prepared([count] * 3).example_losses(logits, batch), expected)


def test_a_class_without_examples_counts_as_one_example(golden_batch: Any) -> None:
    """Label noise can empty a class."""
    empty = prepared([500, 50, 0]).example_losses(*golden_batch)
    torch.testing.assert_close(empty, prepared([500, 50, 1]).example_losses(*golden_batch))


def test_only_the_loss_is_adjusted(golden_batch: Any, step_of: Callable[..., Any]) -> None:
    method = prepared([500, 50, 5])
    logits, _ = golden_batch
    assert torch.equal(method.adjust_logits(logits), logits)
    assert method.example_weights(step_of(torch.ones(4))).tolist() == [1] * 4
