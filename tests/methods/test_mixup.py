"""Mixup: what a blend is made of, its loss against a loop, and the distribution of its shares."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings

from reweightbench.methods.mixup import Mixup

SIZE = 12

quick = settings(max_examples=50, deadline=None, derandomize=True)
seeds, alphas = st.integers(0, 10_000), st.sampled_from([0.2, 1.0, 5.0])


def prepared(workbench: Any, seed: int = 0, alpha: float = 1.0) -> Mixup:
    method = Mixup(alpha)
    method.prepare(workbench.problem(method, generator_seed=seed))
    return method


def loop(logits: list[float], target: int, other: int, share: float) -> float:
    """The blend of two cross-entropies of one example, in python's floats."""
    total = sum(math.exp(value) for value in logits)
    first, second = (-math.log(math.exp(logits[index]) / total) for index in (target, other))
    return share * first + (1 - share) * second


def test_the_default_is_the_papers() -> None:
    assert Mixup() == Mixup(alpha=1.0)


@quick
@given(seeds, alphas)
def test_each_input_holds_its_own_example_and_another(
    make_workbench: Callable[..., Any], seed: int, alpha: float
) -> None:
    workbench = make_workbench(dtype=torch.float64)
    batch = workbench.batch(torch.arange(5, 5 + SIZE))
    mixed: Any = prepared(workbench, seed, alpha).augment_batch(batch)
    assert torch.equal(mixed.index, batch.index)
    assert torch.equal(mixed.targets, batch.targets)
    assert 0.5 <= mixed.share <= 1
    own = [mixed.share * image for image in batch.inputs]
    others = [(1 - mixed.share) * image for image in batch.inputs]
    partners = []
    for place in range(SIZE):
        distances = [float((mixed.inputs[place] - own[place] - other).norm()) for other in others]
        partners.append(min(range(SIZE), key=lambda number: distances[number]))
        assert min(distances) < 1e-12
    if mixed.share < 1 - 1e-9:
        assert sorted(partners) == list(range(SIZE))
        assert mixed.other_targets.tolist() == batch.targets[partners].tolist()


@quick
@given(seeds, alphas)
def test_losses_equal_a_loop(make_workbench: Callable[..., Any], seed: int, alpha: float) -> None:
    workbench = make_workbench()
    method = prepared(workbench, seed, alpha)
    mixed: Any = method.augment_batch(workbench.batch(torch.arange(SIZE)))
    stream = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(SIZE, 3, generator=stream, dtype=torch.float64)
    examples = zip(logits.tolist(), mixed.targets.tolist(), mixed.other_targets.tolist(), strict=True)
    expected = [loop(*example, mixed.share) for example in examples]
    assert method.example_losses(logits, mixed).tolist() == pytest.approx(expected, rel=1e-9)


def test_a_batch_without_blends_has_plain_cross_entropy(workbench: Any) -> None:
    batch = workbench.batch(torch.arange(SIZE))
    logits = torch.randn(SIZE, 3, generator=torch.Generator().manual_seed(0))
    expected = F.cross_entropy(logits, batch.targets, reduction="none")
    assert torch.equal(prepared(workbench).example_losses(logits, batch), expected)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_shares_are_the_larger_part_of_a_beta_draw(alpha: float, workbench: Any) -> None:
    method, batch = prepared(workbench, alpha=alpha), workbench.batch(torch.arange(2))
    mixed: list[Any] = [method.augment_batch(batch) for _ in range(4000)]
    draws = np.random.default_rng(1).beta(alpha, alpha, size=100_000)
    levels = [0.1, 0.3, 0.5, 0.7, 0.9]
    expected = np.quantile(np.maximum(draws, 1 - draws), levels)
    assert np.quantile([batch.share for batch in mixed], levels) == pytest.approx(expected, abs=0.03)


def test_shares_of_the_default_have_mean_three_quarters(workbench: Any) -> None:
    method, batch = prepared(workbench), workbench.batch(torch.arange(2))
    mixed: list[Any] = [method.augment_batch(batch) for _ in range(4000)]
    assert np.mean([batch.share for batch in mixed]) == pytest.approx(0.75, abs=0.01)


def test_the_generator_decides_the_blends(workbench: Any) -> None:
    batch = workbench.batch(torch.arange(SIZE))
    first, again, other = (prepared(workbench, seed) for seed in (3, 3, 4))
    for _ in range(3):
        expected = first.augment_batch(batch).inputs
        assert torch.equal(again.augment_batch(batch).inputs, expected)
        assert not torch.equal(other.augment_batch(batch).inputs, expected)


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.nan])
def test_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha is .* positive"):
        Mixup(alpha=alpha)
