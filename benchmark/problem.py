"""What a method may know about the training run it belongs to, and nothing more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call

from reweightbench.benchmark.models import Classifier

Need = Literal["clean_set", "noise_rate", "class_counts"]


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

    `targets` `(n,)` are the training targets as corrupted; `generator` is the method's own stream.
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
        """The method's losses `(b,)` of a batch at another parameter point.

        Differentiable in `parameters`. The model's own parameters and buffers stay as they are:
        batch normalisation updates clones of its running statistics.
        """
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        logits = functional_call(self.model, (dict(parameters), buffers), (batch.inputs,))
        return self.example_losses(logits, batch)

    def _require(self, need: Need) -> None:
        if need not in self.needs:
            raise UndeclaredNeedError(
                f"the method reads {need!r}; declare it: needs = frozenset({{{need!r}}})"
            )
