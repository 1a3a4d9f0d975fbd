"""From the epochs of a training run to the result in its record."""

import hashlib
from dataclasses import dataclass

import numpy as np

from reweightbench.benchmark.data.cell_data import CellData
from reweightbench.benchmark.records.record import Curves, Metrics, Part, Realised, Result
from reweightbench.benchmark.training.epoch import Epoch


@dataclass(frozen=True)
class Evaluation:
    """An epoch of training and the model's accuracy on the validation parts after it.

    On the corrupted one it is the mean recall over observed classes; None without that part.
    """

    epoch: Epoch
    accuracy: float
    balanced_accuracy: float
    corrupted_balanced_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class Tested:
    """Epochs that were chosen on the validation parts, and the metrics of the model there and at the end.

    A trial has no metrics.
    """

    best_epoch: int
    corrupted_best_epoch: int | None = None
    last: Metrics | None = None
    best: Metrics | None = None
    corrupted_best: Metrics | None = None


def make_result(
    data: CellData,
    evaluations: list[Evaluation],
    weights_sha256: str,
    tested: Tested,
) -> Result:
    """The record's result from what was measured."""
    corrupted, parts, last = data.corrupted, data.split, evaluations[-1]
    sizes: dict[Part, int] = {
        "train": len(corrupted.ids),
        "validation": len(parts.validation),
        "clean": len(parts.clean),
        "test": len(parts.test),
    }
    if len(data.corrupted_validation.ids):
        sizes["corrupted_validation"] = len(data.corrupted_validation.ids)
    return Result(
        fingerprint=data.whole.fingerprint,
        sizes=sizes,
        realised=Realised(
            class_counts=np.bincount(corrupted.true_targets, minlength=data.classes).tolist(),
            noise_share=float(corrupted.is_mislabelled.mean()),
            transitions=corrupted.transitions(data.classes).tolist(),
            targets_sha256=hashlib.sha256(corrupted.ids.tobytes() + corrupted.targets.tobytes()).hexdigest(),
        ),
        last=tested.last,
        best=tested.best,
        best_epoch=tested.best_epoch,
        corrupted_best=tested.corrupted_best,
        corrupted_best_epoch=tested.corrupted_best_epoch,
        validation_accuracy=last.accuracy,
        validation_balanced_accuracy=last.balanced_accuracy,
        corrupted_validation_balanced_accuracy=last.corrupted_balanced_accuracy,
        steps=sum(evaluation.epoch.steps for evaluation in evaluations),
        zero_weight_steps=sum(evaluation.epoch.zero_weight_steps for evaluation in evaluations),
        weights_sha256=weights_sha256,
        curves=_curves(evaluations),
    )


def _curves(evaluations: list[Evaluation]) -> Curves:
    """Learning curves, rounded to six digits: they are for plots."""

    def curve(values: list[float | None]) -> list[float | None]:
        return [None if value is None else float(f"{value:.6g}") for value in values]

    epochs = [evaluation.epoch for evaluation in evaluations]
    names = ["learning_rate", "train_loss", "train_accuracy", "memorised"]
    if any(epoch.weight_clean is not None for epoch in epochs):
        names += ["weight_clean", "weight_mislabelled", "weight_auroc"]
    curves = {name: curve([getattr(epoch, name) for epoch in epochs]) for name in names}
    curves["validation_accuracy"] = curve([evaluation.accuracy for evaluation in evaluations])
    curves["validation_balanced_accuracy"] = curve(
        [evaluation.balanced_accuracy for evaluation in evaluations]
    )
    if evaluations[-1].corrupted_balanced_accuracy is not None:
        curves["corrupted_validation_balanced_accuracy"] = curve(
            [evaluation.corrupted_balanced_accuracy for evaluation in evaluations]
        )
    return Curves.model_validate(curves)
