"""Measuring seconds per step: every method in turn, in rounds, on the same examples."""

import random
from collections.abc import Callable, Iterator, Mapping

import torch

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.method import divide_epochs
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.records.environment import peak_memory
from reweightbench.benchmark.records.timing import Memory
from reweightbench.benchmark.training.loop import learning_rate
from reweightbench.benchmark.training.preparation import Prepared, prepare

WARM_UP = 1
"""Steps before each window, so that it does not pay for what ran before it."""


class Stopwatch:
    """A method in training, whose steps can be timed a window at a time."""

    def __init__(self, prepared: Prepared) -> None:
        self._training = prepared.start()
        budget = prepared.cell.budget
        stages = divide_epochs(prepared.method.stages(), budget.epoch_count)
        self._stages, first = [], 0
        for stage, epochs in stages:
            self._training.enter(stage)
            self._stages.append((stage, epochs / budget.epoch_count, first, self._training.order))
            first += epochs
        self._rate = learning_rate(budget, 0)

    def measure(self, steps: int, warm_up: int = WARM_UP) -> float:
        """Seconds per optimisation step, stages averaged by their shares of the run.

        The device is synchronised at the edges of the window only. Hooks that are called once an epoch are
        called once a window.
        """
        seconds = 0.0
        for stage, share, epoch, order in self._stages:
            self._training.enter(stage)
            # A new order would begin every window with a permutation of the whole pool.
            self._training.order = order
            for count in (warm_up, steps):
                window = self._training.run_epoch(epoch, stage, [self._rate] * count)
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
    stopwatch = Stopwatch(prepare(cell, make_cell_data(cell, load(cell.dataset, sources)), sources))
    stopwatch.measure(steps)
    if cell.device == "cuda":
        # The first steps try kernels that need more memory than those that are chosen.
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        stopwatch.measure(steps)
        return Memory(peak=peak_memory(cell.device), reserved=torch.cuda.max_memory_reserved())
    return Memory(peak=peak_memory(cell.device))
