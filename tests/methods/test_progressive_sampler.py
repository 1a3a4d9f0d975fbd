"""Progressive sampling: against a loop, where it starts, and how it moves."""

from typing import Any

import pytest
import torch
from torch import Tensor

from reweightbench.methods.progressive_sampler import ProgressiveSampler
from reweightbench.methods.weighted_sampler import WeightedSampler

EPOCHS = 10


def prepared(workbench: Any) -> tuple[Tensor, Tensor]:
    """Sampling weights `(epochs, n)` and targets `(n,)`."""
    method = ProgressiveSampler()
    problem = workbench.problem(method)
    method.prepare(problem)
    return torch.stack([method.sampling_weights(epoch) for epoch in range(EPOCHS)]), problem.targets


@pytest.mark.parametrize("epoch", [0, 3, 9])
def test_equals_a_loop(epoch: int, workbench: Any) -> None:
    weights, targets = prepared(workbench)
    labels = targets.tolist()
    done = epoch / EPOCHS
    expected = [(1 - done) / 40 + done / (3 * labels.count(label)) for label in labels]
    # Without scaling: they are probabilities.
    assert weights[epoch].tolist() == pytest.approx(expected)


def test_starts_with_all_examples_alike(workbench: Any) -> None:
    weights, _ = prepared(workbench)
    assert weights[0].tolist() == pytest.approx([1 / 40] * 40)


def test_moves_linearly_towards_equal_classes(workbench: Any) -> None:
    weights, targets = prepared(workbench)
    steps = weights.diff(dim=0)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps), atol=1e-8, rtol=1e-4)
    end = weights[0] + EPOCHS * steps[0]
    assert torch.bincount(targets, weights=end).tolist() == pytest.approx([1 / 3] * 3, rel=1e-4)


def test_heads_for_the_weights_of_class_balanced_sampling(workbench: Any) -> None:
    weights, _ = prepared(workbench)
    balanced = WeightedSampler()
    balanced.prepare(workbench.problem(balanced))
    end = balanced.sampling_weights(0)
    assert end is not None
    distances = (weights - end / end.sum()).abs().sum(1)
    assert (distances.diff() < 0).all()
    assert (distances[-1] / distances[0]).item() == pytest.approx(0.1, rel=1e-4)


def test_a_class_without_examples_is_no_obstacle(workbench: Any) -> None:
    """Label noise can empty a class; the others then share what it would have had."""
    method = ProgressiveSampler()
    problem = workbench.problem(method)
    problem.targets[problem.targets == 2] = 1
    method.prepare(problem)
    weights = method.sampling_weights(5)
    totals = torch.bincount(problem.targets, weights=weights)
    assert totals.tolist() == pytest.approx([(24 / 40 + 1 / 2) / 2, (16 / 40 + 1 / 2) / 2])


def test_drawn_examples_weigh_one(workbench: Any) -> None:
    method = ProgressiveSampler()
    problem = workbench.problem(method)
    method.prepare(problem)
    assert method.example_weights(workbench.step(problem, epoch=9)).tolist() == [1] * 12
