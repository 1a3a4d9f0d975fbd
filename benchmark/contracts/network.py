"""The contract of a network: a family of classifiers, each of a body and a head."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from reweightbench.benchmark.contracts.dataset import Sources


class Classifier(nn.Module):
    """Images to logits through features `(b, d)`; parameters are named `body.*` and `head.*`."""

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def features(self, inputs: Tensor) -> Tensor:
        """Features `(b, d)` of images `(b, ch, h, w)`."""
        features: Tensor = self.body(inputs)
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(b, c)` of images `(b, ch, h, w)`."""
        logits: Tensor = self.head(self.body(inputs))
        return logits


class Twin(Classifier):
    """Two classifiers that see the same images: features `(b, 2, d)`, logits `(b, 2, c)`."""

    def __init__(self, first: Classifier, second: Classifier) -> None:
        super().__init__(_SameInputs([first.body, second.body]), _OwnInputs([first.head, second.head]))


class _SameInputs(nn.ModuleList):
    """Modules that all take the same inputs; their outputs are stacked along dimension 1."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([module(inputs) for module in self], 1)


class _OwnInputs(nn.ModuleList):
    """Modules that each take their part of dimension 1; their outputs are stacked there again."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([module(part) for module, part in zip(self, inputs.unbind(1), strict=True)], 1)


@dataclass
class Network(ABC):
    """A network family; fields are its options."""

    version: ClassVar[int] = 1

    @abstractmethod
    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        """The network below the head, and the number of features d it returns."""

    def find_weights(self, sources: Sources) -> Path | None:
        """The file of pretrained weights for the body, downloaded if need be; None to start from scratch."""
        return None
