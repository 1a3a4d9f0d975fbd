"""The embedded digits."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.registry import DATASETS


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return DATASETS.create("digits").load(Sources())


def test_images_are_the_original_counts_spread_over_bytes(digits: ImageData) -> None:
    assert digits.images.shape == (1797, 8, 8, 1)
    assert digits.images.dtype == np.uint8
    assert digits.images.max() == 240
    np.testing.assert_array_equal(digits.images[..., 0] / 15, load_digits().images)


def test_targets_name_the_classes(digits: ImageData) -> None:
    assert digits.targets.dtype == np.int64
    assert np.bincount(digits.targets).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert DATASETS.classes["digits"].classes == tuple("0123456789")


def test_statistics_are_of_pixels_in_unit_range(digits: ImageData) -> None:
    pixels = digits.images / 255
    assert digits.mean == pytest.approx([pixels.mean()])
    assert digits.std == pytest.approx([pixels.std()])


def test_no_official_test_part_and_one_variant(digits: ImageData) -> None:
    assert (digits.is_test, digits.groups, digits.variant) == (None, None, "embedded")


def test_reads_and_writes_no_files(tmp_path: Path, digits: ImageData) -> None:
    sources = Sources(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    again = DATASETS.create("digits").load(sources)
    assert again.fingerprint == digits.fingerprint
    assert list(tmp_path.iterdir()) == []
