"""Learning rates that were chosen by trials: for each group of cells that differ in rate and seed only."""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from reweightbench.benchmark.cells.cell import Cell, Frozen, canonical_json

Selection = Literal["clean", "corrupted"]
"""The validation part that a choice is made on: with true targets, or with targets as corrupted as the training's."""

Edge = Literal["lowest", "highest"]


class Choice(Frozen):
    """The rate of a group under one selection, how many rates were tried, and whether the best was the last one tried.

    `group` is the key of the group; the labels are for readers.
    """

    group: str
    method: str
    corruption: str
    clean_size: int
    budget: str
    selection: Selection
    learning_rate: Annotated[float, Field(gt=0)]
    rates_tried: int
    edge: Edge | None = None


class Rates(Frozen):
    """Choices of a suite, as a file holds them."""

    choices: tuple[Choice, ...] = ()

    def by_group(self) -> dict[tuple[str, Selection], Choice]:
        """The choices by group and selection."""
        return {(choice.group, choice.selection): choice for choice in self.choices}

    def updated(self, choices: Iterable[Choice]) -> "Rates":
        """These choices, and the others in the place of those that stand here for the same group."""
        found = self.by_group() | Rates(choices=tuple(choices)).by_group()
        return Rates(choices=tuple(sorted(found.values(), key=_order)))


def group_of(cell: Cell) -> str:
    """The key of a cell's group: all that a rate is chosen for, the place where it runs and its purpose apart."""
    numerics = cell.numerics.model_copy(update={"deterministic": False, "threads": 1})
    changes = {
        "purpose": "trial",
        "seed": 0,
        "budget": cell.budget.model_copy(update={"learning_rate": 1.0}),
        "numerics": numerics,
        "device": "cpu",
    }
    return hashlib.sha256(canonical_json(cell.model_copy(update=changes)).encode()).hexdigest()


def _order(choice: Choice) -> tuple[str, int, str, str, str, str]:
    return (
        choice.budget,
        choice.clean_size,
        choice.corruption,
        choice.method,
        choice.selection,
        choice.group,
    )
