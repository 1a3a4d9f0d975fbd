"""What a results folder says about the cells of a suite: which are done, which failed and why, what is left."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from reweightbench.benchmark.cells.plan import Planned, plan_cells
from reweightbench.benchmark.cells.rates import Selection
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.record import Record, Status

Warn = Callable[[str], None]


class Known(NamedTuple):
    """What a record says about its cell for counts, estimates and choices.

    Seconds exist if it is finished; scores are balanced accuracies on the validation parts there are, after the
    last epoch.
    """

    status: Status
    reason: str | None
    seconds: float | None
    scores: Mapping[Selection, float]


def is_left(known: Known | None, retry_failed: bool) -> bool:
    """Whether a cell is to be run."""
    return known is None or (retry_failed and known.status != "ok")


def survey(records: Iterable[Record]) -> dict[str, Known]:
    """What records say, by key."""
    return {record.key: know(record) for record in records}


def know(record: Record) -> Known:
    """What one record says."""
    scores: dict[Selection, float] = {}
    if record.result is not None:
        scores["clean"] = record.result.validation_balanced_accuracy
        if record.result.corrupted_validation_balanced_accuracy is not None:
            scores["corrupted"] = record.result.corrupted_validation_balanced_accuracy
    seconds = record.cost.total_seconds if record.cost else None
    return Known(record.status, record.reason, seconds, scores)


def durations(known: Mapping[str, Known]) -> dict[str, float]:
    """Seconds that finished cells took, by key."""
    return {key: entry.seconds for key, entry in known.items() if entry.seconds is not None}


def read_recorded(suite: Suite, path: Path, warn: Warn) -> tuple[list[Planned], Iterator[Record]]:
    """The cells of the suite's table as the folder has them, and the folder's records, read by and by."""
    folder = ResultsFolder(path)
    suite, manifest = as_recorded(suite, folder)
    return plan_cells(suite, manifest.variant, manifest.device), folder.scan(warn)


def as_recorded(suite: Suite, folder: ResultsFolder) -> tuple[Suite, Manifest]:
    """The suite as the folder has it: `run` may have been given another model, arithmetic and other rates."""
    manifest = folder.manifest()
    if manifest.suite != suite.name:
        raise UsageError(f"'{folder.path}' holds results of suite '{manifest.suite}', not '{suite.name}'")
    suite = folder.with_rates(suite).model_copy(update={"model": manifest.model})
    if manifest.deterministic is not None:
        numerics = suite.numerics.model_copy(update={"deterministic": manifest.deterministic})
        suite = suite.model_copy(update={"numerics": numerics})
    return suite, manifest


def describe_plan(plan: Planned) -> str:
    """A cell in words."""
    return f"{plan.method}, {plan.corruption}, clean set {plan.clean_size}, {plan.budget}, seed {plan.seed}"


def describe_seconds(seconds: float) -> str:
    """`0:03:20`, or `?` for what is not known."""
    return "?" if math.isnan(seconds) else str(timedelta(seconds=round(seconds)))
