"""Checks of the contract that train a method for a few epochs on digits with noise and imbalance."""

from pathlib import Path
from tempfile import TemporaryDirectory

from reweightbench.benchmark.cells.cell import Budget, Cell
from reweightbench.benchmark.conformance.rehearsal import count_epochs
from reweightbench.benchmark.conformance.requirements import require
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.registry import DATASETS, IMBALANCES, METHODS, NETWORKS, NOISES
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.training.checkpoint import Checkpoints, resume
from reweightbench.benchmark.training.preparation import prepare
from reweightbench.benchmark.training.run import run_cell, run_outcome

RATE = 0.05


def a_short_training_ends_well_and_repeats_exactly(label: str) -> None:
    """Two runs of one cell are equal to the last bit, and better than guessing."""
    cell = _make_cell(label, 5)
    first, second = run_cell(cell).result, run_cell(cell).result
    assert first is not None
    require(
        first == second,
        "two runs of one cell differ; draw from problem.generator and keep state in fields, not in the module",
    )
    # Ten classes, and a third of the targets wrong.
    score = first.tested.balanced_accuracy
    require(
        score > 0.15,
        f"balanced accuracy is {score:.2f} after {cell.budget.epoch_count} epochs at a learning "
        f"rate of {RATE}, no better than guessing",
    )


def a_training_goes_on_from_a_checkpoint(label: str) -> None:
    """A run that goes on from a checkpoint ends with the bits of one that was not interrupted."""
    cell = _make_cell(label, 3)
    with TemporaryDirectory() as folder:
        # Written once, after all epochs but the last.
        checkpoints = Checkpoints(Path(folder), every=cell.budget.epoch_count - 1)
        results = [run_outcome(cell, Sources(), checkpoints).record.result for _ in range(2)]
        training = prepare(cell, make_cell_data(cell, load(cell.dataset, Sources())), Sources()).start()
        resume(checkpoints.path(cell.key), training)
    require(training.epochs_done == checkpoints.every, "the checkpoint cannot be read again")
    require(
        results[0] == results[1],
        "a run that goes on from a checkpoint ends elsewhere; keep state in attributes of the method, or define "
        "state_dict and load_state_dict",
    )


def _make_cell(label: str, least: int) -> Cell:
    return Cell(
        dataset=DATASETS.spec(DATASETS.create("digits")),
        variant="embedded",
        imbalance=IMBALANCES.spec(IMBALANCES.create("longtail(factor=2)")),
        noise=NOISES.spec(NOISES.create("uniform(rate=0.3)")),
        clean_size=50,
        model=NETWORKS.spec(NETWORKS.create("small_cnn")),
        method=METHODS.spec(METHODS.create(label)),
        budget=Budget(epochs=count_epochs(METHODS.create(label), least), learning_rate=RATE),
        seed=3,
    )
