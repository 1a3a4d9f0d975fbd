"""Metrics against scikit-learn and against loops over examples."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    recall_score,
    roc_auc_score,
)

from made_up import digits_cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.benchmark.data.description import Decoded, describe
from reweightbench.benchmark.records.record import Record
from reweightbench.benchmark.training.metrics import (
    balanced_accuracy,
    calibration_error,
    class_recall,
    compute_metrics,
    separation,
)
from reweightbench.benchmark.training.run import run_cell

CLASSES = 4

quick = settings(max_examples=50, deadline=None, derandomize=True)


@st.composite
def predictions_with_all_classes(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Class probabilities `(n, c)` and targets `(n,)` in which every class occurs."""
    size = draw(st.integers(CLASSES, 60))
    stream = np.random.default_rng(draw(st.integers(0, 10_000)))
    logits = stream.normal(size=(size, CLASSES)) * draw(st.sampled_from([0.1, 1.0, 10.0]))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = np.concatenate([np.arange(CLASSES), stream.integers(CLASSES, size=size - CLASSES)])
    return probabilities, targets


def calibration_loop(probabilities: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """The weighted mean over 15 bins of |accuracy - confidence|, bin by bin."""
    error = 0.0
    for number in range(15):
        inside = []
        for row, target in zip(probabilities.tolist(), targets.tolist(), strict=True):
            confidence = max(row)
            upper = 1.1 if number == 14 else (number + 1) / 15
            if number / 15 <= confidence < upper:
                inside.append((confidence, row.index(confidence) == target))
        if inside:
            accuracy = sum(is_right for _, is_right in inside) / len(inside)
            confidence = sum(value for value, _ in inside) / len(inside)
            error += len(inside) / len(targets) * abs(accuracy - confidence)
    return error


@quick
@given(predictions_with_all_classes())
def test_metrics_equal_scikit_learns(case: tuple[NDArray[np.float64], NDArray[np.int64]]) -> None:
    probabilities, targets = case
    predictions = probabilities.argmax(1)
    metrics = compute_metrics(probabilities, targets)
    assert metrics.accuracy == pytest.approx(accuracy_score(targets, predictions))
    assert metrics.balanced_accuracy == pytest.approx(balanced_accuracy_score(targets, predictions))
    assert metrics.macro_f1 == pytest.approx(f1_score(targets, predictions, average="macro", zero_division=0))
    assert metrics.recall == pytest.approx(
        recall_score(targets, predictions, average=None, labels=range(CLASSES))
    )
    assert metrics.confusion == confusion_matrix(targets, predictions).tolist()
    assert metrics.calibration_error == pytest.approx(calibration_loop(probabilities, targets))


@quick
@given(predictions_with_all_classes())
def test_balanced_accuracy_is_the_mean_recall(
    case: tuple[NDArray[np.float64], NDArray[np.int64]],
) -> None:
    probabilities, targets = case
    predictions = probabilities.argmax(1)
    recall = class_recall(predictions, targets, CLASSES)
    for target in range(CLASSES):
        hits = [prediction == target for prediction in predictions[targets == target]]
        assert recall[target] == pytest.approx(sum(hits) / len(hits))
    assert balanced_accuracy(predictions, targets, CLASSES) == pytest.approx(recall.mean())


def test_a_class_that_does_not_occur_is_left_out() -> None:
    targets = np.array([0, 0, 1, 1, 1])
    predictions = np.array([0, 2, 1, 1, 0])
    recall = class_recall(predictions, targets, 3)
    assert recall[:2].tolist() == pytest.approx([1 / 2, 2 / 3])
    assert np.isnan(recall[2])
    assert balanced_accuracy(predictions, targets, 3) == pytest.approx((1 / 2 + 2 / 3) / 2)
    metrics = compute_metrics(np.eye(3)[predictions], targets)
    assert metrics.balanced_accuracy == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert metrics.recall == [pytest.approx(1 / 2), pytest.approx(2 / 3), None]
    # By hand: precision 1/2 and recall 1/2, then precision 1 and recall 2/3.
    assert metrics.macro_f1 == pytest.approx((1 / 2 + 4 / 5) / 2)
    assert metrics.confusion == [[1, 0, 1], [1, 2, 0], [0, 0, 0]]


def test_the_record_of_a_run_whose_test_part_lacks_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    digits = DATASETS.create("digits")
    whole = digits.load(Sources())
    is_test = (np.arange(1797) % 4 == 0) & (whole.targets != 9)
    parts = Decoded(images=whole.images, targets=whole.targets, variant="embedded", is_test=is_test)
    lacking = describe(parts)
    monkeypatch.setattr(type(digits), "load", lambda *_: lacking)
    record = run_cell(digits_cell("sgd", epochs=1, clean_size=10))
    assert record.result is not None
    last = record.result.last
    assert last.recall[9] is None
    recall = [value for value in last.recall if value is not None]
    assert len(recall) == 9
    assert last.balanced_accuracy == pytest.approx(sum(recall) / 9)
    assert Record.model_validate_json(record.model_dump_json()) == record


def test_a_class_that_is_never_predicted_has_recall_zero() -> None:
    targets = np.array([0, 1, 2, 2])
    metrics = compute_metrics(np.eye(3)[[0, 0, 0, 0]], targets)
    assert metrics.recall == [1, 0, 0]
    assert metrics.balanced_accuracy == pytest.approx(1 / 3)
    assert metrics.accuracy == 0.25


def test_known_calibration_error() -> None:
    """Two examples at 0.9 with one right, two at 0.55 with both right: (0.4 * 2 + 0.45 * 2) / 4."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.55, 0.45], [0.45, 0.55]])
    assert calibration_error(probabilities, np.array([0, 1, 0, 1])) == pytest.approx(0.425)


def test_calibration_error_of_certain_answers() -> None:
    certain = np.eye(2)[[0, 0, 1, 1]]
    assert calibration_error(certain, np.array([0, 0, 1, 1])) == 0
    assert calibration_error(certain, np.array([1, 1, 0, 0])) == 1
    assert calibration_error(certain, np.array([0, 1, 1, 1])) == 0.25


def test_separation_is_the_chance_that_a_clean_example_weighs_more() -> None:
    weights = np.array([0.0, 1.0, 1.0, 2.0, 3.0])
    wrong = np.array([True, True, False, False, False])
    pairs = [(w > v) + 0.5 * (w == v) for w in weights[~wrong] for v in weights[wrong]]
    assert separation(weights, wrong) == pytest.approx(sum(pairs) / len(pairs))
    assert separation(weights, wrong) == pytest.approx(roc_auc_score(~wrong, weights))
    assert separation(-weights, wrong) == pytest.approx(1 - sum(pairs) / len(pairs))


def test_separation_of_equal_weights_is_one_half() -> None:
    assert separation(np.ones(4), np.array([True, False, True, False])) == 0.5


@pytest.mark.parametrize("wrong", [True, False])
def test_separation_needs_both_kinds(wrong: bool) -> None:
    assert separation(np.array([0.5, 1.0]), np.array([wrong, wrong])) is None
