"""A record whose figures contradict each other is refused, whatever figure was touched."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from made_up import build_grid
from reweightbench.benchmark.records.record import Outcome, Record

RECORD = next(iter(build_grid(seeds=(0,)).records.values()))
CONTENT = json.loads(RECORD.model_dump_json())

Change = Callable[[dict[str, Any]], object]


def put(path: str, value: Any) -> Change:
    """A change of the value at a dotted path."""

    def change(content: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            content = content[int(name)] if isinstance(content, list) else content[name]
        content[int(last) if isinstance(content, list) else last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        *(
            put(f"result.{place}", 7.3)
            for place in ("last.accuracy", "last.recall.0", "realised.noise_share")
        ),
        *(put(f"result.{place}", -4.0) for place in ("best.macro_f1", "validation_accuracy")),
        *(put(f"result.last.{name}", 0.99) for name in ("accuracy", "balanced_accuracy", "macro_f1")),
        put("result.last.recall.3", None),
        put("result.last.recall", [0.5]),
        put("result.last.confusion.0.1", 2**70),
        put("result.last.confusion.0.0", -1),
        put("result.last.confusion", [[1, 2], [3]]),
        put("result.best.confusion", CONTENT["result"]["last"]["confusion"][::-1]),
        put("result.realised.class_counts.2", 1),
        put("result.realised.noise_share", 0.5),
        put("result.realised.transitions", []),
        put("result.sizes.train", 3),
        put("result.sizes.test", 3),
        put("result.best_epoch", 99),
        put("result.zero_weight_steps", 10**6),
        put("result.validation_balanced_accuracy", 0.123),
        put("result.curves.train_loss", [1.0]),
        put("result.curves.validation_accuracy.0", 3.0),
        put("result.weights_sha256", "../../etc/passwd"),
        put("result.fingerprint", "f"),
        put("cost.total_seconds", 1e300),
        put("cost.train_seconds", -1.0),
        put("cost.peak_memory_bytes", 2**70),
        put("environment.processor", "x" * 10_000),
        put("reason", "x" * 100_000),
        put("cell.budget.epochs", 5),
        put("key", "0" * 63),
        put("status", "fine"),
        put("result", None),
    ],
)
def test_a_figure_that_cannot_be_is_refused(change: Change) -> None:
    content = copy.deepcopy(CONTENT)
    Record.model_validate(content)
    change(content)
    with pytest.raises(ValidationError):
        Record.model_validate(content)


@pytest.mark.parametrize("text", [b"[" * 10_000, b'{"a":' * 10_000, b"\xff\xfe", b"null", b"1e999"])
def test_no_json_text_is_more_than_a_validation_error(text: bytes) -> None:
    with pytest.raises(ValidationError):
        Record.model_validate_json(text)


def test_predictions_have_to_give_the_columns_of_the_confusion_matrix() -> None:
    assert RECORD.result is not None
    columns = np.array(RECORD.result.last.confusion).sum(0)
    predictions = np.repeat(np.arange(len(columns)), columns).astype(np.int32)
    Outcome(RECORD, {"predictions": predictions}).check_arrays()
    moved = predictions.copy()
    moved[0] = moved[-1]
    for wrong, message in ((moved, "do not belong"), (predictions - 1, "none of 10 classes")):
        with pytest.raises(ValueError, match=message):
            Outcome(RECORD, {"predictions": wrong}).check_arrays()
