"""A cell's key: changed by every field, by nothing else, and the same after a way through JSON."""

import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import BaseModel, ValidationError

from reweightbench.benchmark.cells.cell import Budget, Cell, Numerics, canonical_json
from reweightbench.benchmark.contracts.labels import Spec

Path = tuple[str, ...]

CELL = Cell(
    dataset=Spec(name="digits", options={"size": 8}),
    variant="embedded",
    imbalance=Spec(name="longtail", options={"factor": 50.0}),
    noise=Spec(name="uniform", options={"rate": 0.4}),
    clean_size=100,
    model=Spec(name="small_cnn", options={"is_wide": True}),
    method=Spec(name="focal", options={"gamma": 2.0, "form": "softmax"}),
    budget=Budget(epochs=30, learning_rate=0.05),
    seed=0,
)
STEPS = CELL.model_copy(update={"budget": Budget(steps=30, learning_rate=0.05)})
"""The same, its budget in steps."""


def walk(model: BaseModel, prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every field below the model, its place and its current value; dictionaries count as fields."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from walk(value, (*prefix, name))
        elif isinstance(value, dict):
            for key, option in value.items():
                yield (*prefix, name, key), option
        else:
            yield (*prefix, name), value


def fields_of(cell: Cell) -> list[tuple[Path, Any]]:
    """The fields of a cell; a length of the budget that it does not give is none."""
    return [(path, value) for path, value in walk(cell) if value is not None]


def choices_at(path: Path) -> tuple[Any, ...] | None:
    """What the field allows, where it is a choice."""
    cls: Any = Cell
    for name in path[:-1]:
        annotation = cls.model_fields[name].annotation
        cls = next(
            (part for part in (annotation, *get_args(annotation)) if hasattr(part, "model_fields")), None
        )
        if cls is None:
            return None
    annotation = cls.model_fields[path[-1]].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else None


def another(path: Path, value: Any) -> Any:
    """A different valid value, or None where the field allows only one."""
    choices = choices_at(path)
    if choices is not None:
        return next((choice for choice in choices if choice != value), None)
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return value + "x"
    return value + 1 if isinstance(value, int) else value / 2 + 0.01


def change(cell: Cell, path: Path, value: Any) -> Cell:
    """The cell with another value at the path."""
    content = cell.model_dump()
    table = content
    for name in path[:-1]:
        table = table[name]
    table[path[-1]] = value
    return Cell.model_validate(content)


FIELDS = [(cell, *field) for cell in (CELL, STEPS) for field in fields_of(cell)]


def test_walk_reaches_the_nested_fields() -> None:
    paths = {path for _, path, _ in FIELDS}
    assert {("seed",), ("budget", "weight_decay"), ("numerics", "threads")} <= paths
    assert {("method", "options", "gamma"), ("method", "version"), ("noise", "name")} <= paths
    assert {path[0] for path in paths} == set(Cell.model_fields)


@pytest.mark.parametrize(
    ("cell", "path", "value"), FIELDS, ids=lambda part: "" if part in (CELL, STEPS) else str(part)
)
def test_every_field_changes_the_key(cell: Cell, path: Path, value: Any) -> None:
    other = another(path, value)
    if other is None:
        pytest.skip("the field allows one value, which no other can be told from")
    changed = change(cell, path, other)
    assert changed != cell
    assert changed.key != cell.key


@pytest.mark.parametrize("field", ["imbalance", "noise"])
def test_the_absence_of_a_corruption_changes_the_key(field: str) -> None:
    assert CELL.model_copy(update={field: None}).key != CELL.key


def test_imbalance_and_noise_are_not_exchangeable() -> None:
    spec = Spec(name="same", options={"level": 1.0})
    first = CELL.model_copy(update={"imbalance": spec, "noise": None})
    second = CELL.model_copy(update={"imbalance": None, "noise": spec})
    assert first.key != second.key


def test_keys_are_unique() -> None:
    cells = [
        change(cell, path, other)
        for cell, path, value in FIELDS
        if (other := another(path, value)) is not None
    ]
    assert len({cell.key for cell in [CELL, STEPS, *cells]}) == len(cells) + 2


def test_json_round_trip_keeps_the_key() -> None:
    assert Cell.model_validate_json(canonical_json(CELL)).key == CELL.key
    assert Cell.model_validate_json(CELL.model_dump_json(indent=2)).key == CELL.key
    assert Cell.model_validate(CELL.model_dump()) == CELL


def test_order_of_options_and_spelling_of_numbers_do_not_matter() -> None:
    content = CELL.model_dump()
    content["method"]["options"] = dict(reversed(content["method"]["options"].items()))
    content["budget"]["learning_rate"] = "5e-2"
    content["budget"]["epochs"] = 30.0
    assert Cell.model_validate(dict(reversed(content.items()))).key == CELL.key


def test_defaults_written_out_do_not_matter() -> None:
    assert CELL.model_copy(update={"numerics": Numerics(threads=1, deterministic=False)}).key == CELL.key


def test_known_key() -> None:
    """A change here would orphan every published record."""
    assert CELL.key == "dcf2906b68d83cbcc9cbe9b6989769f029c56350cbf332a3f00e8850ab1e0fda"


def test_defaults_stay_as_they_are() -> None:
    """They are left out of the key, so that another default would give old keys another meaning."""
    shortest = Cell(
        dataset=Spec(name="digits"),
        variant="embedded",
        clean_size=100,
        model=Spec(name="small_cnn"),
        method=Spec(name="sgd"),
        budget=Budget(epochs=30, learning_rate=0.05),
        seed=0,
    )
    defaults = {
        "engine_version": 1,
        "purpose": "table",
        "corrupted_validation_fraction": 0.0,
        "imbalance": None,
        "noise": None,
        "validation_fraction": 0.1,
        "device": "cpu",
        "numerics": {
            "threads": 1,
            "precision": "float32",
            "memory_format": "contiguous",
            "deterministic": False,
        },
    }
    assert defaults.items() <= shortest.model_dump().items()
    assert shortest.budget.model_dump() == {
        "epochs": 30,
        "steps": None,
        "batch_size": 100,
        "learning_rate": 0.05,
        "schedule": "cosine",
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 5e-4,
    }
    assert shortest.method.model_dump() == {"name": "sgd", "options": {}, "version": "1"}


def test_canonical_json_is_compact_and_sorted() -> None:
    text = canonical_json(CELL)
    assert " " not in text
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


@pytest.mark.parametrize("part", [CELL, CELL.budget, CELL.numerics, CELL.method])
def test_cells_are_frozen(part: BaseModel) -> None:
    name = next(iter(type(part).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(part, name, getattr(part, name))


@pytest.mark.parametrize("place", [(), ("budget",), ("numerics",), ("method",), ("dataset",)])
def test_unknown_fields_are_refused(place: Path) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        change(CELL, (*place, "learning_rte"), 1)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("seed",), -1),
        (("clean_size",), -1),
        (("validation_fraction",), 0.0),
        (("validation_fraction",), 1.0),
        (("budget", "epochs"), 0),
        (("budget", "batch_size"), 1),
        (("budget", "learning_rate"), 0.0),
        (("budget", "learning_rate"), float("nan")),
        (("budget", "learning_rate"), float("inf")),
        (("budget", "momentum"), 1.0),
        (("budget", "weight_decay"), -0.1),
        (("budget", "schedule"), "linear"),
        (("numerics", "threads"), 0),
        (("numerics", "precision"), "float16"),
        (("device",), "mps"),
    ],
)
def test_impossible_values_are_refused(path: Path, value: Any) -> None:
    with pytest.raises(ValidationError, match=path[-1]):
        change(CELL, path, value)


