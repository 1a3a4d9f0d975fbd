"""The contract of a reweighting method: a dataclass of hyperparameters and a few optional hooks.

The training loop (`reweightbench.benchmark.training`) owns everything else. In each step it minimises
`mean(weights * losses)` and never rescales the weights, because that would change the learning rate.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.models import Classifier
from reweightbench.benchmark.problem import Batch, Need, Problem

PoolName = Literal["train", "clean", "train+clean"]


@dataclass(frozen=True)
class Stage:
    """A share of the epochs spent on one pool of examples; the learning-rate schedule restarts with it."""

    share: float = 1.0
    pool: PoolName = "train"
    trainable: Literal["all", "head"] = "all"
    reset_head: bool = False


@dataclass(frozen=True)
class Step:
    """One training step before its update; logits `(b, c)`, features `(b, d)` and losses `(b,)` are detached."""

    epoch: int
    batch: Batch
    logits: Tensor
    features: Tensor
    losses: Tensor
    learning_rate: float


@dataclass
class Method:
    """A way of weighting training examples.

    Fields are hyperparameters with the paper's defaults, checked in `__post_init__` by raising ValueError.
    State that changes during training is a `field(init=False)`. Raise `version` when a change to the file
    changes results. `is_control` marks the rows that show what a method gains beyond its extra data.
    """

    paper: ClassVar[str]
    needs: ClassVar[frozenset[Need]] = frozenset()
    is_control: ClassVar[bool] = False
    version: ClassVar[int] = 1

    def stages(self) -> tuple[Stage, ...]:
        """The stages of training, in order; shares sum to 1."""
        return (Stage(),)

    def build_model(self, network: Callable[[], Classifier]) -> Classifier:
        """The model to train, made from the suite's `network`."""
        return network()

    def prepare(self, problem: Problem) -> None:
        """Called once before the first step."""

    def start_epoch(self, epoch: int) -> None:
        """Called before each epoch, counted from 0 over all stages."""

    def sampling_weights(self, epoch: int) -> Tensor | None:
        """Weights over the stage's pool to draw with replacement, or None for permutations of it."""
        return None

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        """Losses `(b,)`, differentiable in the logits."""
        return F.cross_entropy(logits, batch.targets, reduction="none")

    def example_weights(self, step: Step) -> Tensor:
        """Weights `(b,)`, at least 0, without gradient."""
        return torch.ones_like(step.losses)

    def adjust_logits(self, logits: Tensor) -> Tensor:
        """Logits `(b, c)` as used at evaluation."""
        return logits
