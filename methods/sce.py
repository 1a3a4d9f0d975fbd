"""Cross-entropy plus its mirror image."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch


@dataclass
class Sce(Method):
    """alpha * CE + beta * RCE, where the reverse cross-entropy RCE is -A * (1 - p); weights stay 1.

    A = log(`label_floor`) stands for the logarithm of the 0 in a target's one-hot vector. Defaults are the
    authors' program's for CIFAR-10.
    """

    paper: ClassVar[str] = (
        "Wang et al. 2019, Symmetric Cross Entropy for Robust Learning with Noisy Labels, section 3"
    )
    family: ClassVar[Family] = "noise-robust"

    alpha: float = 0.1
    beta: float = 1.0
    label_floor: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("alpha", "beta"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be at least 0")
        if not 0 < self.label_floor <= 1:
            raise ValueError(f"label_floor is {self.label_floor:g}; it must be above 0 and at most 1")

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        losses = F.cross_entropy(logits, batch.targets, reduction="none")
        reverse = math.log(self.label_floor) * (-losses).expm1()
        return self.alpha * losses + self.beta * reverse
