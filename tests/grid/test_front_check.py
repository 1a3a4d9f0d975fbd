"""What cannot run is named before the first cell, and what can leaves no trace."""

from pathlib import Path

import numpy as np
import pytest
import torch

from reweightbench.benchmark.cells.plan import Planned, plan_cells
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.cells.suite_file import parse_suite
from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.grid.front_check import check_model, check_steps, try_steps
from reweightbench.benchmark.grid.planning import check_methods, plan_on_data

TEXT = """
name = "small"
title = "A small grid"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0]
methods = ["sgd", "meta_reweight", "crt", "co_teaching", "mixup", "fine_tune"]
corruptions = [{}, { imbalance = "longtail(factor=10)", noise = "uniform(rate=0.4)" }]

[[budgets]]
name = "brief"
epochs = 10
learning_rate = 0.05
"""


def make_suite(old: str = "", new: str = "") -> Suite:
    assert old in TEXT
    return parse_suite(TEXT.replace(old, new, 1), "small.toml")


def make_images(size: int, channels: int = 1) -> ImageData:
    return ImageData(
        images=np.zeros((1, size, size, channels), dtype=np.uint8),
        targets=np.zeros(1, dtype=np.int64),
        variant="embedded",
        fingerprint="",
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
    )


def plan(suite: Suite) -> list[Planned]:
    return plan_cells(suite, "embedded", "cpu")


@pytest.mark.parametrize("size", [4, 16, 32])
def test_a_model_that_does_not_take_the_images_is_named_with_those_that_do(size: int) -> None:
    with pytest.raises(UsageError) as caught:
        check_model(make_suite(), make_images(size))
    said = str(caught.value)
    assert f"model small_cnn does not take the images of dataset digits, {size}x{size} pixels" in said
    assert "it takes 8x8;" in said
    fitting = said.partition("models that take them: ")[2].split(", ")
    assert {"resnet8", "resnet20", "resnet32"} <= set(fitting)
    assert "small_cnn" not in fitting


@pytest.mark.parametrize("model", ["small_cnn", "resnet8", "resnet18(stem=cifar)"])
def test_a_model_that_takes_the_images_passes(model: str) -> None:
    check_model(make_suite("small_cnn", model), make_images(8))


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            '"meta_reweight"',
            '"meta_reweight(clean_batch_size=1)"',
            ("method meta_reweight(clean_batch_size=1) cannot train model small_cnn", "more than 1 value"),
        ),
        (
            "learning_rate = 0.05",
            "learning_rate = 0.05\nnesterov = true\nmomentum = 0.0",
            ("budget 'brief'", "Nesterov"),
        ),
    ],
)
def test_a_step_that_fails_is_named(old: str, new: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        check_steps(plan(make_suite(old, new)), make_images(8), Sources())
    for part in parts:
        assert part in str(caught.value)


def test_a_method_of_a_users_file_is_left_to_its_cells() -> None:
    failing = plan(make_suite('"meta_reweight"', '"meta_reweight(clean_batch_size=1)"'))
    check_steps(failing, make_images(8), Sources(method_files={"meta_reweight": Path("mine.py")}))


def test_steps_leave_the_random_streams_alone() -> None:
    suite = make_suite()
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    check_model(suite, make_images(8))
    check_steps(plan(make_suite("0.05", "0.06")), make_images(8), Sources())
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == legacy  # noqa: NPY002


def test_steps_are_tried_until_their_time_is_over() -> None:
    cells = [found.cell for found in plan(make_suite())]
    assert try_steps(cells, (8, 8, 1), 300.0) == [""] * len(cells)
    assert try_steps(cells, (8, 8, 1), -1.0) == []


@pytest.mark.parametrize(("epochs", "method"), [(1, "crt"), (2, "fine_tune")])
def test_a_method_whose_stages_do_not_fit_the_budget_is_named(epochs: int, method: str) -> None:
    methods = f'["sgd", "mixup", "{method}"]'
    suite = parse_suite(
        TEXT.replace("epochs = 10", f"epochs = {epochs}").replace(
            '["sgd", "meta_reweight", "crt", "co_teaching", "mixup", "fine_tune"]', methods
        ),
        "small.toml",
    )
    with pytest.raises(UsageError, match=f"method '{method}': {epochs} epochs cannot be divided .*'brief'"):
        check_methods(plan(suite))


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            "epochs = 10",
            "epochs = 10\nbatch_size = 5000",
            ("batch_size 5000", "training examples", "at most"),
        ),
        ("factor=10", "factor=500", ("longtail(factor=500) leaves class '7'", "seed 0", "dataset digits")),
        ("[50]", "[3000]", ("class '", "at most", "clean set 3000")),
    ],
)
def test_a_setting_that_cannot_be_made_is_named(old: str, new: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        plan_on_data(make_suite(old, new), Sources(), "cpu")
    for part in parts:
        assert part in str(caught.value)
