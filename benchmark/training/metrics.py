"""Metrics of a classifier on a set of examples, by scikit-learn where it has them.

scikit-learn is imported by what uses it: it takes a second or two, and most commands compute no metric.
"""

import numpy as np
from numpy.typing import NDArray

from reweightbench.benchmark.records.record import Metrics

CALIBRATION_BINS = 15


def compute_metrics(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> Metrics:
    """Metrics of class probabilities `(n, c)` against true targets `(n,)`.

    A class without a target has the recall None and counts in no mean.
    """
    from sklearn.metrics import confusion_matrix, f1_score  # noqa: PLC0415

    classes = probabilities.shape[1]
    predictions = probabilities.argmax(1)
    confusion = confusion_matrix(targets, predictions, labels=range(classes))
    recall = class_recall(predictions, targets, classes)
    return Metrics(
        accuracy=float((predictions == targets).mean()),
        balanced_accuracy=float(np.nanmean(recall)),
        macro_f1=float(
            f1_score(targets, predictions, labels=np.unique(targets), average="macro", zero_division=0)
        ),
        calibration_error=calibration_error(probabilities, targets),
        recall=[None if np.isnan(value) else float(value) for value in recall],
        confusion=confusion.tolist(),
    )


def class_recall(
    predictions: NDArray[np.int64], targets: NDArray[np.int64], classes: int
) -> NDArray[np.float64]:
    """Recall `(c,)` per class, NaN for a class without an example."""
    totals = np.bincount(targets, minlength=classes).astype(float)
    hits = np.bincount(targets[predictions == targets], minlength=classes)
    recall = np.full(classes, np.nan)
    np.divide(hits, totals, out=recall, where=totals > 0)
    return recall


def balanced_accuracy(predictions: NDArray[np.int64], targets: NDArray[np.int64], classes: int) -> float:
    """Mean recall over the classes that occur."""
    return float(np.nanmean(class_recall(predictions, targets, classes)))


def calibration_error(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """Expected calibration error: |accuracy - confidence| over 15 equal bins of confidence.

    Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    confidence = probabilities.max(1)
    is_right = probabilities.argmax(1) == targets
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=is_right - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(targets))


def separation(weights: NDArray[np.float64], is_mislabelled: NDArray[np.bool_]) -> float | None:
    """AUROC with which weights tell clean from mislabelled examples; None if one kind is absent."""
    if is_mislabelled.all() or not is_mislabelled.any():
        return None
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415

    return float(roc_auc_score(~is_mislabelled, weights))
