"""Logits shifted by the classes' frequencies, in the loss or afterwards."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch, Need, Problem


@dataclass
class LogitAdjustment(Method):
    """CE(z + tau * log pi) with pi the class shares, or plain CE and z - tau * log pi at evaluation.

    `form` is `loss` or `post_hoc`, never both; weights stay 1. A class without examples counts as one with a
    single example. With `tau=1` the loss equals `balanced_softmax`.
    """

    paper: ClassVar[str] = (
        "Menon et al. 2021, Long-Tail Learning via Logit Adjustment, equation 10 (post_hoc: equation 9)"
    )
    family: ClassVar[Family] = "class-level"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    tau: float = 1.0
    form: Literal["loss", "post_hoc"] = "loss"

    _shift: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.tau >= 0:
            raise ValueError(f"tau is {self.tau:g}; it must be at least 0")

    def prepare(self, problem: Problem) -> None:
        self._shift = self.tau * (problem.class_counts.clamp_min(1).double() / problem.size).log()

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        if self.form == "loss":
            logits = logits + self._shift.to(logits)
        return F.cross_entropy(logits, batch.targets, reduction="none")

    def adjust_logits(self, logits: Tensor) -> Tensor:
        return logits if self.form == "loss" else logits - self._shift.to(logits)
