"""Sampling that goes over from the training examples' own frequencies to equal classes."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.problem import Problem
from reweightbench.methods.weighted_sampler import WeightedSampler


@dataclass
class ProgressiveSampler(WeightedSampler):
    """Drawn with replacement, class shares going from n_y / n to equal ones over the epochs; all weigh 1.

    In epoch t of T, counted from 0, an example has probability (1 - t/T) / n + (t/T) / (c * n_y), where c
    counts the classes that have examples.

    Deviations: those of `weighted_sampler`. The authors' program takes t / (T - 1), so that the last epoch has
    equal classes.
    """

    paper: ClassVar[str] = (
        "Kang et al. 2020, Decoupling Representation and Classifier for Long-Tailed Recognition, equation 2"
    )

    _epochs: int = field(init=False, repr=False, compare=False)

    def prepare(self, problem: Problem) -> None:
        super().prepare(problem)
        self._epochs = problem.epochs

    def sampling_weights(self, epoch: int) -> Tensor:
        balanced = self._weights / self._weights.sum()
        own = torch.full_like(balanced, 1 / len(balanced))
        return torch.lerp(own, balanced, epoch / self._epochs)
