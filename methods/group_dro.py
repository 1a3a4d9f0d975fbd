"""Minimising the loss of the worst class."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Step
from reweightbench.benchmark.contracts.problem import Problem
from reweightbench.methods.weighted_sampler import WeightedSampler


@dataclass
class GroupDro(WeightedSampler):
    """Class losses are weighed by q, which grows as exp(step_size * loss); classes are drawn equally often.

    The groups of the paper are the classes as given. An example weighs b * q_y / b_y with b_y the batch's
    examples of its class: mean 1 where a batch has all classes, less without some. q starts equal.

    As in the authors' program, q moves once per batch, by the mean loss of each class in it.

    Deviations: the paper's strong weight decay or early stopping, and its adjustment for group sizes, are left
    out; the budget is the suite's.
    """

    paper: ClassVar[str] = (
        "Sagawa et al. 2020, Distributionally Robust Neural Networks for Group Shifts: On the Importance of "
        "Regularization for Worst-Case Generalization, algorithm 1"
    )
    family: ClassVar[Family] = "loss-based"

    step_size: float = 0.01

    _shares: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.step_size >= 0:
            raise ValueError(f"step_size is {self.step_size:g}; it must be at least 0")

    def prepare(self, problem: Problem) -> None:
        super().prepare(problem)
        like = next(problem.model.parameters())
        self._shares = torch.full(
            (problem.classes,), 1 / problem.classes, dtype=like.dtype, device=like.device
        )

    def example_weights(self, step: Step) -> Tensor:
        targets = step.batch.targets
        # torch.bincount would wait for the device.
        counts = F.one_hot(targets, len(self._shares)).sum(0).clamp_min(1)
        losses = torch.zeros_like(self._shares).index_add(0, targets, step.losses) / counts
        self._shares = (self._shares.log() + self.step_size * losses).softmax(0)
        return len(targets) * self._shares[targets] / counts[targets]
