"""One cell from its description to its record: what trials and corrupted validation parts change."""

import numpy as np
import pytest

from made_up import digits_cell
from reweightbench.benchmark.cells.cell import Budget, Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.registry import NOISES
from reweightbench.benchmark.records.record import Outcome, Record, Result
from reweightbench.benchmark.training.run import run_outcome

NOISE = NOISES.spec(NOISES.create("uniform(rate=0.3)"))


def run(cell: Cell) -> tuple[Outcome, Result]:
    outcome = run_outcome(cell, Sources())
    assert outcome.record.result is not None
    return outcome, outcome.record.result


@pytest.fixture(scope="module")
def cell() -> Cell:
    return digits_cell("sgd", epochs=3, clean_size=50, noise=NOISE, corrupted_validation_fraction=0.1)


def test_a_trial_trains_as_the_table_does_and_is_not_tested(cell: Cell) -> None:
    table, trained = run(cell)
    trial, tried = run(cell.model_copy(update={"purpose": "trial"}))
    assert (tried.last, tried.best, tried.corrupted_best) == (None, None, None)
    assert trial.arrays == {}
    assert tried.weights_sha256 == trained.weights_sha256
    assert tried.curves == trained.curves
    assert trial.record.key != table.record.key
    with pytest.raises(ValueError, match="if and only if its cell is no trial"):
        Record.model_validate(trial.record.model_dump() | {"result": trained.model_dump()})


def test_the_corrupted_validation_part_is_scored_on_observed_classes(cell: Cell) -> None:
    outcome, result = run(cell)
    curve = result.curves.corrupted_validation_balanced_accuracy
    assert len(curve) == 3
    assert result.corrupted_validation_balanced_accuracy == pytest.approx(curve[-1], abs=1e-5)
    assert result.corrupted_best_epoch == curve.index(max(curve))
    held = outcome.arrays["corrupted_validation"]
    assert result.sizes["corrupted_validation"] == len(held)
    parts = [set(outcome.arrays[name].tolist()) for name in ("test", "validation", "clean")]
    assert not set(held.tolist()) & set.union(*parts)
    # Three tenths of its targets are wrong, which no good model agrees with.
    assert result.corrupted_validation_balanced_accuracy < result.validation_balanced_accuracy


def test_without_a_corrupted_validation_part_nothing_speaks_of_it(cell: Cell) -> None:
    outcome, result = run(cell.model_copy(update={"corrupted_validation_fraction": 0.0}))
    assert result.corrupted_validation_balanced_accuracy is None
    assert (result.corrupted_best, result.corrupted_best_epoch) == (None, None)
    assert "corrupted_validation" not in outcome.arrays
    assert result.curves.corrupted_validation_balanced_accuracy == []


def test_a_budget_in_steps_takes_them_in_every_setting() -> None:
    budget = Budget(steps=37, learning_rate=0.05)
    for noise in (None, NOISE):
        _, result = run(digits_cell("sgd", epochs=1, clean_size=50, noise=noise, budget=budget))
        assert result.steps == 37
        assert len(result.curves.train_loss) == 30
    rates = result.curves.learning_rate
    assert np.all(np.diff(rates) < 0)
