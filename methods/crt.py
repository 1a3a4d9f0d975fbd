"""A new classifier on features learned from all examples."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Stage, divide_epochs
from reweightbench.benchmark.contracts.problem import Problem
from reweightbench.methods.weighted_sampler import WeightedSampler


@dataclass
class Crt(WeightedSampler):
    """Classifier re-training: plain training, then a fresh head alone on classes drawn equally often.

    The share `head_share` of the epochs goes to the head; all examples weigh 1.

    Deviations: the paper adds the second stage (10 epochs after 90 or 200); here all methods take the same
    number of steps, so the first stage is shortened by it. Batch normalisation stands still in the second
    stage; in the authors' program it goes on with class-balanced batches. That program keeps the epoch that
    is best on validation.
    """

    paper: ClassVar[str] = (
        "Kang et al. 2020, Decoupling Representation and Classifier for Long-Tailed Recognition, "
        "section 4 (cRT)"
    )
    family: ClassVar[Family] = "two-stage"

    head_share: float = 0.1

    _first_epochs: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.head_share < 1:
            raise ValueError(f"head_share is {self.head_share:g}; it must lie between 0 and 1")

    def stages(self) -> tuple[Stage, ...]:
        head = Stage(share=self.head_share, trainable="head", reset_head=True)
        return (Stage(share=1 - self.head_share), head)

    def prepare(self, problem: Problem) -> None:
        super().prepare(problem)
        self._first_epochs = divide_epochs(self.stages(), problem.epochs)[0][1]

    def sampling_weights(self, epoch: int) -> Tensor | None:
        return super().sampling_weights(epoch) if epoch >= self._first_epochs else None
