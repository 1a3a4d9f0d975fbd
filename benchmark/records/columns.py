"""The columns of packed records: every field of a record under the names that lead to it, for filters and plots."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

from reweightbench.benchmark.cells.catalogue import is_own, look_up
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import Spec, write_label
from reweightbench.benchmark.contracts.registry import Registry
from reweightbench.benchmark.records.code_list import REGISTRIES
from reweightbench.benchmark.records.record import ARRAY_PARTS, Outcome, Record

UNNAMED = {"cell", "budget", "numerics", "result", "cost", "environment", "label"}
"""Parts that lend no name to their columns: `accuracy` of a result's `last` is `last_accuracy`.

A component's label has the component's name; its own name, options and version follow, as in `noise_options`.
"""

ARRAYS = {name: name if name == "predictions" else f"{name}_ids" for name in ARRAY_PARTS}
"""The columns of a record's arrays."""

RECORD = "record"
"""The column of the whole record as JSON, which all others repeat."""

TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


@dataclass(frozen=True)
class Column:
    """A column, and the path of its values in a record."""

    path: tuple[str, ...]
    type: pa.DataType

    @property
    def name(self) -> str:
        """The names of the path."""
        if self.path == ("cell", "budget", "steps"):
            # A result has steps too.
            return "budget_steps"
        return "_".join(name for name in self.path if name not in UNNAMED)

    def find(self, values: Any) -> Any:
        """The column's value in a record as data; None where a part of the path is None."""
        for name in self.path:
            values = values.get(name) if values else None
        return values


def make_row(outcome: Outcome) -> dict[str, Any]:
    """The values of all columns by name."""
    values = outcome.record.model_dump()
    for name, registry in REGISTRIES.items():
        spec = getattr(outcome.record.cell, name)
        if spec is not None:
            options = json.dumps(spec.options, sort_keys=True)
            values["cell"][name] |= {"label": _find_label(registry, spec), "options": options}
    row = {column.name: column.find(values) for column in COLUMNS}
    row |= {ARRAYS[name]: array for name, array in outcome.arrays.items()}
    return row | {RECORD: outcome.record.model_dump_json()}


def _find_label(registry: Registry[Any], spec: Spec) -> str:
    """The label as tables show it; that of a component from a user's file has all options, wherever it is read."""
    label = write_label(spec.name, spec.options)
    if is_own(registry, spec.name):
        return label
    with suppress(UsageError, KeyError):
        found = look_up(registry, label)
        return found.label if found.spec.options == spec.options else label
    return label


def _find_columns(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[Column]:
    if model is Spec:
        yield from (Column((*path, name), TYPES[str]) for name in ("label", "name", "options", "version"))
        return
    for name, field in model.model_fields.items():
        inner, kind = (*path, name), _without_none(field.annotation)
        if get_origin(kind) is dict:
            keys, value = get_args(kind)
            yield from (Column((*inner, key), _arrow_type(value)) for key in get_args(keys))
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _find_columns(kind, inner)
        else:
            yield Column(inner, _arrow_type(kind))


def _arrow_type(annotation: Any) -> pa.DataType:
    kind = _without_none(annotation)
    if get_origin(kind) is list:
        return pa.list_(_arrow_type(get_args(kind)[0]))
    return TYPES[type(get_args(kind)[0]) if get_origin(kind) is Literal else kind]


def _without_none(annotation: Any) -> Any:
    """`X` of `X | None`, and of what is annotated with bounds."""
    kinds = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _without_none(kinds[0])
    if NoneType in kinds:
        return _without_none(next(kind for kind in kinds if kind is not NoneType))
    return annotation


COLUMNS = tuple(_find_columns(Record))

SCHEMA = pa.schema(
    [(column.name, column.type) for column in COLUMNS]
    + [(name, pa.list_(pa.int32())) for name in ARRAYS.values()]
    + [(RECORD, pa.string())]
)
