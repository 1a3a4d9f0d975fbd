"""The conditional value at risk against a linear program over all weights that it allows."""

import math
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from scipy.optimize import linprog

from reweightbench.methods.cvar_dro import CvarDro

quick = settings(max_examples=50, deadline=None, derandomize=True)
# Ties among the losses leave several solutions of equal value.
losses_lists = st.lists(
    st.integers(0, 300).map(lambda value: value / 10), min_size=1, max_size=12, unique=True
)
shares = st.sampled_from([0.03, 0.1, 0.35, 0.5, 1.0])


def worst_case(losses: list[float], alpha: float) -> list[float]:
    """The weights of mean 1 between 0 and 1 / alpha that have the largest weighted loss."""
    size = len(losses)
    solution = linprog(
        [-loss for loss in losses], A_eq=[[1.0] * size], b_eq=[size], bounds=[(0, 1 / alpha)] * size
    )
    assert solution.success
    return [float(weight) for weight in solution.x]


def test_the_default_is_the_worst_tenth() -> None:
    assert CvarDro() == CvarDro(alpha=0.1)


def test_known_values(step_of: Callable[..., Any]) -> None:
    """Two and a half of five examples weigh 2 each."""
    step = step_of(torch.tensor([0.3, 4.0, 1.0, 0.1, 2.0]))
    assert CvarDro(alpha=0.5).example_weights(step).tolist() == [0, 2, 1, 0, 2]


@quick
@given(losses_lists, shares)
def test_is_the_worst_case(step_of: Callable[..., Any], losses: list[float], alpha: float) -> None:
    step = step_of(torch.tensor(losses, dtype=torch.float64))
    weights = CvarDro(alpha).example_weights(step).tolist()
    assert weights == pytest.approx(worst_case(losses, alpha), rel=1e-9, abs=1e-9)


@quick
@given(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=1, max_size=12), shares)
def test_equal_losses_leave_the_worst_case_its_value(
    step_of: Callable[..., Any], losses: list[float], alpha: float
) -> None:
    weights = CvarDro(alpha).example_weights(step_of(torch.tensor(losses, dtype=torch.float64))).tolist()
    pairs = list(zip(weights, worst_case(losses, alpha), losses, strict=True))
    assert sum(ours * loss for ours, _, loss in pairs) == pytest.approx(sum(w * loss for _, w, loss in pairs))
    assert sum(weights) == pytest.approx(len(losses))
    assert 0 <= min(weights) <= max(weights) <= 1 / alpha + 1e-9


@quick
@given(losses_lists)
def test_alpha_one_weighs_all_alike(step_of: Callable[..., Any], losses: list[float]) -> None:
    weights = CvarDro(alpha=1).example_weights(step_of(torch.tensor(losses)))
    assert weights.tolist() == [1] * len(losses)


@pytest.mark.parametrize("alpha", [0.0, -0.1, 1.1, math.nan])
def test_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha is .* above 0 and at most 1"):
        CvarDro(alpha=alpha)
