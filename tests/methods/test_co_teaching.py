"""Co-teaching: two networks, each against a loop over the examples that the other one chooses."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.methods.co_teaching import CoTeaching
from reweightbench.methods.sgd import Sgd

SIZE = 16
COUNTS = {0: 14, 1: 12, 2: 10, 3: 8, 7: 8}
"""Examples to keep by epoch, with half of the targets wrong and a ramp of four epochs."""

quick = settings(max_examples=50, deadline=None, derandomize=True)
seeds, epochs = st.integers(0, 10_000), st.sampled_from(sorted(COUNTS))


def started(workbench: Any, epoch: int, noise_rate: float = 0.5) -> CoTeaching:
    method = CoTeaching(ramp_epochs=4)
    problem = workbench.problem(method)
    method.prepare(replace(problem, knowledge=replace(problem.knowledge, noise_rate=noise_rate)))
    method.start_epoch(epoch)
    return method


def draw(seed: int) -> tuple[Tensor, Batch]:
    """Logits `(b, 2, 3)` and their batch."""
    stream = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(SIZE, 2, 3, generator=stream, dtype=torch.float64)
    targets = torch.randint(3, (SIZE,), generator=stream)
    return logits.requires_grad_(), Batch(torch.arange(SIZE), torch.zeros(SIZE, 1, 1, 1), targets)


def weigh(method: CoTeaching, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    losses = method.example_losses(logits, batch)
    step = Step(0, batch, logits.detach(), torch.zeros(SIZE, 2, 2), losses.detach(), learning_rate=0.1)
    return losses, method.example_weights(step)


def softmax(logits: list[float]) -> list[float]:
    total = sum(math.exp(value) for value in logits)
    return [math.exp(value) / total for value in logits]


def loop(logits: list[Any], targets: list[int], count: int) -> tuple[float, list[list[list[float]]]]:
    """The sum of both mean losses, each over the other network's easiest, and its gradient `(b, 2, c)`."""
    losses = [[-math.log(softmax(row)[y]) for row in pair] for pair, y in zip(logits, targets, strict=True)]
    total, gradient = 0.0, [[[0.0] * 3, [0.0] * 3] for _ in logits]
    for learner, teacher in ((0, 1), (1, 0)):
        chosen = sorted(range(len(logits)), key=lambda place: losses[place][teacher])[:count]
        for place in chosen:
            total += losses[place][learner] / count
            p, y = softmax(logits[place][learner]), targets[place]
            gradient[place][learner] = [(value - (index == y)) / count for index, value in enumerate(p)]
    return total, gradient


def test_the_default_is_the_papers() -> None:
    assert CoTeaching() == CoTeaching(ramp_epochs=10)


def test_trains_two_networks_with_weights_of_their_own(workbench: Any) -> None:
    """The first is the one that other methods train."""
    batch = workbench.batch(torch.arange(12))
    single = workbench.problem(Sgd()).model(batch.inputs)
    logits = workbench.problem(CoTeaching()).model(batch.inputs)
    assert logits.shape == (12, 2, 3)
    assert torch.equal(logits[:, 0], single)
    assert not torch.isclose(logits[:, 1], single).any(0).all()


@quick
@given(seeds, epochs)
def test_objective_and_gradient_equal_a_loop(
    make_workbench: Callable[..., Any], seed: int, epoch: int
) -> None:
    logits, batch = draw(seed)
    losses, weights = weigh(started(make_workbench(), epoch), logits, batch)
    objective = (weights * losses).mean()
    objective.backward()
    expected, gradient = loop(logits.tolist(), batch.targets.tolist(), COUNTS[epoch])
    assert objective.item() == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(logits.grad, torch.tensor(gradient, dtype=torch.float64))
    assert weights.mean().item() == pytest.approx(1, rel=1e-9)


@quick
@given(seeds)
def test_a_network_has_no_say_in_what_it_learns_from(make_workbench: Callable[..., Any], seed: int) -> None:
    method = started(make_workbench(), epoch=3)
    logits, batch = draw(seed)
    elsewhere = torch.stack([draw(seed + 1)[0][:, 0], logits[:, 1]], 1)
    learns_from = []
    for point in (logits.detach(), elsewhere.detach()):
        point.requires_grad_()
        losses, weights = weigh(method, point, batch)
        (weights * losses).mean().backward()
        learns_from.append(point.grad[:, 0].any(1))
    assert torch.equal(*learns_from)
    assert learns_from[0].sum() == COUNTS[3]


@quick
@given(seeds, epochs)
def test_without_noise_both_learn_from_everything(
    make_workbench: Callable[..., Any], seed: int, epoch: int
) -> None:
    logits, batch = draw(seed)
    losses, weights = weigh(started(make_workbench(), epoch, noise_rate=0), logits, batch)
    expected, _ = loop(logits.tolist(), batch.targets.tolist(), SIZE)
    assert weights.tolist() == [1] * SIZE
    assert losses.mean().item() == pytest.approx(expected, rel=1e-9)


@quick
@given(seeds)
def test_evaluation_averages_the_probabilities(seed: int) -> None:
    logits, _ = draw(seed)
    found = CoTeaching().adjust_logits(logits).softmax(1)
    for pair, probabilities in zip(logits.tolist(), found.tolist(), strict=True):
        first, second = (softmax(row) for row in pair)
        expected = [(one + other) / 2 for one, other in zip(first, second, strict=True)]
        assert probabilities == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("ramp_epochs", [0, -1])
def test_impossible_ramp_is_refused(ramp_epochs: int) -> None:
    with pytest.raises(ValueError, match=r"ramp_epochs is .* at least 1"):
        CoTeaching(ramp_epochs=ramp_epochs)
