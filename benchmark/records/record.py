"""The record of a cell: what was run, what came out, and what it cost."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from reweightbench.benchmark.cells.cell import Cell, Frozen
from reweightbench.benchmark.contracts.errors import UsageError

SCHEMA_VERSION: Final = 1

Part = Literal["train", "validation", "clean", "test"]
Arrays = dict[str, NDArray[np.int32]]
"""Ids of the parts of the split, and the classes predicted for the test part, by name."""

Status = Literal["ok", "error", "timeout", "crashed", "oom", "nonfinite"]

ARRAY_PARTS: Final[dict[str, Part]] = {
    "test": "test",
    "validation": "validation",
    "clean": "clean",
    "predictions": "test",
}
"""The arrays of a record, each with the part of the split that it has one element per example of."""

KEY = re.compile(r"[0-9a-f]{64}")

COMPARED_FIELDS = ("torch", "platform", "processor", "gpu")
"""Fields of an environment that must be equal for numbers to stand in one table; of code, `sources` tells."""


class Metrics(Frozen):
    """Metrics on the test set, fractions in [0, 1]; row i of `confusion` counts true class i.

    The recall of a class without a test example is None; it counts in no mean.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    calibration_error: float
    recall: list[float | None]
    confusion: list[list[int]]


class Curves(Frozen):
    """One value per epoch. Weight statistics are empty for methods without explicit weights.

    `memorised` is the share of mislabelled examples that the model fits to their wrong target;
    None where there are no mislabelled examples. `weight_auroc` is the chance that a clean example
    weighs more than a mislabelled one.
    """

    learning_rate: list[float]
    train_loss: list[float]
    train_accuracy: list[float]
    memorised: list[float | None]
    validation_accuracy: list[float]
    validation_balanced_accuracy: list[float]
    weight_clean: list[float | None] = Field(default_factory=list)
    weight_mislabelled: list[float | None] = Field(default_factory=list)
    weight_auroc: list[float | None] = Field(default_factory=list)


class Realised(Frozen):
    """The corruption as it came out, counted by true class; row i of `transitions` is true class i."""

    class_counts: list[int]
    noise_share: float
    transitions: list[list[int]]
    targets_sha256: str


class Result(Frozen):
    """What a finished training run found; equal for equal cells on one machine. Epochs count from 0."""

    fingerprint: str
    sizes: dict[Part, int]
    realised: Realised
    last: Metrics
    best: Metrics
    best_epoch: int
    validation_accuracy: float
    validation_balanced_accuracy: float
    steps: int
    zero_weight_steps: int
    weights_sha256: str
    curves: Curves


class Cost(Frozen):
    """Seconds and bytes of this run; training time holds no evaluation."""

    train_seconds: float
    total_seconds: float
    peak_memory_bytes: int


class Environment(Frozen):
    """Where the run took place."""

    suite_version: str
    git_commit: str | None
    python: str
    torch: str
    platform: str
    processor: str
    gpu: str | None = None


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

    schema_version: Literal[1] = SCHEMA_VERSION
    key: str
    cell: Cell
    status: Status
    reason: str | None = None
    result: Result | None = None
    cost: Cost | None = None
    environment: Environment
    sources: CodeDigests | None = Field(default=None, exclude_if=lambda value: value is None)

    @model_validator(mode="after")
    def _check_completeness(self) -> Self:
        has_all, has_any = self.result and self.cost, self.result or self.cost
        if (self.status == "ok") != bool(has_all) or bool(has_all) != bool(has_any):
            raise ValueError("a record has a result and a cost if and only if its status is ok")
        return self


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
    with suppress(ValueError, AttributeError):
        version = json.loads(content).get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise UsageError(
                f"{name} has schema version {version}, this installation reads {SCHEMA_VERSION}; "
                "use the version of reweightbench that wrote it"
            )
