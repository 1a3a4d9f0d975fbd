"""The training loop beside a bare PyTorch loop that does the same work on the same kind of batches."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reweightbench.benchmark.contracts.method import Stage
from reweightbench.benchmark.data.augmentation import augment
from reweightbench.benchmark.training.loop import Training
from reweightbench.methods.sgd import Sgd

RATE = 0.01
SIZES = {"resnet20": (1, 100), "small_cnn": (20, 600)}
"""Steps of a window, and rounds, by network."""

MOST = {"resnet20": 1.03, "small_cnn": 1.2}
"""What the harness may take of the bare loop's time."""


def harness_window(training: Training, steps: int) -> Callable[[], float]:
    """Seconds of some steps, everything that happens once an epoch included."""
    stage = Stage()
    training.enter(stage)

    def run() -> float:
        started = time.perf_counter()
        training.run_epoch(0, stage, [RATE] * steps)
        return time.perf_counter() - started

    return run


def bare_window(training: Training, steps: int) -> Callable[[], float]:
    """Seconds of as many steps of a loop without any of the engine's parts but the augmentation."""
    examples, inputs, model = training.examples, training.inputs, training.problem.model
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    stream = torch.Generator().manual_seed(0)
    model.train()

    def run() -> float:
        started = time.perf_counter()
        permutation = torch.randperm(len(examples.is_mislabelled), generator=stream)
        order = permutation.repeat(1 + steps * 100 // len(permutation))
        for index in order[: steps * 100].split(100):
            images = augment(examples.images[index], inputs.augmentation, inputs.mean, inputs.std, stream)
            logits = model(images.contiguous(memory_format=inputs.memory_format))
            loss = F.cross_entropy(logits, examples.targets[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return time.perf_counter() - started

    return run


@pytest.mark.parametrize("network", SIZES)
def test_harness_against_a_bare_loop(
    network: str, make_training: Any, compare: Any, is_measuring: bool
) -> None:
    torch.set_num_threads(1)
    steps, rounds = SIZES[network] if is_measuring else (1, 2)
    windows = {
        "harness": harness_window(make_training(Sgd(), network, torch.channels_last), steps),
        "bare loop": bare_window(make_training(Sgd(), network, torch.channels_last), steps),
    }
    for window in windows.values():
        window()
    ratio = compare(windows, "bare loop", rounds)["harness"]
    assert not is_measuring or ratio.value <= MOST[network]
