"""Early-learning regularisation against a loop that keeps its own running means, and the paper's gradient."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.elr import Elr

quick = settings(max_examples=50, deadline=None, derandomize=True)
seeds, memories = st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.7, 0.95])


@dataclass
class Loop:
    """The running mean of each example by its place, in python's floats."""

    strength: float
    memory: float
    means: dict[int, list[float]] = field(default_factory=dict)

    def moved(self, place: int, logits: list[float]) -> list[float]:
        p = clamped(logits)
        old = self.means.get(place, [0.0] * len(p))
        return [self.memory * t + (1 - self.memory) * p_k / sum(p) for t, p_k in zip(old, p, strict=True)]

    def loss(self, place: int, logits: list[float], target: int) -> float:
        agreement = sum(p * t for p, t in zip(clamped(logits), self.moved(place, logits), strict=True))
        return -math.log(softmax(logits)[target]) + self.strength * math.log(1 - agreement)

    def gradient(self, place: int, logits: list[float], target: int) -> list[float]:
        """p - y + strength * g, as the paper derives it."""
        p, t = softmax(logits), self.moved(place, logits)
        agreement = sum(p_k * t_k for p_k, t_k in zip(p, t, strict=True))
        found = []
        for index, p_c in enumerate(p):
            g = p_c / (1 - agreement) * sum((t_k - t[index]) * p_k for p_k, t_k in zip(p, t, strict=True))
            found.append(p_c - (index == target) + self.strength * g)
        return found


def softmax(logits: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total for value in logits]


def clamped(logits: list[float]) -> list[float]:
    return [min(max(p, 1e-4), 1 - 1e-4) for p in softmax(logits)]


def make_steps(workbench: Any, seed: int, scale: float, count: int = 4) -> list[tuple[Tensor, Batch]]:
    """Logits and batches of six out of ten examples, so that batches overlap."""
    stream = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(10, generator=stream)[:6] for _ in range(count)]
    return [
        (scale * torch.randn(6, 3, generator=stream, dtype=torch.float64), workbench.batch(order))
        for order in orders
    ]


def list_examples(logits: Tensor, batch: Batch) -> list[tuple[int, list[float], int]]:
    """Place, logits and target of each."""
    return list(zip(batch.index.tolist(), logits.tolist(), batch.targets.tolist(), strict=True))


def prepared(workbench: Any, **options: float) -> Elr:
    method = Elr(**options)
    method.prepare(workbench.problem(method))
    return method


def end(method: Elr, logits: Tensor, batch: Batch) -> None:
    losses = method.example_losses(logits, batch)
    method.end_step(Step(0, batch, logits, torch.zeros(len(logits), 2), losses, learning_rate=0.1))


def test_the_default_is_the_papers() -> None:
    assert Elr() == Elr(strength=3.0, memory=0.7)


@quick
@given(seeds, memories, st.sampled_from([1.0, 8.0]))
def test_losses_over_several_steps_equal_a_loop(
    make_workbench: Callable[..., Any], seed: int, memory: float, scale: float
) -> None:
    workbench = make_workbench(dtype=torch.float64)
    method, loop = prepared(workbench, strength=2.5, memory=memory), Loop(2.5, memory)
    for logits, batch in make_steps(workbench, seed, scale):
        examples = list_examples(logits, batch)
        expected = [loop.loss(*example) for example in examples]
        assert method.example_losses(logits, batch).tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9)
        end(method, logits, batch)
        loop.means |= {place: loop.moved(place, row) for place, row, _ in examples}


@quick
@given(seeds, memories)
def test_gradient_is_the_papers(make_workbench: Callable[..., Any], seed: int, memory: float) -> None:
    """At probabilities far from 0 and 1; the running mean counts as a constant."""
    workbench = make_workbench(dtype=torch.float64)
    method, loop = prepared(workbench, strength=2.5, memory=memory), Loop(2.5, memory)
    for logits, batch in make_steps(workbench, seed, scale=0.5):
        logits.requires_grad_()
        method.example_losses(logits, batch).sum().backward()
        examples = list_examples(logits, batch)
        for example, gradient in zip(examples, logits.grad.tolist(), strict=True):
            assert gradient == pytest.approx(loop.gradient(*example), rel=1e-9, abs=1e-9)
        end(method, logits.detach(), batch)
        loop.means |= {place: loop.moved(place, row) for place, row, _ in examples}


@quick
@given(seeds)
def test_strength_zero_is_cross_entropy(make_workbench: Callable[..., Any], seed: int) -> None:
    workbench = make_workbench(dtype=torch.float64)
    method = prepared(workbench, strength=0)
    for logits, batch in make_steps(workbench, seed, scale=8):
        expected = F.cross_entropy(logits, batch.targets, reduction="none")
        torch.testing.assert_close(method.example_losses(logits, batch), expected)
        end(method, logits, batch)


def test_losses_alone_move_no_mean(make_workbench: Callable[..., Any]) -> None:
    workbench = make_workbench(dtype=torch.float64)
    method = prepared(workbench)
    (before, batch), (logits, _), (elsewhere, _) = make_steps(workbench, seed=0, scale=1, count=3)
    end(method, before, batch)
    first = method.example_losses(logits, batch)
    method.example_losses(elsewhere, batch)
    assert torch.equal(method.example_losses(logits, batch), first)
    end(method, elsewhere, batch)
    assert not torch.allclose(method.example_losses(logits, batch), first)


@pytest.mark.parametrize("strength", [-0.1, math.nan])
def test_impossible_strength_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match=r"strength is .* at least 0"):
        Elr(strength=strength)


@pytest.mark.parametrize("memory", [-0.1, 1.0, math.nan])
def test_impossible_memory_is_refused(memory: float) -> None:
    with pytest.raises(ValueError, match=r"memory is .* at least 0 and below 1"):
        Elr(memory=memory)
