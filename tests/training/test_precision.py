"""Mixed precision: only the forward passes of training and evaluation, never what methods derive."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
import torch

from made_up import digits_cell
from reweightbench.benchmark.cells.cell import Cell, Numerics
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.method import Method, Step
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.training.preparation import Prepared, prepare
from reweightbench.benchmark.training.run import run_cell


def make_cell(label: str, **numerics: Any) -> Cell:
    """A short cell on digits."""
    return digits_cell(label, epochs=4, clean_size=50, numerics=Numerics(**numerics))


def prepare_cell(cell: Cell) -> Prepared:
    return prepare(cell, make_cell_data(cell, load(cell.dataset, Sources())), Sources())


@dataclass
class Witness(Method):
    """Notes the first step of a run and its losses computed again."""

    paper: ClassVar[str] = "none"

    step: Step | None = field(init=False, default=None)
    again: torch.Tensor | None = field(init=False, default=None)

    def prepare(self, problem: Any) -> None:
        self.problem = problem

    def example_weights(self, step: Step) -> torch.Tensor:
        if self.step is None:
            parameters = dict(self.problem.model.named_parameters())
            self.step, self.again = step, self.problem.losses_at(parameters, step.batch)
        return super().example_weights(step)


@pytest.mark.parametrize("label", ["sgd", "meta_reweight", "meta_reweight(gradient=finite_difference)"])
def test_mixed_precision_trains_about_as_well(label: str) -> None:
    full, mixed = (run_cell(make_cell(label, precision=name)) for name in ("float32", "bfloat16"))
    assert mixed.status == "ok"
    assert mixed.key != full.key
    assert mixed.result is not None
    assert full.result is not None
    assert mixed.result.weights_sha256 != full.result.weights_sha256
    assert mixed.result.last.balanced_accuracy > full.result.last.balanced_accuracy - 0.1
    assert full.result.last.balanced_accuracy > 0.5


def test_a_step_is_coarse_and_other_points_are_not() -> None:
    witness = Witness()
    prepared = prepare_cell(make_cell("sgd", precision="bfloat16"))
    prepared = dataclasses.replace(prepared, method=witness)
    next(prepared.start().run())
    assert witness.step is not None
    assert witness.again is not None
    for values in (witness.step.logits, witness.step.features, witness.step.losses, witness.again):
        assert values.dtype == torch.float32
    # The step's logits hold bfloat16's eight digits, the losses computed again all of float32's.
    assert torch.equal(witness.step.logits, witness.step.logits.bfloat16().float())
    assert not torch.equal(witness.step.losses, witness.again)
    torch.testing.assert_close(witness.step.losses, witness.again.detach(), rtol=0.05, atol=0.05)


def test_full_precision_is_the_same_at_another_call() -> None:
    witness = Witness()
    prepared = dataclasses.replace(prepare_cell(make_cell("sgd")), method=witness)
    next(prepared.start().run())
    assert witness.step is not None
    assert witness.again is not None
    assert torch.equal(witness.step.losses, witness.again.detach())
