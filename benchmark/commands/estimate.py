"""How long cells will take on this machine, before any of them has run."""

import math
import time
from collections.abc import Sequence

from tqdm import tqdm

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.grid.local import run_alone
from reweightbench.benchmark.timing.measurement import guard
from reweightbench.benchmark.timing.stopwatch import Stopwatch
from reweightbench.benchmark.training.examples import EVALUATION_BATCH
from reweightbench.benchmark.training.preparation import prepare

STEPS = 2
"""Timed steps of each method, after as many of warm-up."""


def estimate_seconds(planned: Sequence[Planned], sources: Sources, quiet: bool) -> dict[str, float]:
    """Seconds of each cell by key, from some optimisation steps of its method and an evaluation.

    A cell is taken to have as many examples as the first one of its method, which is tried in a process of its
    own; what the process and the preparation take is added to every cell. Raises UsageError where that fails.
    """
    plans: dict[str, list[Planned]] = {}
    for plan in planned:
        plans.setdefault(plan.method, []).append(plan)
    threads = planned[0].cell.numerics.threads
    # So that no method waits for the fork server.
    run_alone(time.perf_counter, threads=threads)
    seconds: dict[str, float] = {}
    beside = math.inf
    for label, alike in tqdm(plans.items(), "timing some steps", unit="method", leave=False, disable=quiet):
        budgets = [plan.cell.budget for plan in alike]
        cells = [alike[0].cell.model_copy(update={"budget": budget}) for budget in budgets]
        started = time.perf_counter()
        found, spent = guard(label, run_alone, _expect, cells, sources, threads=threads)
        seconds |= {plan.key: value for plan, value in zip(alike, found, strict=True)}
        beside = min(beside, time.perf_counter() - started - spent)
    return {key: value + beside for key, value in seconds.items()}


def _expect(cells: Sequence[Cell], sources: Sources) -> tuple[list[float], float]:
    """Seconds of training cells that differ in their budgets only, and those that this has taken.

    Both are without the preparation.
    """
    prepared = prepare(cells[0], make_cell_data(cells[0], load(cells[0].dataset, sources)), sources)
    began = time.perf_counter()
    per_step = Stopwatch(prepared).measure(STEPS, warm_up=STEPS)
    split, size = prepared.data.split, len(prepared.examples.is_mislabelled)
    validation = len(split.validation) + len(prepared.data.corrupted_validation.ids)
    some = split.test[:EVALUATION_BATCH]
    prepared.probabilities(some)
    started = time.perf_counter()
    prepared.probabilities(some)
    per_image = (time.perf_counter() - started) / len(some)
    seconds = [
        sum(cell.budget.steps_per_epoch(size)) * per_step
        + cell.budget.epoch_count * validation * per_image
        + 2 * len(split.test) * per_image
        for cell in cells
    ]
    return seconds, time.perf_counter() - began
