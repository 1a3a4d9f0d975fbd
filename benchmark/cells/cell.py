"""A cell: what one training run is asked to do; what it ran on, torch, processor and code, is in its record."""

import hashlib
import json
import math
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.precision import Precision

PARTS = 30
"""Epochs of a budget in steps: enough for curves, and few enough that evaluating takes little time."""

MOST_SEED = 2**32 - 1

Purpose = Literal["table", "trial"]


class Frozen(BaseModel):
    """Immutable data that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(Frozen):
    """The optimisation a cell is given: `epochs` over the training examples, or a number of `steps`.

    Steps mean the same for every size of the training part; an epoch is then one of 30 equal parts of them.
    Weight decay acts on all parameters, as in torch's SGD.
    """

    epochs: Annotated[int, Field(gt=0, le=1_000_000)] | None = None
    steps: Annotated[int, Field(gt=0, le=100_000_000)] | None = None
    batch_size: Annotated[int, Field(gt=1, le=1_000_000)] = 100
    learning_rate: Annotated[float, Field(gt=0, le=1e6)]
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = 5e-4

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("a budget has either epochs or steps; give one of them")
        return self

    @property
    def epoch_count(self) -> int:
        """How often the model is evaluated, and by what methods count their progress."""
        return self.epochs or min(PARTS, self.steps or 0)

    def steps_per_epoch(self, examples: int) -> list[int]:
        """Optimisation steps of each epoch on that many training examples.

        An epoch over the examples takes whole batches: ceil(examples / batch size) steps.
        """
        if self.steps is None:
            return [math.ceil(examples / self.batch_size)] * self.epoch_count
        ends = [number * self.steps // self.epoch_count for number in range(self.epoch_count + 1)]
        return [end - start for start, end in pairwise(ends)]


class Numerics(Frozen):
    """Settings of the arithmetic; each can change the last bits of a result.

    `precision` bfloat16 is torch's autocast: forward passes of training and evaluation in mixed precision,
    parameters, losses and what methods derive from other parameter points in float32.
    """

    threads: Annotated[int, Field(gt=0, le=1024)] = 1
    precision: Precision = "float32"
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    deterministic: bool = False


class Cell(Frozen):
    """One training run of the grid.

    `engine_version` is raised when a change to the engine (splits, loop, augmentation, metrics) changes
    results; components carry versions of their own. A `trial` is run to choose hyperparameters: it never
    sees the test part. The corrupted validation part is taken from the training examples after corruption.
    """

    engine_version: Literal[1] = 1
    purpose: Purpose = "table"
    dataset: Spec
    variant: str
    imbalance: Spec | None = None
    noise: Spec | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    corrupted_validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    clean_size: Annotated[int, Field(ge=0, le=10_000_000)]
    model: Spec
    method: Spec
    budget: Budget
    numerics: Numerics = Numerics()
    device: Literal["cpu", "cuda"] = "cpu"
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)]

    @property
    def key(self) -> str:
        """The sha256 of the cell's canonical JSON, defaults left out.

        So a field that is added later, with the old behaviour as its default, leaves the keys of old records.
        """
        return hashlib.sha256(canonical_json(self).encode()).hexdigest()


def canonical_json(model: BaseModel) -> str:
    """One spelling for equal content: sorted keys, no spaces, no defaults, no NaN."""
    content = model.model_dump(mode="json", exclude_defaults=True)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
