"""The data of a cell: a dataset, its split and its corrupted training part."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reweightbench.benchmark.cell import Cell
from reweightbench.benchmark.corruption import Corrupted, corrupt
from reweightbench.benchmark.dataset import Dataset, ImageData
from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.method import Method, divide_epochs
from reweightbench.benchmark.registry import DATASETS, IMBALANCES, NOISES
from reweightbench.benchmark.splits import Split, split


@dataclass(frozen=True)
class Material:
    """What a cell trains and is tested on."""

    dataset: Dataset
    data: ImageData
    split: Split
    corrupted: Corrupted

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.classes)

    def images(self, ids: NDArray[np.int64], device: str) -> Tensor:
        """Images `(k, ch, h, w)` uint8 of the ids, on the device."""
        return torch.from_numpy(self.data.images[ids]).to(device).permute(0, 3, 1, 2).contiguous()


def gather(cell: Cell, data: ImageData) -> Material:
    """The split and the corrupted training part of a cell; raises UsageError where they cannot be made."""
    dataset = DATASETS.restore(cell.dataset)
    if data.variant != cell.variant:
        raise UsageError(
            f"the {cell.dataset.name} data are variant {data.variant}, the cell asks for {cell.variant}"
        )
    name, classes = cell.dataset.name, len(dataset.classes)
    parts = split(
        data,
        dataset=name,
        classes=classes,
        seed=cell.seed,
        test_fraction=dataset.test_fraction,
        validation_fraction=cell.validation_fraction,
        clean_size=cell.clean_size,
    )
    corrupted = corrupt(
        parts.train,
        data.targets[parts.train],
        classes,
        IMBALANCES.restore(cell.imbalance) if cell.imbalance else None,
        NOISES.restore(cell.noise) if cell.noise else None,
        name,
        cell.seed,
    )
    return Material(dataset, data, parts, corrupted)


def check_method(cell: Cell, method: Method) -> None:
    """Raise UsageError where the method's stages or needs do not fit the cell."""
    divide_epochs(method.stages(), cell.budget.epochs)
    uses_clean = any("clean" in stage.pool for stage in method.stages())
    if uses_clean and "clean_set" not in method.needs:
        raise UsageError(
            f"method '{cell.method.name}' trains on the clean set without 'clean_set' in its needs"
        )
    if "clean_set" in method.needs and cell.clean_size == 0:
        raise UsageError(
            f"method '{cell.method.name}' needs a clean set; leave the method or the clean size 0 out"
        )
