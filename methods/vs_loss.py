"""Logits scaled and shifted by the classes' frequencies."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch, Need, Problem


@dataclass
class VsLoss(Method):
    """CE(Delta * z + iota) with Delta = (n / n_max)^gamma and iota = tau * log(n / sum n) per class.

    Evaluation takes z; weights stay 1. A class without examples counts as one with a single example.
    Defaults are those of the authors' example for CIFAR-10 with a long tail of 100; the class weights omega of
    the paper are 1. `gamma=0` is `logit_adjustment`.
    """

    paper: ClassVar[str] = (
        "Kini et al. 2021, Label-Imbalanced and Group-Sensitive Classification under Overparameterization, "
        "equation 2"
    )
    family: ClassVar[Family] = "class-level"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    gamma: float = 0.2
    tau: float = 1.2

    _scale: Tensor = field(init=False, repr=False, compare=False)
    _shift: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("gamma", "tau"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be at least 0")

    def prepare(self, problem: Problem) -> None:
        counts = problem.class_counts.clamp_min(1).double()
        self._scale = (counts / counts.max()) ** self.gamma
        self._shift = self.tau * (counts / problem.size).log()

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        adjusted = self._scale.to(logits) * logits + self._shift.to(logits)
        return F.cross_entropy(adjusted, batch.targets, reduction="none")
