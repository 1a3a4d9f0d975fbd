"""`reweightbench report`: tables and plots made from records."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reweightbench.benchmark.commands.console import say, warn
from reweightbench.benchmark.commands.options import results_option, selection_options

if TYPE_CHECKING:
    from reweightbench.benchmark.cells.plan import Planned
    from reweightbench.benchmark.cells.suite import Suite
    from reweightbench.benchmark.records.timing import Timing


@click.command("report")
@click.argument("suite")
@results_option
@selection_options
@click.option("--allow-partial", is_flag=True, help="Report although cells are missing; every page says so.")
@click.option("--allow-mixed", is_flag=True, help="Report although records come from different environments.")
def command(
    suite: str,
    results: Path,
    methods: tuple[str, ...],
    seeds: tuple[str, ...],
    allow_partial: bool,
    allow_mixed: bool,
) -> None:
    """Tables (Markdown, CSV, LaTeX) and plots of SUITE."""
    from reweightbench.benchmark.commands.selection import select_suite

    chosen, _ = select_suite(suite, methods, seeds)
    say(write(chosen, results / chosen.name, allow_partial=allow_partial, allow_mixed=allow_mixed))


def write(suite: "Suite", path: Path, *, allow_partial: bool = False, allow_mixed: bool = False) -> str:
    """Write tables and plots beside the records of a results folder; returns what to print."""
    from reweightbench.benchmark.records.folder import ResultsFolder
    from reweightbench.benchmark.records.provenance import CodeChanges
    from reweightbench.benchmark.records.survey import read_recorded
    from reweightbench.benchmark.report.report import write_report

    planned, records = read_recorded(suite, path, warn)
    changes = CodeChanges({plan.key for plan in planned})
    written = write_report(
        ResultsFolder(path).with_rates(suite),
        planned,
        changes.watch(records),
        path / "report",
        timings=_fitting_timings(path, planned),
        allow_partial=allow_partial,
        allow_mixed=allow_mixed,
    )
    for line in changes.lines():
        warn(line)
    return written.text


def _fitting_timings(path: Path, planned: "list[Planned]") -> "list[Timing]":
    """The folder's timings of the planned methods as they are now; others are named and left out."""
    from reweightbench.benchmark.records.folder import ResultsFolder
    from reweightbench.benchmark.records.timing import cost_alike

    cells = {plan.method: plan.cell for plan in planned}
    fitting = []
    for timing in ResultsFolder(path).timings():
        if all(cost_alike(cell, cells[label]) for label, cell in timing.cells.items() if label in cells):
            fitting.append(timing)
        else:
            warn(
                f"the timing on '{timing.hardware}' is of other settings than the records and is left out; "
                "'reweightbench time --restart' measures anew"
            )
    return fitting
