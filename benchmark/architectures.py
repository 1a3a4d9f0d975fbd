"""The networks that suites choose from, each as a body without its head."""

import importlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor, nn

from reweightbench.benchmark.dataset import Sources
from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.models import Architecture
from reweightbench.benchmark.pretrained import WEIGHTS, download, identify
from reweightbench.benchmark.registry import snake_case

Stem = Literal["imagenet", "cifar"]


@dataclass
class SmallCnn(Architecture):
    """A convolution and a hidden layer for images of 8x8 pixels; training takes batches of two or more.

    Kept to what one thread steps through in about two milliseconds. The normalised hidden layer gives it
    the capacity to memorise wrong labels, which global pooling would take away.
    """

    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        body = nn.Sequential(
            nn.Conv2d(channels, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, 128, bias=False),
            nn.BatchNorm1d(128),
            nn.ReLU(),
        )
        return body, 128


@dataclass
class Resnet8(Architecture):
    """ResNet-8 for small images (He et al. 2016, Deep Residual Learning, section 4.2 with n = 1)."""

    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        return _build_small_resnet(channels, blocks=1)


@dataclass
class Resnet20(Architecture):
    """ResNet-20 for small images (He et al. 2016, Deep Residual Learning, section 4.2 with n = 3)."""

    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        return _build_small_resnet(channels, blocks=3)


@dataclass
class Resnet32(Architecture):
    """ResNet-32 for small images (He et al. 2016, Deep Residual Learning, section 4.2 with n = 5)."""

    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        return _build_small_resnet(channels, blocks=5)


class ResidualBlock(nn.Module):
    """Two convolutions added to a shortcut without parameters (option A of He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.stride = stride
        self.new_channels = outputs - inputs

    def shortcut(self, inputs: Tensor) -> Tensor:
        """Every `stride`-th pixel of the inputs `(b, ch, h, w)`, and zeros for the channels they lack."""
        return F.pad(inputs[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Activations `(b, ch', h / stride, w / stride)` of activations `(b, ch, h, w)`."""
        return F.relu(self.residual(inputs) + self.shortcut(inputs))


def _build_small_resnet(channels: int, blocks: int) -> tuple[nn.Module, int]:
    """Three stages of `blocks` residual blocks with 16, 32 and 64 channels: 6 * blocks + 2 layers."""
    layers = [nn.Conv2d(channels, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    for inputs, outputs, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        layers.append(ResidualBlock(inputs, outputs, stride))
        layers += [ResidualBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
    body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body, 64


@dataclass
class TorchvisionResnet(Architecture):
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


def choose_weights(architecture: Architecture, option: str | None) -> Architecture:
    """The architecture with the weights that `--weights` names: `none`, or the path of a checkpoint.

    Raises UsageError where the file is missing or the architecture cannot take it.
    """
    if option is None:
        return architecture
    name = snake_case(type(architecture).__name__)
    if not isinstance(architecture, TorchvisionResnet):
        if option == "none":
            return architecture
        raise UsageError(f"model '{name}' takes no pretrained weights; leave --weights '{option}' out")
    weights = "none" if option == "none" else identify(Path(option), architecture.checkpoint)
    try:
        return replace(architecture, weights=weights)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
