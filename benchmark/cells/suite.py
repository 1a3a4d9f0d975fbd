"""A suite: a grid of cells described by one strict TOML file."""

import math
from collections import Counter
from itertools import combinations
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.cell import MOST_SEED, Budget, Frozen, Numerics
from reweightbench.benchmark.cells.rates import Rates, Selection
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import suggest
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

Rate = Annotated[float, Field(gt=0, le=1e6)]

MOST_CELLS = 200_000
"""Cells of a suite: planning as many takes a gigabyte."""

EXTENSIONS = 2
"""Rates by which the grid of a group grows on either side."""

MOST_CLAIMS = 20
"""Claims of one family: the more are tested together, the larger a difference must be to be told from chance."""


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
    """A budget of the suite; `learning_rates` holds, by method label, what differs from `learning_rate`.

    Without a learning rate, trials choose one for each method and setting.
    """

    name: Name
    learning_rate: Rate | None = None  # type: ignore[assignment]
    learning_rates: Annotated[dict[MethodLabel, Rate], Field(default_factory=dict)]

    def rate_of(self, method: str) -> float | None:
        """The learning rate that the suite gives a method; None where it is to be chosen."""
        return self.learning_rates.get(method, self.learning_rate)

    def at(self, learning_rate: float) -> Budget:
        """The budget as a cell holds it."""
        return Budget(
            **self.model_dump(exclude={"name", "learning_rates"}) | {"learning_rate": learning_rate}
        )


class Tuning(Frozen):
    """How learning rates are chosen: the same trials for every method, setting and budget.

    `count` rates from `lowest` to `highest` by equal factors. Where the best of them is the first or the last,
    the grid grows on that side, at most by `EXTENSIONS` rates. The seeds are apart from those of the table.
    """

    lowest: Rate
    highest: Rate
    count: Annotated[int, Field(ge=3, le=50)]
    seeds: Annotated[
        tuple[Annotated[int, Field(ge=0, le=MOST_SEED)], ...], Field(min_length=1, max_length=1000)
    ]

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest is {self.lowest:g}, highest {self.highest:g}; give the lower one first")
        return self

    def rate(self, place: int) -> float:
        """The rate at a place of the grid, to three digits; places from -1 down and from `count` up lie beyond it."""
        share = place / (self.count - 1)
        return float(f"{self.lowest * (self.highest / self.lowest) ** share:.3g}")


class Claim(Frozen):
    """What a suite says beforehand: `method` has a higher balanced accuracy than `rival` in a setting.

    Claims of one family are tested together. The clean size may be left out where the suite has a single one.
    """

    family: Name
    method: MethodLabel
    rival: MethodLabel
    corruption: str
    budget: Name
    clean_size: Annotated[int, Field(ge=0)] | None = None


class Suite(Frozen):
    """The axes of the grid: methods, corruptions, clean-set sizes, budgets and seeds, all crossed.

    `rates` are not part of its file: they are what the trials of `tuning` have chosen.
    """

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
    corrupted_validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    numerics: Numerics = Numerics()
    tuning: Tuning | None = None
    claims: tuple[Claim, ...] = ()
    rates: Annotated[Rates, Field(exclude=True)] = Rates()

    @property
    def selections(self) -> tuple[Selection, ...]:
        """The validation parts that rates are chosen on."""
        return ("clean", "corrupted") if self.corrupted_validation_fraction else ("clean",)

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
        return self

    @model_validator(mode="after")
    def _check_tuning(self) -> Self:
        for budget in self.budgets:
            strangers = set(budget.learning_rates) - set(self.methods)
            if strangers:
                raise ValueError(
                    f"budget {budget.name!r} sets a learning rate for {min(strangers)!r}, not a method of the suite"
                )
            if budget.learning_rate is None and self.tuning is None:
                raise ValueError(
                    f"budget {budget.name!r} has no learning_rate; give it one, or a table [tuning] that says "
                    "how rates are chosen"
                )
        shared = set(self.seeds) & set(self.tuning.seeds if self.tuning else ())
        if shared:
            raise ValueError(
                f"tuning.seeds has seed {min(shared)} of the table; rates are chosen on other seeds"
            )
        return self

    @model_validator(mode="after")
    def _check_claims(self) -> Self:
        allowed: dict[str, list[str]] = {
            "method": list(self.methods),
            "rival": list(self.methods),
            "corruption": [corruption.label for corruption in self.corruptions],
            "budget": [budget.name for budget in self.budgets],
            "clean_size": [str(size) for size in self.clean_sizes],
        }
        for number, claim in enumerate(self.claims):
            for field, labels in allowed.items():
                value = getattr(claim, field)
                if value is None and len(labels) == 1:
                    continue
                if str(value) not in labels:
                    known = suggest(str(value), labels)
                    raise ValueError(f"claims.{number}.{field} {value!r} is not of this suite{known}")
            if claim.method == claim.rival:
                raise ValueError(f"claims.{number} compares {claim.method!r} with itself")
            if claim in self.claims[:number]:
                raise ValueError(f"claims.{number} is claims.{self.claims.index(claim)} again")
        for family, size in Counter(claim.family for claim in self.claims).items():
            if size > MOST_CLAIMS:
                raise ValueError(
                    f"claims: family {family!r} has {size} claims, at most {MOST_CLAIMS} are tested together; "
                    "leave some out, or divide it into families"
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
