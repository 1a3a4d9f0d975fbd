"""Counts per class of every kind of imbalance, against published counts and their definitions."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from reweightbench.benchmark.cells.suite_file import load_suite, suite_names
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import IMBALANCES
from reweightbench.datasets.imbalance import FACTORS_OF_VERSION_1, Dominant, Longtail, Step

LONGTAIL_TOTALS = {10: 20_431, 20: 17_023, 50: 13_996, 100: 12_406, 200: 11_203}

quick = settings(max_examples=50, deadline=None, derandomize=True)
sizes = st.integers(1, 6000)
class_numbers = st.integers(2, 20)
factors = st.floats(1, 300)


def test_longtail_counts_of_cifar10() -> None:
    counts = Longtail(factor=100).class_counts(5000, 10)
    assert counts == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.mark.parametrize("factor", LONGTAIL_TOTALS)
def test_longtail_totals_of_cifar10(factor: int) -> None:
    counts = Longtail(factor=factor).class_counts(5000, 10)
    assert sum(counts) == LONGTAIL_TOTALS[factor]
    assert counts[0] == 5000
    assert counts[-1] == 5000 // factor


@quick
@given(sizes, class_numbers, factors)
def test_longtail_never_rises(size: int, classes: int, factor: float) -> None:
    counts = Longtail(factor).class_counts(size, classes)
    assert len(counts) == classes
    assert counts[0] == size
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == pytest.approx(size / factor, abs=1)


@quick
@given(sizes, class_numbers, factors, factors)
def test_stronger_imbalance_keeps_no_more(size: int, classes: int, first: float, second: float) -> None:
    weak, strong = sorted([first, second])
    for kind in (Longtail, Step):
        pairs = zip(
            kind(strong).class_counts(size, classes), kind(weak).class_counts(size, classes), strict=True
        )
        assert all(few <= many for few, many in pairs)


@pytest.mark.parametrize("kind", [Longtail, Step])
@pytest.mark.parametrize("classes", [2, 10])
def test_the_last_class_is_the_factor_th_part(kind: type[Longtail | Step], classes: int) -> None:
    """49 * 49^-1 is below 1 in floats."""
    for factor in (*range(1, 300), 1000, 4999):
        for size in (factor, 2 * factor, 7 * factor, 7 * factor + factor // 2):
            assert kind(factor).class_counts(size, classes)[-1] == size // factor


@pytest.mark.parametrize("classes", range(2, 21))
def test_counts_of_version_1_are_those_without_a_tolerance(classes: int) -> None:
    """Published records have these keys."""
    for factor in FACTORS_OF_VERSION_1:
        places = [-target / (classes - 1) for target in range(classes)]
        shares = [float(factor) ** place for place in places]
        for size in range(1, 6001, 1 if classes == 10 else 13):
            plain = [int(size * share) for share in shares]
            assert Longtail(factor).class_counts(size, classes) == plain


def test_versions_follow_the_counts() -> None:
    versions = {
        label: IMBALANCES.spec(IMBALANCES.create(label)).version
        for label in ("longtail(factor=50)", "longtail(factor=49)", "step(factor=49)", "dominant(share=0.5)")
    }
    assert list(versions.values()) == ["1", "2", "1", "2"]


@pytest.mark.parametrize("name", suite_names())
def test_imbalances_of_shipped_suites_keep_their_version(name: str) -> None:
    found = (corruption.imbalance for corruption in load_suite(name).corruptions if corruption.imbalance)
    assert {IMBALANCES.spec(IMBALANCES.create(label)).version for label in found} <= {"1"}


@quick
@given(sizes, class_numbers)
def test_factor_one_is_balanced(size: int, classes: int) -> None:
    assert Longtail(factor=1).class_counts(size, classes) == [size] * classes
    assert Step(factor=1).class_counts(size, classes) == [size] * classes


@pytest.mark.parametrize(
    ("classes", "expected"),
    [(10, [5000] * 5 + [50] * 5), (7, [5000] * 4 + [50] * 3), (2, [5000, 50])],
)
def test_step_halves_the_classes(classes: int, expected: list[int]) -> None:
    assert Step(factor=100).class_counts(5000, classes) == expected


@pytest.mark.parametrize("kind", [Longtail, Step])
@pytest.mark.parametrize("factor", [0.99, 0.0, -3.0, math.nan])
def test_impossible_factor_is_refused(kind: type[Longtail | Step], factor: float) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        kind(factor)


def test_dominant_counts() -> None:
    """995 of 1,000 in one of two classes, as in Ren et al. 2018, section 4.1."""
    assert Dominant(share=0.995).class_counts(4975, 2) == [4975, 25]
    assert Dominant(share=0.5, target=3).class_counts(900, 10) == [100] * 3 + [900] + [100] * 6


@quick
@given(sizes, class_numbers, st.floats(0.01, 0.999), st.integers(0, 19))
def test_dominant_share_is_realised(size: int, classes: int, share: float, target: int) -> None:
    if share * classes < 1 or target >= classes:
        with pytest.raises(UsageError, match=f"a dominant class of {classes}"):
            Dominant(share, target).class_counts(size, classes)
        return
    counts = Dominant(share, target).class_counts(size, classes)
    others = counts[:target] + counts[target + 1 :]
    assert counts[target] == size
    assert len(set(others)) == 1
    assert others[0] <= size
    # Rounding leaves each of the other classes less than one example short.
    wanted = size / share
    assert wanted - (classes - 1) - 1e-6 * wanted < sum(counts) < wanted * (1 + 1e-6)


@pytest.mark.parametrize(("share", "size", "others"), [(0.9, 9, 1), (0.9, 90, 10), (0.115, 69, 59)])
def test_dominant_counts_are_whole_where_they_should_be(share: float, size: int, others: int) -> None:
    classes = 2 if share > 0.5 else 10
    assert Dominant(share).class_counts(size, classes)[1:] == [others] * (classes - 1)


def test_smallest_dominant_share_is_balanced() -> None:
    assert Dominant(share=0.1).class_counts(150, 10) == [150] * 10


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dominant(share)


def test_negative_dominant_class_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0"):
        Dominant(share=0.5, target=-1)
