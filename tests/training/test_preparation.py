"""A cell made ready to train: which networks a method is given."""

from typing import Any

import pytest
import torch

from made_up import digits_cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.training.preparation import prepare


def build(label: str, **fields: Any) -> Classifier:
    cell = digits_cell(label, epochs=5, clean_size=100, **fields)
    return prepare(cell, make_cell_data(cell, load(cell.dataset, Sources())), Sources()).model


@pytest.mark.parametrize(
    "label", [name for name, cls in METHODS.classes.items() if "two_networks" in cls.needs]
)
def test_the_second_network_starts_elsewhere_and_the_first_where_all_methods_start(label: str) -> None:
    twin, single = build(label), build("sgd")
    batch = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    first, second = twin(batch).unbind(1)
    assert torch.equal(first, single(batch))
    assert not torch.allclose(first, second, atol=0.01)


def test_networks_depend_on_the_seed() -> None:
    assert torch.equal(build("sgd").head.weight, build("sgd").head.weight)
    assert not torch.equal(build("sgd").head.weight, build("sgd", seed=1).head.weight)
