"""Class-balanced sampling: equal class totals, against a loop, and in actual draws."""

from typing import Any

import pytest
import torch

from reweightbench.benchmark.training.examples import Order
from reweightbench.methods.weighted_sampler import WeightedSampler


def prepared(workbench: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Sampling weights `(n,)` and targets `(n,)`."""
    method = WeightedSampler()
    problem = workbench.problem(method)
    method.prepare(problem)
    return method.sampling_weights(0), problem.targets


def test_equals_a_loop(workbench: Any) -> None:
    weights, targets = prepared(workbench)
    labels = targets.tolist()
    probabilities = (weights / weights.sum()).tolist()
    assert probabilities == pytest.approx([1 / (3 * labels.count(label)) for label in labels])


def test_classes_are_unequal_before_and_equal_after(workbench: Any) -> None:
    weights, targets = prepared(workbench)
    assert torch.bincount(targets).tolist() == [24, 12, 4]
    totals = torch.bincount(targets, weights=weights)
    torch.testing.assert_close(totals / totals.sum(), torch.full((3,), 1 / 3, dtype=totals.dtype))


def test_draws_each_class_equally_often(workbench: Any) -> None:
    weights, targets = prepared(workbench)
    draws = Order(torch.arange(40), torch.Generator().manual_seed(0)).take(30_000, weights)
    shares = torch.bincount(targets[draws]) / 30_000
    # Four standard deviations of a share of 1/3 in 30,000 draws are 0.011.
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.011)
    within_class = torch.bincount(draws, minlength=40)[targets == 2]
    assert within_class.tolist() == pytest.approx([2500] * 4, rel=0.1)


def test_weights_are_the_same_in_every_epoch(workbench: Any) -> None:
    method = WeightedSampler()
    method.prepare(workbench.problem(method))
    assert torch.equal(method.sampling_weights(0), method.sampling_weights(7))


def test_a_class_without_examples_is_no_obstacle(workbench: Any) -> None:
    """Label noise can empty a class."""
    method = WeightedSampler()
    problem = workbench.problem(method)
    problem.targets[problem.targets == 2] = 1
    method.prepare(problem)
    weights = method.sampling_weights(0)
    assert weights.isfinite().all()
    totals = torch.bincount(problem.targets, weights=weights)
    assert totals.tolist() == pytest.approx([1, 1])


def test_drawn_examples_weigh_one(workbench: Any) -> None:
    method = WeightedSampler()
    problem = workbench.problem(method)
    method.prepare(problem)
    assert method.example_weights(workbench.step(problem)).tolist() == [1] * 12
