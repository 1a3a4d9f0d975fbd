"""torchvision's networks for images of about 224 pixels, from scratch or pretrained on ImageNet."""

import importlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from torch import nn

from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import snake_case
from reweightbench.benchmark.contracts.network import Network
from reweightbench.benchmark.networks.weights import WEIGHTS, download, identify

Stem = Literal["imagenet", "cifar"]


@dataclass
class TorchvisionResnet(Network):
    """A ResNet of torchvision, from scratch or pretrained.

    `stem`: `imagenet` (7x7 with stride 2, then pooling; for images of about 224 pixels) or `cifar` (3x3, no
    pooling). `weights`: `none`, `imagenet` (torchvision's `checkpoint`), or `sha256:` and the first 16 digits
    of the digest of a user's own file; the file's place is no option, because it cannot change a result.
    """

    stem: Stem = "imagenet"
    weights: str = "none"
    checkpoint: ClassVar[str]

    def __post_init__(self) -> None:
        if not re.fullmatch(WEIGHTS, self.weights):
            raise ValueError(f"weights is none, imagenet or sha256:<16 hex digits>, not '{self.weights}'")
        if self.stem == "cifar" and self.weights != "none":
            raise ValueError(
                f"the cifar stem has no pretrained weights ({self.weights}); choose stem=imagenet or weights=none"
            )

    def find_weights(self, sources: Sources) -> Path | None:
        if self.weights == "none":
            return None
        path = sources.weights
        if path is None and self.weights != "imagenet":
            raise UsageError(f"the model has weights {self.weights}; name their file with --weights PATH")
        path = path or download(self.checkpoint)
        found = identify(path, self.checkpoint)
        if found != self.weights:
            raise UsageError(
                f"'{path}' holds weights {found}, the model has {self.weights}; name their file with --weights PATH"
            )
        return path


@dataclass
class Resnet18(TorchvisionResnet):
    """torchvision's ResNet-18; weights=imagenet are its IMAGENET1K_V1."""

    checkpoint: ClassVar[str] = "resnet18-f37072fd.pth"

    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        return _build_torchvision_resnet("resnet18", channels, self.stem)


@dataclass
class Resnet50(TorchvisionResnet):
    """torchvision's ResNet-50; weights=imagenet are its IMAGENET1K_V2."""

    checkpoint: ClassVar[str] = "resnet50-11ad3fa6.pth"

    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        return _build_torchvision_resnet("resnet50", channels, self.stem)


def _build_torchvision_resnet(name: str, channels: int, stem: Stem) -> tuple[nn.Module, int]:
    # Importing torchvision takes as long as importing torch; only those who use it wait for it.
    models = importlib.import_module("torchvision.models")
    body = models.get_model(name, weights=None, num_classes=1)
    width = body.fc.in_features
    body.fc = nn.Identity()
    kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
    body.conv1 = nn.Conv2d(channels, 64, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
    if stem == "cifar":
        body.maxpool = nn.Identity()
    for module in body.modules():
        if isinstance(module, nn.ReLU):
            # Hooks and function transforms see what a layer returned, not what the next made of it.
            module.inplace = False
    return body, width


def choose_weights(network: Network, option: str | None) -> Network:
    """The network with the weights that `--weights` names: `none`, or the path of a checkpoint.

    Raises UsageError where the file is missing or the network cannot take it.
    """
    if option is None:
        return network
    name = snake_case(type(network).__name__)
    if not isinstance(network, TorchvisionResnet):
        if option == "none":
            return network
        raise UsageError(f"model '{name}' takes no pretrained weights; leave --weights '{option}' out")
    weights = "none" if option == "none" else identify(Path(option), network.checkpoint)
    try:
        return replace(network, weights=weights)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
