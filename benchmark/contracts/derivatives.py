"""First derivatives that meta-learned weights are made of, without a second backward pass."""

import warnings
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import jvp

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.problem import Batch, Problem

Parameters = Mapping[str, Tensor]

# torch 2.15 warns about itself at the first forward-mode pass of a process.
warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", FutureWarning)

STEP_LENGTH = 1e-3
"""Length of the finite step in parameter space: in float32, large enough for the losses' last digits."""


def trainable(module: nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """The present values of a module's trainable parameters, detached, named with the prefix."""
    return {prefix + name: value.detach() for name, value in module.named_parameters() if value.requires_grad}


def mean_loss_gradient(
    problem: Problem, parameters: Parameters, batch: Batch, weights: Tensor | float = 1.0
) -> dict[str, Tensor]:
    """The gradient of a batch's mean loss, weighted by `(b,)`, with respect to and at `parameters`."""
    leaves = {name: value.detach().requires_grad_() for name, value in parameters.items()}
    loss = (weights * problem.losses_at(leaves, batch)).mean()
    return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def derivative_along(
    losses: Callable[[Parameters], Tensor], parameters: Parameters, direction: Parameters
) -> Tensor:
    """How fast losses `(b,)` change at `parameters` along `direction`, by one forward-mode pass."""
    derivative: Tensor = jvp(losses, (dict(parameters),), (dict(direction),))[1]
    return derivative.detach()


@torch.no_grad()
def difference_along(problem: Problem, step: Step, parameters: Parameters, direction: Parameters) -> Tensor:
    """`derivative_along` of the step's losses by one finite difference, reusing the losses of the step.

    In mixed precision the step's losses are too coarse for a difference and are computed again.
    """
    norm = nn.utils.get_total_norm(list(direction.values()))
    length = STEP_LENGTH / norm.clamp_min(torch.finfo(norm.dtype).tiny)
    ahead = {name: value + length * direction[name] for name, value in parameters.items()}
    start = step.losses if problem.precision == "float32" else problem.losses_at(parameters, step.batch)
    return (problem.losses_at(ahead, step.batch) - start) / length


def change_along(
    problem: Problem,
    step: Step,
    parameters: Parameters,
    direction: Parameters,
    gradient: Literal["exact", "finite_difference"],
) -> Tensor:
    """How fast the step's losses `(b,)` change at `parameters` along `direction`, in either way."""
    if gradient == "finite_difference":
        return difference_along(problem, step, parameters, direction)
    return derivative_along(lambda at: problem.losses_at(at, step.batch), parameters, direction)
