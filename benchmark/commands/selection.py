"""The part of a suite that a command is asked to work on."""

from pathlib import Path

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.plan import parse_seeds, select
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.cells.suite_file import load_suite
from reweightbench.benchmark.contracts.labels import split_labels
from reweightbench.benchmark.contracts.registry import METHODS


def select_suite(name: str, methods: str | None, seeds: str | None) -> tuple[Suite, tuple[Path, ...]]:
    """The suite with the chosen methods and seeds, and the files of the user's own methods."""
    labels: list[str] = []
    files: list[Path] = []
    for part in split_labels(methods or ""):
        if part.endswith(".py"):
            files.append(Path(part).resolve())
            labels += METHODS.add_file(files[-1])
        else:
            labels.append(look_up(METHODS, part).label)
    return select(load_suite(name), labels, parse_seeds(seeds) if seeds else None), tuple(files)
