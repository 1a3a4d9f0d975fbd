"""Meta-reweighting beside the same algorithm on `higher`, which differentiates through a copied model.

`pip install higher` (or `.[bench]`) makes it run.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reweightbench.benchmark.contracts.method import Stage
from reweightbench.benchmark.training.loop import Training
from reweightbench.methods.meta_reweight import MetaReweight
from reweightbench.methods.sgd import Sgd

RATE = 0.01
CLEAN_BATCH = 100
LEAST = {"finite_difference": 2.0, "exact": 1.5}
"""How many times faster than `higher` a step must be, each in its fastest memory format and both in the same."""

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def higher_window(training: Training, steps: int, higher: Any) -> Callable[[], float]:
    """Seconds of as many steps on the same examples, after one of warm-up."""
    training.enter(Stage())
    optimizer, order = training.optimizer, training.order
    model, stream = training.problem.model, torch.Generator().manual_seed(0)
    look_ahead = torch.optim.SGD(model.parameters(), lr=RATE)
    model.train()

    def step() -> None:
        batch = training.inputs.make_batch(training.examples, order.take(100), stream)
        clean = training.problem.clean_batch(CLEAN_BATCH)
        with higher.innerloop_ctx(model, look_ahead) as (copied, differentiable):
            epsilon = torch.zeros(100, requires_grad=True)
            losses = F.cross_entropy(copied(batch.inputs), batch.targets, reduction="none")
            differentiable.step((epsilon * losses).sum())
            clean_loss = F.cross_entropy(copied(clean.inputs), clean.targets)
            (gradient,) = torch.autograd.grad(clean_loss, epsilon)
        weights = (-gradient).relu()
        weights = weights / weights.sum().clamp_min(1e-12)
        losses = F.cross_entropy(model(batch.inputs), batch.targets, reduction="none")
        optimizer.zero_grad()
        (weights * losses).sum().backward()
        optimizer.step()

    def run() -> float:
        step()
        started = time.perf_counter()
        for _ in range(steps):
            step()
        return time.perf_counter() - started

    return run


# `higher` asks torch for what is deprecated by now.
@pytest.mark.filterwarnings("ignore")
def test_steps_against_higher(make_training: Any, make_window: Any, compare: Any, is_measuring: bool) -> None:
    higher = pytest.importorskip("higher")
    torch.set_num_threads(2)
    network, steps = ("resnet20", 2) if is_measuring else ("small_cnn", 1)
    windows = {}
    for name, memory_format in FORMATS.items():
        for way in LEAST:
            method = MetaReweight(gradient=way, clean_batch_size=CLEAN_BATCH)
            windows[f"{way}, {name}"] = make_window(
                make_training(method, network, memory_format), steps, warm_up=1
            )
        peer = make_training(MetaReweight(), network, memory_format)
        windows[f"higher, {name}"] = higher_window(peer, steps, higher)
        windows[f"sgd, {name}"] = make_window(make_training(Sgd(), network, memory_format), steps, warm_up=1)
    ratios = {label: ratio.value for label, ratio in compare(windows, "sgd, channels_last", 20).items()}
    torch.set_num_threads(1)
    if not is_measuring:
        return

    def fastest(name: str) -> float:
        return min(ratios[f"{name}, {memory_format}"] for memory_format in FORMATS)

    for way, factor in LEAST.items():
        assert fastest("higher") >= factor * fastest(way)
        for name in FORMATS:
            assert ratios[f"higher, {name}"] >= factor * ratios[f"{way}, {name}"]
