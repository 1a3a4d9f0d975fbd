"""Running the cells of a grid on Ray, which spreads them over nodes; a node runs them as a single machine would."""

import math
import os
import socket
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Self

import torch

from reweightbench.benchmark.cells.catalogue import find_siblings
from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.discovery import read_user_files
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.registry import METHODS, NETWORKS
from reweightbench.benchmark.data.preloaded import announce, load
from reweightbench.benchmark.grid import local
from reweightbench.benchmark.grid.local import Finish, Workers
from reweightbench.benchmark.grid.ray_connection import connected, import_ray, last_line
from reweightbench.benchmark.grid.worker import make_failure
from reweightbench.benchmark.records.record import Outcome

MOST_LOST_NODES = 3
"""Nodes that may be lost under a cell before it is given up."""

PERIOD = 1.0
"""Seconds between two counts of the nodes, so that those that join or leave count."""


def run_cells(
    cells: Iterable[Cell],
    sources: Sources,
    workers: Workers,
    finish: Finish,
    *,
    address: str | None = None,
    per_gpu: int = 1,
) -> None:
    """As `local.run_cells`, on the Ray cluster at `address`, or on a Ray that is started on this machine.

    A GPU takes `per_gpu` cells at a time. A cell whose node is lost runs again, one that fails by itself does
    not. Raises UsageError where there is no Ray, no cluster, or no node that can take a cell.
    """
    ray = import_ray()
    waiting = iter(cells)
    first = next(waiting, None)
    if first is None:
        return
    gpu_share = 1 / per_gpu if first.device == "cuda" else 0
    with connected(ray, address):
        # Ray's own retries would repeat a cell that took its worker with it.
        task = ray.remote(num_cpus=workers.threads, num_gpus=gpu_share, max_retries=0)(_run_on_node)
        driver = _Driver(ray, task, workers, Freight.pack(sources), gpu_share)
        driver.run(chain([first], waiting), finish)


@dataclass(frozen=True)
class Freight:
    """What a node needs beside the cell: `sources`, and the `contents` of each user's method file, by method.

    Contents are those of the file and of the modules beside it that it imports, by path from its folder.
    """

    sources: Sources
    contents: Mapping[str, Mapping[str, bytes]]

    @classmethod
    def pack(cls, sources: Sources) -> Self:
        """What to send: paths that hold in any working directory, files that are not part of the package."""
        files = {name: path for name, path in sources.method_files.items() if not METHODS.defined_in(path)}
        packed = replace(
            sources,
            data_dir=sources.data_dir.resolve(),
            cache_dir=sources.cache_dir.resolve(),
            method_files=files,
        )
        return cls(packed, {name: _read_files(path, find_siblings(name)) for name, path in files.items()})

    @contextmanager
    def unpacked(self, method: str) -> Iterator[Sources]:
        """The sources with the method's file there, if it has one: in its place, else in a temporary folder."""
        if method not in self.contents:
            yield replace(self.sources, method_files={})
            return
        path, contents = self.sources.method_files[method], self.contents[method]
        with tempfile.TemporaryDirectory(prefix="reweightbench-") as folder:
            if not (path.is_file() and _read_files(path, contents) == contents):
                path = Path(folder, path.name)
                _write_files(contents, path.parent)
            yield replace(self.sources, method_files={method: path})


