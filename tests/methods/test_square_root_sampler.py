"""Square-root sampling: against a loop, between the two frequencies it lies between, and in actual draws."""

from typing import Any

import pytest
import torch

from reweightbench.benchmark.training.examples import Order
from reweightbench.methods.square_root_sampler import SquareRootSampler


def prepared(workbench: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Sampling weights `(n,)` and targets `(n,)`."""
    method = SquareRootSampler()
    problem = workbench.problem(method)
    method.prepare(problem)
    return method.sampling_weights(0), problem.targets


def test_equals_a_loop(workbench: Any) -> None:
    weights, targets = prepared(workbench)
    labels = targets.tolist()
    # A class is drawn in proportion to sqrt(n_y), and its examples share that equally.
    total = sum(labels.count(label) ** 0.5 for label in range(3))
    expected = [labels.count(label) ** 0.5 / total / labels.count(label) for label in labels]
    assert (weights / weights.sum()).tolist() == pytest.approx(expected)


def test_class_shares_lie_between_their_own_and_equal_ones(workbench: Any) -> None:
    weights, targets = prepared(workbench)
    assert torch.bincount(targets).tolist() == [24, 12, 4]
    totals = torch.bincount(targets, weights=weights)
    frequent, _, rare = (totals / totals.sum()).tolist()
    assert 1 / 3 < frequent < 24 / 40
    assert 4 / 40 < rare < 1 / 3


def test_draws_classes_in_proportion_to_the_root_of_their_counts(workbench: Any) -> None:
    weights, targets = prepared(workbench)
    draws = Order(torch.arange(40), torch.Generator().manual_seed(0)).take(30_000, weights)
    shares = torch.bincount(targets[draws]) / 30_000
    # sqrt(24), sqrt(12) and 2 over their sum; four standard deviations are 0.012.
    assert shares.tolist() == pytest.approx([0.472709, 0.334256, 0.193035], abs=0.012)


def test_weights_are_the_same_in_every_epoch(workbench: Any) -> None:
    method = SquareRootSampler()
    method.prepare(workbench.problem(method))
    assert torch.equal(method.sampling_weights(0), method.sampling_weights(7))


def test_a_class_without_examples_is_no_obstacle(workbench: Any) -> None:
    """Label noise can empty a class."""
    method = SquareRootSampler()
    problem = workbench.problem(method)
    problem.targets[problem.targets == 2] = 1
    method.prepare(problem)
    weights = method.sampling_weights(0)
    assert weights.isfinite().all()
    totals = torch.bincount(problem.targets, weights=weights)
    assert totals.tolist() == pytest.approx([24**0.5, 16**0.5])


def test_drawn_examples_weigh_one(workbench: Any) -> None:
    method = SquareRootSampler()
    problem = workbench.problem(method)
    method.prepare(problem)
    assert method.example_weights(workbench.step(problem)).tolist() == [1] * 12
