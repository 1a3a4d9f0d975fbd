"""The part of a suite that a command is asked to work on."""

from collections.abc import Sequence
from pathlib import Path

from reweightbench.benchmark.cells.catalogue import add_own_file, look_up
from reweightbench.benchmark.cells.plan import parse_seeds, select
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.cells.suite_file import load_suite
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import split_labels
from reweightbench.benchmark.contracts.registry import METHODS


def select_suite(
    name: str, methods: Sequence[str], seeds: Sequence[str], seconds: float | None = None
) -> tuple[Suite, dict[str, Path]]:
    """The suite with the chosen methods and seeds, and the file of each of the user's own methods.

    `methods` and `seeds` are what each use of the option holds; `seconds` is how long an import may take.
    """
    parts = [part for text in methods for part in _split(text)]
    if methods and not parts:
        raise UsageError("--methods names no method; leave it out for those of the suite")
    labels = [part for part in parts if not part.endswith(".py")]
    chosen: list[str] = []
    files: dict[str, Path] = {}
    # Files first: a label may name a method of one that comes after it.
    names = {
        part: add_own_file(Path(part).resolve(), labels, seconds) for part in parts if part.endswith(".py")
    }
    for part in parts:
        chosen += names[part] if part in names else [look_up(METHODS, part).label]
        files |= {name: Path(part).resolve() for name, is_own in names.get(part, {}).items() if is_own}
    return select(load_suite(name), chosen, parse_seeds(",".join(seeds)) if seeds else None), files


def _split(text: str) -> list[str]:
    """The labels and paths of a list; a file whose name holds commas is one of them."""
    return [text] if text.endswith(".py") and Path(text).is_file() else split_labels(text)
