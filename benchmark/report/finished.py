"""A finished cell as reports need it: what its record says, in a fraction of the record's memory."""

import sys
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.records.record import Cost, Environment, Result

CurveName = Literal[
    "validation_balanced_accuracy", "memorised", "weight_clean", "weight_mislabelled", "weight_auroc"
]
Curve = NDArray[np.float64]


class Figures(NamedTuple):
    """The single numbers of a record; `best_` ones are of the epoch that is best on validation."""

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    calibration_error: float
    best_accuracy: float
    best_balanced_accuracy: float
    best_macro_f1: float
    best_calibration_error: float
    validation_accuracy: float
    validation_balanced_accuracy: float
    train_seconds: float
    total_seconds: float
    peak_memory_bytes: int
    best_epoch: int
    steps: int
    zero_weight_steps: int
    train_size: int
    smallest_class: int
    largest_class: int
    noise_share: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A cell that ran to its end.

    `recall` `(c,)` is of the last epoch, NaN for a class without a test example. `curves` `(epochs,)` has NaN
    where a value is missing, and no curve without a single value. Arrays take less memory than the record's
    lists, and Python's garbage collector does not visit them.
    """

    planned: Planned
    figures: Figures
    recall: NDArray[np.float64]
    curves: dict[CurveName, Curve]
    environment: Environment
    fingerprint: str
    targets_sha256: str


def condense(planned: Planned, result: Result, cost: Cost, environment: Environment) -> Finished:
    """The finished cell of a record's parts."""
    curves = {}
    for name in get_args(CurveName):
        curve = np.array(getattr(result.curves, name), dtype=np.float64)
        if not np.isnan(curve).all():
            curves[name] = curve
    return Finished(
        planned=planned,
        figures=_figures(result, cost),
        recall=np.array(result.last.recall, dtype=np.float64),
        curves=curves,
        environment=environment,
        # Equal texts of many cells are kept once.
        fingerprint=sys.intern(result.fingerprint),
        targets_sha256=sys.intern(result.realised.targets_sha256),
    )


def _figures(result: Result, cost: Cost) -> Figures:
    last, best, counts = result.last, result.best, result.realised.class_counts
    return Figures(
        accuracy=last.accuracy,
        balanced_accuracy=last.balanced_accuracy,
        macro_f1=last.macro_f1,
        calibration_error=last.calibration_error,
        best_accuracy=best.accuracy,
        best_balanced_accuracy=best.balanced_accuracy,
        best_macro_f1=best.macro_f1,
        best_calibration_error=best.calibration_error,
        validation_accuracy=result.validation_accuracy,
        validation_balanced_accuracy=result.validation_balanced_accuracy,
        train_seconds=cost.train_seconds,
        total_seconds=cost.total_seconds,
        peak_memory_bytes=cost.peak_memory_bytes,
        best_epoch=result.best_epoch,
        steps=result.steps,
        zero_weight_steps=result.zero_weight_steps,
        train_size=result.sizes["train"],
        smallest_class=min(counts),
        largest_class=max(counts),
        noise_share=result.realised.noise_share,
    )
