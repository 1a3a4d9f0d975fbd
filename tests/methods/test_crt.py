"""Classifier re-training: its two stages, what each of them draws, and what each of them trains."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reweightbench.benchmark.cells.cell import Budget
from reweightbench.benchmark.contracts.method import Stage
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.benchmark.contracts.seeding import seeded
from reweightbench.benchmark.training.examples import Examples, Inputs
from reweightbench.benchmark.training.loop import Training
from reweightbench.methods.crt import Crt

EPOCHS = 10


@dataclass
class Watching(Crt):
    """Notes which examples each epoch trains on."""

    places: list[list[int]] = field(default_factory=list)

    def start_epoch(self, epoch: int) -> None:
        self.places.append([])

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        self.places[-1] += batch.index.tolist()
        return super().example_losses(logits, batch)


def train(workbench: Any) -> tuple[list[list[int]], list[dict[str, Tensor]]]:
    """Places of the examples that each epoch uses, and the model after it; learning is almost at rest."""
    method = Watching()
    problem = workbench.problem(method)
    method.prepare(problem)
    stream = torch.Generator().manual_seed(0)
    training = Training(
        method=method,
        problem=problem,
        examples=Examples(
            images=torch.randint(256, (40, 1, 8, 8), generator=stream).to(torch.uint8),
            targets=problem.targets,
            is_mislabelled=torch.zeros(40, dtype=torch.bool),
        ),
        inputs=Inputs(torch.tensor([0.5]), torch.tensor([0.25]), "none", torch.contiguous_format),
        budget=Budget(epochs=EPOCHS, batch_size=10, learning_rate=1e-5),
        streams={
            "order": torch.Generator().manual_seed(1),
            "augmentation": torch.Generator().manual_seed(2),
        },
        head_seed=0,
    )
    models = []
    for _ in training.run():
        models.append({name: value.clone() for name, value in problem.model.state_dict().items()})
    return method.places, models


def test_the_last_stage_trains_a_fresh_head_alone() -> None:
    first, last = Crt(head_share=0.25).stages()
    assert first == Stage(share=0.75)
    assert last == Stage(share=0.25, pool="train", trainable="head", reset_head=True)


def test_the_default_is_a_tenth_for_the_head() -> None:
    assert Crt() == Crt(head_share=0.1)


@pytest.mark.parametrize(("share", "first_epochs"), [(0.1, 9), (0.3, 7), (0.5, 5)])
def test_permutations_come_first_and_equal_classes_last(
    share: float, first_epochs: int, workbench: Any
) -> None:
    method = Crt(head_share=share)
    problem = workbench.problem(method)
    method.prepare(problem)
    weights = [method.sampling_weights(epoch) for epoch in range(EPOCHS)]
    assert [drawn is None for drawn in weights] == [True] * first_epochs + [False] * (EPOCHS - first_epochs)
    labels = problem.targets.tolist()
    expected = [1 / (3 * labels.count(label)) for label in labels]
    for drawn in weights[first_epochs:]:
        assert drawn is not None
        assert (drawn / drawn.sum()).tolist() == pytest.approx(expected)


def test_training_uses_every_example_once_until_the_last_stage(workbench: Any) -> None:
    places, _ = train(workbench)
    is_permutation = [sorted(epoch_places) == list(range(40)) for epoch_places in places]
    assert is_permutation == [True] * 9 + [False]
    assert [len(epoch_places) for epoch_places in places] == [40] * EPOCHS


def test_training_keeps_the_body_and_starts_the_head_anew(workbench: Any) -> None:
    _, models = train(workbench)
    before, after = models[8], models[9]
    body = [name for name in before if name.startswith("body.")]
    assert all(torch.equal(before[name], after[name]) for name in body)
    assert any(not torch.equal(models[7][name], before[name]) for name in body)
    fresh = seeded(0, lambda: nn.Linear(8, 3))
    assert not torch.allclose(before["head.weight"], fresh.weight, atol=1e-3)
    torch.testing.assert_close(after["head.weight"], fresh.weight.data, atol=1e-3, rtol=0)
    assert not torch.equal(after["head.weight"], fresh.weight)


def test_examples_weigh_one_in_both_stages(workbench: Any) -> None:
    method = Crt()
    problem = workbench.problem(method)
    method.prepare(problem)
    for epoch in (0, 9):
        assert method.example_weights(workbench.step(problem, epoch=epoch)).tolist() == [1] * 12


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, math.nan])
def test_impossible_head_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Crt(head_share=share)
