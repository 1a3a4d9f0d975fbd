"""What a results folder says about the cells of a suite: which are done, which failed and why, what is left."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.record import Record, Status
from reweightbench.benchmark.results import ResultsFolder
from reweightbench.benchmark.schedule import Schedule
from reweightbench.benchmark.suite import Planned, Suite, plan_cells

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


def status(suite: Suite, path: Path, warn: Warn) -> Iterator[str]:
    """Counts by status and the time that is left, then a line per failed cell."""
    planned, records = read_recorded(suite, path, warn)
    known = survey(records)
    counts = Counter(known[plan.key].status if plan.key in known else "missing" for plan in planned)
    yield f"{suite.name}: {len(planned)} cells, " + ", ".join(
        f"{count} {name}" for name, count in counts.items()
    )
    todo = [plan for plan in planned if plan.key not in known]
    left = Schedule(todo, planned, durations(known)).seconds_left(1)
    if left > 0:
        yield f"  about {describe_seconds(left)} of one worker's time left"
    yield from _describe_failures(planned, known)


def describe_plan(plan: Planned) -> str:
    """A cell in words."""
    return f"{plan.method}, {plan.corruption}, clean set {plan.clean_size}, {plan.budget}, seed {plan.seed}"


def describe_seconds(seconds: float) -> str:
    """`0:03:20`, or `?` for what is not known."""
    return "?" if math.isnan(seconds) else str(timedelta(seconds=round(seconds)))


def _describe_failures(planned: list[Planned], known: Mapping[str, Known]) -> Iterator[str]:
    for plan in planned:
        entry = known.get(plan.key)
        if entry is not None and entry.status != "ok":
            yield f"  {entry.status}: {describe_plan(plan)}: {entry.reason}"
