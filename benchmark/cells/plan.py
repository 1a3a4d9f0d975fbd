"""The cells of a suite, and parts of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.cell import MOST_SEED, Cell, Purpose
from reweightbench.benchmark.cells.rates import Selection, group_of
from reweightbench.benchmark.cells.suite import MOST_CELLS, Device, NamedBudget, Suite, check_size
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.numbers import parse_whole
from reweightbench.benchmark.contracts.registry import DATASETS, IMBALANCES, METHODS, NETWORKS, NOISES
from reweightbench.benchmark.contracts.text import one_line

MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Planned:
    """A cell and the labels under which tables show it."""

    cell: Cell
    key: str
    method: str
    corruption: str
    budget: str

    @property
    def clean_size(self) -> int:
        """Examples in the clean set."""
        return self.cell.clean_size

    @property
    def seed(self) -> int:
        """The seed of the cell."""
        return self.cell.seed


@dataclass(frozen=True)
class Setting:
    """A method on a corruption, a clean set and a budget: the group of cells for which one rate is chosen.

    `fields` are what its cells have in common beside the budget.
    """

    method: str
    corruption: str
    budget: NamedBudget
    clean_size: int
    fields: Mapping[str, Any]

    @cached_property
    def group(self) -> str:
        """The key of the group."""
        return group_of(self.plan(1.0, 0).cell)

    def plan(self, learning_rate: float, seed: int, purpose: Purpose = "table") -> Planned:
        """A cell of this setting."""
        content = {"budget": self.budget.at(learning_rate), "seed": seed, "purpose": purpose}
        cell = Cell.model_validate(dict(self.fields) | content)
        return Planned(cell, cell.key, self.method, self.corruption, self.budget.name)

    def describe(self) -> str:
        """The setting in words."""
        return f"{self.method}, {self.corruption}, clean set {self.clean_size}, {self.budget.name}"


@dataclass(frozen=True)
class Shard:
    """Part `number`, counted from 1, of `count` parts of a grid, for machines that do not know of each other."""

    number: int = 1
    count: int = 1

    def select(self, planned: Sequence[Planned]) -> list[Planned]:
        """Every `count`-th cell in the order of keys, which is random: a fair sample of methods and settings."""
        return sorted(planned, key=lambda plan: plan.key)[self.number - 1 :: self.count]


def plan_cells(suite: Suite, variant: str, device: Device, selection: Selection = "clean") -> list[Planned]:
    """All cells of the suite's table on one variant of its dataset and one device class.

    Raises UsageError where a learning rate has to be chosen by trials, and was not.
    """
    chosen = suite.rates.by_group()
    planned = []
    for setting in plan_settings(suite, variant, device):
        rate = setting.budget.rate_of(setting.method)
        if rate is None:
            choice = chosen.get((setting.group, selection))
            if choice is None:
                raise UsageError(
                    f"no learning rate has been chosen for {setting.describe()}; "
                    f"run 'reweightbench tune' on suite '{suite.name}' first, with the same --methods"
                )
            rate = choice.learning_rate
        planned += [setting.plan(rate, seed) for seed in suite.seeds]
    return planned


def plan_every_cell(suite: Suite, variant: str, device: Device) -> list[Planned]:
    """The cells of the table under each selection of rates, every cell once."""
    every = [plan for selection in suite.selections for plan in plan_cells(suite, variant, device, selection)]
    return list({plan.key: plan for plan in every}.values())


def plan_settings(suite: Suite, variant: str, device: Device) -> Iterator[Setting]:
    """Every method in every setting of the suite, in the order of its tables."""
    dataset, model = look_up(DATASETS, suite.dataset).spec, look_up(NETWORKS, suite.model).spec
    methods = [look_up(METHODS, label) for label in suite.methods]
    for corruption, clean_size, budget in product(suite.corruptions, suite.clean_sizes, suite.budgets):
        common = {
            "dataset": dataset,
            "variant": variant,
            "imbalance": look_up(IMBALANCES, corruption.imbalance).spec if corruption.imbalance else None,
            "noise": look_up(NOISES, corruption.noise).spec if corruption.noise else None,
            "validation_fraction": suite.validation_fraction,
            "corrupted_validation_fraction": suite.corrupted_validation_fraction,
            "clean_size": clean_size,
            "model": model,
            "numerics": suite.numerics,
            "device": device,
        }
        for method in methods:
            yield Setting(
                method.label, corruption.label, budget, clean_size, common | {"method": method.spec}
            )


def select(suite: Suite, methods: Collection[str] | None, seeds: Collection[int] | None) -> Suite:
    """The suite with other methods or seeds."""
    changes: dict[str, tuple[str, ...] | tuple[int, ...]] = {}
    if methods:
        changes["methods"] = tuple(dict.fromkeys(methods))
    if seeds:
        changes["seeds"] = tuple(seeds)
    chosen = suite.model_copy(update=changes)
    check_size(chosen)
    return chosen


def parse_seeds(text: str) -> list[int]:
    """Seeds of a list such as `0-2,7`; raises UsageError for one that is none, or has more than MOST_SEEDS."""
    seeds: set[int] = set()
    for part in text.split(","):
        found = _seed_range(part.strip(), text)
        if len(seeds) + len(found) > MOST_SEEDS:
            raise UsageError(f"seeds '{one_line(text, 80)}' are more than {MOST_SEEDS}; give fewer")
        seeds.update(found)
    return sorted(seeds)


def parse_shard(text: str) -> Shard:
    """The part that `2/5` names."""
    first, _, second = text.strip().partition("/")
    number, count = parse_whole(first, MOST_CELLS), parse_whole(second, MOST_CELLS)
    if number is None or count is None or not 1 <= number <= count:
        raise UsageError(f"shard '{text}' is no part of a grid; write for example 2/5, the second of five")
    return Shard(number, count)


def _seed_range(part: str, text: str) -> range:
    first, dash, last = part.partition("-")
    start = parse_whole(first, MOST_SEED)
    end = parse_whole(last, MOST_SEED) if dash else start
    if start is None or end is None or end < start:
        raise UsageError(
            f"seeds '{one_line(text, 80)}': '{one_line(part, 80)}' is neither a number nor a range; "
            f"write for example 0-4 or 0,2,7, at most {MOST_SEED}"
        )
    return range(start, end + 1)
