"""Self-paced learning: the share of the batch that it admits in each epoch, and whom it admits."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from reweightbench.methods.self_paced import SelfPaced

EPOCHS = 10

quick = settings(max_examples=50, deadline=None, derandomize=True)
losses_lists = st.lists(st.floats(0, 30, width=32), min_size=1, max_size=12, unique=True)
shares = st.sampled_from([0.1, 0.5, 0.8, 1.0])
options = st.fixed_dictionaries({"first": shares, "full": shares})


def prepared(workbench: Any, **options: float) -> SelfPaced:
    method = SelfPaced(**options)
    method.prepare(workbench.problem(method))
    return method


def test_the_default_is_the_papers_half() -> None:
    """Of the losses; the paper has no number of epochs."""
    assert SelfPaced() == SelfPaced(first=0.5, full=0.8)


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, [8, 9, 10, 11, 12, 13, 14, 15, 16, 16]),
        ({"first": 0.25, "full": 0.3}, [4, 8, 12, 16, 16, 16, 16, 16, 16, 16]),
        ({"first": 0.375, "full": 1.0}, [6, 7, 8, 9, 10, 11, 12, 13, 14, 15]),
        ({"first": 1.0}, [16] * EPOCHS),
    ],
)
def test_admits_more_of_the_easiest_in_each_epoch(
    options: dict[str, float], counts: list[int], workbench: Any, step_of: Callable[..., Any]
) -> None:
    method = prepared(workbench, **options)
    losses = torch.tensor([3, 0, 15, 7, 8, 1, 12, 5, 10, 2, 14, 6, 9, 4, 13, 11]).float()
    for epoch, count in enumerate(counts):
        weights = method.example_weights(replace(step_of(losses), epoch=epoch))
        assert weights.tolist() == [1 if loss < count else 0 for loss in losses.tolist()]


@quick
@given(losses_lists, options, st.integers(0, EPOCHS - 1))
def test_equals_a_loop(
    make_workbench: Callable[..., Any],
    step_of: Callable[..., Any],
    losses: list[float],
    options: dict[str, float],
    epoch: int,
) -> None:
    """As many as the share, by rounding and at least one, and none that is harder than one left out."""
    step = replace(step_of(torch.tensor(losses)), epoch=epoch)
    weights = prepared(make_workbench(), **options).example_weights(step).tolist()
    kept, progress = weights.count(1), min(1, epoch / (options["full"] * EPOCHS))
    for weight, loss in zip(weights, losses, strict=True):
        easier = sum(other < loss for other in losses)
        assert weight == (1 if easier < kept else 0)
    share = options["first"] * (1 - progress) + progress
    assert kept == pytest.approx(max(1, share * len(losses)), abs=0.5 + 1e-9)


@pytest.mark.parametrize("name", ["first", "full"])
@pytest.mark.parametrize("value", [0.0, -0.1, 1.1, math.nan])
def test_impossible_share_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .* above 0 and at most 1"):
        SelfPaced(**{name: value})
