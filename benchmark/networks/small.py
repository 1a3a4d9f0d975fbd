"""Networks for small images, each as a body without its head."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from reweightbench.benchmark.contracts.network import Network


@dataclass
class SmallCnn(Network):
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
class Resnet8(Network):
    """ResNet-8 for small images (He et al. 2016, Deep Residual Learning, section 4.2 with n = 1)."""

    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        return _build_small_resnet(channels, blocks=1)


@dataclass
class Resnet20(Network):
    """ResNet-20 for small images (He et al. 2016, Deep Residual Learning, section 4.2 with n = 3)."""

    def build_body(self, channels: int) -> tuple[nn.Module, int]:
        return _build_small_resnet(channels, blocks=3)


@dataclass
class Resnet32(Network):
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
