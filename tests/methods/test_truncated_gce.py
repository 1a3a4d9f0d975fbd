"""Truncated generalised cross-entropy: when it starts to prune, and what it prunes, against a loop."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import assume, given, settings

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.truncated_gce import TruncatedGce

EPOCHS = 10

quick = settings(max_examples=50, deadline=None, derandomize=True)
logit_rows = st.lists(st.lists(st.floats(-9, 9, width=32), min_size=3, max_size=3), min_size=1, max_size=6)


def make_step(rows: list[list[float]], epoch: int) -> Step:
    logits, size = torch.tensor(rows, dtype=torch.float64), len(rows)
    batch = Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.arange(size) % 3)
    losses = TruncatedGce().example_losses(logits, batch)
    return Step(epoch, batch, logits, torch.zeros(size, 2), losses, learning_rate=0.1)


def prepared(workbench: Any, **options: float) -> TruncatedGce:
    method = TruncatedGce(**options)
    method.prepare(workbench.problem(method))
    return method


def probability(logits: list[float], target: int) -> float:
    return math.exp(logits[target]) / sum(math.exp(value) for value in logits)


def test_the_default_is_the_papers() -> None:
    """It prunes from epoch 40 of 120 on CIFAR-10."""
    assert TruncatedGce() == TruncatedGce(q=0.7, threshold=0.5, start=1 / 3)


def test_known_losses(golden_batch: Any) -> None:
    losses = TruncatedGce(q=0.7).example_losses(*golden_batch)
    assert losses.tolist() == pytest.approx([0.309649, 1.067393, 0.729432], abs=5e-7)


@pytest.mark.parametrize(("start", "epochs_before"), [(0, 0), (1 / 3, 3), (0.5, 5), (1, 10)])
def test_all_weigh_one_before_the_start(start: float, epochs_before: int, workbench: Any) -> None:
    method = prepared(workbench, start=start)
    rows = [[3.0, 0.0, 0.0], [3.0, 0.0, 0.0]]
    weights = [method.example_weights(make_step(rows, epoch)).tolist() for epoch in range(EPOCHS)]
    assert weights == [[1, 1]] * epochs_before + [[1, 0]] * (EPOCHS - epochs_before)


@quick
@given(logit_rows, st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.integers(4, EPOCHS - 1))
def test_keeps_the_probable_targets(
    make_workbench: Callable[..., Any], rows: list[list[float]], threshold: float, epoch: int
) -> None:
    found = [probability(row, index % 3) for index, row in enumerate(rows)]
    assume(all(abs(p - threshold) > 1e-9 for p in found))
    weights = prepared(make_workbench(), threshold=threshold).example_weights(make_step(rows, epoch))
    assert weights.tolist() == [1 if p > threshold else 0 for p in found]


@pytest.mark.parametrize("name", ["threshold", "start"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_impossible_option_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .* between 0 and 1"):
        TruncatedGce(**{name: value})


def test_impossible_q_is_refused() -> None:
    with pytest.raises(ValueError, match="q is 0; it must be above 0"):
        TruncatedGce(q=0)
