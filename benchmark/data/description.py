"""What a dataset's arrays say about themselves: a fingerprint and pixel statistics."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.dataset import ImageData


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a dataset reads from its files; arrays as in `ImageData`."""

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    variant: str
    is_test: NDArray[np.bool_] | None = None
    groups: NDArray[np.int64] | None = None


def describe(decoded: Decoded) -> ImageData:
    """The images with their fingerprint and pixel statistics."""
    mean, std = pixel_statistics(decoded.images, decoded.is_test)
    return restore(**vars(decoded), fingerprint=fingerprint(decoded), mean=mean, std=std)


def restore(*, mean: Sequence[float], std: Sequence[float], **values: Any) -> ImageData:
    """The images that `describe` made, from their fields."""
    data = ImageData(mean=tuple(mean), std=tuple(std), **values)
    object.__setattr__(data, "is_described", True)
    return data


def list_fields(data: Decoded | ImageData) -> list[tuple[str, Any]]:
    """The names and values that make up the data."""
    return [(field.name, getattr(data, field.name)) for field in fields(data) if field.init]


def fingerprint(data: Decoded | ImageData) -> str:
    """The sha256 of all arrays with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, array in sorted(list_fields(data), key=lambda entry: entry[0]):
        if isinstance(array, np.ndarray):
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def pixel_statistics(
    images: NDArray[np.uint8], is_test: NDArray[np.bool_] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation `(ch,)` of pixels in [0, 1] outside the official test part.

    From histograms: exact sums whatever the chunks, and no float copy of all images.
    """
    ids = np.arange(len(images)) if is_test is None else np.flatnonzero(~is_test)
    counts = np.zeros((images.shape[-1], 256), dtype=np.int64)
    # Chunks of about a megabyte stay in the processor's cache, which is three times as fast as large ones.
    step = max(1, 2**20 // images[0].size)
    for start in range(0, len(ids), step):
        pixels = images[ids[start : start + step]].reshape(-1, len(counts))
        for channel, values in enumerate(pixels.T):
            counts[channel] += np.bincount(values, minlength=256)
    levels = np.arange(256) / 255
    mean = counts @ levels / counts.sum(axis=1)
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1)
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())
