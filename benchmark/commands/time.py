"""`reweightbench time`: what training with each method takes."""

import sys
from pathlib import Path

import click

from reweightbench.benchmark.commands.console import say, warn
from reweightbench.benchmark.commands.options import (
    COUNT,
    Amount,
    data_options,
    device_option,
    methods_option,
    quiet_option,
    results_option,
    weights_option,
)


@click.command("time")
@click.argument("suite")
@results_option
@data_options
@methods_option
@device_option
@weights_option
@click.option(
    "--minutes",
    type=Amount(1e6),
    default=5.0,
    help="How long to time steps; 20 rounds are taken at least.",
)
@click.option(
    "--steps",
    type=COUNT,
    help="Timed steps of a method in a round  [default: 0.02 seconds of sgd, at least 2].",
)
@click.option("--restart", is_flag=True, help="Measure anew in the place of an earlier measurement.")
@quiet_option
def command(
    suite: str,
    results: Path,
    data_dir: Path,
    allow_subset: bool,
    methods: tuple[str, ...],
    device: str,
    weights: str | None,
    minutes: float,
    steps: int | None,
    restart: bool,
    quiet: bool,
) -> None:
    """Measure the training time of SUITE's methods against sgd's, on an otherwise idle machine."""
    from reweightbench.benchmark.cells.catalogue import look_up
    from reweightbench.benchmark.commands import execution
    from reweightbench.benchmark.commands.selection import select_suite
    from reweightbench.benchmark.contracts.dataset import Sources
    from reweightbench.benchmark.contracts.registry import DATASETS
    from reweightbench.benchmark.data.preloaded import load
    from reweightbench.benchmark.records.folder import ResultsFolder
    from reweightbench.benchmark.report.formats import to_text
    from reweightbench.benchmark.report.overhead import Overheads, make_overhead_table
    from reweightbench.benchmark.timing.measurement import time_suite

    chosen, files = select_suite(suite, methods, ())
    sources = Sources(data_dir=data_dir, allow_subset=allow_subset, method_files=files)
    chosen, sources = execution.with_weights(chosen, sources, weights)
    timing = time_suite(
        chosen,
        ResultsFolder(results / chosen.name),
        load(look_up(DATASETS, chosen.dataset).spec, sources),
        sources,
        execution.resolve_device(device),
        minutes=minutes,
        steps=steps,
        restart=restart,
        quiet=quiet,
    )
    overheads = Overheads(timing)
    say(to_text(make_overhead_table(overheads)))
    if overheads.is_noisy:
        warn("this machine was not quiet; run the same with --restart when it is")
    sys.exit(1 if overheads.is_noisy else 0)
