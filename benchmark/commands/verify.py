"""`reweightbench verify`: recorded cells run again."""

import sys
from collections import Counter
from pathlib import Path

import click

from reweightbench.benchmark.commands.console import say, warn
from reweightbench.benchmark.commands.options import COUNT, data_options, selection_options
from reweightbench.benchmark.contracts.text import one_line


@click.command("verify")
@click.argument("suite")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Folder of results folders whose records are verified.",
)
@data_options
@selection_options
@click.option("--sample", type=COUNT, default=5, help="How many cells to run again.")
@click.option(
    "--sample-seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Another seed takes other cells."
)
@click.option("--jobs", type=click.IntRange(1, 10_000), help="Cells at a time, as in run.")
def command(
    suite: str,
    results: Path,
    data_dir: Path,
    allow_subset: bool,
    methods: tuple[str, ...],
    seeds: tuple[str, ...],
    sample: int,
    sample_seed: int,
    jobs: int | None,
) -> None:
    """Run a sample of SUITE's recorded cells again and compare: bit by bit in the same environment."""
    from reweightbench.benchmark.commands import execution
    from reweightbench.benchmark.commands.selection import select_suite
    from reweightbench.benchmark.contracts.dataset import Sources
    from reweightbench.benchmark.grid.local import Workers
    from reweightbench.benchmark.grid.verification import Verified, choose_sample, verify
    from reweightbench.benchmark.records.folder import ResultsFolder
    from reweightbench.benchmark.records.survey import describe_plan, read_recorded

    chosen, files = select_suite(suite, methods, seeds)
    sources = Sources(data_dir=data_dir, allow_subset=allow_subset, method_files=files)
    folder = results / chosen.name
    place = execution.resolve_device(ResultsFolder(folder).manifest().device)
    count = execution.count_jobs(jobs, place, chosen.numerics.threads)
    planned, recorded = read_recorded(chosen, folder, warn)
    records = {record.key: record for record in recorded}
    found: list[Verified] = []

    def tell(verified: Verified) -> None:
        found.append(verified)
        say(f"{verified.verdict:8} {one_line(f'{describe_plan(verified.planned)}: {verified.reason}')}")

    keys = {plan.key for plan in planned}
    others = Counter(
        record.cell.method.name
        for record in records.values()
        if record.key not in keys and record.cell.purpose == "table"
    )
    if others and not (methods or seeds):
        told = ", ".join(f"{count} of {name}" for name, count in sorted(others.items()))
        warn(f"records of other cells than the suite's are not looked at: {told}; --methods names more")
    chosen_cells = choose_sample(planned, records, sample, sample_seed)
    keys = {plan.key for plan in chosen_cells}
    arrays = {
        outcome.record.key: outcome.arrays for outcome in ResultsFolder(folder).outcomes(warn, keys=keys)
    }
    verify(
        chosen_cells,
        planned,
        records,
        arrays,
        sources=sources,
        workers=Workers(jobs=count, threads=chosen.numerics.threads),
        tell=tell,
    )
    sys.exit(0 if all(verified.is_good for verified in found) else 1)
