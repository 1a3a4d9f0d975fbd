"""A cell: what one training run is asked to do; what it ran on, torch, processor and code, is in its record."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.precision import Precision

MOST_SEED = 2**32 - 1


class Frozen(BaseModel):
    """Immutable data that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Budget(Frozen):
    """The optimisation a cell is given. Weight decay acts on all parameters, as in torch's SGD."""

    epochs: Annotated[int, Field(gt=0, le=1_000_000)]
    batch_size: Annotated[int, Field(gt=1, le=1_000_000)] = 100
    learning_rate: Annotated[float, Field(gt=0, le=1e6)]
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0, le=1e6)] = 5e-4


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
    results; components carry versions of their own.
    """

    engine_version: Literal[1] = 1
    dataset: Spec
    variant: str
    imbalance: Spec | None = None
    noise: Spec | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
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
