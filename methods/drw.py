"""Class weights that wait until the features are learned."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.benchmark.contracts.problem import Need, Problem
from reweightbench.methods.class_balanced import check_beta, effective_weights


@dataclass
class Drw(Method):
    """Deferred re-weighting: weights are 1 until the share `start` of the epochs, then class-balanced ones.

    The later weights are those of `class_balanced`, as in the authors' program, with a mean below 1 over
    unequal classes. `start=1` leaves them out.

    Deviations: algorithm 1 weighs by 1 / n_y. Both it and the program divide by a batch's sum of weights, here
    the batch size divides, so that steps after `start` are smaller. There the weights begin with a drop of
    the learning rate (epoch 160 of 200); here the schedule is the suite's, so that all methods share it.
    """

    paper: ClassVar[str] = (
        "Cao et al. 2019, Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, "
        "section 3.3 and algorithm 1"
    )
    family: ClassVar[Family] = "class-level"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    beta: float = 0.9999
    start: float = 0.8

    _weights: Tensor = field(init=False, repr=False, compare=False)
    _first_epoch: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_beta(self.beta)
        if not 0 <= self.start <= 1:
            raise ValueError(f"start is {self.start:g}; it must lie between 0 and 1")

    def prepare(self, problem: Problem) -> None:
        self._weights = effective_weights(problem.class_counts, self.beta)
        self._first_epoch = round(self.start * problem.epochs)

    def example_weights(self, step: Step) -> Tensor:
        if step.epoch < self._first_epoch:
            return torch.ones_like(step.losses)
        return self._weights.to(step.losses)[step.batch.targets]
