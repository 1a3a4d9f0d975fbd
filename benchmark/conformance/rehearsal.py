"""A method's hooks called in the order of training, on the workbench."""

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

from reweightbench.benchmark.conformance.snapshot import Snapshot
from reweightbench.benchmark.conformance.workbench import STEP_SIZE, Workbench
from reweightbench.benchmark.contracts.method import Method, Step
from reweightbench.benchmark.contracts.problem import Need, Problem
from reweightbench.benchmark.contracts.registry import METHODS

T = TypeVar("T")
Watch = Callable[[str, Snapshot], None]


def begin(label: str, workbench: Workbench, **settings: Any) -> tuple[Method, Problem]:
    """A fresh method at the start of its first epoch, and its problem."""
    method = METHODS.create(label)
    problem = workbench.problem(method, epochs=count_epochs(method, 10), **settings)
    method.prepare(problem)
    method.start_epoch(0)
    return method, problem


def count_epochs(method: Method, least: int) -> int:
    """Epochs enough for each stage of the method to get one, and `least` of them."""
    shortest = min((stage.share for stage in method.stages() if stage.share > 0), default=1.0)
    return max(least, math.ceil(1.5 / shortest))


def rehearse(
    label: str,
    needs: frozenset[Need] | None = None,
    watch: Watch | None = None,
    workbench: Workbench | None = None,
) -> Iterator[tuple[Step, Tensor]]:
    """A step of every epoch with its weights; `watch` is told after each hook, with what was there before it."""
    workbench, method = workbench or Workbench(), METHODS.create(label)
    problem = workbench.problem(method, epochs=count_epochs(method, 10), needs=needs)
    step = None

    def call(hook: Callable[..., T], *arguments: object) -> T:
        if watch is None:
            return hook(*arguments)
        before = Snapshot(problem.model, step)
        answer = hook(*arguments)
        watch(hook.__name__, before)
        return answer

    call(method.prepare, problem)
    for epoch in range(problem.epochs):
        call(method.start_epoch, epoch)
        call(method.sampling_weights, epoch)
        batch = call(method.augment_batch, workbench.batch(torch.arange(STEP_SIZE)))
        step = workbench.step(problem, batch, epoch)
        call(method.example_losses, step.logits, step.batch)
        weights = call(method.example_weights, step)
        yield step, weights
        call(method.adjust_logits, step.logits)
        call(method.end_step, step)
        step = None


def first_weights(label: str, order: Tensor | None = None, generator_seed: int = 0) -> Tensor:
    """The first weights of a fresh method, for the step's examples in `order`."""
    workbench = Workbench()
    method, problem = begin(label, workbench, generator_seed=generator_seed)
    step = workbench.step(problem)
    return method.example_weights(step if order is None else step.permute(order))
