"""Running the cells of a grid in worker processes, one fresh process per cell."""

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from multiprocessing.context import ForkServerContext
from typing import TypeVar

import torch

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import CallError, UsageError
from reweightbench.benchmark.contracts.numbers import parse_whole
from reweightbench.benchmark.grid import fork_server
from reweightbench.benchmark.grid.call_process import CallProcess, wait
from reweightbench.benchmark.grid.worker import attempt, make_failure
from reweightbench.benchmark.records.record import Outcome
from reweightbench.benchmark.training.checkpoint import Checkpoints

T = TypeVar("T")

LONGEST_WAIT = 3600.0
"""Seconds after which a process that is waited for is looked at again."""

Finish = Callable[[Outcome, float], None]
"""Takes each outcome and the seconds it took a worker, in the order in which cells end."""


@dataclass(frozen=True)
class Workers:
    """How cells are run.

    `jobs` cells at a time, each with `threads` threads, and `spare` processes that stand ready, so that no cell
    waits for its process to start; `timeout` seconds after which a cell is given up;
    `memory` bytes that a cell may allocate; `gpus` names the devices that take `jobs / len(gpus)` cells each;
    `checkpoints` is where cells that were stopped go on from.
    """

    jobs: int
    threads: int = 1
    timeout: float | None = None
    memory: int | None = None
    gpus: tuple[str, ...] = ()
    checkpoints: Checkpoints | None = None
    spare: int = 2

    @property
    def slots(self) -> list[str | None]:
        """The GPU of each process, None for the machine's own choice."""
        return [self.gpus[place % len(self.gpus)] if self.gpus else None for place in range(self.jobs)]


def choose_gpus(text: str, device: str) -> tuple[str, ...]:
    """The devices that a list of numbers such as `0,1` names, as CUDA_VISIBLE_DEVICES has them.

    Raises UsageError where there is no such device.
    """
    if device != "cuda":
        raise UsageError(
            f"--gpus {text} is of no use on the device {device}; leave it out or use --device cuda"
        )
    inherited = os.environ.get("CUDA_VISIBLE_DEVICES")
    there = inherited.split(",") if inherited else [str(place) for place in range(torch.cuda.device_count())]
    chosen = []
    for part in text.split(","):
        number = parse_whole(part.strip(), len(there) - 1)
        if number is None:
            raise UsageError(
                f"--gpus {text}: '{part.strip()}' is no GPU here; there are 0 to {len(there) - 1}"
            )
        chosen.append(there[number])
    return tuple(chosen)


def run_cells(cells: Iterable[Cell], sources: Sources, workers: Workers, finish: Finish) -> None:
    """Run every cell; hand each outcome, and the seconds it took a worker, to `finish` in the order they end.

    A cell is taken from `cells` when a worker is free for it. One that raises, hangs, or kills its process
    becomes an outcome with that status and costs only itself. On KeyboardInterrupt, or if `finish` raises,
    running cells are stopped and the error is passed on.
    """
    context = fork_server.start(workers.threads)
    free, waiting = workers.slots, iter(cells)
    ready: deque[CallProcess] = deque()
    running: dict[CallProcess, _Running] = {}
    try:
        while True:
            for cell in islice(waiting, len(free)):
                slot = free.pop()
                process = _call(ready, context, (cell, sources, slot, workers.memory, workers.checkpoints))
                running[process] = _Running(cell, slot, time.monotonic())
                while len(ready) < workers.spare:
                    ready.append(CallProcess(context))
            if not running:
                break
            for process in _take(running, workers.timeout):
                done = running.pop(process)
                free.append(done.slot)
                seconds = time.monotonic() - done.started
                finish(_outcome(done.cell, process), seconds)
    finally:
        for process in (*ready, *running):
            process.end()


def run_alone(function: Callable[..., T], *args: object, threads: int, seconds: float | None = None) -> T:
    """What a function returns in a fresh process like those of `run_cells`, within so many seconds.

    Raises UsageError where it does, and CallError for whatever else goes wrong.
    """
    end = math.inf if seconds is None else time.monotonic() + seconds
    process = CallProcess(fork_server.start(threads))
    try:
        process.call(function, *args)
        while not wait([process], min(end - time.monotonic(), LONGEST_WAIT)):
            if time.monotonic() > end:
                raise CallError(f"it did not end within {seconds:g} seconds")
        answer = process.collect()
    finally:
        process.end()
    if isinstance(answer, str):
        raise CallError(answer)
    if answer.failure:
        raise UsageError(answer.failure) if answer.is_usage else CallError(answer.failure)
    value: T = answer.value
    return value


@dataclass(frozen=True)
class _Running:
    """A cell in a worker, what it occupies, and since when on the monotonic clock."""

    cell: Cell
    slot: str | None
    started: float


def _call(
    ready: deque[CallProcess], context: ForkServerContext, arguments: tuple[object, ...]
) -> CallProcess:
    """A process that runs a cell: one that stands ready and lives, or a new one."""
    while True:
        process = ready.popleft() if ready else CallProcess(context)
        if process.call(attempt, *arguments):
            return process
        process.end()


def _take(running: Mapping[CallProcess, _Running], timeout: float | None) -> list[CallProcess]:
    """The cells that ended next, of their own or because their time is over."""
    while True:
        left = None
        if timeout is not None:
            now = time.monotonic()
            late = [process for process, run in running.items() if now - run.started > timeout]
            if late:
                return late
            left = min(run.started for run in running.values()) + timeout - now
        ended = wait(running, left)
        if ended:
            return ended


def _outcome(cell: Cell, process: CallProcess) -> Outcome:
    """What a worker returned, or how it ended without returning."""
    if not process.has_ended():
        process.end()
        return make_failure(cell, "timeout", "the cell ran longer than --timeout")
    answer = process.collect()
    if isinstance(answer, str):
        return make_failure(cell, "crashed", answer)
    if answer.failure:
        return make_failure(cell, "error", answer.failure)
    outcome: Outcome = answer.value
    return outcome
