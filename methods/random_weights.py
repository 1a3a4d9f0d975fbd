"""Control: weights that know nothing."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.benchmark.contracts.problem import Problem


@dataclass
class RandomWeights(Method):
    """Rectified normal weights, scaled to mean 1 over the batch (all 0 if no draw is positive)."""

    paper: ClassVar[str] = "Ren et al. 2018, Learning to Reweight Examples, section 4 (random baseline)"
    family: ClassVar[Family] = "control"

    _generator: torch.Generator = field(init=False, repr=False, compare=False)

    def prepare(self, problem: Problem) -> None:
        self._generator = problem.generator

    def example_weights(self, step: Step) -> Tensor:
        draws = torch.randn(len(step.losses), generator=self._generator).relu()
        weights = draws / draws.mean().clamp_min(torch.finfo(draws.dtype).tiny)
        return weights.to(step.losses.device, non_blocking=True)
