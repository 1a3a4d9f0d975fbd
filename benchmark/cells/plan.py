"""The cells of a suite, and parts of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.cell import MOST_SEED, Cell
from reweightbench.benchmark.cells.suite import MOST_CELLS, Device, Suite, check_size
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