def test_a_budget_has_either_epochs_or_steps() -> None:
    for lengths in ({}, {"epochs": 3, "steps": 30}):
        with pytest.raises(ValidationError, match="either epochs or steps"):
            Budget(learning_rate=0.1, **lengths)


@given(st.integers(1, 5000), st.integers(1, 10**5))
def test_steps_are_the_same_for_every_size_and_their_parts_nearly_equal(steps: int, examples: int) -> None:
    budget = Budget(steps=steps, learning_rate=0.1)
    counts = budget.steps_per_epoch(examples)
    assert sum(counts) == steps
    assert len(counts) == budget.epoch_count == min(30, steps)
    assert max(counts) - min(counts) <= 1


@given(st.integers(1, 50), st.integers(1, 10**4), st.integers(2, 300))
def test_epochs_take_whole_batches(epochs: int, examples: int, batch_size: int) -> None:
    budget = Budget(epochs=epochs, batch_size=batch_size, learning_rate=0.1)
    (count,) = set(budget.steps_per_epoch(examples))
    assert (count - 1) * batch_size < examples <= count * batch_size
    assert budget.epoch_count == epochs


def test_fields_that_came_later_leave_the_keys_of_old_cells() -> None:
    """The content that a cell of the first release was hashed from, spelled out."""
    content = (
        '{"budget":{"batch_size":50,"epochs":2,"learning_rate":0.1},"clean_size":50,'
        '"dataset":{"name":"digits"},"method":{"name":"sgd"},"model":{"name":"small_cnn"},"seed":0,'
        '"variant":"embedded"}'
    )
    cell = Cell(
        dataset=Spec(name="digits"),
        variant="embedded",
        clean_size=50,
        model=Spec(name="small_cnn"),
        method=Spec(name="sgd"),
        budget=Budget(epochs=2, batch_size=50, learning_rate=0.1),
        seed=0,
    )
    assert canonical_json(cell) == content
