"""Weights from the losses themselves, in either direction."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step


@dataclass
class LossReweight(Method):
    """Weights softmax(l / temperature) or softmax(-l / temperature), scaled to mean 1 over the batch.

    `favour="hard"` gives large losses more weight, as remedies for imbalance do; `favour="easy"` gives them
    less, as remedies for label noise do. The conflict of the two is where Ren et al. (2018) start from.
    There is no canonical form; the soft one here is defined for every loss and smooth in the temperature.
    """

    paper: ClassVar[str] = "Ren et al. 2018, Learning to Reweight Examples, section 1 (both directions)"
    family: ClassVar[Family] = "loss-based"

    favour: Literal["hard", "easy"] = "hard"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature:g}; it must be positive")

    def example_weights(self, step: Step) -> Tensor:
        sign = 1 if self.favour == "hard" else -1
        return len(step.losses) * torch.softmax(sign * step.losses / self.temperature, dim=0)
