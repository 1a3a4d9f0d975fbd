"""What one epoch of training saw, gathered on the device and read out once."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reweightbench.benchmark.contracts.errors import NonFiniteLossError
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.benchmark.training.metrics import separation


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Figures of one epoch; `seconds` holds no evaluation.

    `memorised`: share of the mislabelled examples predicted as their wrong target, None without any.
    Mean weights and their AUROC are None for methods without explicit weights.
    """

    number: int
    seconds: float
    learning_rate: float
    steps: int
    zero_weight_steps: int
    train_loss: float
    train_accuracy: float
    memorised: float | None
    weight_clean: float | None
    weight_mislabelled: float | None
    weight_auroc: float | None


class EpochStatistics:
    """Collects the steps of an epoch without waiting for the device.

    `is_mislabelled` `(n,)` covers the training examples; examples beyond it belong to the clean set.
    """

    def __init__(self, is_mislabelled: Tensor, has_weights: bool) -> None:
        self._is_mislabelled = is_mislabelled
        self._has_weights = has_weights
        self._steps: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def add(self, batch: Batch, losses: Tensor, predictions: Tensor, weights: Tensor) -> None:
        """Note a step's losses, predicted classes and weights, all `(b,)`."""
        self._steps.append((batch.index, losses, predictions == batch.targets, weights))

    def summary(self, number: int, seconds: float, learning_rate: float) -> Epoch:
        """The epoch's figures; raises NonFiniteLossError where a loss or a weight is not finite.

        Raises ValueError for a negative weight.
        """
        parts = zip(*self._steps, strict=True)
        index, losses, hits, weights = (torch.cat(part).cpu() for part in parts)
        if not (losses.isfinite().all() and weights.isfinite().all()):
            raise NonFiniteLossError(f"a loss or weight became non-finite in epoch {number}")
        if (weights < 0).any():
            raise ValueError(
                f"a weight was {float(weights.min()):g} in epoch {number}; weights are at least 0"
            )
        is_training = index < len(self._is_mislabelled)
        wrong = torch.zeros_like(is_training)
        wrong[is_training] = self._is_mislabelled.cpu()[index[is_training]]
        zero = sum(not step_weights.any() for step_weights in weights.split(len(self._steps[0][3])))
        means = self._weight_means(index[is_training], weights[is_training])
        return Epoch(
            number=number,
            seconds=seconds,
            learning_rate=learning_rate,
            steps=len(self._steps),
            zero_weight_steps=zero,
            train_loss=float(losses.mean()),
            train_accuracy=float(hits.float().mean()),
            memorised=float(hits[wrong].float().mean()) if wrong.any() else None,
            weight_clean=means[0],
            weight_mislabelled=means[1],
            weight_auroc=means[2],
        )

    def _weight_means(
        self, index: Tensor, weights: Tensor
    ) -> tuple[float | None, float | None, float | None]:
        """Mean weight of clean and of mislabelled examples, and the AUROC of each example's mean weight."""
        if not self._has_weights or not len(index):
            return None, None, None
        wrong = self._is_mislabelled.cpu().numpy()
        counts = np.bincount(index.numpy(), minlength=len(wrong))
        sums = np.bincount(index.numpy(), weights=weights.double().numpy(), minlength=len(wrong))
        seen = counts > 0
        means, wrong = sums[seen] / counts[seen], wrong[seen]
        mislabelled = float(means[wrong].mean()) if wrong.any() else None
        clean = float(means[~wrong].mean()) if not wrong.all() else None
        return clean, mislabelled, separation(means, wrong)
