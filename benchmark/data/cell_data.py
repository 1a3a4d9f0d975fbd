"""The data of a cell: a dataset's images, their parts, and the corrupted training part."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Dataset, ImageData
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import IMBALANCES, NOISES
from reweightbench.benchmark.data.corruption import Corrupted, corrupt, hold_out
from reweightbench.benchmark.data.preloaded import Loaded
from reweightbench.benchmark.data.splits import Split, split


@dataclass(frozen=True)
class CellData:
    """What a cell trains and is tested on: parts of the `whole` dataset.

    `scope`, the dataset's name and the seed, is what the random streams of the cell depend on.
    """

    dataset: Dataset
    whole: ImageData
    split: Split
    corrupted: Corrupted
    corrupted_validation: Corrupted
    scope: tuple[str, int]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.dataset.classes)

    def pixels(self, ids: NDArray[np.int64], device: str) -> Tensor:
        """Images `(k, ch, h, w)` uint8 of the ids, on the device."""
        return torch.from_numpy(self.whole.images[ids]).to(device).permute(0, 3, 1, 2).contiguous()

    def targets(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """True targets `(k,)` of the ids."""
        return self.whole.targets[ids]


def make_cell_data(cell: Cell, loaded: Loaded) -> CellData:
    """The parts of a cell's dataset and its corrupted training part; raises UsageError where they cannot be made."""
    dataset, whole = loaded.dataset, loaded.images
    if whole.variant != cell.variant:
        raise UsageError(
            f"the {cell.dataset.name} data are variant {whole.variant}, the cell asks for {cell.variant}"
        )
    scope, classes = (cell.dataset.name, cell.seed), dataset.classes
    parts = split(
        whole,
        scope,
        classes=classes,
        test_fraction=dataset.test_fraction,
        validation_fraction=cell.validation_fraction,
        clean_size=cell.clean_size,
    )
    corrupted = corrupt(
        parts.train,
        whole.targets[parts.train],
        classes,
        IMBALANCES.restore(cell.imbalance) if cell.imbalance else None,
        NOISES.restore(cell.noise) if cell.noise else None,
        scope=scope,
    )
    kept, held = hold_out(
        corrupted, cell.corrupted_validation_fraction, whole.groups, dataset.classes, scope=scope
    )
    return CellData(dataset, whole, parts, kept, held, scope)
