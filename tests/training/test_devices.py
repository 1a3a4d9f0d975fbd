"""Whole cells on a pretended device: nothing mixes devices, and a step never waits for the device."""

import pytest
import torch

from made_up import digits_cell
from reweightbench.benchmark.conformance.devices import PRETENDED, PretendedDevice
from reweightbench.benchmark.contracts.dataset import AugmentationName, Sources
from reweightbench.benchmark.contracts.registry import NETWORKS
from reweightbench.benchmark.data.augmentation import augment
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.networks.classifier import build_classifier
from reweightbench.benchmark.training.preparation import Prepared, prepare
from reweightbench.benchmark.training.run import run_cell


def prepare_cell(label: str) -> Prepared:
    cell = digits_cell(label, epochs=10, clean_size=50).model_copy(update={"device": PRETENDED})
    return prepare(cell, make_cell_data(cell, load(cell.dataset, Sources())), Sources())


def count_waits(label: str, steps: int) -> int:
    """How often an epoch of so many steps waits."""
    with PretendedDevice() as device:
        training = prepare_cell(label).start()
        stage = training.method.stages()[-1]
        training.enter(stage)
        before = len(device.waits)
        training.run_epoch(9, stage, [0.1] * steps)
        return len(device.waits) - before


# Controls' pools, sampling, another head, two networks, own random numbers, and the clean set's streams.
@pytest.mark.parametrize(
    "label",
    ["fine_tune", "weighted_sampler", "crt", "co_teaching", "mixup", "random_weights", "meta_reweight"],
)
def test_an_epoch_waits_equally_often_whatever_its_steps(label: str) -> None:
    assert count_waits(label, 6) == count_waits(label, 2) > 0


def test_a_cell_comes_to_its_record() -> None:
    cell = digits_cell("sgd", epochs=2, clean_size=50).model_copy(update={"device": PRETENDED})
    with PretendedDevice():
        assert run_cell(cell).status == "ok"


@pytest.mark.parametrize("name", ["none", "crop_flip", "lesion"])
def test_augmentation_does_not_wait(name: AugmentationName) -> None:
    images = torch.zeros(6, 3, 16, 16, dtype=torch.uint8, device=PRETENDED)
    statistics = torch.ones(3, device=PRETENDED)
    with PretendedDevice() as device:
        augmented = augment(images, name, statistics, statistics, torch.Generator())
    assert augmented.device.type == PRETENDED
    assert device.waits == []


@pytest.mark.parametrize("name", NETWORKS.classes)
def test_networks_make_nothing_elsewhere(name: str) -> None:
    network = NETWORKS.create(name)
    model = build_classifier(network, channels=3, classes=4, body_seed=1, head_seed=2, sources=Sources())
    model.to(PRETENDED)
    images = torch.zeros(4, 3, *((8, 8) if name == "small_cnn" else (32, 32)), device=PRETENDED)
    with PretendedDevice() as device:
        model(images).sum().backward()
    assert device.waits == []
