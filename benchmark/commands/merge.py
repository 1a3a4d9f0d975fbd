"""`reweightbench merge`: records of several machines brought together."""

from pathlib import Path

import click

from reweightbench.benchmark.commands.console import say, warn
from reweightbench.benchmark.contracts.text import one_line


@click.command("merge")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def command(sources: tuple[Path, ...], target: Path) -> None:
    """Copy the records of SOURCES, folders such as runs/digits from several machines, into TARGET."""
    from reweightbench.benchmark.records.folder import ResultsFolder
    from reweightbench.benchmark.records.merge import merge

    copied = merge([ResultsFolder(path) for path in sources], ResultsFolder(target), warn)
    say(f"{copied} records copied to '{one_line(str(target))}'")
