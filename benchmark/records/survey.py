"""What a results folder says about the cells of a suite: which are done, which failed and why, what is left."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from reweightbench.benchmark.cells.plan import Planned, plan_cells
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.record import Record, Status

Warn = Callable[[str], None]


class Known(NamedTuple):
    """What a record says about its cell for counts and estimates; seconds exist if it is finished."""

    status: Status
    reason: str | None
    seconds: float | None


def is_left(known: Known | None, retry_failed: bool) -> bool:
    """Whether a cell is to be run."""
    return known is None or (retry_failed and known.status != "ok")


def survey(records: Iterable[Record]) -> dict[str, Known]:
    """What records say, by key."""
    return {
        record.key: Known(record.status, record.reason, record.cost.total_seconds if record.cost else None)
        for record in records
    }


def durations(known: Mapping[str, Known]) -> dict[str, float]:
    """Seconds that finished cells took, by key."""
    return {key: entry.seconds for key, entry in known.items() if entry.seconds is not None}


def read_recorded(suite: Suite, path: Path, warn: Warn) -> tuple[list[Planned], Iterator[Record]]:
    """The suite's cells as the folder's manifest has them, and the folder's records, read by and by."""
    folder = ResultsFolder(path)
    manifest = folder.manifest()
    if manifest.suite != suite.name:
        raise UsageError(f"'{path}' holds results of suite '{manifest.suite}', not '{suite.name}'")
    # `run` may have been given another model and arithmetic than the suite's.
    suite = suite.model_copy(update={"model": manifest.model})
    if manifest.deterministic is not None:
        numerics = suite.numerics.model_copy(update={"deterministic": manifest.deterministic})
        suite = suite.model_copy(update={"numerics": numerics})
    return plan_cells(suite, manifest.variant, manifest.device), folder.scan(warn)


def describe_plan(plan: Planned) -> str:
    """A cell in words."""
    return f"{plan.method}, {plan.corruption}, clean set {plan.clean_size}, {plan.budget}, seed {plan.seed}"


def describe_seconds(seconds: float) -> str:
    """`0:03:20`, or `?` for what is not known."""
    return "?" if math.isnan(seconds) else str(timedelta(seconds=round(seconds)))
