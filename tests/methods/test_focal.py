"""The focal loss against known values, loops over examples, and its limits."""

import math
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.focal import Focal

GOLDEN = {
    1.0: ([0.102824, 1.688877, 0.653027], 0.814909),
    2.0: ([0.030294, 1.452022, 0.417744], 0.633353),
}

quick = settings(max_examples=50, deadline=None, derandomize=True)
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=4), min_size=1, max_size=6)


def make_batch(logits: Tensor) -> Batch:
    targets = torch.arange(len(logits)) % logits.shape[1]
    return Batch(torch.arange(len(logits)), torch.zeros(len(logits), 1, 1, 1), targets)


def softmax_loop(logits: list[float], target: int, gamma: float) -> float:
    """(1 - p)^gamma * CE of one example, in python's floats."""
    total = sum(math.exp(value) for value in logits)
    p = math.exp(logits[target]) / total
    others = sum(math.exp(value) for index, value in enumerate(logits) if index != target) / total
    return -(others**gamma) * math.log(p)


def binary_loop(logits: list[float], target: int, gamma: float) -> float:
    """The sum over classes of a binary focal loss for "is it this class?"."""
    loss = 0.0
    for index, value in enumerate(logits):
        sign = 1 if index == target else -1
        right, wrong = (1 / (1 + math.exp(-towards * value)) for towards in (sign, -sign))
        loss -= wrong**gamma * math.log(right)
    return loss


@pytest.mark.parametrize("gamma", GOLDEN)
def test_known_values(gamma: float, golden_batch: Any) -> None:
    logits, batch = golden_batch
    losses = Focal(gamma=gamma).example_losses(logits, batch)
    values, mean = GOLDEN[gamma]
    assert losses.tolist() == pytest.approx(values, abs=5e-7)
    assert losses.mean().item() == pytest.approx(mean, abs=5e-7)


def test_the_default_is_the_papers() -> None:
    assert Focal() == Focal(gamma=2.0, form="softmax")


@quick
@given(logit_rows, st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_softmax_form_equals_a_loop(rows: list[list[float]], gamma: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    batch = make_batch(logits)
    expected = [softmax_loop(row, index % 4, gamma) for index, row in enumerate(rows)]
    assert Focal(gamma).example_losses(logits, batch).tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@quick
@given(logit_rows, st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_sigmoid_form_equals_a_loop(rows: list[list[float]], gamma: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    batch = make_batch(logits)
    expected = [binary_loop(row, index % 4, gamma) for index, row in enumerate(rows)]
    losses = Focal(gamma, form="sigmoid").example_losses(logits, batch)
    assert losses.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@quick
@given(logit_rows)
def test_gamma_zero_is_cross_entropy(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows)
    batch = make_batch(logits)
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(Focal(gamma=0).example_losses(logits, batch), expected)


@quick
@given(logit_rows)
def test_a_larger_gamma_never_raises_a_loss(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    batch = make_batch(logits)
    losses = [Focal(gamma).example_losses(logits, batch) for gamma in (0.0, 1.0, 2.0, 4.0)]
    assert all((after <= before).all() for before, after in pairwise(losses))


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
def test_gradient_at_a_certain_answer_is_finite(form: Any) -> None:
    """1 - p is exactly 0 there, and a power below 1 has an infinite slope at 0."""
    logits = torch.tensor([[50.0, -50.0], [-50.0, 50.0]], requires_grad=True)
    batch = Batch(torch.arange(2), torch.zeros(2, 1, 1, 1), torch.tensor([0, 0]))
    losses = Focal(gamma=2, form=form).example_losses(logits, batch)
    losses.sum().backward()
    assert losses[0].item() == 0
    assert losses[1].item() == pytest.approx(100, rel=0.01)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("gamma", [-0.1, math.nan])
def test_impossible_gamma_is_refused(gamma: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Focal(gamma=gamma)
