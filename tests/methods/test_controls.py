"""The control rows: plain cross-entropy, and where each of them takes its examples from."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from reweightbench.benchmark.cells.cell import Budget
from reweightbench.benchmark.contracts.method import Method, Stage
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.training.examples import Examples, Inputs
from reweightbench.benchmark.training.loop import Training
from reweightbench.methods.clean_only import CleanOnly
from reweightbench.methods.fine_tune import FineTune
from reweightbench.methods.sgd import Sgd
from reweightbench.methods.sgd_with_clean import SgdWithClean

TRAINING_EXAMPLES, CLEAN_EXAMPLES = 40, 9
EPOCHS = 10


@dataclass
class Watching(Method):
    """A method that behaves as `watched` and notes which examples each epoch trains on."""

    paper = "none"
    watched: Method = field(default_factory=Sgd)
    places: list[list[int]] = field(default_factory=list)

    def stages(self) -> tuple[Stage, ...]:
        return self.watched.stages()

    def start_epoch(self, epoch: int) -> None:
        self.places.append([])

    def example_losses(self, logits: Tensor, batch: Any) -> Tensor:
        self.places[-1] += batch.index.tolist()
        return self.watched.example_losses(logits, batch)


def watch(watched: Method, workbench: Any) -> list[list[int]]:
    """The places of the examples that each epoch of a training run uses."""
    method = Watching(watched)
    problem = workbench.problem(method, needs=watched.needs)
    stream = torch.Generator().manual_seed(0)
    images = torch.randint(256, (TRAINING_EXAMPLES + CLEAN_EXAMPLES, 1, 8, 8), generator=stream)
    training = Training(
        method=method,
        problem=problem,
        examples=Examples(
            images=images.to(torch.uint8),
            targets=torch.arange(TRAINING_EXAMPLES + CLEAN_EXAMPLES) % 3,
            is_mislabelled=torch.zeros(TRAINING_EXAMPLES, dtype=torch.bool),
        ),
        inputs=Inputs(torch.tensor([0.5]), torch.tensor([0.25]), "none", torch.contiguous_format),
        budget=Budget(epochs=EPOCHS, batch_size=10, learning_rate=0.01),
        streams={
            "order": torch.Generator().manual_seed(1),
            "augmentation": torch.Generator().manual_seed(2),
        },
        head_seed=0,
    )
    assert [epoch.steps for epoch in training.run()] == [4] * EPOCHS
    return method.places


@pytest.mark.parametrize("control", [Sgd, SgdWithClean, CleanOnly, FineTune])
def test_controls_minimise_plain_cross_entropy(
    control: Callable[[], Method], golden_batch: Any, step_of: Callable[..., Any]
) -> None:
    logits, batch = golden_batch
    losses = control().example_losses(logits, batch)
    assert losses.tolist() == pytest.approx([0.349012, 1.964369, 1.020828], abs=5e-7)
    assert losses.mean().item() == pytest.approx(1.111403, abs=5e-7)
    assert control().example_weights(step_of(losses)).tolist() == [1, 1, 1]


def test_controls_are_marked() -> None:
    assert {name for name, cls in METHODS.classes.items() if cls.family == "control"} == {
        "clean_only",
        "fine_tune",
        "random_weights",
        "sgd",
        "sgd_with_clean",
    }


def test_sgd_trains_on_the_training_part(workbench: Any) -> None:
    for places in watch(Sgd(), workbench):
        assert sorted(places) == list(range(TRAINING_EXAMPLES))


def test_clean_only_trains_on_the_clean_set(workbench: Any) -> None:
    epochs = watch(CleanOnly(), workbench)
    clean = set(range(TRAINING_EXAMPLES, TRAINING_EXAMPLES + CLEAN_EXAMPLES))
    assert all(set(places) == clean for places in epochs)
    counts = Counter(place for places in epochs for place in places)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_sgd_with_clean_trains_on_both_equally(workbench: Any) -> None:
    counts = Counter(place for places in watch(SgdWithClean(), workbench) for place in places)
    assert set(counts) == set(range(TRAINING_EXAMPLES + CLEAN_EXAMPLES))
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize(("share", "clean_epochs"), [(0.2, 2), (0.5, 5)])
def test_fine_tune_ends_on_the_clean_set(share: float, clean_epochs: int, workbench: Any) -> None:
    epochs = watch(FineTune(clean_share=share), workbench)
    used_clean = [min(places) >= TRAINING_EXAMPLES for places in epochs]
    used_training = [max(places) < TRAINING_EXAMPLES for places in epochs]
    assert used_clean == [False] * (EPOCHS - clean_epochs) + [True] * clean_epochs
    assert used_training == [not is_clean for is_clean in used_clean]


def test_fine_tune_starts_as_sgd(workbench: Any) -> None:
    assert watch(FineTune(), workbench)[:8] == watch(Sgd(), workbench)[:8]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_impossible_clean_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        FineTune(clean_share=share)
