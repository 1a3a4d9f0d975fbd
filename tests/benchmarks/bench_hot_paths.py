"""The suite's own hot paths: a step of each method, augmentation, the start of a worker."""

import os
from typing import Any

import pytest
import torch

from reweightbench.benchmark.contracts.dataset import AugmentationName
from reweightbench.benchmark.contracts.method import Stage
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.data.augmentation import augment
from reweightbench.benchmark.grid.local import run_alone

STEPS = 10


@pytest.mark.parametrize("label", METHODS.classes)
def test_ten_steps_of_a_method(label: str, benchmark: Any, make_training: Any) -> None:
    training = make_training(METHODS.create(label), "small_cnn")
    stage = training.method.stages()[0]
    training.enter(stage)
    rates = [0.01] * STEPS
    benchmark(training.run_epoch, 0, stage, rates)


def test_ten_steps_on_the_head_alone(benchmark: Any, make_training: Any) -> None:
    training = make_training(METHODS.create("sgd"), "small_cnn")
    stage = Stage(trainable="head")
    training.enter(stage)
    benchmark(training.run_epoch, 0, stage, [0.01] * STEPS)


@pytest.mark.parametrize(("name", "size"), [("crop_flip", 32), ("lesion", 64)])
def test_augmentation_of_a_batch(name: AugmentationName, size: int, benchmark: Any) -> None:
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(256, (100, 3, size, size), generator=stream, dtype=torch.uint8)
    benchmark(augment, images, name, torch.full((3,), 0.5), torch.full((3,), 0.25), stream)


def test_start_of_a_worker(benchmark: Any) -> None:
    run_alone(os.getpid, threads=1)
    benchmark.pedantic(run_alone, args=(os.getpid,), kwargs={"threads": 1}, rounds=5)
