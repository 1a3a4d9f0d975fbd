"""Random weights: their distribution, their stream, and that they know nothing."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from reweightbench.methods.random_weights import RandomWeights


def prepared(workbench: Any, seed: int = 0) -> RandomWeights:
    method = RandomWeights()
    method.prepare(workbench.problem(method, generator_seed=seed))
    return method


def test_equals_a_loop(workbench: Any, step_of: Callable[..., Any]) -> None:
    draws = torch.randn(8, generator=torch.Generator().manual_seed(5)).tolist()
    positive = [max(draw, 0.0) for draw in draws]
    expected = [8 * value / sum(positive) for value in positive]
    weights = prepared(workbench, seed=5).example_weights(step_of(torch.ones(8)))
    assert weights.tolist() == pytest.approx(expected, rel=1e-5)


def test_rectified_normal_with_mean_one(workbench: Any, step_of: Callable[..., Any]) -> None:
    weights = prepared(workbench).example_weights(step_of(torch.ones(40_000)))
    assert weights.mean().item() == pytest.approx(1, rel=1e-4)
    assert (weights == 0).float().mean().item() == pytest.approx(0.5, abs=0.01)
    # A rectified standard normal has mean 1/sqrt(2 pi) and second moment 1/2: the ratio is pi.
    assert weights.square().mean().item() == pytest.approx(torch.pi, rel=0.03)


def test_losses_do_not_matter(workbench: Any, step_of: Callable[..., Any]) -> None:
    first = prepared(workbench).example_weights(step_of(torch.zeros(20)))
    second = prepared(workbench).example_weights(step_of(torch.linspace(0, 9, 20)))
    assert torch.equal(first, second)


def test_every_step_and_every_seed_draws_anew(workbench: Any, step_of: Callable[..., Any]) -> None:
    method, step = prepared(workbench), step_of(torch.ones(20))
    first, second = method.example_weights(step), method.example_weights(step)
    assert not torch.equal(first, second)
    assert not torch.equal(first, prepared(workbench, seed=1).example_weights(step))


def test_no_positive_draw_gives_zero_weights(workbench: Any, step_of: Callable[..., Any]) -> None:
    method = prepared(workbench)
    weights = [method.example_weights(step_of(torch.ones(1))).item() for _ in range(20)]
    assert set(weights) == {0.0, 1.0}
