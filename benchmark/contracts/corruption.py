"""The contracts of an imbalance and of a label noise, which corrupt the training part by exact counts.

Levels of one kind are nested: a stronger imbalance keeps a subset of the examples of a weaker one, and a
higher noise rate mislabels a superset.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch


@dataclass
class Imbalance(ABC):
    """How many examples of each class remain."""

    version: ClassVar[int] = 1

    @abstractmethod
    def class_counts(self, size: int, classes: int) -> list[int]:
        """Examples to keep per class, when every class can supply `size`; never more than that."""


@dataclass
class Noise(ABC):
    """Which targets become wrong. `rate` is the share of each class that is drawn, in [0, 1]."""

    rate: float
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate is {self.rate}; it must lie in [0, 1]")

    @abstractmethod
    def wrong_targets(self, target: int, size: int, classes: int, generator: torch.Generator) -> list[int]:
        """New targets for `size` examples of class `target`, one draw per example."""
