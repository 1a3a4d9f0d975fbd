"""A suite: a grid of cells described by one strict TOML file."""

import math
from collections import Counter
from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.cell import MOST_SEED, Budget, Frozen, Numerics
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import (
    DATASETS,
    IMBALANCES,
    METHODS,
    NETWORKS,
    NOISES,
    Registry,
)

Device = Literal["cpu", "cuda"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=100)]

MOST_CELLS = 200_000
"""Cells of a suite: planning as many takes a gigabyte."""


def _one_spelling(registry: Registry[Any]) -> AfterValidator:
    """Labels in their one spelling; an unknown name or option raises UsageError at once."""
    return AfterValidator(lambda label: look_up(registry, label).label)


MethodLabel = Annotated[str, _one_spelling(METHODS)]
DatasetLabel = Annotated[str, _one_spelling(DATASETS)]
ModelLabel = Annotated[str, _one_spelling(NETWORKS)]
ImbalanceLabel = Annotated[str, _one_spelling(IMBALANCES)]
NoiseLabel = Annotated[str, _one_spelling(NOISES)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("write one line of printable characters")
    return text


Title = Annotated[str, Field(max_length=300), AfterValidator(_printable)]


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
    learning_rates: Annotated[
        dict[MethodLabel, Annotated[float, Field(gt=0, le=1e6)]], Field(default_factory=dict)
    ]

    def for_method(self, label: str) -> Budget:
        """The budget as a cell holds it."""
        values = self.model_dump(exclude={"name", "learning_rates"})
        return Budget(**values | {"learning_rate": self.learning_rates.get(label, self.learning_rate)})


class Suite(Frozen):
    """The axes of the grid: methods, corruptions, clean-set sizes, budgets and seeds, all crossed."""

    name: Name
    title: Title
    dataset: DatasetLabel
    model: ModelLabel
    methods: Annotated[tuple[MethodLabel, ...], Field(min_length=1, max_length=1000)]
    corruptions: Annotated[tuple[Corruption, ...], Field(min_length=1, max_length=1000)]
    clean_sizes: Annotated[
        tuple[Annotated[int, Field(ge=0, le=10_000_000)], ...], Field(min_length=1, max_length=100)
    ]
    budgets: Annotated[tuple[NamedBudget, ...], Field(min_length=1, max_length=100)]
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MOST_SEED)], ...], Field(min_length=1, max_length=10_000)
    ]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    numerics: Numerics = Numerics()

    @model_validator(mode="after")
    def _check_lists(self) -> Self:
        for axis in ("methods", "corruptions", "clean_sizes", "seeds"):
            value, count = Counter(getattr(self, axis)).most_common(1)[0]
            if count > 1:
                raise ValueError(f"{axis} lists {value!r} twice")
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
        check_size(self)
        return self


def check_size(suite: Suite) -> None:
    """Raise UsageError for a suite of more cells than can be planned."""
    axes = (suite.methods, suite.corruptions, suite.clean_sizes, suite.budgets, suite.seeds)
    lengths = [len(axis) for axis in axes]
    cells = math.prod(lengths)
    if cells > MOST_CELLS:
        raise UsageError(
            f"suite '{suite.name}' has {cells} cells: {' x '.join(map(str, lengths))} methods, corruptions, clean "
            f"sizes, budgets and seeds; at most {MOST_CELLS} can be planned, divide it into several suites"
        )
