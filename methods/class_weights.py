"""Weights that make all classes count the same."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.benchmark.contracts.problem import Need, Problem


@dataclass
class ClassWeights(Method):
    """An example weighs n / (c * n_y): the inverse class frequency, of mean 1 over the training examples.

    Deviations: torch's `weight=` divides by the sum of a batch's weights, which lets a batch of few rare
    examples count them more; here, as everywhere in this suite, the sum is divided by the batch size.
    """

    paper: ClassVar[str] = (
        "folklore; inverse class frequency, Huang et al. 2016, Learning Deep Representation for Imbalanced "
        "Classification (as baseline)"
    )
    family: ClassVar[Family] = "class-level"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    _weights: Tensor = field(init=False, repr=False, compare=False)

    def prepare(self, problem: Problem) -> None:
        counts = problem.class_counts
        # Label noise can empty a class, which is then neither counted nor looked up.
        self._weights = problem.size / ((counts > 0).sum() * counts.clamp_min(1))

    def example_weights(self, step: Step) -> Tensor:
        return self._weights.to(step.losses)[step.batch.targets]
