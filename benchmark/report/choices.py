"""The learning rates chosen for a suite's table, by method and setting."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.cells.rates import Choice, Selection, group_of
from reweightbench.benchmark.cells.suite import Suite


class Place(NamedTuple):
    """A method in a setting: cells that differ in their seed and learning rate only."""

    budget: str
    clean_size: int
    corruption: str
    method: str


Choices = Mapping[Place, Mapping[Selection, Choice]]
"""The choice of each selection; places whose learning rate the suite gives have none."""


def place_of(planned: Planned) -> Place:
    """Where a cell belongs."""
    return Place(planned.budget, planned.clean_size, planned.corruption, planned.method)


def find_groups(suite: Suite, planned: Iterable[Planned]) -> dict[str, Place]:
    """The place of each group of trials, for those budgets whose learning rates are chosen."""
    tuned = {budget.name for budget in suite.budgets if budget.learning_rate is None}
    examples = {place_of(plan): plan.cell for plan in planned if plan.budget in tuned}
    return {group_of(cell): place for place, cell in examples.items()}


def find_choices(suite: Suite, groups: Mapping[str, Place]) -> Choices:
    """What was chosen for each place."""
    chosen = suite.rates.by_group()
    return {
        place: {
            selection: chosen[group, selection]
            for selection in suite.selections
            if (group, selection) in chosen
        }
        for group, place in groups.items()
    }


def reselect(choices: Choices, planned: Sequence[Planned]) -> dict[str, Planned]:
    """By key of a cell, that cell at the rate chosen on corrupted validation; itself where the rates are equal."""
    cells = {}
    for plan in planned:
        choice = choices.get(place_of(plan), {}).get("corrupted")
        if choice is not None:
            budget = plan.cell.budget.model_copy(update={"learning_rate": choice.learning_rate})
            cell = plan.cell.model_copy(update={"budget": budget})
            cells[plan.key] = replace(plan, cell=cell, key=cell.key)
    return cells
