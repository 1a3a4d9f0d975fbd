"""What `run` and `tune` have in common: their options, and a suite's grid made ready by them."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reweightbench.benchmark.commands.console import warn
from reweightbench.benchmark.commands.options import (
    data_options,
    device_option,
    engine_options,
    options,
    quiet_option,
    results_option,
    selection_options,
    weights_option,
    worker_options,
)

if TYPE_CHECKING:
    from reweightbench.benchmark.cells.plan import Shard
    from reweightbench.benchmark.cells.suite import Device, Suite
    from reweightbench.benchmark.contracts.dataset import Sources
    from reweightbench.benchmark.data.preloaded import Loaded
    from reweightbench.benchmark.grid.local import Workers
    from reweightbench.benchmark.grid.run import Engine, Grid
    from reweightbench.benchmark.records.folder import ResultsFolder
    from reweightbench.benchmark.records.survey import Known

grid_options = options(
    click.argument("suite"),
    results_option,
    data_options,
    selection_options,
    worker_options,
    engine_options,
    device_option,
    weights_option,
    click.option("--retry-failed", is_flag=True, help="Run failed cells again."),
    click.option(
        "--rerun-changed", is_flag=True, help="Run cells again whose records were made by other code."
    ),
    click.option("--shard", help="Only part I of N parts of the grid: I/N; 'merge' brings them together."),
    click.option(
        "--deterministic", is_flag=True, help="Only operations that repeat to the last bit, slower on a GPU."
    ),
    click.option(
        "--dry-run", is_flag=True, help="Check the suite, count its cells and estimate how long they take."
    ),
    quiet_option,
)


@dataclass(frozen=True)
class Begun:
    """A suite with its options applied, what is to run it, and where its records lie."""

    suite: "Suite"
    sources: "Sources"
    device: "Device"
    shard: "Shard"
    workers: "Workers"
    engine: "Engine"
    folder: "ResultsFolder"
    asked: dict[str, Any]

    @property
    def jobs(self) -> int:
        """Cells at a time, as far as that is known before a cluster is there."""
        return self.workers.jobs if self.asked["engine"] == "local" else self.asked["jobs"] or 1

    def open(self, loaded: "Loaded") -> "Grid":
        """The grid on its data."""
        from reweightbench.benchmark.grid.run import open_grid

        asked = self.asked
        return open_grid(
            self.suite,
            self.folder,
            self.sources,
            loaded,
            self.device,
            workers=self.workers,
            engine=self.engine,
            checkpoint_every=asked["checkpoint_every"],
            retry_failed=asked["retry_failed"],
            rerun_changed=asked["rerun_changed"],
            quiet=asked["quiet"],
            warn=warn,
        )


def begin(suite: str, **asked: Any) -> Begun:
    """What the options ask for; raises UsageError where they do not fit each other or this machine."""
    from reweightbench.benchmark.cells.plan import Shard, parse_shard
    from reweightbench.benchmark.commands.selection import select_suite
    from reweightbench.benchmark.contracts.dataset import Sources
    from reweightbench.benchmark.grid import fork_server

    chosen, files = select_suite(suite, asked["methods"], asked["seeds"], asked["timeout"])
    part = parse_shard(asked["shard"]) if asked["shard"] else Shard()
    sources = Sources(data_dir=asked["data_dir"], allow_subset=asked["allow_subset"], method_files=files)
    if asked["engine"] == "local":
        # It loads what cells need while this process loads what it needs itself, which takes as long.
        fork_server.start_with(chosen, sources)

    from reweightbench.benchmark.commands import execution
    from reweightbench.benchmark.grid import local, ray_cluster
    from reweightbench.benchmark.records.folder import ResultsFolder

    chosen, sources = execution.with_weights(chosen, sources, asked["weights"])
    if asked["deterministic"]:
        numerics = chosen.numerics.model_copy(update={"deterministic": True})
        chosen = chosen.model_copy(update={"numerics": numerics})
    device = execution.resolve_device(asked["device"], asked["engine"])
    workers = execution.choose_workers(
        chosen,
        device,
        engine=asked["engine"],
        address=asked["address"],
        jobs=asked["jobs"],
        timeout=asked["timeout"],
        memory_gib=asked["memory_per_cell"],
        gpus=asked["gpus"],
        per_gpu=asked["per_gpu"],
    )
    on_ray = partial(ray_cluster.run_cells, address=asked["address"], per_gpu=asked["per_gpu"] or 1)
    results: Path = asked["results"]
    folder = ResultsFolder(results / chosen.name)
    return Begun(
        folder.with_rates(chosen),
        sources,
        device,
        part,
        workers,
        on_ray if asked["engine"] == "ray" else local.run_cells,
        folder,
        asked,
    )


def end(found: "Iterable[Known]") -> None:
    """Exit with 0 if all cells are well, else say how many failed and exit with 1."""
    statuses = [known.status for known in found]
    failed = sum(status != "ok" for status in statuses)
    if failed:
        warn(
            f"{failed} of {len(statuses)} cells failed; 'reweightbench status' shows why, --retry-failed repeats them"
        )
    sys.exit(1 if failed else 0)
