"""A measurement of training time: paired samples of seconds per step, and peak memory."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from reweightbench.benchmark.cells.cell import Cell, Frozen
from reweightbench.benchmark.records.record import Count, Environment, Text

REFERENCE = "sgd"
"""The method to whose training time every other's is a ratio."""

CONTROL = f"{REFERENCE} (control)"
"""The row that measures the reference against itself."""

FEWEST_ROUNDS = 20
"""Rounds below which nothing is reported."""

LONGEST_NAME = 100
"""Characters of a hardware label in a file name, to which reports add what the file is about."""

Seconds = Annotated[float, Field(ge=1e-9, le=1e6)]
Bytes = Annotated[int, Field(ge=0, le=2**50)]


def cost_alike(first: Cell, second: Cell) -> bool:
    """Whether a step of both cells is the same work, on whatever device."""
    fields = ("engine_version", "dataset", "variant", "model", "method", "numerics")
    alike = all(getattr(first, field) == getattr(second, field) for field in fields)
    return alike and first.budget.batch_size == second.budget.batch_size


class Memory(Frozen):
    """Peak bytes of a fresh process after some steps.

    On the CPU the resident memory of the whole process; on CUDA what torch's allocator gave out, and what it
    held (`reserved`).
    """

    peak: Bytes
    reserved: Bytes | None = None


def file_name(hardware: str) -> str:
    """A hardware label as the stem of a file name, cut if it is long."""
    return re.sub(r"[^a-z0-9]+", "-", hardware.lower()).strip("-")[:LONGEST_NAME]


class Timing(Frozen):
    """One measurement of a suite's methods on one machine.

    A round holds the seconds per optimisation step of every row, taken one after the other in random order.
    `cells` describes the rows: what ran, the control being the reference once more.
    """

    schema_version: Literal[1] = 1
    suite: Text
    hardware: Text
    environment: Environment
    warm_up: Count
    steps: Annotated[Count, Field(ge=1)]
    cells: Annotated[dict[Text, Cell], Field(max_length=10_000)]
    rounds: Annotated[list[dict[str, Seconds]], Field(max_length=1_000_000)]
    memory: dict[str, Memory]

    @model_validator(mode="after")
    def _check_rows(self) -> Self:
        if not {REFERENCE, CONTROL} <= self.cells.keys():
            raise ValueError(f"a timing has the rows '{REFERENCE}' and '{CONTROL}'")
        if any(times.keys() != self.cells.keys() for times in self.rounds):
            raise ValueError("a round has other rows than the timing")
        if not self.memory.keys() <= self.cells.keys():
            raise ValueError("the memory is of other rows than the timing")
        return self

    @property
    def timed_seconds(self) -> float:
        """How long the windows took, without warm-up."""
        return self.steps * sum(sum(times.values()) for times in self.rounds)

    @property
    def is_complete(self) -> bool:
        """Whether there are enough rounds to report, and the memory of every row."""
        return len(self.rounds) >= FEWEST_ROUNDS and self.memory.keys() == self.cells.keys()
