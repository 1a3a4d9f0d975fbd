"""Deferred re-weighting: when the weights begin, and which ones they are."""

import math
from typing import Any

import pytest
from torch import Tensor

from reweightbench.methods.drw import Drw

EPOCHS = 10


def weigh(workbench: Any, **options: Any) -> tuple[list[Tensor], list[int]]:
    """Weights `(b,)` of the first batch in each epoch, and its targets."""
    method = Drw(**options)
    problem = workbench.problem(method)
    method.prepare(problem)
    steps = [workbench.step(problem, epoch=epoch) for epoch in range(EPOCHS)]
    return [method.example_weights(step) for step in steps], steps[0].batch.targets.tolist()


def test_the_default_is_the_papers() -> None:
    assert Drw() == Drw(beta=0.9999, start=0.8)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999])
def test_late_weights_equal_a_loop(beta: float, workbench: Any) -> None:
    weights, targets = weigh(workbench, beta=beta)
    raw = [(1 - beta) / (1 - beta**count) for count in (24, 12, 4)]
    expected = [3 * raw[target] / sum(raw) for target in targets]
    assert weights[8].tolist() == weights[9].tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("start", "first"), [(0.0, 0), (0.3, 3), (0.5, 5), (0.8, 8), (1.0, 10)])
def test_weights_begin_at_their_share_of_the_epochs(start: float, first: int, workbench: Any) -> None:
    weights, targets = weigh(workbench, start=start)
    assert set(targets) == {0, 1, 2}
    is_plain = [bool((epoch_weights == 1).all()) for epoch_weights in weights]
    assert is_plain == [True] * first + [False] * (EPOCHS - first)


def test_rarer_classes_weigh_more_in_the_end(workbench: Any) -> None:
    weights, targets = weigh(workbench)
    by_class = dict(zip(targets, weights[-1].tolist(), strict=True))
    assert by_class[0] < by_class[1] < by_class[2]
    assert sum(by_class.values()) == pytest.approx(3)


def test_losses_are_plain_cross_entropy(golden_batch: Any) -> None:
    losses = Drw().example_losses(*golden_batch)
    assert losses.tolist() == pytest.approx([0.349012, 1.964369, 1.020828], abs=5e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 1.0}, "beta is 1; it must be at least 0 and below 1"),
        ({"beta": -0.5}, "beta is -0.5; it must be at least 0 and below 1"),
        ({"beta": math.nan}, "beta is nan"),
        ({"start": -0.1}, "start is -0.1; it must lie between 0 and 1"),
        ({"start": 1.1}, "start is 1.1; it must lie between 0 and 1"),
        ({"start": math.nan}, "start is nan"),
    ],
)
def test_impossible_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Drw(**options)
