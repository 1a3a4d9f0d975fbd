"""Steps of every form of every method on a GPU beside the same steps on the CPU."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from reweightbench.benchmark.conformance.promises import list_forms
from reweightbench.benchmark.conformance.rehearsal import begin
from reweightbench.benchmark.conformance.workbench import STEP_SIZE, Workbench
from reweightbench.benchmark.contracts.registry import METHODS

FORMS = [label for name in METHODS.classes for label in list_forms(name)]


@dataclass
class Trace:
    """Losses and weights `(b,)` and the parameters after each step; how often the hooks waited for the device."""

    losses: list[Tensor]
    weights: list[Tensor]
    parameters: list[Tensor]
    waits: int = 0


def train(label: str, workbench: Workbench, steps: int) -> Trace:
    """A step in each of the first epochs, all tensors brought to the CPU."""
    method, problem = begin(label, workbench)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=0.1, momentum=0.9)
    trace = Trace([], [], [])
    for epoch in range(steps):
        if epoch:
            method.start_epoch(epoch)
        method.sampling_weights(epoch)
        batch = workbench.batch(torch.arange(STEP_SIZE))
        with counting_waits(trace):
            batch = method.augment_batch(batch)
            step = workbench.step(problem, batch, epoch)
            losses = method.example_losses(problem.model(batch.inputs), batch)
            weights = method.example_weights(step)
            optimizer.zero_grad()
            (weights * losses).mean().backward()
            optimizer.step()
            method.adjust_logits(step.logits)
            method.end_step(step)
        trace.losses.append(losses.detach().cpu())
        trace.weights.append(weights.cpu())
        trace.parameters += [value.detach().cpu().clone() for value in problem.model.parameters()]
    return trace


@contextmanager
def counting_waits(trace: Trace) -> Iterator[None]:
    """Count torch's warnings of operations that wait for the device."""
    if not torch.cuda.is_available():
        yield
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    trace.waits += sum("synchronizing CUDA operation" in str(found.message) for found in caught)


def farthest(first: list[Tensor], second: list[Tensor]) -> float:
    """The largest difference between two lists of tensors."""
    return max(float((a - b).abs().max()) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("label", FORMS)
def test_ten_steps_follow_the_cpus(label: str, device: str, measured: dict[str, Any]) -> None:
    """In float64, where no rounding is large enough to change which examples a method chooses."""
    here = train(label, Workbench(dtype=torch.float64), 10)
    there = train(label, Workbench(dtype=torch.float64, device=device), 10)
    measured.setdefault("waits in ten steps", {})[label] = there.waits
    for name in ("losses", "weights", "parameters"):
        torch.testing.assert_close(getattr(there, name), getattr(here, name), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("label", FORMS)
def test_a_step_in_float32_is_the_cpus(label: str, device: str, measured: dict[str, Any]) -> None:
    here, there = train(label, Workbench(), 1), train(label, Workbench(device=device), 1)
    measured.setdefault("largest difference of a step in float32", {})[label] = {
        name: farthest(getattr(there, name), getattr(here, name))
        for name in ("losses", "weights", "parameters")
    }
    for name in ("losses", "weights", "parameters"):
        torch.testing.assert_close(getattr(there, name), getattr(here, name), rtol=1e-3, atol=1e-3)


def test_another_point_sees_the_dropped_units_of_the_step(device: str) -> None:
    workbench = Workbench(dropout=0.5, device=device)
    _, problem = begin("sgd", workbench)
    problem.random_state.note()
    batch = workbench.batch(torch.arange(STEP_SIZE))
    losses = problem.example_losses(problem.model(batch.inputs), batch)
    again, once_more = (
        problem.losses_at(dict(problem.model.named_parameters()), batch).detach() for _ in range(2)
    )
    assert torch.equal(again, losses.detach())
    assert torch.equal(again, once_more)
    assert not torch.equal(problem.example_losses(problem.model(batch.inputs), batch), losses)
