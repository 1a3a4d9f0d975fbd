"""Batched augmentation: random numbers come from a CPU generator, so that they do not depend on the device.

They are copied to the device without waiting for it: `non_blocking` is safe in that direction.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.dataset import AugmentationName

CROP_AREA = (0.6, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
COLOUR_JITTER = 0.2


def augment(
    images: Tensor, name: AugmentationName, mean: Tensor, std: Tensor, generator: torch.Generator
) -> Tensor:
    """Normalised float images `(b, ch, h, w)` of uint8 ones, each changed at random.

    `crop_flip`: a window of the image padded by an eighth of its height with zeros, half of them mirrored
    (He et al. 2016, section 4.2). `lesion`: a random part of 0.6 to 1 of the area resized to the whole,
    mirrored both ways, then brightness, contrast and saturation scaled by 0.8 to 1.2.

    Deviations: `lesion` shortens a part that would be longer than the image where torchvision draws again,
    and takes the plain mean of the channels as grey.
    """
    if name == "crop_flip":
        images = _crop_flip(images, generator)
    if name == "lesion":
        return _standardise(_lesion(images.float() / 255, generator), mean, std)
    return normalise(images, mean, std)


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Float images of uint8 ones `(b, ch, h, w)` with pixel statistics `(ch,)` in [0, 1] removed."""
    return _standardise(images.to(torch.float32, copy=True), 255 * mean, 255 * std)


def _standardise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The images themselves, changed in place: fresh memory would cost more than the arithmetic."""
    return images.sub_(mean[:, None, None]).div_(std[:, None, None])


def _crop_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Windows of the zero-padded images, picked by one gather over the pixels in row order."""
    size, channels, height, width = images.shape
    padding = height // 8
    top, left = torch.randint(2 * padding + 1, (2, size, 1), generator=generator)
    is_flipped = torch.rand(size, 1, generator=generator) < 0.5
    columns = torch.arange(width).expand(size, width)
    columns = torch.where(is_flipped, columns.flip(1), columns) + left
    rows = torch.arange(height) + top
    pixels = (rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]).to(
        images.device, non_blocking=True
    )
    padded = F.pad(images, (padding, padding, padding, padding)).flatten(2)
    return padded.gather(2, pixels.flatten(1)[:, None].expand(-1, channels, -1)).view_as(images)


def _lesion(images: Tensor, generator: torch.Generator) -> Tensor:
    """Random resized crops and mirrorings by one affine grid, then changed colours; values in [0, 1]."""
    size = len(images)
    area = _uniform(size, *CROP_AREA, generator)
    aspect = _uniform(size, math.log(CROP_ASPECT[0]), math.log(CROP_ASPECT[1]), generator).exp()
    scale = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()], 1).clamp_max(1)
    shift = (1 - scale) * _uniform(size * 2, -1, 1, generator).view(size, 2)
    signs = torch.randint(2, (size, 2), generator=generator) * 2 - 1
    transform = torch.cat([torch.diag_embed(scale * signs), shift[:, :, None]], 2).to(
        images.device, non_blocking=True
    )
    grid = F.affine_grid(transform, list(images.shape), align_corners=False)
    cropped = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    colours = torch.stack([_uniform(size, 1 - COLOUR_JITTER, 1 + COLOUR_JITTER, generator) for _ in range(3)])
    colours = colours.to(images.device, non_blocking=True)[:, :, None, None, None]
    brightness, contrast, saturation = colours.unbind()
    cropped = cropped * brightness
    level = cropped.mean((1, 2, 3), keepdim=True)
    cropped = level + (cropped - level) * contrast
    grey = cropped.mean(1, keepdim=True)
    return (grey + (cropped - grey) * saturation).clamp(0, 1)


def _uniform(size: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(size, generator=generator)
