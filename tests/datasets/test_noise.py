"""Label noise: how many targets of each class become wrong, and which."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.corruption import Noise
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data.corruption import corrupt
from reweightbench.datasets.noise import Background, Pair, Uniform, UniformInclusive

quick = settings(max_examples=50, deadline=None, derandomize=True)
class_sizes = st.lists(st.integers(1, 40), min_size=2, max_size=6)
rates = st.floats(0, 1)


def transitions(sizes: list[int], noise: Noise, seed: int = 0) -> NDArray[np.int64]:
    """Counts of true class (row) against target (column) where class i has `sizes[i]` examples."""
    targets = np.repeat(np.arange(len(sizes)), sizes)
    return corrupt(
        np.arange(len(targets)),
        targets,
        [str(target) for target in range(len(sizes))],
        None,
        noise,
        scope=("example", seed),
    ).transitions(len(sizes))


@quick
@given(class_sizes, rates, st.integers(0, 5))
def test_uniform_makes_an_exact_count_wrong(sizes: list[int], rate: float, seed: int) -> None:
    counts = transitions(sizes, Uniform(rate), seed)
    assert counts.sum(1).tolist() == sizes
    assert [size - right for size, right in zip(sizes, counts.diagonal(), strict=True)] == [
        round(rate * size) for size in sizes
    ]


@quick
@given(st.integers(2, 12), st.integers(0, 11), st.integers(0, 9))
def test_uniform_never_draws_the_true_class(classes: int, target: int, seed: int) -> None:
    target %= classes
    stream = torch.Generator().manual_seed(seed)
    drawn = Uniform(0.5).wrong_targets(target, 60, classes, stream)
    assert len(drawn) == 60
    assert set(drawn) <= set(range(classes)) - {target}


def test_uniform_draws_every_other_class_equally() -> None:
    stream = torch.Generator().manual_seed(0)
    drawn = Uniform(0.5).wrong_targets(2, 40_000, 5, stream)
    shares = np.bincount(drawn, minlength=5) / 40_000
    assert shares.tolist() == pytest.approx([0.25, 0.25, 0, 0.25, 0.25], abs=0.01)


@pytest.mark.parametrize("classes", [2, 10])
def test_uniform_inclusive_draws_every_class_equally(classes: int) -> None:
    stream = torch.Generator().manual_seed(0)
    drawn = UniformInclusive(0.5).wrong_targets(1, 40_000, classes, stream)
    shares = np.bincount(drawn, minlength=classes) / 40_000
    assert shares.tolist() == pytest.approx([1 / classes] * classes, abs=0.01)


@pytest.mark.parametrize("rate", [0.2, 0.4, 1.0])
def test_uniform_inclusive_makes_less_wrong_than_its_rate(rate: float) -> None:
    counts = transitions([3000] * 5, UniformInclusive(rate))
    wrong = 1 - counts.diagonal().sum() / counts.sum()
    assert wrong == pytest.approx(rate * (1 - 1 / 5), abs=0.012)
    # No class can have more wrong targets than were drawn.
    assert (3000 - counts.diagonal() <= round(rate * 3000)).all()


@quick
@given(class_sizes, rates)
def test_pair_moves_to_the_next_class(sizes: list[int], rate: float) -> None:
    expected = np.diag(sizes)
    for target, size in enumerate(sizes):
        expected[target, target] -= round(rate * size)
        expected[target, (target + 1) % len(sizes)] += round(rate * size)
    assert transitions(sizes, Pair(rate)).tolist() == expected.tolist()


@quick
@given(class_sizes, rates, st.integers(0, 5))
def test_background_takes_from_all_other_classes(sizes: list[int], rate: float, target: int) -> None:
    target %= len(sizes)
    expected = np.diag(sizes)
    for other, size in enumerate(sizes):
        if other != target:
            expected[other, other] -= round(rate * size)
            expected[other, target] += round(rate * size)
    assert transitions(sizes, Background(rate, target)).tolist() == expected.tolist()


@pytest.mark.parametrize("target", [3, 99, -1])
def test_background_class_must_exist(target: int) -> None:
    with pytest.raises(UsageError, match=f"{target}; it must be a class index below 3"):
        transitions([4, 4, 4], Background(0.5, target))


@pytest.mark.parametrize("kind", [Uniform, UniformInclusive, Pair, Background])
@pytest.mark.parametrize("rate", [-0.01, 1.01, math.nan, math.inf])
def test_impossible_rate_is_refused(kind: type[Noise], rate: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        kind(rate)


@pytest.mark.parametrize("kind", [Uniform, UniformInclusive, Pair, Background])
def test_rate_limits(kind: type[Noise]) -> None:
    sizes = [20, 10, 5]
    assert transitions(sizes, kind(0.0)).tolist() == np.diag(sizes).tolist()
    everything = transitions(sizes, kind(1.0))
    assert everything.sum(1).tolist() == sizes
    if kind in (Uniform, Pair):
        assert not everything.diagonal().any()
