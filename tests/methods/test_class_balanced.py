"""Class-balanced losses: known weights and reductions, loops over examples, limits of beta, large counts."""

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from made_up import prepare_with_counts
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.class_balanced import ClassBalanced, effective_weights
from reweightbench.methods.focal import Focal

IF100 = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
IF100_WEIGHTS = [0.0506, 0.0769, 0.1211, 0.1950, 0.3188, 0.5246, 0.8683, 1.4426, 2.4092, 3.9927]

quick = settings(max_examples=50, deadline=None, derandomize=True)
class_counts = st.lists(st.integers(1, 300), min_size=3, max_size=3)
logit_rows = st.lists(st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=1, max_size=6)


def prepared(counts: list[int], **options: Any) -> ClassBalanced:
    return prepare_with_counts(ClassBalanced(**options), counts)


def make_batch(targets: list[int]) -> Batch:
    size = len(targets)
    return Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.tensor(targets))


def exact_weights(counts: list[int], beta: float) -> list[float]:
    """(1 - beta) / (1 - beta^n), scaled to sum c, in exact fractions."""
    raw = [(1 - Fraction(beta)) / (1 - Fraction(beta) ** count) for count in counts]
    return [float(len(counts) * value / sum(raw)) for value in raw]


def focal_loop(logits: list[float], target: int, gamma: float) -> float:
    """(1 - p)^gamma * CE of one example, in python's floats."""
    powers = [math.exp(value) for value in logits]
    others = sum(powers) - powers[target]
    return (others / sum(powers)) ** gamma * math.log(sum(powers) / powers[target])


def test_known_weights() -> None:
    weights = effective_weights(torch.tensor([500, 50, 5]), 0.999)
    assert weights.tolist() == pytest.approx([0.034111, 0.275169, 2.690720], abs=5e-7)
    assert effective_weights(torch.tensor(IF100), 0.9999).tolist() == pytest.approx(IF100_WEIGHTS, abs=5e-5)


def test_the_batch_is_divided_by_its_size(golden_batch: Any, step_of: Callable[..., Any]) -> None:
    """The training loop's mean is the plain one; torch's `weight=` would divide by the weights' sum."""
    method, batch = prepared([500, 50, 5], beta=0.999), make_batch([0, 0, 2])
    losses = method.example_losses(golden_batch[0], batch)
    weights = method.example_weights(replace(step_of(losses), batch=batch))
    assert (weights * losses).mean().item() == pytest.approx(0.936206, abs=5e-7)
    assert ((weights * losses).sum() / weights.sum()).item() == pytest.approx(1.018005, abs=5e-7)


def test_the_default_is_the_papers() -> None:
    assert ClassBalanced() == ClassBalanced(gamma=0.0, form="softmax", beta=0.9999)


@quick
@given(logit_rows, class_counts, st.sampled_from([0.0, 0.9, 0.9999]), st.sampled_from([0.0, 0.5, 2.0]))
def test_weighted_losses_equal_a_loop(
    step_of: Callable[..., Any], rows: list[list[float]], counts: list[int], beta: float, gamma: float
) -> None:
    method = prepared(counts, beta=beta, gamma=gamma)
    targets = [index % 3 for index in range(len(rows))]
    batch = make_batch(targets)
    losses = method.example_losses(torch.tensor(rows, dtype=torch.float64), batch)
    weighted = losses * method.example_weights(replace(step_of(losses), batch=batch))
    raw = [(1 - beta) / (1 - beta**count) for count in counts]
    expected = [
        3 * raw[target] / sum(raw) * focal_loop(row, target, gamma)
        for row, target in zip(rows, targets, strict=True)
    ]
    assert weighted.tolist() == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("form", ["softmax", "sigmoid"])
@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_losses_are_the_focal_ones(form: Any, gamma: float, golden_batch: Any) -> None:
    losses = prepared([500, 50, 5], gamma=gamma, form=form).example_losses(*golden_batch)
    torch.testing.assert_close(losses, Focal(gamma, form).example_losses(*golden_batch))


@quick
@given(class_counts, st.sampled_from([0.0, 0.5, 0.999, 0.9999, 1 - 1e-9, 1 - 1e-14]))
def test_weights_are_exact_for_every_beta(counts: list[int], beta: float) -> None:
    weights = effective_weights(torch.tensor(counts), beta).tolist()
    assert weights == pytest.approx(exact_weights(counts, beta), rel=1e-12)
    assert sum(weights) == pytest.approx(3)


@quick
@given(class_counts)
def test_beta_zero_weighs_all_alike(counts: list[int]) -> None:
    assert effective_weights(torch.tensor(counts), 0.0).tolist() == pytest.approx([1, 1, 1])


@quick
@given(class_counts)
def test_beta_near_one_gives_inverse_frequencies(counts: list[int]) -> None:
    inverse = [1 / count for count in counts]
    expected = [3 * value / sum(inverse) for value in inverse]
    assert effective_weights(torch.tensor(counts), 1 - 1e-10).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("beta", [0.9999, 1 - 1e-7, 1 - 1e-12])
def test_large_classes_keep_their_weight(beta: float) -> None:
    weights = effective_weights(torch.tensor([10_000_000, 10_000_000, 10_000]), beta)
    assert weights.isfinite().all()
    assert weights[0] == weights[1] > 0
    assert weights[2] > weights[0]
    assert weights.sum().item() == pytest.approx(3)


def test_a_class_without_examples_leaves_the_others_as_they_are() -> None:
    """Label noise can empty a class."""
    weights = effective_weights(torch.tensor([500, 0, 5]), 0.999).tolist()
    first, second = exact_weights([500, 5], 0.999)
    assert weights == pytest.approx([first, 0, second])


@pytest.mark.parametrize("options", [{"beta": beta} for beta in (-0.1, 1.0, math.nan)] + [{"gamma": -1.0}])
def test_impossible_options_are_refused(options: Any) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=rf"^{name} is .* at least 0"):
        ClassBalanced(**options)
