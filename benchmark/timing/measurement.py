"""A suite's timing: taken round by round, saved on the way, continued after a stop."""

import math
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import ParamSpec, TypeVar

import torch
from tqdm import tqdm

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.cells.plan import plan_settings
from reweightbench.benchmark.cells.suite import Device, Suite
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import CallError, UsageError
from reweightbench.benchmark.contracts.text import describe_error
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import Loaded
from reweightbench.benchmark.grid.local import run_alone
from reweightbench.benchmark.records.environment import describe_environment, describe_hardware
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.record import Environment
from reweightbench.benchmark.records.timing import CONTROL, FEWEST_ROUNDS, REFERENCE, Timing
from reweightbench.benchmark.timing.stopwatch import WARM_UP, Stopwatch, measure_memory, measure_rounds
from reweightbench.benchmark.training.preparation import prepare

P = ParamSpec("P")
T = TypeVar("T")
Save = Callable[[Timing], None]

WINDOW_SECONDS = 0.02
"""Length of the reference's windows: what disturbs a shared machine for longer disturbs whole rounds alike."""

FEWEST_STEPS = 2
SAVE_SECONDS = 5.0

ROUNDS_PER_BUILD = 25
"""Rounds after which models are made anew: where a model happens to lie in memory is worth a percent."""


def choose_cells(suite: Suite, variant: str, device: Device) -> dict[str, Cell]:
    """A cell per row: the reference, its control and the methods, on the suite's first setting.

    Corruption and seed change no step's cost. Raises UsageError for deterministic arithmetic, which is slower.
    """
    if suite.numerics.deterministic:
        raise UsageError(
            "deterministic arithmetic is slower and is not timed; set numerics.deterministic = false"
        )
    methods = tuple(dict.fromkeys([REFERENCE, *suite.methods]))
    changes = {
        "methods": methods,
        "corruptions": suite.corruptions[:1],
        "clean_sizes": (max(suite.clean_sizes),),
        "budgets": suite.budgets[:1],
    }
    # A step costs the same at every rate, chosen or not.
    rate = suite.tuning.lowest if suite.tuning else 0.01
    cells = {
        setting.method: setting.plan(setting.budget.rate_of(setting.method) or rate, suite.seeds[0]).cell
        for setting in plan_settings(suite.model_copy(update=changes), variant, device)
    }
    return {REFERENCE: cells[REFERENCE], CONTROL: cells[REFERENCE]} | cells


def time_suite(
    suite: Suite,
    folder: ResultsFolder,
    loaded: Loaded,
    sources: Sources,
    device: Device,
    *,
    minutes: float,
    steps: int | None = None,
    restart: bool = False,
    quiet: bool = False,
) -> Timing:
    """The suite's timing on this machine: rounds for `minutes` of steps, and at least as many as a table takes.

    It is saved every few seconds and continued from there. Raises UsageError where the folder holds one of
    other rows, steps or environment, unless `restart`: that replaces it, once there are rounds enough.
    """
    cells = choose_cells(suite, loaded.images.variant, device)
    hardware = describe_hardware(device, suite.numerics.threads)
    timing = None if restart else folder.timing(hardware)
    if timing is not None:
        _check_same(timing, cells, steps)
    build = partial(_make_stopwatches, cells, loaded, sources)
    if timing is None:
        timing = Timing(
            suite=suite.name,
            hardware=hardware,
            environment=describe_environment(),
            warm_up=WARM_UP,
            steps=steps or _choose_steps(build(0)[REFERENCE]),
            cells=cells,
            rounds=[],
            memory={},
        )
    first = FEWEST_ROUNDS if restart else 1
    timing = _add_rounds(timing, build, minutes, partial(_save, folder, first), quiet)
    if device == "cuda":
        # The processes whose memory is measured need the room.
        torch.cuda.empty_cache()
    return _add_memory(timing, sources, folder.write_timing, quiet)


def _save(folder: ResultsFolder, first: int, timing: Timing) -> None:
    """Write a timing that has at least `first` rounds."""
    if len(timing.rounds) >= first:
        folder.write_timing(timing)


