"""Easy examples first."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.benchmark.contracts.problem import Problem
from reweightbench.methods.small_loss import choose_easiest


@dataclass
class SelfPaced(Method):
    """Of each batch the share of smallest losses weighs 1, the rest 0; the share grows from `first` to 1.

    It grows linearly in the epochs and is 1 from the share `full` of them on, so the mean weight is below 1
    before that.

    Deviations: the paper weighs by a threshold on the loss, which it raises by a factor in each round of
    alternating minimisation, from one that takes in half of the examples; here the threshold is the batch's
    own quantile, because losses of deep networks shrink by orders of magnitude.
    """

    paper: ClassVar[str] = "Kumar et al. 2010, Self-Paced Learning for Latent Variable Models, algorithm 1"
    family: ClassVar[Family] = "loss-based"

    first: float = 0.5
    full: float = 0.8

    _epochs: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("first", "full"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be above 0 and at most 1")

    def prepare(self, problem: Problem) -> None:
        self._epochs = problem.epochs

    def example_weights(self, step: Step) -> Tensor:
        progress = min(1, step.epoch / (self.full * self._epochs))
        return choose_easiest(step.losses, self.first + (1 - self.first) * progress)
