"""Tau-normalised class vectors: against a loop over features and head, and at both ends of tau."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reweightbench.benchmark.contracts.method import Step
from reweightbench.methods.tau_norm import TauNorm


def prepared(workbench: Any, tau: float) -> tuple[TauNorm, nn.Linear, Step]:
    """The method, the model's head with class vectors of unequal lengths, and a step."""
    method = TauNorm(tau)
    problem = workbench.problem(method)
    method.prepare(problem)
    # Training changes the head in place, after the method has been prepared.
    with torch.no_grad():
        problem.model.head.weight *= torch.tensor([[5.0], [1.0], [0.2]])
        problem.model.head.bias += torch.tensor([1.0, -2.0, 3.0])
    return method, problem.model.head, workbench.step(problem)


def loop(features: Tensor, weight: Tensor, tau: float) -> Tensor:
    """w . f / |w|^tau for each example and class, in python's floats."""
    rows = []
    for example in features.tolist():
        row = []
        for vector in weight.tolist():
            product = sum(w * f for w, f in zip(vector, example, strict=True))
            row.append(product / math.sqrt(sum(w * w for w in vector)) ** tau)
        rows.append(row)
    return torch.tensor(rows)


def test_the_default_makes_lengths_equal() -> None:
    assert TauNorm() == TauNorm(tau=1.0)


@pytest.mark.parametrize("tau", [0.0, 0.3, 0.7, 1.0])
def test_equals_a_loop(tau: float, workbench: Any) -> None:
    method, head, step = prepared(workbench, tau)
    expected = loop(step.features, head.weight, tau)
    torch.testing.assert_close(method.adjust_logits(step.logits), expected, atol=1e-5, rtol=1e-4)


def test_tau_zero_leaves_the_logits_without_bias(workbench: Any) -> None:
    method, head, step = prepared(workbench, 0)
    torch.testing.assert_close(method.adjust_logits(step.logits), step.logits - head.bias)


@pytest.mark.parametrize("factor", [0.1, 8.0])
def test_at_tau_one_lengths_do_not_matter(factor: float, workbench: Any) -> None:
    method, head, step = prepared(workbench, 1)
    before = method.adjust_logits(step.logits)
    with torch.no_grad():
        head.weight[1] *= factor
        after = method.adjust_logits(head(step.features))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("tau", "ratio"), [(0.0, 4), (0.5, 2), (1.0, 1)])
def test_a_long_class_vector_loses_with_tau(tau: float, ratio: float, workbench: Any) -> None:
    """Two classes have one direction, one of them at four times the length."""
    method, head, step = prepared(workbench, tau)
    with torch.no_grad():
        head.weight[0] = 4 * head.weight[1]
        long, short = method.adjust_logits(head(step.features))[:, :2].unbind(1)
    assert short.abs().max() > 0.1
    torch.testing.assert_close(long, ratio * short, atol=1e-5, rtol=1e-4)


def test_training_is_plain(workbench: Any, golden_batch: Any) -> None:
    method, _, step = prepared(workbench, 0.7)
    losses = method.example_losses(*golden_batch)
    assert losses.tolist() == pytest.approx([0.349012, 1.964369, 1.020828], abs=5e-7)
    assert method.example_weights(step).tolist() == [1] * 12
    assert [stage.share for stage in method.stages()] == [1]


@pytest.mark.parametrize("tau", [-0.1, 1.1, math.nan])
def test_impossible_tau_is_refused(tau: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        TauNorm(tau=tau)
