"""Disjoint test, validation, clean and training parts of a dataset.

In this order: test (the official part, else the same for every seed), validation, the clean set
(balanced; a larger one contains a smaller one), and the training part that corruption acts on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.dataset import ImageData
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.seeding import make_generator

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Ids of each part; examples of a group that a part cannot use whole belong to none."""

    test: Ids
    validation: Ids
    clean: Ids
    train: Ids


def split(
    data: ImageData,
    scope: tuple[str, int],
    *,
    classes: Sequence[str],
    test_fraction: float,
    validation_fraction: float,
    clean_size: int,
) -> Split:
    """The parts for one `scope` (dataset, seed), stratified by class and never dividing a group.

    `classes` are their names; `validation_fraction` is of the examples outside the test part. Raises UsageError
    where a class is too small for all parts, a group has several classes, or the clean set cannot be balanced or
    does not leave every class a training example.
    """
    _check_groups(data)
    everything = np.arange(len(data.targets))
    if data.is_test is not None:
        test = everything[data.is_test]
        rest = everything[~data.is_test]
    else:
        stream = make_generator("split", scope[0], "test")
        test, rest = _take(data, everything, _shares(data, everything, classes, test_fraction), stream)
    stream = make_generator("split", *scope)
    validation, rest = _take(data, rest, _shares(data, rest, classes, validation_fraction), stream)
    per_class = _clean_per_class(clean_size, classes, _class_sizes(data, rest, classes))
    clean, train = _take(data, rest, np.full(len(classes), per_class), stream, exactly=True)
    return Split(test=test, validation=validation, clean=clean, train=train)


def _check_groups(data: ImageData) -> None:
    if data.groups is None:
        return
    names, first, member_of = np.unique(data.groups, return_index=True, return_inverse=True)
    is_other = data.targets != data.targets[first][member_of]
    if is_other.any():
        # Parts are filled class by class, which would divide such a group.
        raise UsageError(
            f"group {names[member_of[is_other.argmax()]]} has examples of several classes; "
            "give each group the examples of one class"
        )


def _class_sizes(data: ImageData, ids: Ids, classes: Sequence[str]) -> Ids:
    """Examples `(c,)` per class; raises UsageError where one has none left."""
    sizes: Ids = np.bincount(data.targets[ids], minlength=len(classes))
    if not sizes.all():
        name = classes[int(sizes.argmin())]
        total = int((data.targets == sizes.argmin()).sum())
        raise UsageError(
            f"class '{name}' has too few examples or groups ({total} examples) for a test, a validation and a "
            "training part; every class needs one in each"
        )
    return sizes


def _shares(data: ImageData, ids: Ids, classes: Sequence[str], fraction: float) -> Ids:
    """Examples per class in a part that holds `fraction` of `ids`, at least one each."""
    shares: Ids = np.rint(_class_sizes(data, ids, classes) * fraction).astype(np.int64).clip(min=1)
    return shares


def _clean_per_class(clean_size: int, classes: Sequence[str], sizes: Ids) -> int:
    count, fewest = len(classes), sizes.min()
    if clean_size % count:
        lower = clean_size - clean_size % count
        raise UsageError(
            f"a clean set of {clean_size} cannot be balanced over {count} classes; "
            f"choose {lower} or {lower + count}"
        )
    per_class = clean_size // count
    if per_class >= fewest:
        raise UsageError(
            f"a clean set of {clean_size} needs {per_class} examples of each class, but class "
            f"'{classes[int(sizes.argmin())]}' has {fewest} and must keep one for training; choose at most "
            f"{(fewest - 1) * count}"
        )
    return per_class


def _take(
    data: ImageData, ids: Ids, counts: Ids, stream: torch.Generator, exactly: bool = False
) -> tuple[Ids, Ids]:
    """Ids of a part with `counts` `(c,)` examples per class, and the ids of untouched groups.

    Whole groups are taken in random order until the count is reached; `exactly` drops what is beyond it.
    """
    groups = data.groups if data.groups is not None else np.arange(len(data.targets))
    taken, left = [], []
    for target, count in enumerate(counts):
        members = ids[data.targets[ids] == target]
        names, member_of = np.unique(groups[members], return_inverse=True)
        place = torch.randperm(len(names), generator=stream).numpy()
        order = np.argsort(place[member_of], kind="stable")
        members, place = members[order], place[member_of][order]
        last = place[count - 1] if count else -1
        part = members[place <= last]
        taken.append(part[:count] if exactly else part)
        left.append(members[place > last])
    return np.sort(np.concatenate(taken)), np.sort(np.concatenate(left))
