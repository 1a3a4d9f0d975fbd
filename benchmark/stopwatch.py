"""Measuring seconds per step: every method in turn, in rounds, on the same examples."""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import ParamSpec, TypeVar

import torch
from tqdm import tqdm

from reweightbench.benchmark.cell import Cell
from reweightbench.benchmark.dataset import ImageData, Sources
from reweightbench.benchmark.environment import describe_environment, describe_hardware, peak_memory
from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.grid import run_alone
from reweightbench.benchmark.preparation import Prepared, prepare
from reweightbench.benchmark.registry import DATASETS
from reweightbench.benchmark.results import ResultsFolder
from reweightbench.benchmark.suite import Device, Suite, plan_cells
from reweightbench.benchmark.timing import CONTROL, FEWEST_ROUNDS, REFERENCE, Memory, Timing
from reweightbench.benchmark.training import divide_epochs, learning_rate

P = ParamSpec("P")
T = TypeVar("T")
Save = Callable[[Timing], None]

WARM_UP = 1
"""Steps before each window, so that it does not pay for what ran before it."""

WINDOW_SECONDS = 0.02
"""Length of the reference's windows: what disturbs a shared machine for longer disturbs whole rounds alike."""

FEWEST_STEPS = 2
SAVE_SECONDS = 5.0


class Stopwatch:
    """A method in training, whose steps can be timed a window at a time."""

    def __init__(self, prepared: Prepared) -> None:
        self._training = prepared.start()
        budget = prepared.cell.budget
        stages = divide_epochs(prepared.method.stages(), budget.epochs)
        self._stages, first = [], 0
        for stage, epochs in stages:
            self._stages.append((stage, epochs / budget.epochs, first, self._training.enter(stage)[1]))
            first += epochs
        self._rate = learning_rate(budget, 0)

    def measure(self, steps: int, warm_up: int = WARM_UP) -> float:
        """Seconds per optimisation step, stages averaged by their shares of the run.

        The device is synchronised at the edges of the window only. Hooks that are called once an epoch are
        called once a window.
        """
        seconds = 0.0
        for stage, share, epoch, order in self._stages:
            optimizer, _ = self._training.enter(stage)
            for count in (warm_up, steps):
                window = self._training.run_epoch(epoch, stage, optimizer, order, [self._rate] * count)
            seconds += share * window.seconds / steps
        return seconds


def measure_rounds(windows: Mapping[str, Callable[[], float]], seed: int) -> Iterator[dict[str, float]]:
    """Endless rounds in which every window runs once, in an order drawn for each round."""
    stream = random.Random(seed)
    while True:
        order = stream.sample(sorted(windows), len(windows))
        times = {label: windows[label]() for label in order}
        yield {label: times[label] for label in windows}


def measure_memory(cell: Cell, sources: Sources, steps: int) -> Memory:
    """The peak of this process after some steps of a cell; for a process that does nothing else."""
    Stopwatch(prepare(cell, DATASETS.restore(cell.dataset).load(sources), sources)).measure(steps)
    if cell.device == "cuda":
        return Memory(peak=peak_memory(cell.device), reserved=torch.cuda.max_memory_reserved())
    return Memory(peak=peak_memory(cell.device))


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
        "seeds": suite.seeds[:1],
    }
    cells = {plan.method: plan.cell for plan in plan_cells(suite.model_copy(update=changes), variant, device)}
    return {REFERENCE: cells[REFERENCE], CONTROL: cells[REFERENCE]} | cells


