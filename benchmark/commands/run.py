"""`reweightbench run`: the cells of a suite that have no record yet."""

import sys
from functools import partial
from pathlib import Path

import click

from reweightbench.benchmark.commands.console import say, warn
from reweightbench.benchmark.commands.options import (
    data_options,
    device_option,
    engine_options,
    quiet_option,
    results_option,
    selection_options,
    weights_option,
    worker_options,
)


@click.command("run")
@click.argument("suite")
@results_option
@data_options
@selection_options
@worker_options
@engine_options
@device_option
@weights_option
@click.option("--retry-failed", is_flag=True, help="Run failed cells again.")
@click.option("--rerun-changed", is_flag=True, help="Run cells again whose records were made by other code.")
@click.option("--shard", help="Only part I of N parts of the grid: I/N; 'merge' brings them together.")
@click.option(
    "--deterministic", is_flag=True, help="Only operations that repeat to the last bit, slower on a GPU."
)
@click.option(
    "--dry-run", is_flag=True, help="Check the suite, count its cells and estimate how long they take."
)
@quiet_option
def command(
    suite: str,
    results: Path,
    data_dir: Path,
    allow_subset: bool,
    methods: tuple[str, ...],
    seeds: tuple[str, ...],
    jobs: int | None,
    device: str,
    weights: str | None,
    retry_failed: bool,
    rerun_changed: bool,
    timeout: float | None,
    memory_per_cell: float | None,
    checkpoint_every: int | None,
    gpus: str | None,
    per_gpu: int | None,
    engine: str,
    address: str | None,
    shard: str | None,
    deterministic: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Run the cells of SUITE (a name or a TOML file) that have no record yet."""
    from reweightbench.benchmark.cells.plan import Shard, parse_shard
    from reweightbench.benchmark.commands.selection import select_suite
    from reweightbench.benchmark.contracts.dataset import Sources
    from reweightbench.benchmark.grid import fork_server

    chosen, files = select_suite(suite, methods, seeds, timeout)
    part = parse_shard(shard) if shard else Shard()
    sources = Sources(data_dir=data_dir, allow_subset=allow_subset, method_files=files)
    if engine == "local":
        # It loads what cells need while this process loads what it needs itself, which takes as long.
        fork_server.start_with(chosen, sources)

    from reweightbench.benchmark.commands import execution
    from reweightbench.benchmark.commands.dry_run import dry_run as describe
    from reweightbench.benchmark.grid import local, ray_cluster
    from reweightbench.benchmark.grid.run import run
    from reweightbench.benchmark.records.folder import ResultsFolder

    chosen, sources = execution.with_weights(chosen, sources, weights)
    if deterministic:
        chosen = chosen.model_copy(
            update={"numerics": chosen.numerics.model_copy(update={"deterministic": True})}
        )
    place = execution.resolve_device(device, engine)
    workers = execution.choose_workers(
        chosen,
        place,
        engine=engine,
        address=address,
        jobs=jobs,
        timeout=timeout,
        memory_gib=memory_per_cell,
        gpus=gpus,
        per_gpu=per_gpu,
    )
    folder = ResultsFolder(results / chosen.name)
    if dry_run:
        # How many cells a cluster can take is known when it is there.
        count = workers.jobs if engine == "local" else jobs or 1
        for line in describe(
            chosen,
            folder,
            sources,
            place,
            shard=part,
            jobs=count,
            retry_failed=retry_failed,
            rerun_changed=rerun_changed,
            quiet=quiet,
        ):
            say(line)
        return
    failed = run(
        chosen,
        folder,
        sources,
        place,
        workers=workers,
        engine=partial(ray_cluster.run_cells, address=address, per_gpu=per_gpu or 1)
        if engine == "ray"
        else local.run_cells,
        shard=part,
        checkpoint_every=checkpoint_every,
        retry_failed=retry_failed,
        rerun_changed=rerun_changed,
        quiet=quiet,
        warn=warn,
    )
    sys.exit(1 if failed else 0)
