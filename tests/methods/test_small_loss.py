"""The small-loss rule: how much of a batch it keeps in each epoch, and what it keeps."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from reweightbench.methods.small_loss import SmallLoss

quick = settings(max_examples=50, deadline=None, derandomize=True)
losses_lists = st.lists(st.floats(0, 30, width=32), min_size=1, max_size=12, unique=True)


def started(workbench: Any, epoch: int, noise_rate: float = 0.25, ramp_epochs: int = 10) -> SmallLoss:
    method = SmallLoss(ramp_epochs)
    problem = workbench.problem(method)
    method.prepare(replace(problem, knowledge=replace(problem.knowledge, noise_rate=noise_rate)))
    method.start_epoch(epoch)
    return method


def test_the_default_is_the_papers() -> None:
    assert SmallLoss() == SmallLoss(ramp_epochs=10)


@pytest.mark.parametrize(
    ("ramp_epochs", "counts"),
    [
        (10, [39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 30, 30]),
        (5, [38, 36, 34, 32, 30, 30, 30]),
        (1, [30, 30, 30]),
    ],
)
def test_share_falls_to_the_clean_share(
    ramp_epochs: int, counts: list[int], workbench: Any, step_of: Callable[..., Any]
) -> None:
    """By the noise rate that the problem tells, a quarter."""
    method = SmallLoss(ramp_epochs)
    method.prepare(workbench.problem(method))
    losses = torch.randperm(40, generator=torch.Generator().manual_seed(0)).float()
    for epoch, count in enumerate(counts):
        method.start_epoch(epoch)
        weights = method.example_weights(step_of(losses)).tolist()
        expected = [40 / count if loss < count else 0 for loss in losses.tolist()]
        assert weights == pytest.approx(expected, rel=1e-6)


@quick
@given(losses_lists, st.sampled_from([0.0, 0.1, 0.5, 0.99]), st.integers(0, 12))
def test_equals_a_loop(
    make_workbench: Callable[..., Any],
    step_of: Callable[..., Any],
    losses: list[float],
    noise_rate: float,
    epoch: int,
) -> None:
    """As many as the share, by rounding and at least one, and none that is harder than one left out."""
    method = started(make_workbench(), epoch, noise_rate)
    weights = method.example_weights(step_of(torch.tensor(losses))).tolist()
    kept = sum(weight > 0 for weight in weights)
    for weight, loss in zip(weights, losses, strict=True):
        easier = sum(other < loss for other in losses)
        assert weight == pytest.approx(len(losses) / kept if easier < kept else 0)
    share = 1 - noise_rate * min((epoch + 1) / 10, 1)
    assert kept == pytest.approx(max(1, share * len(losses)), abs=0.5 + 1e-9)
    assert sum(weights) == pytest.approx(len(losses), rel=1e-6)


def test_without_noise_all_weigh_one(workbench: Any, step_of: Callable[..., Any]) -> None:
    weights = started(workbench, epoch=9, noise_rate=0).example_weights(step_of(torch.arange(8.0)))
    assert weights.tolist() == [1] * 8


@pytest.mark.parametrize("ramp_epochs", [0, -1])
def test_impossible_ramp_is_refused(ramp_epochs: int) -> None:
    with pytest.raises(ValueError, match=r"ramp_epochs is .* at least 1"):
        SmallLoss(ramp_epochs=ramp_epochs)
