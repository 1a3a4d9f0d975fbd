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


@dataclass(frozen=True)
class Corrupted:
    """The corrupted training part: ids `(n,)`, targets `(n,)` and true targets `(n,)`."""

    ids: Counts
    targets: Counts
    true_targets: Counts

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
