"""Minimising the mean of the worst losses."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step


@dataclass
class CvarDro(Method):
    """The share `alpha` of largest losses weighs 1 / `alpha`, the rest 0, one example in part: mean 1.

    It is the worst case over all weights of mean 1 that are at most 1 / `alpha`, found batch by batch.
    `alpha=1` weighs all alike. The default is the authors' for ImageNet; they take 0.02 for digits.
    """

    paper: ClassVar[str] = (
        "Levy et al. 2020, Large-Scale Methods for Distributionally Robust Optimization, equation 2"
    )
    family: ClassVar[Family] = "loss-based"

    alpha: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(f"alpha is {self.alpha:g}; it must be above 0 and at most 1")

    def example_weights(self, step: Step) -> Tensor:
        places = step.losses.argsort(descending=True)
        ranks = torch.empty_like(step.losses)
        ranks[places] = torch.arange(len(places), dtype=ranks.dtype, device=ranks.device)
        return (self.alpha * len(places) - ranks).clamp(0, 1) / self.alpha
