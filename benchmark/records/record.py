"""The record of a cell: what was run, what came out, and what it cost."""

import hashlib
import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from reweightbench.benchmark.cells.cell import Cell, Frozen
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records.consistency import (
    check_curves,
    check_metrics,
    check_predictions,
    check_realised,
    check_result,
)

SCHEMA_VERSION: Final = 2

Part = Literal["train", "validation", "corrupted_validation", "clean", "test"]
Arrays = dict[str, NDArray[np.int32]]
"""Ids of the parts of the split, and the classes predicted for the test part, by name."""

Status = Literal["ok", "error", "timeout", "crashed", "oom", "nonfinite"]

ARRAY_PARTS: Final[dict[str, Part]] = {
    "test": "test",
    "validation": "validation",
    "clean": "clean",
    "corrupted_validation": "corrupted_validation",
    "predictions": "test",
}
"""The arrays of a record, each with the part of the split that it has one element per example of."""

KEY = re.compile(r"[0-9a-f]{64}")

COMPARED_FIELDS = ("torch", "platform", "processor", "gpu")
"""Fields of an environment that must be equal for numbers to stand in one table; of code, `sources` tells."""


Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**40)]
Finite = Annotated[float, Field(ge=-1e30, le=1e30)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(max_length=1000)]
Counts = Annotated[list[Count], Field(min_length=1, max_length=10_000)]
Matrix = Annotated[list[Counts], Field(min_length=1, max_length=10_000)]

Curve = Annotated[list[Fraction], Field(max_length=1_000_000)]
OpenCurve = Annotated[list[Fraction | None], Field(max_length=1_000_000)]
WeightCurve = Annotated[list[Annotated[float, Field(ge=0, le=1e30)] | None], Field(max_length=1_000_000)]


class Metrics(Frozen):
    """Metrics on the test set, fractions in [0, 1]; row i of `confusion` counts true class i.

    The recall of a class without a test example is None; it counts in no mean. All but the calibration error
    follow from `confusion`, and are checked against it.
    """

    accuracy: Fraction
    balanced_accuracy: Fraction
    macro_f1: Fraction
    calibration_error: Fraction
    recall: list[Fraction | None]
    confusion: Matrix

    @model_validator(mode="after")
    def _check_figures(self) -> Self:
        check_metrics(self)
        return self


class Curves(Frozen):
    """One value per epoch. Weight statistics are empty for methods without explicit weights.

    `memorised` is the share of mislabelled examples that the model fits to their wrong target;
    None where there are no mislabelled examples. `weight_auroc` is the chance that a clean example
    weighs more than a mislabelled one.
    """

    learning_rate: Annotated[list[Annotated[float, Field(ge=0, le=1e6)]], Field(max_length=1_000_000)]
    train_loss: list[Finite]
    train_accuracy: Curve
    memorised: OpenCurve
    validation_accuracy: Curve
    validation_balanced_accuracy: Curve
    corrupted_validation_balanced_accuracy: Curve = Field(default_factory=list)
    weight_clean: WeightCurve = Field(default_factory=list)
    weight_mislabelled: WeightCurve = Field(default_factory=list)
    weight_auroc: OpenCurve = Field(default_factory=list)

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        check_curves(self)
        return self


class Realised(Frozen):
    """The corruption as it came out, counted by true class; row i of `transitions` is true class i."""

    class_counts: Counts
    noise_share: Fraction
    transitions: Matrix
    targets_sha256: Digest

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        check_realised(self)
        return self


class Result(Frozen):
    """What a finished training run found; equal for equal cells on one machine. Epochs count from 0.

    Metrics are of the test part at the last epoch, at the one that is best on validation, and at the one that is
    best on corrupted validation, which scores the mean recall over observed classes; a trial has none, and
    without a corrupted validation part its figures are None.
    """

    fingerprint: Digest
    sizes: dict[Part, Count]
    realised: Realised
    last: Metrics | None = None
    best: Metrics | None = None
    best_epoch: Count
    corrupted_best: Metrics | None = None
    corrupted_best_epoch: Count | None = None
    validation_accuracy: Fraction
    validation_balanced_accuracy: Fraction
    corrupted_validation_balanced_accuracy: Fraction | None = None
    steps: Count
    zero_weight_steps: Count
    weights_sha256: Digest
    curves: Curves

    @model_validator(mode="after")
    def _check_parts(self) -> Self:
        check_result(self)
        return self

    @property
    def tested(self) -> Metrics:
        """The metrics on the test part at the last epoch; raises ValueError for those of a trial."""
        if self.last is None:
            raise ValueError("a trial is not tested")
        return self.last


