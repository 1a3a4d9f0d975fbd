"""Group DRO over classes against a loop of exponentiated gradient, and how it draws its examples."""

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.group_dro import GroupDro

CLASSES = 3

quick = settings(max_examples=50, deadline=None, derandomize=True)
examples = st.lists(st.tuples(st.integers(0, CLASSES - 1), st.floats(0, 30)), min_size=1, max_size=8)
step_sizes = st.sampled_from([0.0, 0.01, 1.0])


def make_step(targets: list[int], losses: list[float]) -> Step:
    size = len(targets)
    batch = Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.tensor(targets))
    values = torch.tensor(losses, dtype=torch.float64)
    return Step(0, batch, torch.zeros(size, CLASSES), torch.zeros(size, 2), values, learning_rate=0.1)


def prepared(make_workbench: Callable[..., Any], step_size: float = 0.01) -> GroupDro:
    method = GroupDro(step_size)
    method.prepare(make_workbench(dtype=torch.float64).problem(method))
    return method


def ascend(q: list[float], targets: list[int], losses: list[float], step_size: float) -> list[float]:
    """q after one step of exponentiated gradient on the mean loss of each class, in python's floats."""
    grown = []
    for number, share in enumerate(q):
        own = [loss for target, loss in zip(targets, losses, strict=True) if target == number]
        grown.append(share * math.exp(step_size * sum(own) / len(own)) if own else share)
    return [share / sum(grown) for share in grown]


def test_the_default_is_the_papers() -> None:
    assert GroupDro() == GroupDro(step_size=0.01)


@quick
@given(st.lists(examples, min_size=1, max_size=5), step_sizes)
def test_several_steps_equal_a_loop(
    make_workbench: Callable[..., Any], batches: list[list[tuple[int, float]]], step_size: float
) -> None:
    method, q = prepared(make_workbench, step_size), [1 / CLASSES] * CLASSES
    for batch in batches:
        targets, losses = [target for target, _ in batch], [loss for _, loss in batch]
        weights = method.example_weights(make_step(targets, losses))
        q, counts = ascend(q, targets, losses, step_size), Counter(targets)
        expected = [len(batch) * q[target] / counts[target] for target in targets]
        assert weights.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@quick
@given(examples, step_sizes)
def test_mean_is_one_where_the_batch_has_all_classes(
    make_workbench: Callable[..., Any], batch: list[tuple[int, float]], step_size: float
) -> None:
    method = prepared(make_workbench, step_size)
    targets, losses = [target for target, _ in batch], [loss for _, loss in batch]
    mean = method.example_weights(make_step([*targets, 0, 1, 2], [*losses, 1.0, 2.0, 3.0])).mean().item()
    assert mean == pytest.approx(1, rel=1e-9)


def test_mean_is_the_share_of_the_classes_that_are_there(make_workbench: Callable[..., Any]) -> None:
    weights = prepared(make_workbench, step_size=0).example_weights(make_step([0, 1, 0], [1.0, 2.0, 3.0]))
    assert weights.tolist() == pytest.approx([0.5, 1, 0.5])


def test_weights_move_to_the_worst_class(make_workbench: Callable[..., Any]) -> None:
    """From equal shares on; in the end all of the weight lies there."""
    method, step = prepared(make_workbench, step_size=0.5), make_step([0, 1, 2], [1.0, 3.0, 2.0])
    worst = [method.example_weights(step)[1].item() for _ in range(60)]
    assert 1 < worst[0] < 1.8
    assert worst == sorted(worst)
    assert worst[-1] == pytest.approx(3, rel=1e-6)


def test_draws_classes_equally_often(workbench: Any) -> None:
    method = GroupDro()
    method.prepare(workbench.problem(method))
    targets = workbench.batch(torch.arange(40)).targets
    weights = method.sampling_weights(0)
    shares = torch.zeros(CLASSES, dtype=weights.dtype).index_add(0, targets, weights) / weights.sum()
    assert shares.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert all(weights[targets == number].unique().numel() == 1 for number in range(CLASSES))


@pytest.mark.parametrize("step_size", [-0.1, math.nan])
def test_impossible_step_size_is_refused(step_size: float) -> None:
    with pytest.raises(ValueError, match=r"step_size is .* at least 0"):
        GroupDro(step_size=step_size)
