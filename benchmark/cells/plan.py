"""The cells of a suite, and parts of them."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.cells.suite import Device, Suite
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import DATASETS, IMBALANCES, METHODS, NETWORKS, NOISES


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
class Shard:
    """Part `number`, counted from 1, of `count` parts of a grid, for machines that do not know of each other."""

    number: int = 1
    count: int = 1

    def select(self, planned: Sequence[Planned]) -> list[Planned]:
        """Every `count`-th cell in the order of keys, which is random: a fair sample of methods and settings."""
        return sorted(planned, key=lambda plan: plan.key)[self.number - 1 :: self.count]


def plan_cells(suite: Suite, variant: str, device: Device) -> list[Planned]:
    """All cells of the suite on one variant of its dataset and one device class."""
    dataset, model = look_up(DATASETS, suite.dataset).spec, look_up(NETWORKS, suite.model).spec
    methods = [look_up(METHODS, label) for label in suite.methods]
    corruptions = [
        (
            corruption.label,
            look_up(IMBALANCES, corruption.imbalance).spec if corruption.imbalance else None,
            look_up(NOISES, corruption.noise).spec if corruption.noise else None,
        )
        for corruption in suite.corruptions
    ]
    planned = []
    for (corruption, imbalance, noise), clean_size, budget in product(
        corruptions, suite.clean_sizes, suite.budgets
    ):
        for method in methods:
            settings = {
                "dataset": dataset,
                "variant": variant,
                "imbalance": imbalance,
                "noise": noise,
                "validation_fraction": suite.validation_fraction,
                "clean_size": clean_size,
                "model": model,
                "method": method.spec,
                "budget": budget.for_method(method.label),
                "numerics": suite.numerics,
                "device": device,
            }
            for seed in suite.seeds:
                cell = Cell.model_validate(settings | {"seed": seed})
                planned.append(Planned(cell, cell.key, method.label, corruption, budget.name))
    return planned


def select(suite: Suite, methods: Collection[str] | None, seeds: Collection[int] | None) -> Suite:
    """The suite with other methods or seeds."""
    changes: dict[str, tuple[str, ...] | tuple[int, ...]] = {}
    if methods:
        changes["methods"] = tuple(dict.fromkeys(methods))
    if seeds:
        changes["seeds"] = tuple(seeds)
    return suite.model_copy(update=changes)


def parse_seeds(text: str) -> list[int]:
    """Seeds of a list such as `0-2,7`."""
    return sorted({seed for part in text.split(",") for seed in _seed_range(part.strip(), text)})


def parse_shard(text: str) -> Shard:
    """The part that `2/5` names."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"shard '{text}' is no part of a grid; write for example 2/5, the second of five")
    return Shard(int(match[1]), int(match[2]))


def _seed_range(part: str, text: str) -> Iterator[int]:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise UsageError(
            f"seeds '{text}': '{part}' is neither a number nor a range; write for example 0-4 or 0,2,7"
        )
    yield from range(int(match[1]), int(match[2] or match[1]) + 1)
