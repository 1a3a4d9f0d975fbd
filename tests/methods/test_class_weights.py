"""Inverse class frequencies: against known values and a loop, their mean, and their independence of a batch."""

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.conformance.workbench import Workbench
from reweightbench.benchmark.contracts.problem import Knowledge
from reweightbench.methods.class_weights import ClassWeights

quick = settings(max_examples=50, deadline=None, derandomize=True)
class_counts = st.lists(st.integers(1, 300), min_size=3, max_size=3)


def weigh(counts: list[int], targets: list[int] | None = None) -> Tensor:
    """Weights `(b,)` of examples of those targets, by default of all training examples `(n,)`."""
    method, workbench = ClassWeights(), Workbench()
    training = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    knowledge = Knowledge(targets=training)
    problem = replace(workbench.problem(method), size=len(training), classes=len(counts), knowledge=knowledge)
    method.prepare(problem)
    step = workbench.step(problem)
    batch = replace(step.batch, targets=training if targets is None else torch.tensor(targets))
    losses = torch.zeros(len(batch.targets), dtype=torch.float64)
    return method.example_weights(replace(step, batch=batch, losses=losses))


def test_known_values() -> None:
    assert weigh([500, 50, 5], [0, 1, 2]).tolist() == pytest.approx([0.37, 3.7, 37])


def test_equals_a_loop(workbench: Any) -> None:
    method = ClassWeights()
    problem = workbench.problem(method)
    method.prepare(problem)
    step = workbench.step(problem)
    labels = problem.targets.tolist()
    expected = [len(labels) / (3 * labels.count(label)) for label in step.batch.targets.tolist()]
    assert method.example_weights(step).tolist() == pytest.approx(expected)


@quick
@given(class_counts)
def test_mean_is_one_and_classes_have_equal_totals(counts: list[int]) -> None:
    weights = weigh(counts)
    assert weights.mean().item() == pytest.approx(1, rel=1e-5)
    totals = [part.sum().item() for part in weights.split(counts)]
    assert totals == pytest.approx([sum(counts) / 3] * 3, rel=1e-5)


@quick
@given(st.integers(1, 300))
def test_equal_classes_weigh_one(count: int) -> None:
    assert weigh([count] * 3, [0, 1, 2]).tolist() == pytest.approx([1, 1, 1])


def test_a_weight_does_not_depend_on_the_rest_of_the_batch() -> None:
    """Nothing is scaled to the sum of a batch's weights."""
    together = weigh([500, 50, 5], [0, 0, 0, 2])
    assert together[3] == weigh([500, 50, 5], [2])[0] == weigh([500, 50, 5], [2, 2, 2])[0]


def test_a_class_without_examples_is_no_obstacle() -> None:
    """Label noise can empty a class."""
    weights = weigh([24, 16, 0])
    assert weights.isfinite().all()
    first, second = (part.sum().item() for part in weights.split([24, 16]))
    assert first == pytest.approx(second)


def test_losses_are_plain_cross_entropy(golden_batch: Any) -> None:
    logits, batch = golden_batch
    losses = ClassWeights().example_losses(logits, batch)
    assert losses.tolist() == pytest.approx([0.349012, 1.964369, 1.020828], abs=5e-7)
