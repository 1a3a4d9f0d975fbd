"""What a dataset returned, checked against what its contract promises, before anything trains on it."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from reweightbench.benchmark.contracts.dataset import AugmentationName, Dataset, ImageData
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data.description import fingerprint, pixel_statistics

MOST_CHANNELS = 4
SHORTEST_SIDE = 8
LONGEST_NAME = 100


def check_sound(name: str, dataset: Dataset, data: ImageData) -> None:
    """Raise UsageError, which names the dataset, for the first thing that is not as the contract says.

    A class without a test example is sound; one without any other example is not.
    """
    faults = (
        *(_find_declaration_fault, _find_pixel_fault, _find_shape_fault),
        *(_find_target_fault, _find_part_fault, _find_figure_fault),
    )
    for find_fault in faults:
        fault = find_fault(dataset, data)
        if fault is not None:
            raise UsageError(f"dataset '{name}': {fault}")


def _find_declaration_fault(dataset: Dataset, data: Any) -> str | None:
    """What is wrong with the class of the dataset, or with the type of what it returned."""
    classes = getattr(dataset, "classes", None)
    if not isinstance(data, ImageData):
        return f"load returns {type(data).__name__}; return an ImageData, as describe makes it"
    if not isinstance(classes, tuple | list) or not all(isinstance(name, str) for name in classes):
        return f"classes are {classes!r}; give a tuple of texts"
    if dataset.augmentation not in get_args(AugmentationName):
        return (
            f"augmentation is {dataset.augmentation!r}; it is one of {', '.join(get_args(AugmentationName))}"
        )
    if not 0 < dataset.test_fraction < 1:
        return f"test_fraction is {dataset.test_fraction}; it lies between 0 and 1"
    return _find_name_fault(classes)


def _find_name_fault(classes: Sequence[str]) -> str | None:
    if len(classes) < 2:
        return f"there is {len(classes)} class; a classifier needs at least 2"
    if len(set(classes)) < len(classes):
        return f"two classes are called '{next(c for c in classes if list(classes).count(c) > 1)}'; tell them apart"
    odd = [
        name for name in classes if not (name.isprintable() and name.strip() and len(name) <= LONGEST_NAME)
    ]
    return f"a class is called {odd[0]!r}; give it a name of printable characters" if odd else None


def _find_pixel_fault(_: Dataset, data: ImageData) -> str | None:
    images = data.images
    if not isinstance(images, np.ndarray):
        return f"images are a {type(images).__name__}; give a numpy array"
    if images.dtype != np.uint8:
        return f"images are {images.dtype}, not uint8; {_advise_conversion(images)}"
    return None if len(images) else "there are no images"


def _find_shape_fault(_: Dataset, data: ImageData) -> str | None:
    shape = data.images.shape
    if len(shape) == 3:
        return f"images have shape {shape}, not (n, h, w, ch); add the channel: images[..., None]"
    if len(shape) != 4:
        return f"images have shape {shape}; it must be (n, h, w, ch)"
    if not 1 <= shape[3] <= MOST_CHANNELS:
        is_first = 1 <= shape[1] <= MOST_CHANNELS
        advice = (
            "put the channels last: images.transpose(0, 2, 3, 1)"
            if is_first
            else f"ch is 1 to {MOST_CHANNELS}"
        )
        return f"images have shape {shape}, not (n, h, w, ch); {advice}"
    if min(shape[1:3]) < SHORTEST_SIDE:
        return f"images have {shape[2]}x{shape[1]} pixels; a side needs at least {SHORTEST_SIDE}"
    return None


def _advise_conversion(images: np.ndarray) -> str:
    if not np.issubdtype(images.dtype, np.number) or not images.size:
        return "give pixel values from 0 to 255"
    low, high = images.min(), images.max()
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high > 255:
        return f"values go from {low:g} to {high:g}; bring them to 0..255, then images.round().astype(numpy.uint8)"
    if high <= 1:
        return "values lie in 0..1: (255 * images).round().astype(numpy.uint8)"
    return "values lie in 0..255: images.round().astype(numpy.uint8)"


def _find_target_fault(dataset: Dataset, data: ImageData) -> str | None:
    targets, count, classes = data.targets, len(data.images), len(dataset.classes)
    if not isinstance(targets, np.ndarray):
        return f"targets are a {type(targets).__name__}; give a numpy array"
    if targets.ndim == 2:
        return f"targets have shape {targets.shape}, not ({count},); give class numbers: targets.argmax(1)"
    if targets.shape != (count,):
        return f"targets have shape {targets.shape}, not ({count},): one for each image"
    if targets.dtype != np.int64:
        return (
            f"targets are {targets.dtype}, not int64; give class numbers from 0: targets.astype(numpy.int64)"
        )
    if targets.min() < 0 or targets.max() >= classes:
        odd = targets[(targets < 0) | (targets >= classes)][0]
        return f"a target is {odd}; with {classes} classes they go from 0 to {classes - 1}"
    return None


def _find_part_fault(dataset: Dataset, data: ImageData) -> str | None:
    count = len(data.images)
    for name, array, dtype in (("is_test", data.is_test, np.bool_), ("groups", data.groups, np.int64)):
        if array is None:
            continue
        if not isinstance(array, np.ndarray) or array.dtype != dtype:
            found = array.dtype if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            return f"{name} is {found}; give a numpy array of {dtype.__name__.rstrip('_')}"
        if array.shape != (count,):
            return f"{name} has shape {array.shape}, not ({count},): one for each image"
    if data.is_test is not None and data.groups is not None:
        divided = np.intersect1d(data.groups[data.is_test], data.groups[~data.is_test])
        if len(divided):
            return f"group {divided[0]} lies partly in the test part; no part may divide a group"
    if data.is_test is not None and not data.is_test.any():
        return "the test part is empty; mark test images in is_test, or leave is_test out to have them drawn"
    rest = data.targets if data.is_test is None else data.targets[~data.is_test]
    empty = np.flatnonzero(np.bincount(rest, minlength=len(dataset.classes)) == 0)
    if len(empty):
        return f"class '{dataset.classes[empty[0]]}' has no example to train on; add some, or take it out of classes"
    return None


def _find_figure_fault(_: Dataset, data: ImageData) -> str | None:
    """What is wrong with the figures that follow from the arrays; `describe` made them, or they are made again."""
    variant = data.variant
    if not (
        isinstance(variant, str)
        and variant.strip()
        and variant.isprintable()
        and len(variant) <= LONGEST_NAME
    ):
        return f"variant is {variant!r}; give a short text that tells copies of the data apart"
    advice = "return describe(Decoded(images=..., targets=..., variant=...))"
    if not data.is_described:
        mean, std = pixel_statistics(data.images, data.is_test)
        for name, found, expected in (("mean", data.mean, mean), ("std", data.std, std)):
            if np.shape(found) != np.shape(expected) or not np.allclose(found, expected, rtol=0, atol=1e-3):
                shown = ", ".join(f"{value:.4g}" for value in expected)
                return f"{name} is {found}, but that of the training pixels in [0, 1] is ({shown}); {advice}"
        if data.fingerprint != fingerprint(data):
            return f"the fingerprint is not the sha256 of the arrays; {advice}"
    constant = np.flatnonzero(np.array(data.std) == 0)
    return f"all images are the same in channel {constant[0]}; take it out" if len(constant) else None
