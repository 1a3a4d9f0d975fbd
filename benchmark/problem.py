"""What a method may know about the training run it belongs to, and nothing more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call

from reweightbench.benchmark.models import Classifier
from reweightbench.benchmark.seeding import RandomState

Need = Literal["clean_set", "noise_rate", "class_counts"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Batch:
    """Examples of one step: their places `(b,)`, augmented inputs `(b, ch, h, w)` and targets `(b,)`.

    Places count the training examples from 0; the clean set's follow them.
    """

    index: Tensor
    inputs: Tensor
    targets: Tensor


class UndeclaredNeedError(Exception):
    """A method read knowledge that it does not declare in `needs`."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One training run as a method sees it; the test set is never part of it.

    `targets` `(n,)` are the training targets as corrupted; `generator` is the method's own stream. With
    `precision` bfloat16 a step's losses come from a forward pass in mixed precision.
    """

    targets: Tensor
    classes: int
    epochs: int
    model: Classifier
    generator: torch.Generator
    needs: frozenset[Need]
    realised_noise_rate: float
    draw_clean: Callable[[int], Batch]
    example_losses: Callable[[Tensor, Batch], Tensor]
    precision: Precision = "float32"
    random_state: RandomState = field(default_factory=RandomState)

    @property
    def class_counts(self) -> Tensor:
        """Training examples per class `(c,)`, counted on the corrupted targets."""
        self._require("class_counts")
        return torch.bincount(self.targets, minlength=self.classes)

    @property
    def noise_rate(self) -> float:
        """The true share of wrong training targets: an oracle's knowledge."""
        self._require("noise_rate")
        return self.realised_noise_rate

    def clean_batch(self, size: int) -> Batch:
        """A fresh batch of the clean set, drawn without replacement and augmented like training.

        It holds the whole clean set if that has fewer than `size` examples.
        """
        self._require("clean_set")
        return self.draw_clean(size)

    def losses_at(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The method's losses `(b,)` of a batch at another parameter point, in the parameters' own precision.

        Differentiable in `parameters`; those of the model that it does not name count as constants. The pass
        draws what the step's forward pass drew (dropout), and leaves the model and torch's random stream as
        they are: batch normalisation updates clones of its running statistics.
        """
        point = {name: value.detach() for name, value in self.model.named_parameters()} | dict(parameters)
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        with self.random_state.replay(), torch.autocast(batch.inputs.device.type, enabled=False):
            logits = functional_call(self.model, (point, buffers), (batch.inputs,))
        return self.example_losses(logits, batch)

    def _require(self, need: Need) -> None:
        if need not in self.needs:
            raise UndeclaredNeedError(
                f"the method reads {need!r}; declare it: needs = frozenset({{{need!r}}})"
            )
