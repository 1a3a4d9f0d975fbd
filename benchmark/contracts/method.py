"""The contract of a reweighting method: a dataclass of hyperparameters and a few optional hooks.

The training loop (`benchmark/training/loop.py`) owns everything else. In each step it minimises
`mean(weights * losses)` and never rescales the weights, because that would change the learning rate.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.problem import Batch, Need, Problem
from reweightbench.benchmark.contracts.state import STATEFUL, put_state, take_state

PoolName = Literal["train", "clean", "train+clean"]
Family = Literal[
    "control",
    "sampling",
    "class-level",
    "noise-robust",
    "loss-based",
    "two-stage",
    "meta",
    "two-network",
    "augmentation",
    "own",
]


@dataclass(frozen=True)
class Stage:
    """A share of the epochs spent on one pool of examples; the learning-rate schedule restarts with it."""

    share: float = 1.0
    pool: PoolName = "train"
    trainable: Literal["all", "head"] = "all"
    reset_head: bool = False


@dataclass(frozen=True)
class Step:
    """One training step before its update; logits `(b, c)`, features `(b, d)` and losses `(b,)` are detached.

    Those of a twin network are `(b, 2, c)` and `(b, 2, d)`.
    """

    epoch: int
    batch: Batch
    logits: Tensor
    features: Tensor
    losses: Tensor
    learning_rate: float

    def permute(self, order: Tensor) -> "Step":
        """The step with its examples in another order `(b,)`."""
        batch = Batch(self.batch.index[order], self.batch.inputs[order], self.batch.targets[order])
        return replace(
            self,
            batch=batch,
            logits=self.logits[order],
            features=self.features[order],
            losses=self.losses[order],
        )


@dataclass
class Method:
    """A way of weighting training examples.

    Fields are hyperparameters with the paper's defaults, checked in `__post_init__` by raising ValueError.
    State that changes during training is a `field(init=False)`. Raise `version` when a change to the file
    changes results. The family `control` holds the rows that show what a method gains beyond its extra data.
    The first line of the docstring is the idea, as tables of methods show it.
    """

    paper: ClassVar[str]
    family: ClassVar[Family] = "own"
    needs: ClassVar[frozenset[Need]] = frozenset()
    version: ClassVar[int] = 1

    def stages(self) -> tuple[Stage, ...]:
        """The stages of training, in order; shares sum to 1."""
        return (Stage(),)

    def build_model(self, network: Callable[[], Classifier]) -> Classifier:
        """The model to train, made from the suite's `network`; see `Twin` for a method of two networks."""
        return network()

    def prepare(self, problem: Problem) -> None:
        """Called once before the first step."""

    def start_epoch(self, epoch: int) -> None:
        """Called before each epoch, counted from 0 over all stages."""

    def sampling_weights(self, epoch: int) -> Tensor | None:
        """Weights over the stage's pool to draw with replacement, or None for permutations of it."""
        return None

    def augment_batch(self, batch: Batch) -> Batch:
        """The batch to train on, after the dataset's own augmentation."""
        return batch

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Losses `(b,)`, differentiable in the logits; changes no state, since other points are asked for too."""
        return F.cross_entropy(logits, batch.targets, reduction="none")

    def example_weights(self, step: Step) -> Tensor:
        """Weights `(b,)`, at least 0, without gradient."""
        return torch.ones_like(step.losses)

    def end_step(self, step: Step) -> None:
        """Called after the update of each step."""

    def adjust_logits(self, logits: Tensor) -> Tensor:
        """Logits `(b, c)` as used at evaluation."""
        return logits

    def state_dict(self) -> dict[str, Any]:
        """What changes during training, for a checkpoint: tensors and plain data.

        By default every attribute but hyperparameters and the problem; modules, optimizers and generators by
        their own state. Raises TypeError for what has none.
        """
        return {
            name: {"is_object": isinstance(value, STATEFUL), "state": take_state(value)}
            for name, value in self._attributes().items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, after `prepare`; raises TypeError for an object that `prepare` does not make."""
        attributes = self._attributes()
        for name, saved in state.items():
            value = attributes.get(name)
            if saved["is_object"] and not isinstance(value, STATEFUL):
                raise TypeError(f"{name} is not made by prepare, so its state has nowhere to go")
            setattr(self, name, put_state(value, saved["state"]))

    def _attributes(self) -> dict[str, object]:
        hyperparameters = {field.name for field in fields(self) if field.init}
        return {
            name: value
            for name, value in vars(self).items()
            if name not in hyperparameters and not isinstance(value, Problem)
        }


def divide_epochs(stages: tuple[Stage, ...], epochs: int) -> list[tuple[Stage, int]]:
    """Whole epochs per stage, by rounding where each ends; raises UsageError where one gets none."""
    ends, total = [0], 0.0
    for stage in stages:
        total += stage.share
        ends.append(round(total * epochs))
    lengths = [end - start for start, end in pairwise(ends)]
    if not math.isclose(total, 1):
        raise UsageError(f"stages have shares that sum to {total:g}; let them sum to 1")
    if min(lengths) < 1:
        raise UsageError(
            f"{epochs} epochs cannot be divided into stages with shares "
            f"{', '.join(f'{stage.share:g}' for stage in stages)}; give the budget more epochs"
        )
    return list(zip(stages, lengths, strict=True))
