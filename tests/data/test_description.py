"""Fingerprint and pixel statistics of images."""

import hashlib

import numpy as np

from made_up import make_decoded
from reweightbench.benchmark.data.description import Decoded, describe


def test_statistics_leave_out_the_test_part() -> None:
    decoded = make_decoded()
    data = describe(decoded)
    pixels = decoded.images[:15] / 255
    np.testing.assert_allclose(data.mean, pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(data.std, pixels.std(axis=(0, 1, 2)))


def test_statistics_of_many_chunks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 700, 300, 3), dtype=np.uint8)
    data = describe(Decoded(images=images, targets=np.zeros(5, dtype=np.int64), variant="large"))
    np.testing.assert_allclose(data.mean, images.mean(axis=(0, 1, 2)) / 255)
    np.testing.assert_allclose(data.std, images.std(axis=(0, 1, 2)) / 255)


def test_fingerprint_covers_every_array() -> None:
    base = vars(make_decoded())
    changes = {
        "images": base["images"] ^ 1,
        "targets": base["targets"] + 1,
        "is_test": ~base["is_test"],
        "groups": base["groups"] + 1,
    }
    fingerprints = [describe(Decoded(**base | {name: value})).fingerprint for name, value in changes.items()]
    assert len({describe(make_decoded()).fingerprint, *fingerprints}) == 5
    assert describe(make_decoded()).fingerprint == describe(make_decoded()).fingerprint
    assert len(fingerprints[0]) == len(hashlib.sha256().hexdigest())
