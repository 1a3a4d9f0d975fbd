"""Corruption of the training part: imbalance first, then noise, in exact counts and nested levels."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.corruption import Imbalance, Noise
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import IMBALANCES, NOISES
from reweightbench.benchmark.data.corruption import FEWEST, Corrupted, corrupt, hold_out

CLASSES = 4
NAMES = ("ant", "bee", "cat", "dog")
SIZES = (40, 30, 36, 33)
# Ids are not places: they start at 1,000 and are shuffled.
IDS: NDArray[np.int64] = np.random.default_rng(0).permutation(sum(SIZES)) + 1000
TARGETS: NDArray[np.int64] = np.repeat(np.arange(CLASSES), SIZES)
TRUE = dict(zip(IDS.tolist(), TARGETS.tolist(), strict=True))

quick = settings(max_examples=50, deadline=None, derandomize=True)
imbalances = st.none() | st.sampled_from(
    ["longtail(factor=1)", "longtail(factor=5)", "step(factor=3)", "dominant(share=0.6, target=2)"]
)
noise_kinds = st.sampled_from(["uniform", "uniform_inclusive", "pair", "background"])
rates = st.floats(0, 1)
seeds = st.integers(0, 50)


def make(imbalance: str | None, noise: str | None, seed: int = 0) -> Corrupted:
    """The corruption of the examples above by two labels."""
    return corrupt(IDS, TARGETS, NAMES, make_imbalance(imbalance), make_noise(noise), scope=("example", seed))


def make_imbalance(label: str | None) -> Imbalance | None:
    return IMBALANCES.create(label) if label else None


def make_noise(label: str | None) -> Noise | None:
    return NOISES.create(label) if label else None


def targets_by_id(corrupted: Corrupted) -> dict[int, int]:
    return dict(zip(corrupted.ids.tolist(), corrupted.targets.tolist(), strict=True))


@quick
@given(imbalances, noise_kinds, rates, seeds)
def test_imbalance_comes_first_and_counts_are_exact(
    imbalance: str | None, kind: str, rate: float, seed: int
) -> None:
    corrupted = make(imbalance, f"{kind}(rate={rate!r})", seed)
    # The smallest class bounds what every class can supply.
    component = make_imbalance(imbalance)
    counts = component.class_counts(30, CLASSES) if component else list(SIZES)
    assert np.bincount(corrupted.true_targets, minlength=CLASSES).tolist() == counts
    assert [TRUE[number] for number in corrupted.ids.tolist()] == corrupted.true_targets.tolist()
    assert len(set(corrupted.ids.tolist())) == len(corrupted.ids) == sum(counts)
    # The rate is a share of what imbalance left, so noise came second.
    if kind in ("uniform", "pair"):
        wrong = np.bincount(corrupted.true_targets[corrupted.is_mislabelled], minlength=CLASSES)
        assert wrong.tolist() == [round(rate * count) for count in counts]


@quick
@given(imbalances, noise_kinds, rates, seeds)
def test_transitions_count_every_example(imbalance: str | None, kind: str, rate: float, seed: int) -> None:
    corrupted = make(imbalance, f"{kind}(rate={rate!r})", seed)
    expected = [[0] * CLASSES for _ in range(CLASSES)]
    for true, target in zip(corrupted.true_targets, corrupted.targets, strict=True):
        expected[true][target] += 1
    transitions = corrupted.transitions(CLASSES)
    assert transitions.tolist() == expected
    assert transitions.sum() == len(corrupted.ids)
    assert transitions.sum() - transitions.trace() == corrupted.is_mislabelled.sum()


@quick
@given(imbalances, seeds)
def test_no_noise_mislabels_nothing(imbalance: str | None, seed: int) -> None:
    for noise in (None, "uniform(rate=0)"):
        corrupted = make(imbalance, noise, seed)
        assert not corrupted.is_mislabelled.any()
        assert corrupted.targets.tolist() == corrupted.true_targets.tolist()


def test_nothing_asked_for_keeps_everything() -> None:
    corrupted = make(None, None)
    assert sorted(corrupted.ids.tolist()) == sorted(IDS.tolist())
    assert targets_by_id(corrupted) == TRUE


@quick
@given(st.sampled_from(["longtail", "step"]), st.floats(1, 30), st.floats(1, 30), seeds)
def test_stronger_imbalance_keeps_a_subset(kind: str, first: float, second: float, seed: int) -> None:
    weak, strong = sorted([first, second])
    few = make(f"{kind}(factor={strong!r})", None, seed)
    many = make(f"{kind}(factor={weak!r})", None, seed)
    assert set(few.ids.tolist()) <= set(many.ids.tolist()) <= set(IDS.tolist())


@quick
@given(imbalances, noise_kinds, rates, rates, seeds)
def test_higher_rate_mislabels_a_superset_in_the_same_way(
    imbalance: str | None, kind: str, first: float, second: float, seed: int
) -> None:
    low, high = (make(imbalance, f"{kind}(rate={rate!r})", seed) for rate in sorted([first, second]))
    assert low.ids.tolist() == high.ids.tolist()
    assert (low.is_mislabelled <= high.is_mislabelled).all()
    wrong = low.is_mislabelled
    assert low.targets[wrong].tolist() == high.targets[wrong].tolist()


def test_noise_does_not_move_imbalance() -> None:
    without, with_noise = make("longtail(factor=5)", None), make("longtail(factor=5)", "uniform(rate=0.5)")
    assert without.ids.tolist() == with_noise.ids.tolist()


def test_scope_selects_the_random_streams() -> None:
    first, again, other = (make("step(factor=3)", "uniform(rate=0.5)", seed) for seed in (0, 0, 1))
    assert targets_by_id(first) == targets_by_id(again)
    assert set(first.ids.tolist()) != set(other.ids.tolist())
    # Noise has a stream of its own: it also falls on other places of the order that imbalance made.
    assert first.is_mislabelled.tolist() != other.is_mislabelled.tolist()
    assert first.targets.tolist() != other.targets.tolist()


def test_mislabelled_examples_are_spread_over_the_class() -> None:
    """They are not the first of the ids, as they would be without a random order."""
    corrupted = make(None, "uniform(rate=0.5)")
    first_class = corrupted.true_targets == 0
    order = np.argsort(corrupted.ids[first_class])
    wrong = corrupted.is_mislabelled[first_class][order]
    assert 5 <= wrong[:20].sum() <= 15


@pytest.mark.parametrize(
    ("imbalance", "empty"),
    [("longtail(factor=31)", "dog"), ("step(factor=40)", "cat"), ("dominant(share=0.999)", "bee")],
)
def test_an_empty_class_is_refused(imbalance: str, empty: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(imbalance, None)
    assert str(caught.value).startswith(f"{imbalance} leaves class '{empty}' without a training example")
    assert "can supply 30" in str(caught.value)
    assert "choose a weaker" in str(caught.value)


def test_a_dataset_with_an_empty_class_is_refused() -> None:
    with pytest.raises(UsageError, match="the dataset leaves class 'elk' without"):
        corrupt(IDS, TARGETS, (*NAMES, "elk"), None, None, scope=("example", 0))


@pytest.mark.parametrize(
    ("imbalance", "noise"),
    [("longtail(factor=2)", None), (None, "uniform(rate=0.2)"), (None, "pair(rate=0.2)")],
)
def test_one_class_cannot_be_corrupted(imbalance: str | None, noise: str | None) -> None:
    with pytest.raises(UsageError, match=r".* needs two classes, the dataset has only 'ant'"):
        corrupt(
            IDS,
            np.zeros_like(TARGETS),
            NAMES[:1],
            make_imbalance(imbalance),
            make_noise(noise),
            scope=("example", 0),
        )


def held_out(
    fraction: float, groups: NDArray[np.int64] | None = None, seed: int = 0
) -> tuple[Corrupted, Corrupted]:
    part = make("longtail(factor=4)", "uniform(rate=0.3)", seed)
    return hold_out(part, fraction, groups, NAMES, scope=("example", seed))


def test_a_corrupted_validation_part_is_as_corrupted_as_what_remains() -> None:
    whole = make("longtail(factor=4)", "uniform(rate=0.3)", 0)
    kept, held = held_out(0.2)
    assert sorted([*kept.ids, *held.ids]) == sorted(whole.ids)
    assert not set(kept.ids) & set(held.ids)
    for part in (kept, held):
        assert (
            dict(zip(part.ids, part.targets, strict=True)).items()
            <= dict(zip(whole.ids, whole.targets, strict=True)).items()
        )
    counts = np.bincount(whole.targets, minlength=CLASSES)
    assert np.bincount(held.targets, minlength=CLASSES).tolist() == [
        max(round(0.2 * count), FEWEST) for count in counts
    ]
    assert 0.1 < held.is_mislabelled.mean() < 0.6


def test_no_part_is_held_out_unless_it_is_asked_for() -> None:
    whole = make("longtail(factor=4)", "uniform(rate=0.3)", 0)
    kept, held = held_out(0.0)
    assert kept.ids.tolist() == whole.ids.tolist()
    assert kept.targets.tolist() == whole.targets.tolist()
    assert len(held.ids) == 0


def test_a_corrupted_validation_part_divides_no_group() -> None:
    # By id, as a dataset names its groups.
    groups = np.arange(IDS.max() + 1) // 2
    kept, held = held_out(0.2, groups)
    assert len(held.ids) > 0
    assert not set(groups[kept.ids]) & set(groups[held.ids])


def test_a_class_too_small_for_a_corrupted_validation_part_is_named() -> None:
    part = make("step(factor=10)", None, 0)
    with pytest.raises(
        UsageError, match=r"class '\w+' has \d training examples.*corrupted_validation_fraction = 0"
    ):
        hold_out(part, 0.2, None, NAMES, scope=("example", 0))