def _read_files(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """The contents of a user's file, of what it imports, and of what else of those names is in its folder."""
    named = {name: path.parent / name for name in names}
    found = {name: file.read_bytes() for name, file in named.items() if file.is_file()}
    return read_user_files(path) | found


def _write_files(contents: Mapping[str, bytes], folder: Path) -> None:
    for name, content in contents.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


@dataclass
class _Driver:
    """Keeps as many cells running as the cluster can take."""

    ray: Any
    task: Any
    workers: Workers
    freight: Freight
    gpu_share: float
    running: dict[Any, Cell] = field(default_factory=dict)
    again: deque[Cell] = field(default_factory=deque)
    lost_nodes: Counter[str] = field(default_factory=Counter)

    def run(self, cells: Iterator[Cell], finish: Finish) -> None:
        """Run all cells to their end."""
        counted = -PERIOD
        while True:
            if time.monotonic() - counted >= PERIOD:
                slots, counted = self._count_slots(), time.monotonic()
            while len(self.running) < max(1, min(slots, self.workers.jobs)):
                cell = self.again.popleft() if self.again else next(cells, None)
                if cell is None:
                    break
                self.running[self.task.remote(cell, self.freight, self.workers)] = cell
            if not self.running:
                return
            ended = self.ray.wait(list(self.running), timeout=PERIOD)[0]
            if not (slots or ended):
                raise UsageError(self._describe_lack())
            for reference in ended:
                self._collect(reference, self.running.pop(reference), finish)

    def _count_slots(self) -> int:
        """How many cells fit the nodes that are alive."""
        slots = 0
        for node in self.ray.nodes():
            held = node["Resources"] if node["Alive"] else {}
            by_threads = held.get("CPU", 0) / self.workers.threads
            # A third of a GPU is no exact number.
            by_gpus = held.get("GPU", 0) / self.gpu_share + 1e-6 if self.gpu_share else math.inf
            slots += int(min(by_threads, by_gpus))
        return slots

    def _describe_lack(self) -> str:
        need = f"{self.workers.threads} CPU{'s' if self.workers.threads > 1 else ''}"
        need += " and a GPU" if self.gpu_share else ""
        return (
            f"no node of the cluster has {need} for a cell; add nodes ('ray status' shows what there is), "
            "the same command goes on from here"
        )

    def _collect(self, reference: Any, cell: Cell, finish: Finish) -> None:
        """Hand on what became of a cell, or have it run again if its node was lost."""
        errors = self.ray.exceptions
        try:
            finish(*self.ray.get(reference))
        except (errors.NodeDiedError, errors.ObjectLostError):
            self.lost_nodes[cell.key] += 1
            if self.lost_nodes[cell.key] < MOST_LOST_NODES:
                self.again.append(cell)
            else:
                finish(make_failure(cell, "crashed", f"its node was lost {MOST_LOST_NODES} times"), 0)
        except errors.OutOfMemoryError:
            finish(make_failure(cell, "oom", "the node ran out of memory, and Ray stopped the cell"), 0)
        except errors.WorkerCrashedError:
            finish(make_failure(cell, "crashed", "the Ray worker that ran the cell was killed"), 0)
        except errors.RayTaskError as error:
            if isinstance(error.cause, UsageError):
                raise error.cause from None
            raise UsageError(
                f"a node cannot run cells: {last_line(error)}; install the same reweightbench on every node"
            ) from None


def _run_on_node(cell: Cell, freight: Freight, workers: Workers) -> tuple[Outcome, float]:
    """In a Ray worker: the outcome of a cell in a process of its own, and the seconds it took.

    The Ray worker and its fork server stay for the next cell, whatever this one does.
    """
    # Ray chooses the GPU of each task.
    visible = os.environ.get("CUDA_VISIBLE_DEVICES") if cell.device == "cuda" else None
    here = replace(workers, jobs=1, spare=0, gpus=(visible,) if visible else ())
    results = []
    try:
        with freight.unpacked(cell.method.name) as sources:
            without_methods = replace(sources, method_files={})
            _prepare_worker(
                cell.dataset.model_dump_json(), cell.model.model_dump_json(), cell.device, without_methods
            )
            # A user's code is loaded by the cell's own process alone.
            if not sources.method_files:
                METHODS.restore(cell.method)
            local.run_cells([cell], sources, here, lambda *result: results.append(result))
    except UsageError as error:
        raise UsageError(f"node {socket.gethostname()}: {error}") from None
    return results[0]


@cache
def _prepare_worker(dataset: str, model: str, device: str, sources: Sources) -> None:
    """Once per Ray worker: have its fork server load the dataset.

    Raises UsageError for what would fail every cell here: no data, no weights, a GPU that torch cannot use.
    """
    NETWORKS.restore(Spec.model_validate_json(model)).find_weights(sources)
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("torch has no CUDA device here; install its CUDA build and the driver")
    spec = Spec.model_validate_json(dataset)
    # The fork server could not say what is missing.
    load(spec, sources)
    announce(spec, sources)
    # Every process of a cell would import the main module again, which is Ray's and takes seconds.
    vars(sys.modules["__main__"]).pop("__file__", None)
