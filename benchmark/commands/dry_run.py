"""`reweightbench run --dry-run`: a suite checked, its cells counted and their time estimated."""

import math
from collections.abc import Iterator

import torch

from reweightbench.benchmark.cells.plan import Shard, plan_cells
from reweightbench.benchmark.cells.suite import Device, Suite
from reweightbench.benchmark.commands.console import warn
from reweightbench.benchmark.commands.estimate import estimate_seconds
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import DataMissingError
from reweightbench.benchmark.contracts.text import one_line
from reweightbench.benchmark.data.preloaded import announce
from reweightbench.benchmark.grid.planning import check_methods, plan_on_data
from reweightbench.benchmark.grid.schedule import Schedule
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.provenance import CodeChanges
from reweightbench.benchmark.records.survey import describe_seconds, durations, is_left, survey


def dry_run(
    suite: Suite,
    folder: ResultsFolder,
    sources: Sources,
    device: Device,
    *,
    shard: Shard,
    jobs: int,
    retry_failed: bool,
    rerun_changed: bool,
    quiet: bool,
) -> Iterator[str]:
    """Validate the suite, on its data where they are present; say how many cells it has and how long they take."""
    has_data = True
    try:
        planned, _ = plan_on_data(suite, sources, device)
        yield f"{suite.name}: {len(planned)} cells, every corruption can be made"
    except DataMissingError as error:
        has_data = False
        planned = plan_cells(suite, "missing", device)
        check_methods(planned)
        yield f"{suite.name}: {len(planned)} cells; corruptions unchecked, because data are missing: {error}"
    yield (
        f"  {len(suite.methods)} methods x {len(suite.corruptions)} corruptions x {len(suite.clean_sizes)} "
        f"clean-set sizes x {len(suite.budgets)} budgets x {len(suite.seeds)} seeds"
    )
    planned = shard.select(planned)
    if shard.count > 1:
        yield f"  shard {shard.number} of {shard.count}: {len(planned)} cells"
    if not has_data:
        return
    changes = CodeChanges({plan.key for plan in planned})
    recorded = survey(changes.watch(folder.scan(warn)))
    repeated = changes.found if rerun_changed else set()
    todo = [plan for plan in planned if plan.key in repeated or is_left(recorded.get(plan.key), retry_failed)]
    if len(todo) < len(planned):
        yield f"  {len(planned) - len(todo)} of them have a record in '{one_line(str(folder.path))}'"
    if not rerun_changed:
        yield from (f"  {line}" for line in changes.lines())
    if device == "cuda" and not torch.cuda.is_available():
        yield "  how long they take cannot be tried here, without a GPU"
        return
    seconds = Schedule(todo, planned, durations(recorded)).seconds_left(jobs)
    if math.isnan(seconds):
        announce(planned[0].cell.dataset, sources)
        seconds = Schedule(todo, planned, estimate_seconds(todo, sources, quiet)).seconds_left(jobs)
    yield f"  about {describe_seconds(seconds)} (h:mm:ss) with {jobs} at a time on this machine"
