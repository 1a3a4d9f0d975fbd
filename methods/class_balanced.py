"""Class weights from the effective number of examples."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Step
from reweightbench.benchmark.contracts.problem import Need, Problem
from reweightbench.methods.focal import Focal


@dataclass
class ClassBalanced(Focal):
    """An example weighs (1 - beta) / (1 - beta^n_y), scaled to sum c over the classes, times a focal loss.

    The paper's three losses: softmax (the default, gamma 0), sigmoid (`form=sigmoid`), and focal
    (`form=sigmoid, gamma=1`). The mean weight over the training examples is below 1 where classes are
    unequal. `beta=0` weighs all alike; towards 1 the weights go to the inverse class frequency.

    As in the authors' program, the batch size divides, not the batch's sum of weights as in torch's `weight=`.

    Deviations: the head's bias starts and decays as for every method; the authors' sigmoid losses start it at
    the classes' prior and spare it the decay.
    """

    paper: ClassVar[str] = (
        "Cui et al. 2019, Class-Balanced Loss Based on Effective Number of Samples, section 4"
    )
    family: ClassVar[Family] = "class-level"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    gamma: float = 0.0
    beta: float = 0.9999

    _weights: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_beta(self.beta)

    def prepare(self, problem: Problem) -> None:
        self._weights = effective_weights(problem.class_counts, self.beta)

    def example_weights(self, step: Step) -> Tensor:
        return self._weights.to(step.losses)[step.batch.targets]


def effective_weights(counts: Tensor, beta: float) -> Tensor:
    """Class weights `(c,)` in float64: the inverse of the effective number (1 - beta^n) / (1 - beta).

    Scaled to sum to the number of classes with examples; a class without any weighs 0.
    """
    counts = counts.double()
    log_beta = torch.as_tensor(beta, dtype=torch.float64).log()
    # expm1 keeps 1 - beta^n exact where beta^n is nearly 1 or vanishes.
    weights = torch.where(counts > 0, 1 / -torch.expm1(counts.clamp_min(1) * log_beta), 0)
    return weights * (counts > 0).sum() / weights.sum()


def check_beta(beta: float) -> None:
    """Raise ValueError for a beta without meaning."""
    if not 0 <= beta < 1:
        raise ValueError(f"beta is {beta:g}; it must be at least 0 and below 1")
