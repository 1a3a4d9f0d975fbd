"""`reweightbench publish`: complete records and their report, ready to commit."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reweightbench.benchmark.commands import report
from reweightbench.benchmark.commands.console import say, warn
from reweightbench.benchmark.commands.options import results_option, selection_options
from reweightbench.benchmark.contracts.errors import UsageError

if TYPE_CHECKING:
    from reweightbench.benchmark.cells.suite import Suite


@click.command("publish")
@click.argument("suite")
@results_option
@selection_options
@click.option("--into", type=click.Path(path_type=Path), default=Path("results"), help="Where to publish.")
def command(suite: str, results: Path, methods: tuple[str, ...], seeds: tuple[str, ...], into: Path) -> None:
    """Pack complete records of SUITE, their report beside them, ready to commit."""
    from reweightbench.benchmark.commands.selection import select_suite

    chosen, _ = select_suite(suite, methods, seeds)
    say(_publish(chosen, results / chosen.name, into / chosen.name))


def _publish(suite: "Suite", path: Path, target: Path) -> str:
    """Pack the suite's records in `target` and write the report there; returns what to print."""
    from reweightbench.benchmark.records.folder import ResultsFolder
    from reweightbench.benchmark.records.survey import read_recorded
    from reweightbench.benchmark.report.findings import make_findings
    from reweightbench.benchmark.report.report import check_findings

    planned, records = read_recorded(suite, path, warn)
    findings = make_findings(suite, planned, records)
    if findings.absent:
        raise UsageError(
            f"{len(findings.absent)} of {len(planned)} cells of '{suite.name}' are not done; publish a complete run"
        )
    # Refuses what cannot be published before anything is written.
    check_findings(findings)
    source, published = ResultsFolder(path), ResultsFolder(target)
    published.claim(source.manifest())
    published.pack_from(source, {plan.key for plan in planned}, warn)
    return report.write(suite, target)