class Cost(Frozen):
    """Seconds and bytes of this run; training time holds no evaluation."""

    train_seconds: Annotated[float, Field(ge=0, le=1e9)]
    total_seconds: Annotated[float, Field(ge=0, le=1e9)]
    peak_memory_bytes: Annotated[int, Field(ge=0, le=2**50)]


class Environment(Frozen):
    """Where the run took place."""

    suite_version: Text
    git_commit: Text | None
    python: Text
    torch: Text
    platform: Text
    processor: Text
    gpu: Text | None = None


class CodeDigests(Frozen):
    """The digests of the code that made a record, each apart; None for what a cell has not, or is not known."""

    engine: str
    dataset: str | None = None
    imbalance: str | None = None
    noise: str | None = None
    model: str | None = None
    method: str | None = None


class Record(Frozen):
    """The result of a cell; `result` and `cost` exist if and only if the status is `ok`.

    `sources` is None, and not written, where the code is unknown.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    key: Digest
    cell: Cell
    status: Status
    reason: Annotated[str, Field(max_length=10_000)] | None = None
    result: Result | None = None
    cost: Cost | None = None
    environment: Environment
    sources: CodeDigests | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, content: Any) -> Any:
        """What version 1 says is said the same way in version 2, which knows more."""
        if isinstance(content, dict) and content.get("schema_version", 1) == 1:
            return content | {"schema_version": SCHEMA_VERSION}
        return content

    @model_validator(mode="after")
    def _check_completeness(self) -> Self:
        has_all, has_any = self.result and self.cost, self.result or self.cost
        if (self.status == "ok") != bool(has_all) or bool(has_all) != bool(has_any):
            raise ValueError("a record has a result and a cost if and only if its status is ok")
        if self.result and (self.cell.purpose == "trial") != (self.result.last is None):
            raise ValueError("a record has metrics on the test part if and only if its cell is no trial")
        if self.result and len(self.result.curves.learning_rate) != self.cell.budget.epoch_count:
            raise ValueError("a curve does not have a value for each epoch of the budget")
        return self

    @property
    def result_digest(self) -> str:
        """The digest of the result, by which results are compared that are too many for memory; empty without one."""
        return hashlib.sha256(self.result.model_dump_json().encode()).hexdigest() if self.result else ""


@dataclass(frozen=True)
class Outcome:
    """A record, and the ids of its split with the test predictions."""

    record: Record
    arrays: Arrays

    def check_arrays(self) -> None:
        """Raise ValueError for an array that is none of this record."""
        sizes = self.record.result.sizes if self.record.result else {}
        for name, array in self.arrays.items():
            if name not in ARRAY_PARTS:
                raise ValueError(f"'{name}' is none of the arrays {', '.join(ARRAY_PARTS)}")
            size = sizes.get(ARRAY_PARTS[name], array.size)
            if array.dtype != np.int32 or array.shape != (size,):
                raise ValueError(f"'{name}' is {array.dtype} of shape {array.shape}, not int32 of ({size},)")
        if self.record.result and "predictions" in self.arrays:
            check_predictions(self.arrays["predictions"], self.record.result.tested.confusion)


def parse_record(content: str | bytes, key: str, name: str) -> Record:
    """The record of a key from its JSON.

    Raises ValueError for content that is no such record, and UsageError, which calls it `name`, for a record of
    another schema version: that is no damage.
    """
    try:
        record = Record.model_validate_json(content)
    except ValidationError as error:
        _check_version(content, name)
        raise ValueError(
            f"{error.error_count()} fields do not fit, first {error.errors()[0]['msg']}"
        ) from None
    if not record.key == record.cell.key == key:
        raise ValueError("its key is not its cell's")
    return record


def _check_version(content: str | bytes, name: str) -> None:
    with suppress(ValueError, AttributeError, RecursionError):
        version = json.loads(content).get("schema_version", SCHEMA_VERSION)
        if version not in (1, SCHEMA_VERSION):
            raise UsageError(
                f"{name} has schema version {version}, this installation reads {SCHEMA_VERSION}; "
                "use the version of reweightbench that wrote it"
            )