def time_suite(
    suite: Suite,
    folder: ResultsFolder,
    data: ImageData,
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
    other rows, steps or versions, unless `restart`.
    """
    cells = choose_cells(suite, data.variant, device)
    hardware = describe_hardware(device, suite.numerics.threads)
    timing = None if restart else folder.timing(hardware)
    if timing is not None:
        _check_same(timing, cells, steps)
    stopwatches = {}
    if timing is None or _lacks_rounds(timing, minutes):
        stopwatches = _make_stopwatches(cells, data, sources)
    if timing is None:
        timing = Timing(
            suite=suite.name,
            hardware=hardware,
            environment=describe_environment(),
            warm_up=WARM_UP,
            steps=steps or _choose_steps(stopwatches[REFERENCE]),
            cells=cells,
            rounds=[],
            memory={},
        )
    if stopwatches:
        timing = _add_rounds(timing, stopwatches, minutes, folder.write_timing, quiet)
    return _add_memory(timing, sources, folder.write_timing, quiet)


def _lacks_rounds(timing: Timing, minutes: float) -> bool:
    return len(timing.rounds) < FEWEST_ROUNDS or timing.timed_seconds < 60 * minutes


def _add_rounds(
    timing: Timing, stopwatches: Mapping[str, Stopwatch], minutes: float, save: Save, quiet: bool
) -> Timing:
    windows = {
        label: partial(_guard, label, stopwatch.measure, timing.steps, timing.warm_up)
        for label, stopwatch in stopwatches.items()
    }
    taken, saved = list(timing.rounds), -math.inf
    endless = measure_rounds(windows, seed=len(taken))
    with tqdm(desc="timed steps", total=round(60 * minutes), unit="s", disable=quiet) as bar:
        try:
            while _lacks_rounds(timing, minutes):
                taken.append(next(endless))
                timing = timing.model_copy(update={"rounds": taken})
                if time.monotonic() > saved + SAVE_SECONDS:
                    save(timing)
                    saved = time.monotonic()
                bar.n = round(timing.timed_seconds)
                bar.set_postfix(rounds=len(taken))
        finally:
            save(timing)
    return timing


def _add_memory(timing: Timing, sources: Sources, save: Save, quiet: bool) -> Timing:
    missing = [label for label in timing.cells if label not in timing.memory]
    for label in tqdm(missing, "peak memory", disable=quiet):
        cell = timing.cells[label]
        found = _guard(
            label, run_alone, measure_memory, cell, sources, timing.steps, threads=cell.numerics.threads
        )
        timing = timing.model_copy(update={"memory": timing.memory | {label: found}})
        save(timing)
    return timing


def _make_stopwatches(cells: Mapping[str, Cell], data: ImageData, sources: Sources) -> dict[str, Stopwatch]:
    """A stopwatch per row; they share the training examples."""
    examples, stopwatches = None, {}
    for label, cell in cells.items():
        prepared = _guard(label, prepare, cell, data, sources, examples)
        examples = prepared.examples
        stopwatches[label] = _guard(label, Stopwatch, prepared)
        # The first steps of a process allocate and choose kernels.
        _guard(label, stopwatches[label].measure, FEWEST_STEPS)
    return stopwatches


def _choose_steps(stopwatch: Stopwatch) -> int:
    """Steps that fill a window of the reference."""
    seconds = min(stopwatch.measure(FEWEST_STEPS) for _ in range(3))
    return max(FEWEST_STEPS, math.ceil(WINDOW_SECONDS / seconds))


def _check_same(timing: Timing, cells: Mapping[str, Cell], steps: int | None) -> None:
    """Raise UsageError unless rounds taken now belong to the timing."""
    torch_now = describe_environment().torch
    differences = {
        "methods or settings": timing.cells != cells,
        f"{timing.steps} steps": steps not in {None, timing.steps},
        f"torch {timing.environment.torch}": timing.environment.torch != torch_now,
    }
    for name, is_different in differences.items():
        if is_different:
            raise UsageError(
                f"there is a timing on '{timing.hardware}' with other {name}; --restart measures anew in its place"
            )


def _guard(label: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the function returns; an error of a method becomes a UsageError with its label."""
    try:
        return function(*args, **kwargs)
    except UsageError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"'{label}' cannot be timed: {type(error).__name__}: {reason}") from error
