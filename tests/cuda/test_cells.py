"""Whole cells on a GPU: equal to the last bit where asked, near the CPU's, in every arithmetic."""

import time
from pathlib import Path
from typing import Any

import pytest

from made_up import STATEFUL, digits_cell
from reweightbench.benchmark.cells.cell import Cell, Numerics
from reweightbench.benchmark.conformance.promises import list_forms
from reweightbench.benchmark.conformance.rehearsal import count_epochs
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.registry import IMBALANCES, METHODS, NETWORKS, NOISES
from reweightbench.benchmark.grid.local import Workers, run_cells
from reweightbench.benchmark.records.record import Outcome, Record
from reweightbench.benchmark.training.checkpoint import Checkpoints
from reweightbench.benchmark.training.run import run_cell, run_outcome

FORMS = [label for name in METHODS.classes for label in list_forms(name)]

HOARDS = '''
"""Asks for more memory than there is."""
from dataclasses import dataclass
from typing import ClassVar
import torch
from reweightbench import Method

@dataclass
class Hoards(Method):
    """None."""
    paper: ClassVar[str] = "none"

    def prepare(self, problem):
        self.hoard = torch.ones(2**46, device=next(problem.model.parameters()).device)
'''


def make_cell(label: str, device: str, *, least: int = 2, **fields: Any) -> Cell:
    """A short cell on a small part of the digits, with a long tail and wrong targets."""
    values = {
        "imbalance": IMBALANCES.spec(IMBALANCES.create("longtail(factor=20)")),
        "noise": NOISES.spec(NOISES.create("uniform(rate=0.3)")),
        "device": device,
    }
    epochs = count_epochs(METHODS.create(label), least)
    return digits_cell(label, epochs=epochs, clean_size=50, **(values | fields))


def run(cell: Cell) -> Record:
    record = run_cell(cell)
    assert record.status == "ok", record.reason
    return record


@pytest.mark.parametrize("label", FORMS)
def test_deterministic_cells_repeat_to_the_last_bit(label: str, device: str) -> None:
    cell = make_cell(label, device, numerics=Numerics(deterministic=True))
    assert run(cell).result == run(cell).result


@pytest.mark.parametrize("network", ["resnet8", "resnet18(stem=cifar)", "resnet18"])
def test_networks_are_deterministic_too(network: str, device: str) -> None:
    model = NETWORKS.spec(NETWORKS.create(network))
    cell = make_cell("sgd", device, least=1, model=model, numerics=Numerics(deterministic=True))
    assert run(cell).result == run(cell).result


@pytest.mark.parametrize("label", STATEFUL)
def test_a_cell_goes_on_from_its_checkpoint_to_the_same_bits(label: str, device: str, tmp_path: Path) -> None:
    cell = make_cell(label, device, least=3, numerics=Numerics(deterministic=True))
    checkpoints = Checkpoints(tmp_path, every=cell.budget.epochs - 1)
    whole = run_outcome(cell, Sources(), checkpoints)
    written = checkpoints.path(cell.key).stat().st_mtime_ns
    resumed = run_outcome(cell, Sources(), checkpoints)
    assert checkpoints.path(cell.key).stat().st_mtime_ns == written
    assert resumed.record.result == whole.record.result


@pytest.mark.parametrize("label", ["sgd", "meta_reweight", "weighted_sampler"])
def test_a_cell_is_like_the_cpus(label: str, device: str, measured: dict[str, Any]) -> None:
    fields = {"imbalance": None, "least": 6}
    here, there = (run_outcome(make_cell(label, place, **fields), Sources()) for place in ("cpu", device))
    first, second = here.record.result, there.record.result
    assert first is not None
    assert second is not None
    assert (second.fingerprint, second.sizes, second.realised) == (
        first.fingerprint,
        first.sizes,
        first.realised,
    )
    for name in ("test", "validation", "clean"):
        assert (here.arrays[name] == there.arrays[name]).all()
    accuracies = [result.last.balanced_accuracy for result in (first, second)]
    assert accuracies[0] > 0.5
    assert accuracies[1] == pytest.approx(accuracies[0], abs=0.08)
    assert second.curves.train_loss[0] == pytest.approx(first.curves.train_loss[0], rel=0.02)
    assert there.record.cost is not None
    assert there.record.cost.peak_memory_bytes > 0
    measured.setdefault("balanced accuracy on the CPU and here", {})[label] = accuracies
    measured.setdefault("seconds of training and of the whole cell", {})[label] = (
        there.record.cost.train_seconds,
        there.record.cost.total_seconds,
    )


@pytest.mark.parametrize("label", ["sgd", "meta_reweight", "meta_reweight(gradient=finite_difference)"])
@pytest.mark.parametrize("numerics", [{"precision": "bfloat16"}, {"memory_format": "channels_last"}], ids=str)
def test_faster_arithmetic_trains_as_well(
    numerics: dict[str, Any], label: str, device: str, measured: dict[str, Any]
) -> None:
    fields = {"imbalance": None, "least": 6}
    plain, other = (
        run(make_cell(label, device, numerics=Numerics(**chosen), **fields)).result
        for chosen in ({}, numerics)
    )
    assert plain is not None
    assert other is not None
    measured.setdefault(f"balanced accuracy without and with {numerics}", {})[label] = (
        plain.last.balanced_accuracy,
        other.last.balanced_accuracy,
    )
    assert other.last.balanced_accuracy > plain.last.balanced_accuracy - 0.1


def test_running_out_of_memory_costs_only_its_cell(device: str, tmp_path: Path) -> None:
    path = tmp_path / "hoards.py"
    path.write_text(HOARDS)
    METHODS.add_file(path)
    cells = [make_cell(label, device) for label in ("hoards", "sgd")]
    statuses = {}

    def finish(outcome: Outcome, seconds: float) -> None:
        statuses[outcome.record.cell.method.name] = (outcome.record.status, outcome.record.reason)

    run_cells(cells, Sources(method_files=(path,)), Workers(jobs=1), finish)
    assert {name: status for name, (status, _) in statuses.items()} == {"hoards": "oom", "sgd": "ok"}, (
        statuses
    )


def test_steps_of_a_larger_network_are_measured(device: str, measured: dict[str, Any]) -> None:
    """Not a promise: seconds of an epoch of ResNet-8 in each arithmetic, the second run of each."""
    model = NETWORKS.spec(NETWORKS.create("resnet8"))
    for name, numerics in {
        "float32": {},
        "deterministic": {"deterministic": True},
        "bfloat16, channels_last": {"precision": "bfloat16", "memory_format": "channels_last"},
    }.items():
        cell = make_cell("sgd", device, least=1, model=model, numerics=Numerics(**numerics))
        for _ in range(2):
            started = time.perf_counter()
            record = run(cell)
        assert record.cost is not None
        measured.setdefault("seconds of ResNet-8: training, cell", {})[name] = (
            record.cost.train_seconds,
            time.perf_counter() - started,
        )
