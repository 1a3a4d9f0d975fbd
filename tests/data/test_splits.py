"""Splits: disjoint and stratified parts, a nested clean set, and groups that stay whole."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.dataset import ImageData
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data.splits import Split, split

CLASSES = 3
NAMES = ("ant", "bee", "cat")
PARTS = ("test", "validation", "clean", "train")

quick = settings(max_examples=50, deadline=None, derandomize=True)


def make_data(
    targets: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
    is_test: NDArray[np.bool_] | None = None,
) -> ImageData:
    return ImageData(
        images=np.zeros((len(targets), 1, 1, 1), dtype=np.uint8),
        targets=targets,
        variant="made up",
        fingerprint="",
        mean=(0.5,),
        std=(0.5,),
        is_test=is_test,
        groups=groups,
    )


def shuffled_targets(sizes: tuple[int, ...] = (200, 120, 80)) -> NDArray[np.int64]:
    return np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))


def make_split(data: ImageData, seed: int = 0, clean_size: int = 30, validation: float = 0.1) -> Split:
    return split(
        data,
        ("example", seed),
        classes=NAMES,
        test_fraction=0.2,
        validation_fraction=validation,
        clean_size=clean_size,
    )


def counts(data: ImageData, ids: NDArray[np.int64]) -> list[int]:
    return np.bincount(data.targets[ids], minlength=CLASSES).tolist()


@st.composite
def grouped_data(draw: st.DrawFn) -> ImageData:
    """Examples in groups of one class each, at least 8 groups per class, in any order."""
    targets, groups = [], []
    for target in range(CLASSES):
        for size in draw(st.lists(st.integers(1, 4), min_size=8, max_size=20)):
            targets += [target] * size
            groups += [len(set(groups))] * size
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(targets))
    return make_data(np.array(targets)[order], np.array(groups)[order])


@pytest.mark.parametrize("seed", range(3))
def test_parts_are_disjoint_and_use_everything(seed: int) -> None:
    data = make_data(shuffled_targets())
    parts = make_split(data, seed)
    together = np.concatenate([getattr(parts, name) for name in PARTS])
    assert sorted(together.tolist()) == list(range(400))


def test_parts_are_stratified() -> None:
    data = make_data(shuffled_targets())
    parts = make_split(data)
    assert counts(data, parts.test) == [40, 24, 16]
    # A tenth of the 160, 96 and 64 that are left.
    assert counts(data, parts.validation) == [16, 10, 6]
    assert counts(data, parts.clean) == [10, 10, 10]
    assert counts(data, parts.train) == [134, 76, 48]


def test_every_class_is_in_the_test_and_validation_parts() -> None:
    data = make_data(shuffled_targets((200, 50, 4)))
    parts = make_split(data, clean_size=3)
    assert counts(data, parts.test)[2] == counts(data, parts.validation)[2] == 1
    assert counts(data, parts.train)[2] == 1


def test_test_part_is_the_same_for_all_seeds() -> None:
    data = make_data(shuffled_targets())
    first, second = make_split(data, seed=0), make_split(data, seed=1)
    assert first.test.tolist() == second.test.tolist()
    for name in ("validation", "clean", "train"):
        assert set(getattr(first, name).tolist()) != set(getattr(second, name).tolist())


def test_equal_seeds_give_equal_splits() -> None:
    data = make_data(shuffled_targets())
    first, second = make_split(data, seed=4), make_split(data, seed=4)
    assert all(getattr(first, name).tolist() == getattr(second, name).tolist() for name in PARTS)


def test_official_test_part_is_kept() -> None:
    is_test = np.random.default_rng(1).random(400) < 0.3
    data = make_data(shuffled_targets(), is_test=is_test)
    for seed in range(2):
        assert make_split(data, seed).test.tolist() == np.flatnonzero(is_test).tolist()


def test_clean_sets_are_nested_and_leave_validation_alone() -> None:
    data = make_data(shuffled_targets((600, 400, 300)))
    splits = [make_split(data, clean_size=size) for size in (0, 9, 99, 300)]
    cleans = [set(parts.clean.tolist()) for parts in splits]
    assert [len(clean) for clean in cleans] == [0, 9, 99, 300]
    assert cleans[0] < cleans[1] < cleans[2] < cleans[3]
    for parts in splits:
        assert parts.validation.tolist() == splits[0].validation.tolist()
        assert parts.test.tolist() == splits[0].test.tolist()
        assert set(parts.train.tolist()) == set(splits[0].train.tolist()) - set(parts.clean.tolist())


@quick
@given(grouped_data(), st.integers(0, 9), st.integers(0, 2))
def test_groups_are_never_divided(data: ImageData, seed: int, per_class: int) -> None:
    parts = make_split(data, seed, clean_size=per_class * CLASSES)
    groups = [set(data.groups[getattr(parts, name)].tolist()) for name in PARTS]
    assert sum(map(len, groups)) == len(set().union(*groups))
    ids = np.concatenate([getattr(parts, name) for name in PARTS])
    assert len(set(ids.tolist())) == len(ids)
    # Only the clean set drops examples: the rest of a group of which it needs a part.
    dropped = set(range(len(data.targets))) - set(ids.tolist())
    assert {data.groups[number] for number in dropped} <= groups[PARTS.index("clean")]
    assert counts(data, parts.clean) == [per_class] * CLASSES


@quick
@given(grouped_data(), st.integers(0, 9))
def test_grouped_parts_exceed_their_size_by_less_than_a_group(data: ImageData, seed: int) -> None:
    parts = make_split(data, seed, clean_size=0)
    totals = np.bincount(data.targets)
    for taken, total in zip(counts(data, parts.test), totals, strict=True):
        assert round(0.2 * total) <= taken < round(0.2 * total) + 4


@quick
@given(grouped_data(), st.integers(0, 9))
def test_grouped_clean_sets_are_nested(data: ImageData, seed: int) -> None:
    small, large = (make_split(data, seed, clean_size=size) for size in (3, 6))
    assert set(small.clean.tolist()) < set(large.clean.tolist())
    assert small.validation.tolist() == large.validation.tolist()


@pytest.mark.parametrize(("size", "advice"), [(100, "choose 99 or 102"), (1, "choose 0 or 3")])
def test_clean_set_that_cannot_be_balanced_is_refused(size: int, advice: str) -> None:
    with pytest.raises(UsageError, match=f"clean set of {size} .* over 3 classes; {advice}"):
        make_split(make_data(shuffled_targets()), clean_size=size)


def test_clean_set_that_leaves_nothing_to_train_on_is_refused() -> None:
    # 80 less 16 for testing and 6 for validation leave 58.
    data = make_data(shuffled_targets())
    assert counts(data, make_split(data, clean_size=171).train)[2] == 1
    with pytest.raises(UsageError, match=r"needs 58 .* class 'cat' has 58 .* choose at most 171"):
        make_split(data, clean_size=174)


@pytest.mark.parametrize("size", [0, 1, 2])
def test_class_too_small_for_all_parts_is_refused(size: int) -> None:
    data = make_data(shuffled_targets((50, 50, size)))
    with pytest.raises(UsageError, match=rf"class 'cat' has too few examples or groups \({size} examples\)"):
        make_split(data, clean_size=0)


def test_class_of_too_few_groups_is_refused() -> None:
    targets = np.repeat(np.arange(CLASSES), 20)
    groups = np.where(targets == 1, 100 + np.arange(60) % 2, np.arange(60))
    with pytest.raises(UsageError, match="class 'bee' has too few examples or groups"):
        make_split(make_data(targets, groups), clean_size=0)


def test_group_of_several_classes_is_refused() -> None:
    targets = np.arange(60) % CLASSES
    groups = np.where(np.isin(np.arange(60), [21, 22]), 7, 100 + np.arange(60))
    with pytest.raises(UsageError, match="group 7 has examples of several classes"):
        make_split(make_data(targets, groups), clean_size=0)