def _add_rounds(
    timing: Timing, build: Callable[[int], dict[str, Stopwatch]], minutes: float, save: Save, quiet: bool
) -> Timing:
    rounds, seconds, saved = list(timing.rounds), timing.timed_seconds, -math.inf
    start = len(rounds)
    with tqdm(desc="timed steps", total=round(60 * minutes), unit="s", disable=quiet) as bar:
        try:
            while len(rounds) < FEWEST_ROUNDS or seconds < 60 * minutes:
                if (len(rounds) - start) % ROUNDS_PER_BUILD == 0:
                    windows = {
                        label: partial(guard, label, stopwatch.measure, timing.steps, timing.warm_up)
                        for label, stopwatch in build(len(rounds)).items()
                    }
                    endless = measure_rounds(windows, seed=len(rounds))
                rounds.append(next(endless))
                seconds += timing.steps * sum(rounds[-1].values())
                timing = timing.model_copy(update={"rounds": rounds})
                if time.monotonic() > saved + SAVE_SECONDS:
                    save(timing)
                    saved = time.monotonic()
                bar.n = round(seconds)
                bar.set_postfix(rounds=len(rounds))
        finally:
            save(timing)
    return timing


def _add_memory(timing: Timing, sources: Sources, save: Save, quiet: bool) -> Timing:
    missing = [label for label in timing.cells if label not in timing.memory]
    for label in tqdm(missing, "peak memory", disable=quiet):
        cell = timing.cells[label]
        found = guard(
            label, run_alone, measure_memory, cell, sources, timing.steps, threads=cell.numerics.threads
        )
        timing = timing.model_copy(update={"memory": timing.memory | {label: found}})
        save(timing)
    return timing


def _make_stopwatches(
    cells: Mapping[str, Cell], loaded: Loaded, sources: Sources, seed: int
) -> dict[str, Stopwatch]:
    """A stopwatch per row, made in an order drawn from `seed`; they share the training examples."""
    # The cells differ in their method only.
    data = make_cell_data(next(iter(cells.values())), loaded)
    examples, stopwatches = None, {}
    for label in random.Random(seed).sample(sorted(cells), len(cells)):
        prepared = guard(label, prepare, cells[label], data, sources, examples)
        examples = prepared.examples
        stopwatches[label] = guard(label, Stopwatch, prepared)
        # The first steps of a model allocate and choose kernels.
        guard(label, stopwatches[label].measure, FEWEST_STEPS)
    return {label: stopwatches[label] for label in cells}


def _choose_steps(stopwatch: Stopwatch) -> int:
    """Steps that fill a window of the reference."""
    seconds = min(stopwatch.measure(FEWEST_STEPS) for _ in range(3))
    return max(FEWEST_STEPS, math.ceil(WINDOW_SECONDS / seconds))


def _check_same(timing: Timing, cells: Mapping[str, Cell], steps: int | None) -> None:
    """Raise UsageError unless rounds taken now belong to the timing."""
    environment = describe_environment()
    if timing.cells != cells:
        difference = "is of other methods or settings"
    elif steps not in {None, timing.steps}:
        difference = f"has windows of {timing.steps} steps, not {steps}"
    elif timing.environment != environment:
        difference = f"was taken in another environment ({_differ(timing.environment, environment)})"
    else:
        return
    raise UsageError(
        f"the timing on '{timing.hardware}' {difference}; --restart measures anew in its place, "
        "--results names another folder"
    )


def _differ(first: Environment, second: Environment) -> str:
    """The first field that differs, with its values."""
    name = next(name for name in Environment.model_fields if getattr(first, name) != getattr(second, name))
    return f"{name} {getattr(first, name)}, now {getattr(second, name)}"


def guard(label: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the function returns; an error of a method becomes a UsageError with its label."""
    try:
        return function(*args, **kwargs)
    except (UsageError, KeyboardInterrupt):
        raise
    except CallError as error:
        raise UsageError(f"'{label}' cannot be timed: {error}") from None
    except BaseException as error:
        raise UsageError(f"'{label}' cannot be timed: {describe_error(error)}") from error
