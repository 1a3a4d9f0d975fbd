"""A measurement of training time: what one has to hold."""

from typing import Any

import pytest
from pydantic import ValidationError

from made_up import ENVIRONMENT, digits_cell
from reweightbench.benchmark.records.timing import CONTROL, REFERENCE, Timing

CELL = digits_cell("sgd", epochs=1, clean_size=100)
ROUND = {REFERENCE: 0.01, CONTROL: 0.01}
SOUND: dict[str, Any] = {
    "suite": "digits",
    "hardware": "Example CPU",
    "environment": ENVIRONMENT,
    "warm_up": 1,
    "steps": 2,
    "cells": {REFERENCE: CELL, CONTROL: CELL},
    "rounds": [ROUND],
    "memory": {REFERENCE: {"peak": 1}},
}


def test_an_unfinished_measurement_is_one() -> None:
    assert not Timing.model_validate(SOUND).is_complete


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": [ROUND | {REFERENCE: 0}]},
        {"rounds": [ROUND | {REFERENCE: -0.01}]},
        {"rounds": [ROUND | {REFERENCE: float("nan")}]},
        {"rounds": [ROUND | {REFERENCE: 1e300}]},
        {"rounds": [{REFERENCE: 0.01}]},
        {"rounds": [ROUND | {"focal": 0.01}]},
        {"cells": {REFERENCE: CELL}, "rounds": []},
        {"memory": {"focal": {"peak": 1}}},
        {"memory": {REFERENCE: {"peak": -1}}},
        {"steps": 0},
        {"hardware": "x" * 2000},
    ],
)
def test_what_cannot_have_been_measured_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Timing.model_validate(SOUND | changes)
