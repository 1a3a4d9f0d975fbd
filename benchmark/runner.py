"""Running a suite: what is planned, what is done, and what is left."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from reweightbench.benchmark.cell import Cell
from reweightbench.benchmark.checkpoint import Checkpoints
from reweightbench.benchmark.dataset import ImageData, Sources
from reweightbench.benchmark.errors import DataMissingError, UsageError
from reweightbench.benchmark.estimate import estimate_seconds
from reweightbench.benchmark.grid import Finish, Workers, run_cells
from reweightbench.benchmark.loaded import announce
from reweightbench.benchmark.material import check_method, gather
from reweightbench.benchmark.record import Record, Status
from reweightbench.benchmark.registry import ARCHITECTURES, DATASETS, METHODS
from reweightbench.benchmark.results import Manifest, ResultsFolder
from reweightbench.benchmark.run import Outcome
from reweightbench.benchmark.schedule import Schedule
from reweightbench.benchmark.suite import Device, Planned, Shard, Suite, plan_cells

Warn = Callable[[str], None]
Engine = Callable[[Iterable[Cell], Sources, Workers, Finish], None]
"""What runs cells: `run_cells` of `grid`, or something that keeps its promises."""

# Without tqdm's own estimate, which takes all cells to be equally long.
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


class Known(NamedTuple):
    """What a record says about its cell for counts and estimates; seconds exist if it is finished."""

    status: Status
    reason: str | None
    seconds: float | None


def dry_run(
    suite: Suite,
    folder: ResultsFolder,
    sources: Sources,
    device: Device,
    *,
    shard: Shard,
    jobs: int,
    quiet: bool,
    warn: Warn,
) -> Iterator[str]:
    """Validate the suite, on its data where they are present; say how many cells it has and how long they take."""
    data = None
    try:
        planned, data = _plan(suite, sources, device)
        yield f"{suite.name}: {len(planned)} cells, every corruption can be made"
    except DataMissingError as error:
        planned = plan_cells(suite, "missing", device)
        _check_methods(planned)
        yield f"{suite.name}: {len(planned)} cells; corruptions unchecked, because data are missing: {error}"
    yield (
        f"  {len(suite.methods)} methods x {len(suite.corruptions)} corruptions x {len(suite.clean_sizes)} "
        f"clean-set sizes x {len(suite.budgets)} budgets x {len(suite.seeds)} seeds"
    )
    planned = shard.select(planned)
    if shard.count > 1:
        yield f"  shard {shard.number} of {shard.count}: {len(planned)} cells"
    if data is None:
        return
    recorded = _survey(folder.scan(warn, move=False))
    todo = [plan for plan in planned if plan.key not in recorded]
    if len(todo) < len(planned):
        yield f"  {len(planned) - len(todo)} of them have a record in '{folder.path}'"
    seconds = Schedule(todo, planned, _durations(recorded)).seconds_left(jobs)
    if math.isnan(seconds):
        seconds = estimate_seconds(todo, data, sources, quiet) / jobs
    yield f"  about {describe_seconds(seconds)} (h:mm:ss) with {jobs} at a time on this machine"


def run(
    suite: Suite,
    folder: ResultsFolder,
    sources: Sources,
    device: Device,
    *,
    workers: Workers,
    engine: Engine = run_cells,
    shard: Shard,
    checkpoint_every: int | None,
    retry_failed: bool,
    quiet: bool,
    warn: Warn,
) -> int:
    """Run what has no record yet; returns how many cells of the suite, or of its shard, have failed."""
    planned, data = _plan(suite, sources, device)
    planned = shard.select(planned)
    ARCHITECTURES.create(suite.model).find_weights(sources)
    folder.claim(
        Manifest(
            suite=suite.name,
            variant=data.variant,
            fingerprint=data.fingerprint,
            model=suite.model,
            device=device,
            deterministic=suite.numerics.deterministic,
        )
    )
    workers = replace(workers, checkpoints=Checkpoints(folder.checkpoints.resolve(), checkpoint_every))
    recorded = _survey(folder.scan(warn))
    known = {key: entry for key, entry in recorded.items() if entry.status == "ok" or not retry_failed}
    schedule = Schedule([plan for plan in planned if plan.key not in known], planned, _durations(recorded))
    statuses = Counter(known[plan.key].status for plan in planned if plan.key in known)
    cached = statuses.total()
    with tqdm(
        total=len(planned), initial=cached, desc=suite.name, unit="cell", disable=quiet, bar_format=BAR
    ) as bar:

        def show() -> None:
            failed = statuses.total() - statuses["ok"]
            left = describe_seconds(schedule.seconds_left(schedule.at_once or workers.jobs))
            bar.set_postfix(done=bar.n - cached, failed=failed, cached=cached, left=left)

        def finish(outcome: Outcome, seconds: float) -> None:
            _check_data(outcome.record, data)
            folder.write(outcome)
            schedule.note(outcome.record, seconds)
            statuses[outcome.record.status] += 1
            bar.update()
            show()

        show()
        if cached < len(planned):
            announce(planned[0].cell.dataset, sources)
            engine(schedule, sources, workers, finish)
    failed = statuses.total() - statuses["ok"]
    if failed:
        warn(
            f"{failed} of {len(planned)} cells failed; 'reweightbench status' shows why, --retry-failed repeats them"
        )
    return failed


def status(suite: Suite, path: Path, warn: Warn) -> Iterator[str]:
    """Counts by status and the time that is left, then a line per failed cell."""
    planned, records = read_recorded(suite, path, warn)
    known = _survey(records)
    counts = Counter(known[plan.key].status if plan.key in known else "missing" for plan in planned)
    yield f"{suite.name}: {len(planned)} cells, " + ", ".join(
        f"{count} {name}" for name, count in counts.items()
    )
    todo = [plan for plan in planned if plan.key not in known]
    left = Schedule(todo, planned, _durations(known)).seconds_left(1)
    if left > 0:
        yield f"  about {describe_seconds(left)} of one worker's time left"
    yield from _describe_failures(planned, known)


def read_recorded(suite: Suite, path: Path, warn: Warn) -> tuple[list[Planned], Iterator[Record]]:
    """The suite's cells as the folder's manifest has them, and the folder's records, read by and by."""
    folder = ResultsFolder(path)
    manifest = folder.manifest()
    if manifest.suite != suite.name:
        raise UsageError(f"'{path}' holds results of suite '{manifest.suite}', not '{suite.name}'")
    # `run` may have been given another model and arithmetic than the suite's.
    numerics = suite.numerics.model_copy(update={"deterministic": manifest.deterministic})
    suite = suite.model_copy(update={"model": manifest.model, "numerics": numerics})
    return plan_cells(suite, manifest.variant, manifest.device), folder.scan(warn)


