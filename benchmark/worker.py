"""What happens in a worker: a process that runs one cell, and the fork server that it comes from."""

import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading

from reweightbench.benchmark.cell import Cell
from reweightbench.benchmark.checkpoint import Checkpoints
from reweightbench.benchmark.dataset import Sources
from reweightbench.benchmark.environment import describe_environment, status_bytes
from reweightbench.benchmark.errors import NonFiniteLossError
from reweightbench.benchmark.record import Record, Status
from reweightbench.benchmark.run import Outcome, run_outcome

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def prepare_context(threads: int) -> multiprocessing.context.ForkServerContext:
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


def start_worker() -> None:
    """In the worker: leave it to the parent to end this process, and end with it."""
    # Ctrl-C reaches the whole process group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its workers, and nobody would take their results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def attempt(
    cell: Cell, sources: Sources, gpu: str | None, memory: int | None, checkpoints: Checkpoints | None
) -> Outcome:
    """In the worker: the cell's outcome, also if it raises; only plain data travels back."""
    try:
        if gpu is not None:
            # CUDA reads it when it starts, which no process has done before its cell.
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        if memory is not None:
            _limit_memory(memory)
        return run_outcome(cell, sources, checkpoints)
    except NonFiniteLossError as error:
        return make_failure(cell, "nonfinite", str(error))
    except MemoryError as error:
        return make_failure(cell, "oom", str(error) or "out of memory")
    except Exception as error:  # noqa: BLE001 - whatever a method raises must cost only its own cell
        is_memory = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
        status: Status = "oom" if is_memory else "error"
        return make_failure(cell, status, f"{type(error).__name__}: {error}")


def _limit_memory(memory: int) -> None:
    """Let this process allocate that many bytes beyond what its libraries have reserved already."""
    # Windows has no such module, and the rest of the package can be used there.
    import resource  # noqa: PLC0415

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = status_bytes("VmData") + memory
    resource.setrlimit(
        resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
    )


def make_failure(cell: Cell, status: Status, reason: str) -> Outcome:
    """The outcome of a cell that did not come to its end."""
    record = Record(
        key=cell.key, cell=cell, status=status, reason=reason[:2000], environment=describe_environment()
    )
    return Outcome(record, {})
