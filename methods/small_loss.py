"""Training on the examples that look right."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.benchmark.contracts.problem import Need, Problem


@dataclass
class SmallLoss(Method):
    """Of each batch the share R of smallest losses weighs 1 / R, the rest 0: mean 1.

    R falls from 1 to 1 - noise rate over the first `ramp_epochs` epochs; a shorter budget ends before that.
    This is `co_teaching` with one network that chooses for itself.

    Deviations: the authors' program gets there an epoch earlier, and rounds the number of examples down.
    """

    paper: ClassVar[str] = (
        "Han et al. 2018, Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels, "
        "algorithm 1 with one network"
    )
    family: ClassVar[Family] = "loss-based"
    needs: ClassVar[frozenset[Need]] = frozenset({"noise_rate"})

    ramp_epochs: int = 10

    _noise_rate: float = field(init=False, repr=False, compare=False)
    _share: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.ramp_epochs < 1:
            raise ValueError(f"ramp_epochs is {self.ramp_epochs}; it must be at least 1")

    def prepare(self, problem: Problem) -> None:
        self._noise_rate = problem.noise_rate

    def start_epoch(self, epoch: int) -> None:
        self._share = 1 - self._noise_rate * min((epoch + 1) / self.ramp_epochs, 1)

    def example_weights(self, step: Step) -> Tensor:
        kept = choose_easiest(step.losses, self._share)
        return kept / kept.mean()


def choose_easiest(losses: Tensor, share: float) -> Tensor:
    """1 for the given share of smallest losses, at least one, else 0; each column of `(b, ...)` for itself."""
    count = max(1, round(share * len(losses)))
    places = losses.topk(count, dim=0, largest=False).indices
    return torch.zeros_like(losses).scatter(0, places, 1)
