"""What a method may know about the training run it belongs to, and nothing more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from torch import Tensor
from torch.func import functional_call

from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.precision import Precision
from reweightbench.benchmark.contracts.seeding import RandomState

T = TypeVar("T")

Need = Literal["clean_set", "noise_rate", "class_counts", "two_networks"]


@dataclass(frozen=True)
class Batch:
    """Examples of one step: their places `(b,)`, augmented inputs `(b, ch, h, w)` and targets `(b,)`.

    Places count the training examples from 0; the clean set's follow them.
    """

    index: Tensor
    inputs: Tensor
    targets: Tensor


class UndeclaredNeedError(Exception):
    """A method used what it does not declare in `needs`."""

    def __init__(self, need: Need) -> None:
        super().__init__(f"the method uses {need!r}; declare it: needs = frozenset({{{need!r}}})")


@dataclass(frozen=True)
class Knowledge:
    """What a method is told if it declares the need.

    `targets` `(n,)` are the training targets as corrupted, `noise_rate` is the true share of wrong ones, and
    `draw_clean` returns a batch of the clean set.
    """

    targets: Tensor | None = None
    noise_rate: float | None = None
    draw_clean: Callable[[int], Batch] | None = None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One training run as a method sees it; the test set is never part of it.

    `size` is n, the number of training examples; `generator` is the method's own stream. Of the `knowledge`
    a problem keeps what `needs` declares. With `precision` bfloat16 a step's losses come from a forward pass
    in mixed precision.
    """

    size: int
    classes: int
    epochs: int
    model: Classifier
    generator: torch.Generator
    needs: frozenset[Need]
    knowledge: Knowledge
    example_losses: Callable[[Tensor, Batch], Tensor]
    precision: Precision = "float32"
    random_state: RandomState = field(default_factory=RandomState)

    def __post_init__(self) -> None:
        told, needs = self.knowledge, self.needs
        kept = Knowledge(
            targets=told.targets if "class_counts" in needs else None,
            noise_rate=told.noise_rate if "noise_rate" in needs else None,
            draw_clean=told.draw_clean if "clean_set" in needs else None,
        )
        object.__setattr__(self, "knowledge", kept)

    @property
    def targets(self) -> Tensor:
        """The training targets `(n,)` as corrupted, which tell the class counts."""
        return _told("class_counts", self.knowledge.targets)

    @property
    def class_counts(self) -> Tensor:
        """Training examples per class `(c,)`, counted on the corrupted targets."""
        return torch.bincount(self.targets, minlength=self.classes)

    @property
    def noise_rate(self) -> float:
        """The true share of wrong training targets: an oracle's knowledge."""
        return _told("noise_rate", self.knowledge.noise_rate)

    def clean_batch(self, size: int) -> Batch:
        """A fresh batch of the clean set, drawn without replacement and augmented like training.

        It holds the whole clean set if that has fewer than `size` examples.
        """
        return _told("clean_set", self.knowledge.draw_clean)(size)

    def losses_at(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The method's losses `(b,)` of a batch at another parameter point, in the parameters' own precision.

        Differentiable in `parameters`; those of the model that it does not name count as constants. The pass
        draws what the step's forward pass drew (dropout), and leaves the model and torch's random stream as
        they are: batch normalisation updates clones of its running statistics.
        """
        point = {name: value.detach() for name, value in self.model.named_parameters()} | dict(parameters)
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        with self.random_state.replay():
            logits = functional_call(self.model, (point, buffers), (batch.inputs,))
        return self.example_losses(logits, batch)


@dataclass
class Networks:
    """Makes the suite's network; a second one, with other initial weights, has to be declared.

    `_build` makes the network of a number, counted from 0.
    """

    _build: Callable[[int], Classifier]
    _needs: frozenset[Need]
    _made: int = field(init=False, default=0)

    def __call__(self) -> Classifier:
        if self._made and "two_networks" not in self._needs:
            raise UndeclaredNeedError("two_networks")
        self._made += 1
        return self._build(self._made - 1)


def _told(need: Need, value: T | None) -> T:
    if value is None:
        raise UndeclaredNeedError(need)
    return value
