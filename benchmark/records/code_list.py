"""The list of the package's code, `sources.json`: version and digest of every component and of the engine."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from reweightbench.benchmark.cells.catalogue import find_digest, find_engine_digest
from reweightbench.benchmark.cells.cell import Cell, Frozen
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import (
    DATASETS,
    IMBALANCES,
    METHODS,
    NETWORKS,
    NOISES,
    Registry,
)

REGISTRIES: Final[dict[str, Registry[Any]]] = {
    "dataset": DATASETS,
    "imbalance": IMBALANCES,
    "noise": NOISES,
    "model": NETWORKS,
    "method": METHODS,
}
"""Where the components of a cell are found, by the cell's field."""

ENGINE: Final = "engine"
PATH: Final = Path(__file__).with_name("sources.json")


class Listed(Frozen):
    """The version of a component and the digest of its code.

    `same_bits` are digests of earlier code of the same version, each shown to give the same results.
    """

    version: str
    digest: str
    same_bits: tuple[str, ...] = ()


_LISTS: Final = TypeAdapter(dict[str, Listed])


def list_code() -> dict[str, Listed]:
    """The engine and the package's components as they are here, by kind and name, without earlier code."""
    version = str(Cell.model_fields["engine_version"].default)
    listed = {ENGINE: Listed(version=version, digest=find_engine_digest())}
    for field, registry in REGISTRIES.items():
        for name, cls in registry.classes.items():
            digest = find_digest(registry, name)
            if digest is not None and not registry.is_own(name):
                listed[f"{field} {name}"] = Listed(version=_version(cls), digest=digest)
    return listed


@cache
def read_list() -> dict[str, Listed]:
    """The list as it was last written; empty where it never was. Raises UsageError for a damaged one."""
    try:
        return _LISTS.validate_json(PATH.read_bytes()) if PATH.is_file() else {}
    except ValidationError:
        raise UsageError(f"'{PATH}' does not parse; restore it from the last commit") from None


def write_list(listed: Mapping[str, Listed]) -> None:
    """Write the list, an entry a line."""
    lines = (
        f"{json.dumps(name)}: {entry.model_dump_json(exclude_defaults=True)}"
        for name, entry in sorted(listed.items())
    )
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    read_list.cache_clear()


def differ(listed: Listed | None, present: Listed | None) -> bool:
    """Whether an entry is not that of the present code."""
    return (
        listed is None
        or present is None
        or (listed.version, listed.digest) != (present.version, present.digest)
    )


def _version(cls: type) -> str:
    """The version of a component's class; one that goes by the options is a property."""
    version = getattr(cls, "version", 1)
    return str(version) if isinstance(version, int) else "by options"


def version_field(name: str) -> str:
    """What to raise when results of an entry change."""
    return "engine_version in benchmark/cells/cell.py" if name == ENGINE else "version in its class"


def describe_differences() -> list[str]:
    """For each entry in which the list and the present code differ, what to do."""
    listed, present = read_list(), list_code()
    return [
        f"{name}: not the code that {PATH.name} lists; if a result can change, raise {version_field(name)}; then "
        "run 'reweightbench sources --write', which takes an unchanged version only if a published cell comes to "
        "the same bits"
        for name in sorted({*listed, *present})
        if differ(listed.get(name), present.get(name))
    ]


def gives_same_bits(name: str, digest: str, present: str) -> bool:
    """Whether earlier code of a component was shown to give what the present one does."""
    listed = read_list().get(name)
    return listed is not None and listed.digest == present and digest in listed.same_bits
