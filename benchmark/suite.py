"""A suite: a grid of cells described by one strict TOML file."""

import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from reweightbench.benchmark.cell import Budget, Cell, Frozen, Numerics
from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.registry import (
    ARCHITECTURES,
    DATASETS,
    IMBALANCES,
    METHODS,
    NOISES,
    Registry,
    Spec,
    suggest,
)

Device = Literal["cpu", "cuda"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]


# Labels in their one spelling; an unknown name or option raises UsageError at once.
MethodLabel = Annotated[str, AfterValidator(METHODS.canonical)]
DatasetLabel = Annotated[str, AfterValidator(DATASETS.canonical)]
ModelLabel = Annotated[str, AfterValidator(ARCHITECTURES.canonical)]
ImbalanceLabel = Annotated[str, AfterValidator(IMBALANCES.canonical)]
NoiseLabel = Annotated[str, AfterValidator(NOISES.canonical)]


class Corruption(Frozen):
    """A setting of the training part: labels of an imbalance and of a noise, each optional."""

    imbalance: ImbalanceLabel | None = None
    noise: NoiseLabel | None = None

    @property
    def label(self) -> str:
        """How tables name the setting."""
        return " + ".join(filter(None, [self.imbalance, self.noise])) or "none"


class NamedBudget(Budget):
    """A budget of the suite; `learning_rates` holds, by method label, what differs from `learning_rate`."""

    name: Name
    learning_rates: Annotated[dict[MethodLabel, Annotated[float, Field(gt=0)]], Field(default_factory=dict)]

    def for_method(self, label: str) -> Budget:
        """The budget as a cell holds it."""
        values = self.model_dump(exclude={"name", "learning_rates"})
        return Budget(**values | {"learning_rate": self.learning_rates.get(label, self.learning_rate)})


class Suite(Frozen):
    """The axes of the grid: methods, corruptions, clean-set sizes, budgets and seeds, all crossed."""

    name: Name
    title: str
    dataset: DatasetLabel
    model: ModelLabel
    methods: Annotated[tuple[MethodLabel, ...], Field(min_length=1)]
    corruptions: Annotated[tuple[Corruption, ...], Field(min_length=1)]
    clean_sizes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    budgets: Annotated[tuple[NamedBudget, ...], Field(min_length=1)]
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    numerics: Numerics = Numerics()

    @model_validator(mode="after")
    def _check_lists(self) -> Self:
        for axis in ("methods", "corruptions", "clean_sizes", "seeds"):
            values = getattr(self, axis)
            repeated = [value for value in values if values.count(value) > 1]
            if repeated:
                raise ValueError(f"{axis} lists {repeated[0]!r} twice")
        for first, second in combinations(self.budgets, 2):
            if first.name == second.name:
                raise ValueError(f"two budgets are named {first.name!r}")
            if first.model_copy(update={"name": second.name}) == second:
                raise ValueError(f"budgets {first.name!r} and {second.name!r} are the same")
        for budget in self.budgets:
            strangers = set(budget.learning_rates) - set(self.methods)
            if strangers:
                raise ValueError(
                    f"budget {budget.name!r} sets a learning rate for {min(strangers)!r}, not a method of the suite"
                )
        return self


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


def suite_names() -> list[str]:
    """Names of the suites that come with the package."""
    folder = resources.files("reweightbench.benchmark") / "suites"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load_suite(name: str) -> Suite:
    """The suite of that name, or of a TOML file at that path."""
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise UsageError(f"no suite file '{name}'; give a TOML file or one of {', '.join(suite_names())}")
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UsageError(f"suite file '{name}' is not UTF-8 text") from None
    elif name in suite_names():
        text = (resources.files("reweightbench.benchmark") / "suites" / f"{name}.toml").read_text()
    else:
        raise UsageError(
            f"unknown suite '{name}'{suggest(name, suite_names())}; 'reweightbench list suites' shows all, "
            "a file of your own ends in .toml"
        )
    return parse_suite(text, name)


def parse_suite(text: str, source: str) -> Suite:
    """The suite of a TOML text; raises UsageError with the dotted path of what is wrong."""
    try:
        return Suite.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"suite '{source}' is not TOML: {error}") from None
    except ValidationError as error:
        # A misspelled key is also a missing one; the misspelling says more.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        path = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown key{suggest(str(first['loc'][-1]), _keys_beside(first['loc']))}"
        raise UsageError(f"suite '{source}': {path + ': ' if path else ''}{message}") from None


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where an unknown one stands."""
    tables: dict[str, type[Frozen]] = {
        "corruptions": Corruption,
        "budgets": NamedBudget,
        "numerics": Numerics,
    }
    table = tables.get(str(location[0]), Suite) if len(location) > 1 else Suite
    return list(table.model_fields)


def plan_cells(suite: Suite, variant: str, device: Device) -> list[Planned]:
    """All cells of the suite on one variant of its dataset and one device class."""
    dataset, model = _spec(DATASETS, suite.dataset), _spec(ARCHITECTURES, suite.model)
    methods = [_spec(METHODS, label) for label in suite.methods]
    corruptions = [
        (
            corruption.label,
            _spec(IMBALANCES, corruption.imbalance) if corruption.imbalance else None,
            _spec(NOISES, corruption.noise) if corruption.noise else None,
        )
        for corruption in suite.corruptions
    ]
    planned = []
    for (corruption, imbalance, noise), clean_size, budget in product(
        corruptions, suite.clean_sizes, suite.budgets
    ):
        for method in methods:
            label = METHODS.label(method)
            settings = {
                "dataset": dataset,
                "variant": variant,
                "imbalance": imbalance,
                "noise": noise,
                "validation_fraction": suite.validation_fraction,
                "clean_size": clean_size,
                "model": model,
                "method": method,
                "budget": budget.for_method(label),
                "numerics": suite.numerics,
                "device": device,
            }
            for seed in suite.seeds:
                cell = Cell.model_validate(settings | {"seed": seed})
                planned.append(Planned(cell, cell.key, label, corruption, budget.name))
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


def _spec(registry: Registry[Any], label: str) -> Spec:
    return registry.spec(registry.create(label))
