"""The contract of a dataset: images in memory with their true targets, and where they come from."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pooch
from numpy.typing import NDArray

AugmentationName = Literal["none", "crop_flip", "lesion"]


@dataclass(frozen=True)
class Sources:
    """Where a run finds files that are not part of the package; `method_files` by the method's name."""

    data_dir: Path = Path("data")
    cache_dir: Path = Path(pooch.os_cache("reweightbench"))
    allow_subset: bool = False
    weights: Path | None = None
    method_files: Mapping[str, Path] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, kw_only=True)
class ImageData:
    """All images of a dataset; an example's id is its row.

    `images` `(n, h, w, ch)` uint8 and true `targets` `(n,)` int64; `is_test` `(n,)` marks the official
    test part where there is one; `groups` `(n,)` int64 names what no split may divide. `fingerprint` is
    the sha256 of the arrays. `variant` tells copies of a dataset apart that are not comparable.
    `mean` and `std` `(ch,)` are of pixel values in [0, 1], over the images outside the official test part.
    `describe` makes all three from the arrays; what it did not make is checked against them.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    variant: str
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    is_test: NDArray[np.bool_] | None = None
    groups: NDArray[np.int64] | None = None
    is_described: bool = field(default=False, init=False, repr=False, compare=False)


@dataclass
class Dataset(ABC):
    """A dataset; fields are its options. `test_fraction` is used where no official test part exists."""

    classes: ClassVar[tuple[str, ...]]
    license: ClassVar[str]
    source: ClassVar[str]
    augmentation: ClassVar[AugmentationName] = "none"
    test_fraction: ClassVar[float] = 0.2
    version: ClassVar[int] = 1

    @abstractmethod
    def load(self, sources: Sources) -> ImageData:
        """The images, from `sources` or a cache of them, never from the network.

        Raises DataMissingError where files are missing and UsageError where they are not what they should be.
        """

    def fetch(self, sources: Sources) -> None:
        """Download what `load` reads, where that is possible and not yet done."""
