"""Weights from the losses: both directions, against a loop, and the limits of the temperature."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from reweightbench.methods.loss_reweight import LossReweight

quick = settings(max_examples=50, deadline=None, derandomize=True)
losses_lists = st.lists(st.floats(0, 30, width=32), min_size=1, max_size=12)
temperatures = st.sampled_from([0.3, 1.0, 2.5])
favours = st.sampled_from(["hard", "easy"])


def loop(losses: list[float], favour: str, temperature: float) -> list[float]:
    """The softmax over the batch times its size, in python's floats."""
    sign = {"hard": 1, "easy": -1}[favour]
    powers = [math.exp(sign * loss / temperature) for loss in losses]
    return [len(losses) * power / sum(powers) for power in powers]


def test_known_values(step_of: Callable[..., Any]) -> None:
    """e^0, e^1, e^2 over their sum, times 3."""
    step = step_of(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64))
    hard = LossReweight().example_weights(step).tolist()
    easy = LossReweight(favour="easy").example_weights(step).tolist()
    assert hard == pytest.approx([0.270092, 0.734185, 1.995723], abs=5e-7)
    assert easy == pytest.approx(hard[::-1])


@quick
@given(losses_lists, favours, temperatures)
def test_equals_a_loop(
    step_of: Callable[..., Any], losses: list[float], favour: Any, temperature: float
) -> None:
    step = step_of(torch.tensor(losses, dtype=torch.float64))
    weights = LossReweight(favour, temperature).example_weights(step)
    assert weights.tolist() == pytest.approx(loop(losses, favour, temperature), rel=1e-9, abs=1e-12)


@quick
@given(losses_lists, favours, temperatures)
def test_mean_is_one(
    step_of: Callable[..., Any], losses: list[float], favour: Any, temperature: float
) -> None:
    weights = LossReweight(favour, temperature).example_weights(step_of(torch.tensor(losses)))
    assert weights.mean().item() == pytest.approx(1, rel=1e-5)


@quick
@given(losses_lists, temperatures)
def test_directions_order_the_examples_oppositely(
    step_of: Callable[..., Any], losses: list[float], temperature: float
) -> None:
    step = step_of(torch.tensor(sorted(losses), dtype=torch.float64))
    hard = LossReweight("hard", temperature).example_weights(step)
    easy = LossReweight("easy", temperature).example_weights(step)
    assert (hard.diff() >= 0).all()
    assert (easy.diff() <= 0).all()
    if losses and max(losses) - min(losses) > 0.1:
        assert hard[-1] > hard[0]
        assert easy[-1] < easy[0]


@quick
@given(losses_lists, favours)
def test_high_temperature_gives_uniform_weights(
    step_of: Callable[..., Any], losses: list[float], favour: Any
) -> None:
    weights = LossReweight(favour, temperature=1e9).example_weights(step_of(torch.tensor(losses)))
    torch.testing.assert_close(weights, torch.ones(len(losses)))


def test_low_temperature_leaves_one_example(step_of: Callable[..., Any]) -> None:
    step = step_of(torch.tensor([0.1, 3.0, 0.2, 2.0]))
    assert LossReweight("hard", 1e-3).example_weights(step).tolist() == pytest.approx([0, 4, 0, 0])
    assert LossReweight("easy", 1e-3).example_weights(step).tolist() == pytest.approx([4, 0, 0, 0])


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_impossible_temperature_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        LossReweight(temperature=temperature)
