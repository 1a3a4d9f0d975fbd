"""Sampling each class equally often."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Need, Problem


@dataclass
class WeightedSampler(Method):
    """Examples are drawn with replacement, with probability proportional to 1 / n_y; all weigh 1.

    Deviations: the program of Kang et al. takes the examples of a class in shuffled turns.
    """

    paper: ClassVar[str] = (
        "folklore; Kang et al. 2020, Decoupling Representation and Classifier for Long-Tailed Recognition, "
        "equation 1 with q = 0"
    )
    family: ClassVar[Family] = "sampling"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    _weights: Tensor = field(init=False, repr=False, compare=False)

    def prepare(self, problem: Problem) -> None:
        self._weights = 1 / problem.class_counts[problem.targets]

    def sampling_weights(self, epoch: int) -> Tensor | None:
        return self._weights
