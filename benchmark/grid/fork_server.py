"""The fork server: a process with the libraries loaded, from which workers start within milliseconds."""

import multiprocessing
import multiprocessing.context
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.benchmark.contracts.text import describe_error
from reweightbench.benchmark.data.preloaded import announce

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def start(threads: int) -> multiprocessing.context.ForkServerContext:
    """Start the fork server of this process, if it has none yet, and return what makes workers from it.

    It goes on loading while this process does other things.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(threads)
    context = multiprocessing.get_context("forkserver")
    # A worker imports the main module again; what that imports from here should be there already.
    loaded = [name for name in sys.modules if name.startswith("reweightbench.")]
    context.set_forkserver_preload(["reweightbench.benchmark.grid.preload", *loaded])
    with _ignoring_interrupts():
        try:
            forkserver.ensure_running()
        except OSError as error:
            # The path of its socket lies in the folder for temporary files, and has little room.
            raise UsageError(
                f"no worker process can be started ({describe_error(error)}); set TMPDIR to a folder that can be "
                f"written and has a short path, it is '{os.environ.get('TMPDIR', '')}'"
            ) from None
    return context


def start_with(suite: Suite, sources: Sources) -> None:
    """Start the fork server with the suite's threads, and have it load the suite's dataset."""
    announce(look_up(DATASETS, suite.dataset).spec, sources)
    start(suite.numerics.threads)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Processes started inside leave Ctrl-C, which reaches them too, to this one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
