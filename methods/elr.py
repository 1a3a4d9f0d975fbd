"""Holding on to what the network believed early in training."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.benchmark.contracts.problem import Batch, Problem


@dataclass
class Elr(Method):
    """CE + strength * log(1 - <p, t>), t a running mean of the example's own softmax; weights stay 1.

    Each step first moves t to memory * t + (1 - memory) * p; t starts at 0. Defaults are the authors' for
    CIFAR-10 with symmetric noise; for asymmetric noise they take strength 1 and memory 0.9. As in their
    program, p is kept within 1e-4 of 0 and 1, in the mean after scaling to sum 1.
    """

    paper: ClassVar[str] = (
        "Liu et al. 2020, Early-Learning Regularization Prevents Memorization of Noisy Labels, section 4.2"
    )
    family: ClassVar[Family] = "noise-robust"

    strength: float = 3.0
    memory: float = 0.7

    _beliefs: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.strength >= 0:
            raise ValueError(f"strength is {self.strength:g}; it must be at least 0")
        if not 0 <= self.memory < 1:
            raise ValueError(f"memory is {self.memory:g}; it must be at least 0 and below 1")

    def prepare(self, problem: Problem) -> None:
        like = next(problem.model.parameters())
        self._beliefs = torch.zeros(problem.size, problem.classes, dtype=like.dtype, device=like.device)

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        agreement = (_probabilities(logits) * self._move(logits.detach(), batch)).sum(1)
        losses = F.cross_entropy(logits, batch.targets, reduction="none")
        return losses + self.strength * (1 - agreement).log()

    def end_step(self, step: Step) -> None:
        self._beliefs[step.batch.index] = self._move(step.logits, step.batch)

    def _move(self, logits: Tensor, batch: Batch) -> Tensor:
        """The running means `(b, c)` with this step in them."""
        p = _probabilities(logits)
        return torch.lerp(p / p.sum(1, keepdim=True), self._beliefs[batch.index], self.memory)


def _probabilities(logits: Tensor) -> Tensor:
    return logits.softmax(1).clamp(1e-4, 1 - 1e-4)
