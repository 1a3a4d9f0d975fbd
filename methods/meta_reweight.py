"""Meta-reweighting: an example weighs as much as its gradient helps the clean set."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import jvp

from reweightbench.benchmark.method import Method, Step
from reweightbench.benchmark.problem import Need, Problem


@dataclass
class MetaReweight(Method):
    """w = max(0, u) scaled to mean 1 over the batch, all 0 if no u is positive.

    u_i = <grad l_i, grad L_clean> at the present parameters. It is what algorithm 1 finds by looking one
    step ahead from zero weights and differentiating twice; its step size cancels in the scaling. Since u is
    the change of each loss along g = grad L_clean, one forward-mode pass computes it exactly.
    """

    paper: ClassVar[str] = (
        "Ren et al. 2018, Learning to Reweight Examples for Robust Deep Learning, algorithm 1"
    )
    needs: ClassVar[frozenset[Need]] = frozenset({"clean_set"})

    clean_batch_size: int = 100

    _problem: Problem = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.clean_batch_size < 1:
            raise ValueError(f"clean_batch_size is {self.clean_batch_size}; it must be at least 1")

    def prepare(self, problem: Problem) -> None:
        self._problem = problem

    def example_weights(self, step: Step) -> Tensor:
        parameters = dict(self._problem.model.named_parameters())
        clean = self._problem.clean_batch(self.clean_batch_size)
        clean_loss = self._problem.losses_at(parameters, clean).mean()
        gradients = torch.autograd.grad(clean_loss, list(parameters.values()))
        direction = dict(zip(parameters, gradients, strict=True))
        point = {name: parameter.detach() for name, parameter in parameters.items()}
        alignment: Tensor = jvp(lambda at: self._problem.losses_at(at, step.batch), (point,), (direction,))[1]
        weights = alignment.detach().relu()
        # Dividing by the largest first keeps tiny alignments from underflowing in the mean.
        weights = weights / weights.max().clamp_min(torch.finfo(weights.dtype).tiny)
        return weights / weights.mean().clamp_min(torch.finfo(weights.dtype).tiny)
