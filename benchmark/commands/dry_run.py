"""`reweightbench run --dry-run`: a suite checked, its cells counted and their time estimated."""

import math
from collections.abc import Iterator, Sequence

import torch

from reweightbench.benchmark.cells.plan import Planned, plan_every_cell
from reweightbench.benchmark.commands.console import warn
from reweightbench.benchmark.commands.estimate import estimate_seconds
from reweightbench.benchmark.commands.grid_command import Begun
from reweightbench.benchmark.contracts.errors import DataMissingError
from reweightbench.benchmark.contracts.text import one_line
from reweightbench.benchmark.data.preloaded import announce
from reweightbench.benchmark.grid.planning import check_methods, plan_on_data
from reweightbench.benchmark.grid.schedule import Schedule
from reweightbench.benchmark.records.provenance import CodeChanges
from reweightbench.benchmark.records.survey import describe_seconds, durations, is_left, survey


def dry_run(begun: Begun) -> Iterator[str]:
    """Validate the suite, on its data where they are present; say how many cells it has and how long they take."""
    suite = begun.suite
    try:
        planned, _ = plan_on_data(suite, begun.sources, begun.device)
        yield f"{suite.name}: {len(planned)} cells, every corruption can be made"
        is_checked = True
    except DataMissingError as error:
        is_checked = False
        planned = plan_every_cell(suite, "missing", begun.device)
        check_methods(planned)
        yield f"{suite.name}: {len(planned)} cells; corruptions unchecked, because data are missing: {error}"
    yield (
        f"  {len(suite.methods)} methods x {len(suite.corruptions)} corruptions x {len(suite.clean_sizes)} "
        f"clean-set sizes x {len(suite.budgets)} budgets x {len(suite.seeds)} seeds"
    )
    planned = begun.shard.select(planned)
    if begun.shard.count > 1:
        yield f"  shard {begun.shard.number} of {begun.shard.count}: {len(planned)} cells"
    if is_checked:
        yield from estimate(begun, planned)


def estimate(begun: Begun, planned: Sequence[Planned]) -> Iterator[str]:
    """How many of the cells have a record, and how long the others take."""
    asked, folder = begun.asked, begun.folder
    changes = CodeChanges({plan.key for plan in planned})
    recorded = survey(changes.watch(folder.scan(warn)))
    repeated = changes.found if asked["rerun_changed"] else set()
    todo = [
        plan
        for plan in planned
        if plan.key in repeated or is_left(recorded.get(plan.key), asked["retry_failed"])
    ]
    if len(todo) < len(planned):
        yield f"  {len(planned) - len(todo)} of them have a record in '{one_line(str(folder.path))}'"
    if not asked["rerun_changed"]:
        yield from (f"  {line}" for line in changes.lines())
    if begun.device == "cuda" and not torch.cuda.is_available():
        yield "  how long they take cannot be tried here, without a GPU"
        return
    seconds = Schedule(todo, planned, durations(recorded)).seconds_left(begun.jobs)
    if math.isnan(seconds):
        announce(planned[0].cell.dataset, begun.sources)
        tried = estimate_seconds(todo, begun.sources, asked["quiet"])
        seconds = Schedule(todo, planned, tried).seconds_left(begun.jobs)
    yield f"  about {describe_seconds(seconds)} (h:mm:ss) with {begun.jobs} at a time on this machine"
