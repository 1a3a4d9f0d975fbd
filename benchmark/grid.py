"""Running the cells of a grid in worker processes, one fresh process per cell."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, TimeoutError
from dataclasses import dataclass
from functools import partial
from queue import Empty, Queue
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from reweightbench.benchmark.cell import Cell
from reweightbench.benchmark.dataset import Sources
from reweightbench.benchmark.environment import describe_environment
from reweightbench.benchmark.errors import NonFiniteLossError, UsageError
from reweightbench.benchmark.record import Record, Status
from reweightbench.benchmark.run import Outcome, run_outcome

T = TypeVar("T")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Workers:
    """How cells are run: processes at a time, and seconds after which a cell is given up."""

    jobs: int
    timeout: float | None = None


def run_cells(
    cells: Sequence[Cell], sources: Sources, workers: Workers, finish: Callable[[Outcome], None]
) -> None:
    """Run every cell and hand each outcome to `finish`, in the order they end.

    A cell that raises, hangs, or kills its process becomes an outcome with that status and costs only
    itself. On KeyboardInterrupt, or if `finish` raises, running cells are stopped and the error is passed on.
    """
    if not cells:
        return
    pool = ProcessPool(
        max_workers=workers.jobs,
        max_tasks=1,
        initializer=_start_worker,
        context=_prepared_context(max(cell.numerics.threads for cell in cells)),
    )
    try:
        ended: Queue[tuple[Cell, Future[Outcome]]] = Queue()
        for cell in cells:
            future = pool.schedule(_attempt, args=(cell, sources), timeout=workers.timeout)
            future.add_done_callback(partial(_put, ended, cell))
        for _ in cells:
            finish(_outcome(*_take(ended, pool)))
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


def run_alone(function: Callable[..., T], *args: object, threads: int) -> T:
    """What a function returns in a fresh process like those of `run_cells`; its exceptions are passed on."""
    pool = ProcessPool(
        max_workers=1, max_tasks=1, initializer=_start_worker, context=_prepared_context(threads)
    )
    try:
        result: T = pool.schedule(function, args=args).result()
    finally:
        pool.stop()
        pool.join()
    return result


def _attempt(cell: Cell, sources: Sources) -> Outcome:
    """In the worker: the cell's outcome, also if it raises; only plain data travels back."""
    try:
        return run_outcome(cell, sources)
    except NonFiniteLossError as error:
        return _failure(cell, "nonfinite", str(error))
    except MemoryError as error:
        return _failure(cell, "oom", str(error) or "out of memory")
    except Exception as error:  # noqa: BLE001 - whatever a method raises must cost only its own cell
        status: Status = "oom" if type(error).__name__ == "OutOfMemoryError" else "error"
        return _failure(cell, status, f"{type(error).__name__}: {error}")


def _put(ended: "Queue[tuple[Cell, Future[Outcome]]]", cell: Cell, future: "Future[Outcome]") -> None:
    ended.put((cell, future))


def _take(ended: "Queue[tuple[Cell, Future[Outcome]]]", pool: ProcessPool) -> "tuple[Cell, Future[Outcome]]":
    """The next cell that ended; raises UsageError when the pool has died and none will."""
    while True:
        try:
            return ended.get(timeout=1)
        except Empty:
            if not pool.active:
                raise UsageError(
                    "the worker processes cannot be started any more; the same command goes on from here"
                ) from None


def _outcome(cell: Cell, future: "Future[Outcome]") -> Outcome:
    """What a worker returned, or how it ended without returning."""
    try:
        return future.result()
    except TimeoutError:
        return _failure(cell, "timeout", "the cell ran longer than --timeout")
    except ProcessExpired as error:
        code = error.exitcode or 0
        reason = (
            f"the worker was killed by signal {-code}" if code < 0 else f"the worker exited with code {code}"
        )
        return _failure(cell, "crashed", reason)


def _failure(cell: Cell, status: Status, reason: str) -> Outcome:
    record = Record(
        key=cell.key, cell=cell, status=status, reason=reason[:2000], environment=describe_environment()
    )
    return Outcome(record, {})


def _prepared_context(threads: int) -> multiprocessing.context.ForkServerContext:
    """A fork server with the libraries loaded, so that a new process starts within milliseconds."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    # Deterministic matrix products on CUDA need it before CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    context = multiprocessing.get_context("forkserver")
    # A worker imports the main module again; what that imports from here should be there already.
    loaded = [name for name in sys.modules if name.startswith("reweightbench.")]
    context.set_forkserver_preload(["reweightbench.benchmark.preload", *loaded])
    return context


def _start_worker() -> None:
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
