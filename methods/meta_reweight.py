"""Meta-reweighting: an example weighs as much as its gradient helps the clean set."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.func import functional_call

from reweightbench.benchmark.contracts.derivatives import (
    Parameters,
    change_along,
    derivative_along,
    mean_loss_gradient,
    trainable,
)
from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.benchmark.contracts.problem import Batch, Need, Problem


@dataclass
class MetaReweight(Method):
    """w = max(0, u) scaled to mean 1 over the batch, all 0 if no u is positive.

    u_i = <grad l_i, grad L_clean> at the present parameters. It is what algorithm 1 finds by looking one
    step ahead from zero weights and differentiating twice; its step size cancels in the scaling. Since u is
    the change of each loss along g = grad L_clean, `gradient` offers cheaper ways to it:

    `exact`: one forward-mode pass. `finite_difference`: the losses a small step along g, minus those of the
    step. `last_layer`: only the head's part of g, which needs no pass through the body (an approximation).
    `double_backward`: algorithm 1 to the letter.
    """

    paper: ClassVar[str] = (
        "Ren et al. 2018, Learning to Reweight Examples for Robust Deep Learning, algorithm 1"
    )
    family: ClassVar[Family] = "meta"
    needs: ClassVar[frozenset[Need]] = frozenset({"clean_set"})

    gradient: Literal["exact", "finite_difference", "last_layer", "double_backward"] = "exact"
    clean_batch_size: int = 100

    _problem: Problem = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.clean_batch_size < 1:
            raise ValueError(f"clean_batch_size is {self.clean_batch_size}; it must be at least 1")

    def prepare(self, problem: Problem) -> None:
        self._problem = problem

    def example_weights(self, step: Step) -> Tensor:
        weights = self._alignment(step, self._problem.clean_batch(self.clean_batch_size)).relu()
        # Dividing by the largest first keeps tiny alignments from underflowing in the mean.
        weights = weights / weights.max().clamp_min(torch.finfo(weights.dtype).tiny)
        return weights / weights.mean().clamp_min(torch.finfo(weights.dtype).tiny)

    def _alignment(self, step: Step, clean: Batch) -> Tensor:
        """u `(b,)`, up to a positive factor."""
        problem = self._problem
        if self.gradient == "last_layer":
            return _align_head(problem, step, clean)
        parameters = trainable(problem.model)
        if self.gradient == "double_backward":
            return _look_ahead(problem, step, clean, parameters)
        direction = mean_loss_gradient(problem, parameters, clean)
        return change_along(problem, step, parameters, direction, self.gradient)


def _align_head(problem: Problem, step: Step, clean: Batch) -> Tensor:
    """u `(b,)` with the gradients of the head only, the features of the step held fixed."""
    head = problem.model.head

    def losses(at: Parameters) -> Tensor:
        logits: Tensor = functional_call(head, dict(at), (step.features,))
        return problem.example_losses(logits, step.batch)

    gradient = mean_loss_gradient(problem, trainable(head, "head."), clean)
    direction = {name.removeprefix("head."): value for name, value in gradient.items()}
    return derivative_along(losses, trainable(head), direction)


def _look_ahead(problem: Problem, step: Step, clean: Batch, parameters: Parameters) -> Tensor:
    """Lines 4 to 9 of algorithm 1: -d L_clean(theta') / d eps at eps = 0, differentiated twice."""
    theta = {name: value.requires_grad_() for name, value in parameters.items()}
    epsilon = torch.zeros_like(step.losses, requires_grad=True)
    loss = (epsilon * problem.losses_at(theta, step.batch)).sum()
    gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
    ahead = {
        name: value - step.learning_rate * gradient
        for (name, value), gradient in zip(theta.items(), gradients, strict=True)
    }
    (derivative,) = torch.autograd.grad(problem.losses_at(ahead, clean).mean(), epsilon)
    return -derivative
