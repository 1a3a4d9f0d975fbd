"""What happens in a worker, a process that runs one cell."""

import os

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import NonFiniteLossError
from reweightbench.benchmark.contracts.text import describe_error, one_line
from reweightbench.benchmark.records.environment import describe_environment, status_bytes
from reweightbench.benchmark.records.record import Outcome, Record, Status
from reweightbench.benchmark.training.checkpoint import Checkpoints
from reweightbench.benchmark.training.run import run_outcome

MEMORY_SIGNS = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")
"""How torch says on a CPU, on a GPU, and on behalf of CUDA's libraries that memory did not suffice."""


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
        return make_failure(cell, "oom", describe_error(error))
    except BaseException as error:  # noqa: BLE001 - whatever a method raises must cost only its own cell
        reason = describe_error(error)
        is_memory = any(sign in reason for sign in MEMORY_SIGNS)
        return make_failure(cell, "oom" if is_memory else "error", reason)


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
        key=cell.key,
        cell=cell,
        status=status,
        reason=one_line(reason),
        environment=describe_environment(),
    )
    return Outcome(record, {})
