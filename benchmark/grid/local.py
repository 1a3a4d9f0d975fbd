"""Running the cells of a grid in worker processes, one fresh process per cell."""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from itertools import islice
from queue import Empty, Queue
from typing import TypeVar

import torch
from pebble import ProcessExpired, ProcessPool

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.grid import fork_server
from reweightbench.benchmark.grid.worker import attempt, make_failure, start_worker
from reweightbench.benchmark.records.record import Outcome
from reweightbench.benchmark.training.checkpoint import Checkpoints

T = TypeVar("T")

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
    numbers = [part.strip() for part in text.split(",")]
    for number in numbers:
        if not (number.isdigit() and int(number) < len(there)):
            raise UsageError(f"--gpus {text}: '{number}' is no GPU here; there are 0 to {len(there) - 1}")
    return tuple(there[int(number)] for number in numbers)


def run_cells(cells: Iterable[Cell], sources: Sources, workers: Workers, finish: Finish) -> None:
    """Run every cell; hand each outcome, and the seconds it took a worker, to `finish` in the order they end.

    A cell is taken from `cells` when a worker is free for it. One that raises, hangs, or kills its process
    becomes an outcome with that status and costs only itself. On KeyboardInterrupt, or if `finish` raises,
    running cells are stopped and the error is passed on.
    """
    pool = ProcessPool(
        max_workers=workers.jobs + workers.spare,
        max_tasks=1,
        initializer=start_worker,
        context=fork_server.start(workers.threads),
    )
    ended: Queue[Future[Outcome]] = Queue()
    free, waiting = workers.slots, iter(cells)
    running: dict[Future[Outcome], _Running] = {}
    try:
        while True:
            for cell in islice(waiting, len(free)):
                slot = free.pop()
                arguments = (cell, sources, slot, workers.memory, workers.checkpoints)
                scheduled = pool.schedule(attempt, args=arguments)
                running[scheduled] = _Running(cell, slot, time.monotonic())
                scheduled.add_done_callback(ended.put)
            if not running:
                break
            future = _take(ended, running, workers.timeout, pool)
            done = running.pop(future)
            free.append(done.slot)
            finish(_outcome(done.cell, future), time.monotonic() - done.started)
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


def run_alone(function: Callable[..., T], *args: object, threads: int) -> T:
    """What a function returns in a fresh process like those of `run_cells`; its exceptions are passed on."""
    pool = ProcessPool(
        max_workers=1, max_tasks=1, initializer=start_worker, context=fork_server.start(threads)
    )
    try:
        result: T = pool.schedule(function, args=args).result()
    finally:
        pool.stop()
        pool.join()
    return result


@dataclass(frozen=True)
class _Running:
    """A cell in a worker, what it occupies, and since when on the monotonic clock."""

    cell: Cell
    slot: str | None
    started: float


def _take(
    ended: "Queue[Future[Outcome]]",
    running: "Mapping[Future[Outcome], _Running]",
    timeout: float | None,
    pool: ProcessPool,
) -> "Future[Outcome]":
    """The next cell that ended, of its own or after `timeout` seconds.

    Raises UsageError when the pool has died and no cell will end.
    """
    while True:
        # The pool's own timeouts go by the wall clock, which jumps.
        late = time.monotonic() - timeout if timeout is not None else -math.inf
        for future, run in running.items():
            if run.started < late:
                future.cancel()
        try:
            return ended.get(timeout=0.5)
        except Empty:
            if not pool.active:
                raise UsageError(
                    "the worker processes cannot be started any more; the same command goes on from here"
                ) from None


def _outcome(cell: Cell, future: "Future[Outcome]") -> Outcome:
    """What a worker returned, or how it ended without returning."""
    try:
        return future.result()
    except CancelledError:
        return make_failure(cell, "timeout", "the cell ran longer than --timeout")
    except ProcessExpired as error:
        code = error.exitcode or 0
        reason = (
            f"the worker was killed by signal {-code}" if code < 0 else f"the worker exited with code {code}"
        )
        return make_failure(cell, "crashed", reason)
