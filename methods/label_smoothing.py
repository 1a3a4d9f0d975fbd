"""Targets that are a little unsure of themselves."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch


@dataclass
class LabelSmoothing(Method):
    """CE against (1 - epsilon) * one-hot + epsilon / c; weights stay 1."""

    paper: ClassVar[str] = (
        "Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, section 7"
    )
    family: ClassVar[Family] = "noise-robust"

    epsilon: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 1:
            raise ValueError(f"epsilon is {self.epsilon:g}; it must lie between 0 and 1")

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits, batch.targets, reduction="none", label_smoothing=self.epsilon)
