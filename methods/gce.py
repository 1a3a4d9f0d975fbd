"""A loss between cross-entropy and mean absolute error."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch


@dataclass
class Gce(Method):
    """(1 - p^q) / q with p the probability of the target: q towards 0 is CE, q = 1 half of `mae`.

    Weights stay 1.
    """

    paper: ClassVar[str] = (
        "Zhang & Sabuncu 2018, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy "
        "Labels, section 3.2"
    )
    family: ClassVar[Family] = "noise-robust"

    q: float = 0.7

    def __post_init__(self) -> None:
        if not 0 < self.q <= 1:
            raise ValueError(f"q is {self.q:g}; it must be above 0 and at most 1")

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        # In terms of log p the slope stays finite where p vanishes, which p^q itself needs a clamp for.
        log_p = -F.cross_entropy(logits, batch.targets, reduction="none")
        return -(self.q * log_p).expm1() / self.q
