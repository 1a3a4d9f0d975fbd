"""What in a result follows from something else in it; a record where it does not is refused.

Each function raises ValueError that names the first figure that cannot be.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from reweightbench.benchmark.records.record import Curves, Metrics, Realised, Result

TOLERANCE = 1e-9
"""How far a figure may lie from what it follows from."""


def check_metrics(metrics: "Metrics") -> None:
    """Accuracy, recall, balanced accuracy and macro-F1 `(c, c)` by the confusion matrix."""
    confusion = _square(metrics.confusion, "confusion")
    totals, hits = confusion.sum(1), confusion.diagonal()
    if len(metrics.recall) != len(confusion):
        raise ValueError(f"recall has {len(metrics.recall)} classes, confusion {len(confusion)}")
    if not totals.any():
        raise ValueError("confusion counts no example")
    occurs = totals > 0
    recall = hits[occurs] / totals[occurs]
    for target, value in enumerate(metrics.recall):
        # A record may hold 0 for a class that the test part lacks.
        expected = hits[target] / totals[target] if occurs[target] else 0.0
        if value is not None or occurs[target]:
            _require_equal(f"recall of class {target}", value, expected)
    _require_equal("accuracy", metrics.accuracy, hits.sum() / totals.sum())
    _require_equal("balanced_accuracy", metrics.balanced_accuracy, recall.mean())
    scores = 2 * hits / np.maximum(totals + confusion.sum(0), 1)
    _require_equal("macro_f1", metrics.macro_f1, scores[occurs].mean())


def check_realised(realised: "Realised") -> None:
    """Class counts and the share of wrong targets by the transitions `(c, c)`."""
    transitions = _square(realised.transitions, "transitions")
    if transitions.sum(1).tolist() != realised.class_counts:
        raise ValueError("class_counts are not the sums of the rows of transitions")
    if not transitions.any():
        raise ValueError("transitions count no example")
    share = 1 - transitions.diagonal().sum() / transitions.sum()
    _require_equal("noise_share", realised.noise_share, share)


def check_curves(curves: "Curves") -> None:
    """One value per epoch, or none at all where a curve may be absent."""
    epochs = len(curves.learning_rate)
    for name in type(curves).model_fields:
        length = len(getattr(curves, name))
        may_be_absent = not type(curves).model_fields[name].is_required()
        if length != epochs and not (may_be_absent and length == 0):
            raise ValueError(f"the curve {name} has {length} values for {epochs} epochs")


def check_result(result: "Result") -> None:
    """Sizes and test counts that agree with each other, and epochs and steps that can be."""
    classes, epochs = len(result.realised.class_counts), len(result.curves.learning_rate)
    if result.sizes.get("train") != sum(result.realised.class_counts):
        raise ValueError("sizes.train is not the sum of class_counts")
    every = (result.last, result.best, result.corrupted_best)
    tested = [metrics.confusion for metrics in every if metrics is not None]
    for confusion in tested:
        if len(confusion) != classes:
            raise ValueError(f"confusion has {len(confusion)} classes, class_counts {classes}")
        if sum(map(sum, confusion)) != result.sizes.get("test"):
            raise ValueError("confusion does not count the examples of the test part")
        if list(map(sum, confusion)) != list(map(sum, tested[0])):
            raise ValueError("two confusion matrices count different test parts")
    for epoch in (result.best_epoch, result.corrupted_best_epoch or 0):
        if epoch >= epochs:
            raise ValueError(f"epoch {epoch} is none of {epochs} epochs")
    if result.zero_weight_steps > result.steps:
        raise ValueError("there are more steps with zero weights than steps")
    _require_close("validation_accuracy", result.validation_accuracy, result.curves.validation_accuracy)
    _require_close(
        "validation_balanced_accuracy",
        result.validation_balanced_accuracy,
        result.curves.validation_balanced_accuracy,
    )


def check_predictions(predictions: NDArray[np.int32], confusion: Sequence[Sequence[int]]) -> None:
    """Predicted classes `(k,)` as often as the columns of the confusion matrix say."""
    columns = np.array(confusion).sum(0)
    if len(predictions) and not (predictions.min() >= 0 and predictions.max() < len(columns)):
        raise ValueError(f"a prediction is none of {len(columns)} classes")
    if np.bincount(predictions, minlength=len(columns)).tolist() != columns.tolist():
        raise ValueError("predictions do not belong to the confusion matrix")


def _square(rows: Sequence[Sequence[int]], name: str) -> NDArray[np.int64]:
    if any(len(row) != len(rows) for row in rows) or not rows:
        raise ValueError(f"{name} is no square matrix")
    return np.array(rows, dtype=np.int64)


def _require_equal(name: str, value: float | None, expected: float) -> None:
    if value is None or not math.isclose(value, expected, rel_tol=0, abs_tol=TOLERANCE):
        raise ValueError(f"{name} is {value}, by the counts beside it {float(expected):.12g}")


def _require_close(name: str, value: float, curve: Sequence[float]) -> None:
    """A curve is rounded to six digits."""
    if curve and not math.isclose(value, curve[-1], rel_tol=0, abs_tol=1e-5):
        raise ValueError(f"{name} is {value}, its curve ends at {curve[-1]}")
