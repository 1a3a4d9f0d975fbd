"""A measurement of training time: paired samples of seconds per step, and peak memory."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reweightbench.benchmark.cells.cell import Cell, Frozen
from reweightbench.benchmark.records.record import SCHEMA_VERSION, Count, Environment, Text

REFERENCE = "sgd"
"""The method to whose training time every other's is a ratio."""

CONTROL = f"{REFERENCE} (control)"
"""The row that measures the reference against itself."""

FEWEST_ROUNDS = 20
"""Rounds below which nothing is reported."""


def cost_alike(first: Cell, second: Cell) -> bool:
    """Whether a step of both cells is the same work, on whatever device."""
    fields = ("engine_version", "dataset", "variant", "model", "method", "numerics")
    alike = all(getattr(first, field) == getattr(second, field) for field in fields)
    return alike and first.budget.batch_size == second.budget.batch_size


Bytes = Annotated[int, Field(ge=0, le=2**50)]
Seconds = Annotated[float, Field(ge=1e-9, le=1e9)]


class Memory(Frozen):
    """Peak bytes of a fresh process after some steps.

    On the CPU the resident memory of the whole process; on CUDA what torch's allocator gave out, and what it
    held (`reserved`).
    """

    peak: Bytes
    reserved: Bytes | None = None


def file_name(hardware: str) -> str:
    """A hardware label as the stem of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-")


class Timing(Frozen):
    """One measurement of a suite's methods on one machine.

    A round holds the seconds per optimisation step of every row, taken one after the other in random order.
    `cells` describes the rows: what ran, the control being the reference once more.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    suite: Text
    hardware: Text
    environment: Environment
    warm_up: Count
    steps: Annotated[Count, Field(gt=0)]
    cells: dict[Text, Cell]
    rounds: list[dict[Text, Seconds]]
    memory: dict[Text, Memory]

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        if not {REFERENCE, CONTROL} <= self.cells.keys():
            raise ValueError(f"the rows {REFERENCE} and {CONTROL} are not both there")
        if any(times.keys() != self.cells.keys() for times in self.rounds):
            raise ValueError("a round does not have the seconds of every row")
        if not self.memory.keys() <= self.cells.keys():
            raise ValueError("there is memory of what is no row")
        return self

    @property
    def timed_seconds(self) -> float:
        """How long the windows took, without warm-up."""
        return self.steps * sum(sum(times.values()) for times in self.rounds)

    @property
    def is_complete(self) -> bool:
        """Whether there are enough rounds to report, and the memory of every row."""
        return len(self.rounds) >= FEWEST_ROUNDS and self.memory.keys() == self.cells.keys()
