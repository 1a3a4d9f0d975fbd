"""Online hard example mining: whom it keeps, and the mean of its weights."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from reweightbench.methods.ohem import Ohem

quick = settings(max_examples=50, deadline=None, derandomize=True)
losses_lists = st.lists(st.floats(0, 30, width=32), min_size=1, max_size=12, unique=True)
shares = st.sampled_from([0.05, 0.25, 0.6, 1.0])


def test_the_default_is_the_hardest_quarter(step_of: Callable[..., Any]) -> None:
    assert Ohem() == Ohem(keep=0.25)
    step = step_of(torch.tensor([0.1, 3.0, 0.2, 2.0, 0.0, 1.0, 0.5, 0.4]))
    assert Ohem().example_weights(step).tolist() == [0, 4, 0, 4, 0, 0, 0, 0]


@quick
@given(losses_lists, shares)
def test_equals_a_loop(step_of: Callable[..., Any], losses: list[float], keep: float) -> None:
    """As many as the share, by rounding and at least one, and none that is easier than one left out."""
    weights = Ohem(keep).example_weights(step_of(torch.tensor(losses))).tolist()
    kept = sum(weight > 0 for weight in weights)
    for weight, loss in zip(weights, losses, strict=True):
        harder = sum(other > loss for other in losses)
        assert weight == pytest.approx(len(losses) / kept if harder < kept else 0)
    assert kept == pytest.approx(max(1, keep * len(losses)), abs=0.5 + 1e-9)


@quick
@given(losses_lists, shares)
def test_mean_is_one(step_of: Callable[..., Any], losses: list[float], keep: float) -> None:
    weights = Ohem(keep).example_weights(step_of(torch.tensor(losses)))
    assert weights.mean().item() == pytest.approx(1, rel=1e-6)


@quick
@given(losses_lists)
def test_keeping_all_weighs_all_alike(step_of: Callable[..., Any], losses: list[float]) -> None:
    weights = Ohem(keep=1).example_weights(step_of(torch.tensor(losses)))
    assert weights.tolist() == [1] * len(losses)


@pytest.mark.parametrize("keep", [0.0, -0.1, 1.1, math.nan])
def test_impossible_share_is_refused(keep: float) -> None:
    with pytest.raises(ValueError, match=r"keep is .* above 0 and at most 1"):
        Ohem(keep=keep)
