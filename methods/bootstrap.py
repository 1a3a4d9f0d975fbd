"""Targets mixed with what the network itself believes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch


@dataclass
class Bootstrap(Method):
    """CE against beta * one-hot + (1 - beta) * belief, the belief a class (`hard`) or the softmax (`soft`).

    The paper takes beta 0.8 for `hard` and 0.95 for `soft`. The soft belief is part of the loss: its gradient
    counts. Weights stay 1.
    """

    paper: ClassVar[str] = (
        "Reed et al. 2015, Training Deep Neural Networks on Noisy Labels with Bootstrapping, section 3"
    )
    family: ClassVar[Family] = "noise-robust"

    form: Literal["hard", "soft"] = "hard"
    beta: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.beta <= 1:
            raise ValueError(f"beta is {self.beta:g}; it must lie between 0 and 1")

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        given = F.cross_entropy(logits, batch.targets, reduction="none")
        if self.form == "hard":
            believed = F.cross_entropy(logits, logits.argmax(1), reduction="none")
        else:
            believed = F.cross_entropy(logits, logits.softmax(1), reduction="none")
        return self.beta * given + (1 - self.beta) * believed
