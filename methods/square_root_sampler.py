"""Sampling between the training examples' own frequencies and equal classes."""

from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.contracts.problem import Problem
from reweightbench.methods.weighted_sampler import WeightedSampler


@dataclass
class SquareRootSampler(WeightedSampler):
    """Examples are drawn with replacement, with probability proportional to 1 / sqrt(n_y); all weigh 1.

    A class is drawn in proportion to sqrt(n_y).

    Deviations: those of `weighted_sampler`.
    """

    paper: ClassVar[str] = (
        "Kang et al. 2020, Decoupling Representation and Classifier for Long-Tailed Recognition, "
        "equation 1 with q = 1/2"
    )

    def prepare(self, problem: Problem) -> None:
        super().prepare(problem)
        self._weights = self._weights.sqrt()
