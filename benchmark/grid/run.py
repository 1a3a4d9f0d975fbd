"""Running the cells of a suite that have no record yet."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from tqdm import tqdm

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.cells.plan import Shard
from reweightbench.benchmark.cells.suite import Device, Suite
from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import NETWORKS
from reweightbench.benchmark.data.preloaded import announce
from reweightbench.benchmark.grid.local import Finish, Workers, run_cells
from reweightbench.benchmark.grid.planning import plan_on_data
from reweightbench.benchmark.grid.schedule import Schedule
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.provenance import CodeChanges
from reweightbench.benchmark.records.record import Outcome, Record
from reweightbench.benchmark.records.survey import (
    Warn,
    describe_plan,
    describe_seconds,
    durations,
    is_left,
    survey,
)
from reweightbench.benchmark.training.checkpoint import Checkpoints

Engine = Callable[[Iterable[Cell], Sources, Workers, Finish], None]
"""What runs cells: `run_cells` of `grid`, or something that keeps its promises."""

# Without tqdm's own estimate, which takes all cells to be equally long.
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


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
    rerun_changed: bool,
    quiet: bool,
    warn: Warn,
) -> int:
    """Run what has no record yet; returns how many cells of the suite, or of its shard, have failed.

    With `rerun_changed` also what has a record of other code; it stays until there is another result.
    """
    planned, loaded = plan_on_data(suite, sources, device)
    data = loaded.images
    planned = shard.select(planned)
    NETWORKS.create(suite.model).find_weights(sources)
    folder.claim(_describe(suite, data, device))
    workers = replace(workers, checkpoints=Checkpoints(folder.checkpoints.resolve(), checkpoint_every))
    plans = {plan.key: plan for plan in planned}
    changes = CodeChanges(plans)
    recorded = survey(changes.watch(folder.scan(warn, move=True)))
    repeated = changes.found if rerun_changed else set()
    if repeated and folder.is_packed:
        raise UsageError(
            f"'{folder.path}' holds packed records, which --rerun-changed does not replace; unpack them into "
            "another folder with 'reweightbench merge' and run there"
        )
    if not rerun_changed:
        for line in changes.lines():
            warn(line)
    known = {
        key: entry
        for key, entry in recorded.items()
        if key not in repeated and not is_left(entry, retry_failed)
    }
    schedule = Schedule([plan for plan in planned if plan.key not in known], planned, durations(recorded))
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
            record = folder.write(outcome, replace=outcome.record.key in repeated)
            if record.status != outcome.record.status and record.key in repeated:
                failure = outcome.record
                told = describe_plan(plans[failure.key])
                warn(f"{failure.status} in repeating {told}: {failure.reason}; its earlier record stays")
                record = failure
            # A cell that went on from a checkpoint took longer than its worker.
            schedule.note(record, max(seconds, record.cost.total_seconds if record.cost else 0))
            statuses[record.status] += 1
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


def _describe(suite: Suite, data: ImageData, device: Device) -> Manifest:
    return Manifest(
        suite=suite.name,
        variant=data.variant,
        fingerprint=data.fingerprint,
        model=suite.model,
        device=device,
        deterministic=suite.numerics.deterministic,
    )


def _check_data(record: Record, data: ImageData) -> None:
    """Raise UsageError for a record of other data, as another node of a cluster may hold them."""
    if record.result is not None and record.result.fingerprint != data.fingerprint:
        raise UsageError(
            f"a cell was run on data with fingerprint {record.result.fingerprint[:16]}, here it is "
            f"{data.fingerprint[:16]}; put the same files into --data-dir on every node"
        )
