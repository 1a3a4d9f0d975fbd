"""`reweightbench sources`: the list of the code's digests, for those who change the package."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reweightbench.benchmark.commands.console import warn
from reweightbench.benchmark.commands.options import data_options
from reweightbench.benchmark.contracts.errors import UsageError

if TYPE_CHECKING:
    from reweightbench.benchmark.contracts.dataset import Sources
    from reweightbench.benchmark.records.code_list import Listed
    from reweightbench.benchmark.records.record import Record


@click.command("sources", hidden=True)
@click.option("--write", is_flag=True, help="Bring the list up to date; run published cells where it has to.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Folder of results folders with the published cells.",
)
@data_options
def command(write: bool, results: Path, data_dir: Path, allow_subset: bool) -> None:
    """Compare the package's code with the list of its digests; exit code 1 if they differ."""
    from reweightbench.benchmark.contracts.dataset import Sources
    from reweightbench.benchmark.records.code_list import describe_differences

    if write:
        problems = _write(results, Sources(data_dir=data_dir, allow_subset=allow_subset))
    else:
        problems = describe_differences()
    for problem in problems:
        click.echo(problem)
    sys.exit(1 if problems else 0)


def _write(results: Path, sources: "Sources") -> list[str]:
    """Write what is proven or has a version of its own, and return what is not."""
    from reweightbench.benchmark.grid.same_bits import choose_records
    from reweightbench.benchmark.records.code_list import (
        differ,
        list_code,
        read_list,
        version_field,
        write_list,
    )

    listed, present = dict(read_list()), list_code()
    written = {name: listed[name] for name in present if name in listed}
    unproven = set()
    for name, entry in present.items():
        if name in listed and listed[name].version == entry.version and differ(listed[name], entry):
            unproven.add(name)
        elif differ(listed.get(name), entry):
            written[name] = entry
    records = choose_records(unproven, results, warn) if unproven else {}
    problems = []
    for name in sorted(unproven):
        problem = _prove(records[name], sources) if name in records else "no published cell uses it"
        if problem:
            problems.append(f"{name}: {problem}; raise {version_field(name)} and write again")
        else:
            written[name] = _with_same_bits(listed[name], present[name])
            click.echo(f"{name}: the same bits as before")
    write_list(written)
    return problems


def _prove(record: "Record", sources: "Sources") -> str:
    """Why a published cell does not show that nothing has changed; empty if it does."""
    from reweightbench.benchmark.grid.same_bits import find_change

    try:
        return find_change(record, sources)
    except UsageError as error:
        return str(error)


def _with_same_bits(earlier: "Listed", present: "Listed") -> "Listed":
    digests = dict.fromkeys([*earlier.same_bits, earlier.digest])
    digests.pop(present.digest, None)
    return present.model_copy(update={"same_bits": tuple(digests)})
