"""Corruption of the training part: first imbalance, then label noise, both by exact counts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.corruption import Imbalance, Noise
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import IMBALANCES, NOISES
from reweightbench.benchmark.contracts.seeding import make_generator

Counts = NDArray[np.int64]

FEWEST = 5
"""Examples of a class in a corrupted validation part, below which its recall says nothing."""


@dataclass(frozen=True)
class Corrupted:
    """The corrupted training part: ids `(n,)`, targets `(n,)` and true targets `(n,)`."""

    ids: Counts
    targets: Counts
    true_targets: Counts

    def take(self, places: Counts) -> "Corrupted":
        """The examples at those places of this part."""
        return Corrupted(self.ids[places], self.targets[places], self.true_targets[places])

    @property
    def is_mislabelled(self) -> NDArray[np.bool_]:
        """Which targets `(n,)` differ from the true ones."""
        differs: NDArray[np.bool_] = self.targets != self.true_targets
        return differs

    def transitions(self, classes: int) -> Counts:
        """Counts `(c, c)` of true target (row) against target (column)."""
        return np.bincount(self.true_targets * classes + self.targets, minlength=classes * classes).reshape(
            classes, classes
        )


def corrupt(
    ids: Counts,
    targets: Counts,
    classes: Sequence[str],
    imbalance: Imbalance | None,
    noise: Noise | None,
    *,
    scope: tuple[str, int],
) -> Corrupted:
    """The examples `ids` with true `targets` `(n,)` after imbalance and noise.

    `classes` are their names; `scope` (dataset, seed) selects the random streams. Raises UsageError where a class
    would be empty, and for a corruption of a single class.
    """
    imbalance_stream = make_generator("imbalance", *scope)
    noise_stream = make_generator("noise", *scope)
    if len(classes) < 2 and (imbalance or noise):
        raise UsageError(
            f"{_name(imbalance, noise)} needs two classes, the dataset has only '{classes[0]}'; "
            "leave the corruption out"
        )
    pools = [ids[targets == target] for target in range(len(classes))]
    counts = [len(pool) for pool in pools]
    if imbalance is not None:
        counts = imbalance.class_counts(min(counts), len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count < 1]
    if empty:
        raise UsageError(
            f"{_name(imbalance)} leaves class '{empty[0]}' without a training example "
            f"(each class can supply {min(map(len, pools))}); choose a weaker imbalance or a smaller clean set"
        )
    kept, true, given = [], [], []
    for target, (pool, count) in enumerate(zip(pools, counts, strict=True)):
        order = torch.randperm(len(pool), generator=imbalance_stream).numpy()
        kept.append(pool[order[:count]])
        true.append(np.full(count, target))
        given.append(_noisy_targets(target, count, len(classes), noise, noise_stream))
    return Corrupted(
        ids=np.concatenate(kept), targets=np.concatenate(given), true_targets=np.concatenate(true)
    )


def hold_out(
    part: Corrupted,
    fraction: float,
    groups: Counts | None,
    classes: Sequence[str],
    *,
    scope: tuple[str, int],
) -> tuple[Corrupted, Corrupted]:
    """What remains of a corrupted part, and the validation part that is taken from it.

    Validation gets `fraction` of each observed class, at least `FEWEST` examples, and whole `groups` `(n,)` of
    the dataset's examples. Raises UsageError where a class has too few for both parts.
    """
    everything = np.arange(len(part.ids))
    if not fraction:
        return part, part.take(everything[:0])
    stream = make_generator("corrupted_validation", *scope)
    names = everything if groups is None else groups[part.ids]
    _, first, member_of = np.unique(names, return_index=True, return_inverse=True)
    is_held = np.zeros(len(first), dtype=bool)
    sizes = np.bincount(member_of)
    # A group counts for the class of its first example: after noise it may have several.
    group_targets = part.targets[first]
    for target, name in enumerate(classes):
        members = np.flatnonzero(group_targets == target)
        members = members[torch.randperm(len(members), generator=stream).numpy()]
        total = int(sizes[members].sum())
        wanted = max(round(fraction * total), FEWEST)
        if total <= wanted:
            raise UsageError(
                f"a corrupted validation part takes at least {FEWEST} examples of each class, but class '{name}' has "
                f"{total} training examples and must keep one; set corrupted_validation_fraction = 0, or choose a "
                "weaker imbalance"
            )
        is_held[members[np.cumsum(sizes[members]) <= wanted]] = True
    chosen = is_held[member_of]
    return part.take(everything[~chosen]), part.take(everything[chosen])


def _name(imbalance: Imbalance | None, noise: Noise | None = None) -> str:
    """The labels of corruptions, as suites write them."""
    labels = [IMBALANCES.label(IMBALANCES.spec(imbalance))] if imbalance else []
    labels += [NOISES.label(NOISES.spec(noise))] if noise else []
    return " + ".join(labels) or "the dataset"


def _noisy_targets(
    target: int, count: int, classes: int, noise: Noise | None, generator: torch.Generator
) -> Counts:
    """Targets `(count,)` of one class, the first of a random order replaced."""
    targets = np.full(count, target)
    if noise is not None:
        flipped = torch.randperm(count, generator=generator).numpy()[: round(noise.rate * count)]
        wrong = noise.wrong_targets(target, count, classes, generator)
        targets[flipped] = np.asarray(wrong)[: len(flipped)]
    return targets
