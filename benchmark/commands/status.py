"""`reweightbench status`: done, failed and missing cells."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reweightbench.benchmark.commands.console import say, warn
from reweightbench.benchmark.commands.options import results_option, selection_options
from reweightbench.benchmark.contracts.text import one_line

if TYPE_CHECKING:
    from reweightbench.benchmark.cells.plan import Planned
    from reweightbench.benchmark.cells.suite import Suite
    from reweightbench.benchmark.records.survey import Known


@click.command("status")
@click.argument("suite")
@results_option
@selection_options
def command(suite: str, results: Path, methods: tuple[str, ...], seeds: tuple[str, ...]) -> None:
    """Done, failed and missing cells of SUITE."""
    from reweightbench.benchmark.commands.selection import select_suite

    chosen, _ = select_suite(suite, methods, seeds)
    for line in _describe(chosen, results / chosen.name):
        say(line)


def _describe(suite: "Suite", path: Path) -> Iterator[str]:
    """Counts by status, the time that is left and what other code has made, then a line per failed cell."""
    from reweightbench.benchmark.cells.plan import plan_every_cell
    from reweightbench.benchmark.grid.schedule import Schedule
    from reweightbench.benchmark.records.folder import ResultsFolder
    from reweightbench.benchmark.records.provenance import CodeChanges
    from reweightbench.benchmark.records.survey import as_recorded, describe_seconds, durations, survey

    folder = ResultsFolder(path)
    recorded, manifest = as_recorded(suite, folder)
    if recorded.tuning:
        trials = Counter(record.status for record in folder.scan(warn) if record.cell.purpose == "trial")
        yield f"{suite.name}: {trials.total()} trials recorded{_list(trials)}"
    planned = plan_every_cell(recorded, manifest.variant, manifest.device)
    changes = CodeChanges({plan.key for plan in planned})
    known = survey(changes.watch(folder.scan(warn)))
    counts = Counter(known[plan.key].status if plan.key in known else "missing" for plan in planned)
    yield f"{suite.name}: {len(planned)} cells{_list(counts)}"
    todo = [plan for plan in planned if plan.key not in known]
    left = Schedule(todo, planned, durations(known)).seconds_left(1)
    if left > 0:
        yield f"  about {describe_seconds(left)} of one worker's time left"
    yield from (f"  {line}" for line in changes.lines())
    yield from _describe_failures(planned, known)


def _list(counts: "Mapping[Any, int]") -> str:
    return "".join(f", {count} {name}" for name, count in counts.items())


def _describe_failures(planned: "list[Planned]", known: "Mapping[str, Known]") -> Iterator[str]:
    from reweightbench.benchmark.records.survey import describe_plan

    for plan in planned:
        entry = known.get(plan.key)
        if entry is not None and entry.status != "ok":
            yield f"  {entry.status}: {one_line(f'{describe_plan(plan)}: {entry.reason}')}"
