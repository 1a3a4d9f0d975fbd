"""Bootstrapping against loops over classes, with their gradients, and its limits."""

import math
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.bootstrap import Bootstrap

quick = settings(max_examples=50, deadline=None, derandomize=True)
# No two logits of a row are equal, so that the hard belief is one class.
rows_of_logits = st.lists(
    st.lists(st.integers(-90, 90).map(lambda value: value / 10), min_size=4, max_size=4, unique=True),
    min_size=1,
    max_size=6,
)
forms = st.sampled_from(["hard", "soft"])
betas = st.sampled_from([0.0, 0.3, 0.8, 0.95, 1.0])


def make_batch(logits: Tensor) -> Batch:
    targets = torch.arange(len(logits)) % logits.shape[1]
    return Batch(torch.arange(len(logits)), torch.zeros(len(logits), 1, 1, 1), targets)


def softmax(logits: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total for value in logits]


def loop(logits: list[float], target: int, form: str, beta: float) -> tuple[float, list[float]]:
    """Loss and gradient of one example, in python's floats."""
    p, best = softmax(logits), max(logits)
    entropy = -sum(value * math.log(value) for value in p)
    loss, gradient = 0.0, []
    for index, value in enumerate(p):
        belief = value if form == "soft" else float(logits[index] == best)
        loss -= (beta * (index == target) + (1 - beta) * belief) * math.log(value)
        # The soft belief's loss is the entropy of p, whose slope is -p * (log p + entropy).
        slope = -value * (math.log(value) + entropy) if form == "soft" else value - belief
        gradient.append(beta * (value - (index == target)) + (1 - beta) * slope)
    return loss, gradient


def test_known_value() -> None:
    """p is 1/2, 1/4, 1/4 and the target the second class."""
    logits = torch.tensor([[2.0, 1.0, 1.0]], dtype=torch.float64).log()
    batch = Batch(torch.arange(1), torch.zeros(1, 1, 1, 1), torch.tensor([1]))
    hard = Bootstrap("hard", beta=0.8).example_losses(logits, batch).item()
    soft = Bootstrap("soft", beta=0.8).example_losses(logits, batch).item()
    assert hard == pytest.approx((0.8 * 2 + 0.2 * 1) * math.log(2), rel=1e-12)
    assert soft == pytest.approx((0.8 * 2 + 0.2 * 1.5) * math.log(2), rel=1e-12)


def test_the_default_is_the_papers() -> None:
    assert Bootstrap() == Bootstrap(form="hard", beta=0.8)


@quick
@given(rows_of_logits, forms, betas)
def test_losses_and_gradients_equal_a_loop(rows: list[list[float]], form: Any, beta: float) -> None:
    logits = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    losses = Bootstrap(form, beta).example_losses(logits, make_batch(logits))
    losses.sum().backward()
    for index, row in enumerate(rows):
        loss, gradient = loop(row, index % 4, form, beta)
        assert losses[index].item() == pytest.approx(loss, rel=1e-9, abs=1e-12)
        assert logits.grad[index].tolist() == pytest.approx(gradient, rel=1e-9, abs=1e-12)


@quick
@given(rows_of_logits, forms)
def test_beta_one_is_cross_entropy(rows: list[list[float]], form: Any) -> None:
    logits = torch.tensor(rows)
    batch = make_batch(logits)
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    torch.testing.assert_close(Bootstrap(form, beta=1).example_losses(logits, batch), expected)


@pytest.mark.parametrize("beta", [-0.1, 1.1, math.nan])
def test_impossible_beta_is_refused(beta: float) -> None:
    with pytest.raises(ValueError, match=r"beta is .* between 0 and 1"):
        Bootstrap(beta=beta)