def describe_plan(plan: Planned) -> str:
    """A cell in words."""
    return f"{plan.method}, {plan.corruption}, clean set {plan.clean_size}, {plan.budget}, seed {plan.seed}"


def describe_seconds(seconds: float) -> str:
    """`0:03:20`, or `?` for what is not known."""
    return "?" if math.isnan(seconds) else str(timedelta(seconds=round(seconds)))


def _survey(records: Iterable[Record]) -> dict[str, Known]:
    return {
        record.key: Known(record.status, record.reason, record.cost.total_seconds if record.cost else None)
        for record in records
    }


def _durations(known: Mapping[str, Known]) -> dict[str, float]:
    return {key: entry.seconds for key, entry in known.items() if entry.seconds is not None}


def _check_data(record: Record, data: ImageData) -> None:
    """Raise UsageError for a record of other data, as another node of a cluster may hold them."""
    if record.result is not None and record.result.fingerprint != data.fingerprint:
        raise UsageError(
            f"a cell was run on data with fingerprint {record.result.fingerprint[:16]}, here it is "
            f"{data.fingerprint[:16]}; put the same files into --data-dir on every node"
        )


def _describe_failures(planned: list[Planned], known: Mapping[str, Known]) -> Iterator[str]:
    for plan in planned:
        entry = known.get(plan.key)
        if entry is not None and entry.status != "ok":
            yield f"  {entry.status}: {describe_plan(plan)}: {entry.reason}"


def _plan(suite: Suite, sources: Sources, device: Device) -> tuple[list[Planned], ImageData]:
    """The cells on the data at hand; raises UsageError if a corruption of any of them cannot be made."""
    data = DATASETS.create(suite.dataset).load(sources)
    planned = plan_cells(suite, data.variant, device)
    _check_methods(planned)
    for cell in {(plan.corruption, plan.clean_size, plan.seed): plan.cell for plan in planned}.values():
        gather(cell, data)
    return planned, data


def _check_methods(planned: list[Planned]) -> None:
    """Raise UsageError where a method does not fit a budget or a size of the clean set."""
    for cell in {(plan.method, plan.clean_size, plan.budget): plan.cell for plan in planned}.values():
        check_method(cell, METHODS.restore(cell.method))
