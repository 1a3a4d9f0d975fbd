"""Class vectors brought to similar lengths after training."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Problem


@dataclass
class TauNorm(Method):
    """Plain training; evaluation divides each class's logit, without bias, by ‖w_c‖^tau; weights stay 1.

    w_c is the class's row of the head. tau = 0 leaves the lengths, 1 makes them equal.

    Deviations: the paper chooses tau for each dataset and names no default; 1 is the value that needs no
    choice.
    """

    paper: ClassVar[str] = (
        "Kang et al. 2020, Decoupling Representation and Classifier for Long-Tailed Recognition, "
        "section 4, equation 3"
    )
    family: ClassVar[Family] = "two-stage"

    tau: float = 1.0

    _head: nn.Linear = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.tau <= 1:
            raise ValueError(f"tau is {self.tau:g}; it must lie between 0 and 1")

    def prepare(self, problem: Problem) -> None:
        assert isinstance(problem.model.head, nn.Linear)
        self._head = problem.model.head

    def adjust_logits(self, logits: Tensor) -> Tensor:
        lengths: Tensor = torch.linalg.vector_norm(self._head.weight, dim=1)
        return (logits - self._head.bias) / lengths.clamp_min(torch.finfo(lengths.dtype).tiny) ** self.tau
