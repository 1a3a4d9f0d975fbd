"""Running the cells of a suite that have no record yet."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace

from tqdm import tqdm

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.cells.suite import Device, Suite
from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import NETWORKS
from reweightbench.benchmark.data.preloaded import Loaded, announce
from reweightbench.benchmark.grid.local import Finish, Workers, run_cells
from reweightbench.benchmark.grid.schedule import Schedule
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.provenance import CodeChanges
from reweightbench.benchmark.records.record import Outcome, Record
from reweightbench.benchmark.records.survey import (
    Known,
    Warn,
    describe_plan,
    describe_seconds,
    durations,
    is_left,
    know,
    survey,
)
from reweightbench.benchmark.training.checkpoint import Checkpoints

Engine = Callable[[Iterable[Cell], Sources, Workers, Finish], None]
"""What runs cells: `run_cells` of `grid`, or something that keeps its promises."""

# Without tqdm's own estimate, which takes all cells to be equally long.
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"


@dataclass(frozen=True)
class Grid:
    """Where the cells of a suite are run, what runs them, and on which data.

    With `rerun_changed` also those are run that have a record of other code; it stays until there is another
    result.
    """

    suite: Suite
    folder: ResultsFolder
    sources: Sources
    loaded: Loaded
    workers: Workers
    engine: Engine
    retry_failed: bool
    rerun_changed: bool
    quiet: bool
    warn: Warn

    def run(self, planned: Sequence[Planned], title: str) -> dict[str, Known]:
        """Run those cells that have no record yet; returns what the records of all of them say, by key."""
        plans = {plan.key: plan for plan in planned}
        changes = CodeChanges(plans)
        recorded = survey(changes.watch(self.folder.scan(self.warn, move=True)))
        repeated = self._choose_repeated(changes)
        found = {
            key: entry
            for key, entry in recorded.items()
            if key in plans and key not in repeated and not is_left(entry, self.retry_failed)
        }
        todo = [plan for plan in planned if plan.key not in found]
        schedule = Schedule(todo, planned, durations(recorded))
        statuses = Counter(entry.status for entry in found.values())
        cached = statuses.total()
        with tqdm(
            total=len(planned), initial=cached, desc=title, unit="cell", disable=self.quiet, bar_format=BAR
        ) as bar:

            def show() -> None:
                failed = statuses.total() - statuses["ok"]
                left = describe_seconds(schedule.seconds_left(schedule.at_once or self.workers.jobs))
                bar.set_postfix(done=bar.n - cached, failed=failed, cached=cached, left=left)

            def finish(outcome: Outcome, seconds: float) -> None:
                record = self._keep(outcome, plans[outcome.record.key], repeated)
                # A cell that went on from a checkpoint took longer than its worker.
                schedule.note(record, max(seconds, record.cost.total_seconds if record.cost else 0))
                found[record.key] = know(record)
                statuses[record.status] += 1
                bar.update()
                show()

            show()
            if todo:
                announce(todo[0].cell.dataset, self.sources)
                self.engine(schedule, self.sources, self.workers, finish)
        return found

    def _choose_repeated(self, changes: CodeChanges) -> Set[str]:
        """The keys of cells to run again because their records are of other code; else that is said."""
        if not self.rerun_changed:
            for line in changes.lines():
                self.warn(line)
            return set()
        if changes.found and self.folder.is_packed:
            raise UsageError(
                f"'{self.folder.path}' holds packed records, which --rerun-changed does not replace; unpack them "
                "into another folder with 'reweightbench merge' and run there"
            )
        return changes.found

    def _keep(self, outcome: Outcome, plan: Planned, repeated: Set[str]) -> Record:
        """Write an outcome; returns the record that says how the cell has ended now."""
        _check_data(outcome.record, self.loaded.images)
        record = self.folder.write(outcome, replace=plan.key in repeated)
        if plan.key not in repeated or record.status == outcome.record.status:
            return record
        failure = outcome.record
        self.warn(
            f"{failure.status} in repeating {describe_plan(plan)}: {failure.reason}; its earlier record stays"
        )
        return failure


def open_grid(
    suite: Suite,
    folder: ResultsFolder,
    sources: Sources,
    loaded: Loaded,
    device: Device,
    *,
    workers: Workers,
    engine: Engine = run_cells,
    checkpoint_every: int | None,
    retry_failed: bool,
    rerun_changed: bool,
    quiet: bool,
    warn: Warn,
) -> Grid:
    """The suite's grid; raises UsageError where its weights are missing, or the folder holds something else."""
    NETWORKS.create(suite.model).find_weights(sources)
    folder.claim(_describe(suite, loaded.images, device))
    workers = replace(workers, checkpoints=Checkpoints(folder.checkpoints.resolve(), checkpoint_every))
    return Grid(suite, folder, sources, loaded, workers, engine, retry_failed, rerun_changed, quiet, warn)


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
