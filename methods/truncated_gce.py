"""Generalised cross-entropy that gives up on the examples it is most wrong about."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.problem import Problem
from reweightbench.methods.gce import Gce


@dataclass
class TruncatedGce(Gce):
    """`gce`, where from the share `start` of the epochs on an example weighs 1 if p > `threshold`, else 0.

    Deviations: the paper prunes with a pass over all examples every 10 epochs, by the network that is best on
    validation; here each step prunes by its own probabilities, which is the gradient of the paper's plain
    truncated loss. Validation data take no part in training.
    """

    paper: ClassVar[str] = (
        "Zhang & Sabuncu 2018, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy "
        "Labels, section 3.3"
    )

    threshold: float = 0.5
    start: float = 1 / 3

    _first_epoch: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("threshold", "start"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must lie between 0 and 1")

    def prepare(self, problem: Problem) -> None:
        self._first_epoch = round(self.start * problem.epochs)

    def example_weights(self, step: Step) -> Tensor:
        if step.epoch < self._first_epoch:
            return torch.ones_like(step.losses)
        p = (-F.cross_entropy(step.logits, step.batch.targets, reduction="none")).exp()
        return (p > self.threshold).to(step.losses)
