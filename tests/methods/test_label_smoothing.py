"""Label smoothing against a loop over classes, and its limits."""

import math

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.label_smoothing import LabelSmoothing

quick = settings(max_examples=50, deadline=None, derandomize=True)
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=4, max_size=4), min_size=1, max_size=6)
epsilons = st.sampled_from([0.0, 0.1, 0.5, 1.0])


def make_batch(logits: Tensor, shift: int = 0) -> Batch:
    targets = (torch.arange(len(logits)) + shift) % logits.shape[1]
    return Batch(torch.arange(len(logits)), torch.zeros(len(logits), 1, 1, 1), targets)


def smooth(target: int, epsilon: float) -> list[float]:
    return [(1 - epsilon) * (index == target) + epsilon / 4 for index in range(4)]


def softmax(logits: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total for value in logits]


def loop(logits: list[float], target: int, epsilon: float) -> float:
    """The cross-entropy of one example against its smooth target, in python's floats."""
    return -sum(
        share * math.log(p) for share, p in zip(smooth(target, epsilon), softmax(logits), strict=True)
    )


def test_known_value() -> None:
    """p is 1/2, 1/4, 1/4: the loss is log 2 times 0.9 + 0.1/3 + 2 * 2 * 0.1/3."""
    logits = torch.tensor([[2.0, 1.0, 1.0]], dtype=torch.float64).log()
    loss = LabelSmoothing(epsilon=0.1).example_losses(logits, make_batch(logits)).item()
    assert loss == pytest.approx((0.9 + 0.5 / 3) * math.log(2), rel=1e-12)


def test_the_default_is_the_papers() -> None:
    assert LabelSmoothing() == LabelSmoothing(epsilon=0.1)


@quick
@given(logit_rows, epsilons)
def test_equals_a_loop(rows: list[list[float]], epsilon: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64)
    losses = LabelSmoothing(epsilon).example_losses(logits, make_batch(logits))
    expected = [loop(row, index % 4, epsilon) for index, row in enumerate(rows)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@quick
@given(logit_rows, epsilons)
def test_gradient_vanishes_where_the_softmax_is_the_smooth_target(
    rows: list[list[float]], epsilon: float
) -> None:
    logits = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    LabelSmoothing(epsilon).example_losses(logits, make_batch(logits)).sum().backward()
    for index, row in enumerate(rows):
        pairs = zip(softmax(row), smooth(index % 4, epsilon), strict=True)
        assert logits.grad[index].tolist() == pytest.approx([p - share for p, share in pairs], abs=1e-12)


@quick
@given(logit_rows)
def test_epsilon_zero_is_cross_entropy(rows: list[list[float]]) -> None:
    logits = torch.tensor(rows)
    batch = make_batch(logits)
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(LabelSmoothing(epsilon=0).example_losses(logits, batch), expected)


@quick
@given(logit_rows)
def test_epsilon_one_forgets_the_target(rows: list[list[float]]) -> None:
    logits, method = torch.tensor(rows, dtype=torch.float64), LabelSmoothing(epsilon=1)
    first, second = (method.example_losses(logits, make_batch(logits, shift)) for shift in (0, 1))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, math.nan])
def test_impossible_epsilon_is_refused(epsilon: float) -> None:
    with pytest.raises(ValueError, match=r"epsilon is .* between 0 and 1"):
        LabelSmoothing(epsilon=epsilon)
