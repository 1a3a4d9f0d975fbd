"""Ways of thinning classes out; n is the number of examples that every class can supply."""

from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.contracts.corruption import Imbalance
from reweightbench.benchmark.contracts.errors import UsageError

ROUNDING = 1e-12
"""Relative error of a float product that stands for a whole number: 49 * 49^-1 is 0.9999999999999999."""

FACTORS_OF_VERSION_1 = frozenset({2, 5, 10, 20, 50, 100, 200, 500, 1000})
"""Factors whose counts are the same with and without a tolerance for rounding, in any number of classes."""


def _whole(value: float) -> int:
    """The largest whole number that is not above the value, which may fall short of one by rounding."""
    return int(value * (1 + ROUNDING))


def _check_factor(factor: float) -> None:
    if not factor >= 1:
        raise ValueError(f"factor is {factor:g}; it is the largest class over the smallest and at least 1")


@dataclass
class Longtail(Imbalance):
    """Class i keeps int(n * factor^(-i/(c-1))) examples, in class order (Cui et al. 2019, section 5.1)."""

    factor: float

    def __post_init__(self) -> None:
        _check_factor(self.factor)

    def class_counts(self, size: int, classes: int) -> list[int]:
        return [_whole(size * self.factor ** (-target / (classes - 1))) for target in range(classes)]

    @property
    def version(self) -> int:  # type: ignore[override]
        """The version of the counts: keys of factors that rounding leaves alone are as they were without it."""
        return 1 if self.factor in FACTORS_OF_VERSION_1 else 2


@dataclass
class Step(Imbalance):
    """The first half of the classes keeps n examples, the others int(n / factor) (Buda et al. 2018)."""

    factor: float

    def __post_init__(self) -> None:
        _check_factor(self.factor)

    def class_counts(self, size: int, classes: int) -> list[int]:
        majority = (classes + 1) // 2
        return [size] * majority + [_whole(size / self.factor)] * (classes - majority)


@dataclass
class Dominant(Imbalance):
    """One class keeps n examples and makes up `share` of the training part; the others are equal.

    The two-class setting of Ren et al. (2018, section 4.1) with more classes.
    """

    version: ClassVar[int] = 2

    share: float
    target: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share is {self.share:g}; it must lie between 0 and 1")
        if self.target < 0:
            raise ValueError(f"target is {self.target}; it is a class index from 0")

    def class_counts(self, size: int, classes: int) -> list[int]:
        if self.share * classes < 1 or self.target >= classes:
            raise UsageError(
                f"a dominant class of {classes} has a share of at least {1 / classes:g} and an index below {classes}"
            )
        rest = _whole(size * (1 - self.share) / (self.share * (classes - 1)))
        return [size if target == self.target else rest for target in range(classes)]
