"""The cells of a suite on the data at hand, checked before any of them runs."""

import math
from collections.abc import Iterator

import torch

from reweightbench.benchmark.dataset import ImageData, Sources
from reweightbench.benchmark.errors import DataMissingError
from reweightbench.benchmark.estimate import estimate_seconds
from reweightbench.benchmark.loaded import announce
from reweightbench.benchmark.material import check_method, gather
from reweightbench.benchmark.recorded import Warn, describe_seconds, durations, is_left, survey
from reweightbench.benchmark.registry import DATASETS, METHODS
from reweightbench.benchmark.results import ResultsFolder
from reweightbench.benchmark.schedule import Schedule
from reweightbench.benchmark.suite import Device, Planned, Shard, Suite, plan_cells


def plan_on_data(suite: Suite, sources: Sources, device: Device) -> tuple[list[Planned], ImageData]:
    """The cells on the data at hand; raises UsageError if a corruption of any of them cannot be made."""
    data = DATASETS.create(suite.dataset).load(sources)
    planned = plan_cells(suite, data.variant, device)
    _check_methods(planned)
    for cell in {(plan.corruption, plan.clean_size, plan.seed): plan.cell for plan in planned}.values():
        gather(cell, data)
    return planned, data


def dry_run(
    suite: Suite,
    folder: ResultsFolder,
    sources: Sources,
    device: Device,
    *,
    shard: Shard,
    jobs: int,
    retry_failed: bool,
    quiet: bool,
    warn: Warn,
) -> Iterator[str]:
    """Validate the suite, on its data where they are present; say how many cells it has and how long they take."""
    data = None
    try:
        planned, data = plan_on_data(suite, sources, device)
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
    recorded = survey(folder.scan(warn, move=False))
    todo = [plan for plan in planned if is_left(recorded.get(plan.key), retry_failed)]
    if len(todo) < len(planned):
        yield f"  {len(planned) - len(todo)} of them have a record in '{folder.path}'"
    if device == "cuda" and not torch.cuda.is_available():
        yield "  how long they take cannot be tried here, without a GPU"
        return
    seconds = Schedule(todo, planned, durations(recorded)).seconds_left(jobs)
    if math.isnan(seconds):
        announce(planned[0].cell.dataset, sources)
        seconds = Schedule(todo, planned, estimate_seconds(todo, sources, quiet)).seconds_left(jobs)
    yield f"  about {describe_seconds(seconds)} (h:mm:ss) with {jobs} at a time on this machine"


def _check_methods(planned: list[Planned]) -> None:
    """Raise UsageError where a method does not fit a budget or a size of the clean set."""
    for cell in {(plan.method, plan.clean_size, plan.budget): plan.cell for plan in planned}.values():
        check_method(cell, METHODS.restore(cell.method))
