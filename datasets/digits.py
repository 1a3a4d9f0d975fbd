"""Handwritten digits of 8x8 pixels that scikit-learn carries: real images without a download."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reweightbench.benchmark.contracts.dataset import AugmentationName, Dataset, ImageData, Sources
from reweightbench.benchmark.data.description import Decoded, describe


@dataclass
class Digits(Dataset):
    """1,797 digits, about 180 of each class, without an official test part.

    `images` `(1797, 8, 8, 1)`: counts 0..16 of inked pixels per 4x4 block, times 15. They are the test part
    of the UCI set, by 13 writers; who wrote which is not recorded, so no split can keep writers apart.
    """

    classes: ClassVar[tuple[str, ...]] = tuple("0123456789")
    license: ClassVar[str] = "CC BY 4.0"
    source: ClassVar[str] = "UCI, Optical Recognition of Handwritten Digits, doi:10.24432/C50P49"
    augmentation: ClassVar[AugmentationName] = "none"

    def load(self, sources: Sources) -> ImageData:
        """The digits in scikit-learn's order; reads none of the `sources`."""
        # Imported here because it takes a second or two, and finding the datasets imports this file.
        from sklearn.datasets import load_digits  # noqa: PLC0415

        digits = load_digits()
        images = (digits.images[..., None] * 15).astype(np.uint8)
        return describe(Decoded(images=images, targets=digits.target.astype(np.int64), variant="embedded"))
