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
    from reweightbench.benchmark.records.folder import ResultsFolder


@click.command("publish")
@click.argument("suite")
@results_option
@selection_options
@click.option("--into", type=click.Path(path_type=Path), default=Path("results"), help="Where to publish.")
@click.option("--replace", is_flag=True, help="Let results take the place of other ones of the same cells.")
@click.option("--dry-run", is_flag=True, help="Say what would be published, and write nothing.")
def command(
    suite: str,
    results: Path,
    methods: tuple[str, ...],
    seeds: tuple[str, ...],
    into: Path,
    replace: bool,
    dry_run: bool,
) -> None:
    """Add complete records of SUITE to the published ones, packed, and report on all of them.

    What is published stays: records are added, and replaced with --replace only.
    """
    from reweightbench.benchmark.cells.suite_file import load_suite
    from reweightbench.benchmark.commands.selection import select_suite
    from reweightbench.benchmark.records import publishing
    from reweightbench.benchmark.records.folder import ResultsFolder

    chosen, _ = select_suite(suite, methods, seeds)
    _check_name(suite, load_suite(suite))
    source, target = ResultsFolder(results / chosen.name), ResultsFolder(into / chosen.name)
    keys = _check_complete(chosen, source) | _find_trials(chosen, source)
    if dry_run:
        addition = publishing.compare(source, target, keys, warn, replace=replace)
        say(f"{target.path}: {addition.describe()} (not yet: --dry-run)")
        return
    addition = publishing.add(source, target, keys, warn, replace=replace)
    say(f"{target.path}: {addition.describe()}")
    _publish_rates(suite, source, target)
    say(report.write(_complete_part(load_suite(suite), chosen, target), target.path))


def _check_name(given: str, suite: "Suite") -> None:
    """Raise UsageError for a suite of one's own that goes by the name of another one of the package."""
    from reweightbench.benchmark.cells.suite_file import load_suite, suite_names

    if suite.name in suite_names() and suite != load_suite(suite.name):
        raise UsageError(
            f"'{given}' is another suite than the package's '{suite.name}', whose published results its own would "
            "join; give it a name of its own"
        )


def _check_complete(suite: "Suite", source: "ResultsFolder") -> set[str]:
    """The keys of the suite's cells; raises UsageError where one is not done, or a report would be refused."""
    from reweightbench.benchmark.cells.plan import plan_every_cell
    from reweightbench.benchmark.records.survey import as_recorded
    from reweightbench.benchmark.report.findings import make_findings
    from reweightbench.benchmark.report.report import check_findings

    recorded, manifest = as_recorded(suite, source)
    planned = plan_every_cell(recorded, manifest.variant, manifest.device)
    findings = make_findings(recorded, planned, source.scan(warn))
    if findings.absent:
        raise UsageError(
            f"{len(findings.absent)} of {len(planned)} cells of '{suite.name}' are not done; publish a complete run"
        )
    check_findings(findings)
    return {plan.key for plan in planned}


def _find_trials(suite: "Suite", source: "ResultsFolder") -> set[str]:
    """The keys of the trials that chose the suite's rates."""
    from reweightbench.benchmark.cells.plan import plan_settings
    from reweightbench.benchmark.cells.rates import group_of
    from reweightbench.benchmark.records.survey import as_recorded

    recorded, manifest = as_recorded(suite, source)
    groups = {
        setting.group
        for setting in plan_settings(recorded, manifest.variant, manifest.device)
        if setting.budget.rate_of(setting.method) is None
    }
    return {
        record.key
        for record in source.scan(warn, move=False)
        if groups and record.cell.purpose == "trial" and group_of(record.cell) in groups
    }


def _publish_rates(name: str, source: "ResultsFolder", target: "ResultsFolder") -> None:
    """Write the chosen rates beside the published records, and beside the suite for whoever runs it next."""
    from reweightbench.benchmark.cells.suite_file import rates_path, read_rates, write_rates

    chosen = source.rates().choices
    if not chosen:
        return
    target.write_rates(chosen)
    try:
        write_rates(rates_path(name), read_rates(rates_path(name)).updated(chosen))
    except OSError as error:
        warn(f"the chosen rates are not written beside the suite: {error.strerror} '{error.filename}'")


def _complete_part(whole: "Suite", chosen: "Suite", target: "ResultsFolder") -> "Suite":
    """The suite with those seeds that are published for all chosen methods, and the methods published for them."""
    from reweightbench.benchmark.cells.plan import select
    from reweightbench.benchmark.records.survey import read_recorded

    methods = list(dict.fromkeys([*whole.methods, *chosen.methods]))
    seeds = sorted({*whole.seeds, *chosen.seeds})
    planned, records = read_recorded(select(whole, methods, seeds), target.path, warn)
    done = {record.key for record in records if record.status == "ok"}
    absent = {(plan.method, plan.seed) for plan in planned if plan.key not in done}
    kept = [seed for seed in seeds if not any((method, seed) in absent for method in chosen.methods)]
    complete = [method for method in methods if not any((method, seed) in absent for seed in kept)]
    return select(whole, complete, kept)
