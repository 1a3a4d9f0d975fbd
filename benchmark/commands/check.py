"""`reweightbench check`: a user's own method put to every promise of the contract."""

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click

from reweightbench.benchmark.commands.console import say


@click.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Put the methods of a Python FILE to every promise of the contract."""
    is_good = True
    for line, is_kept in _check(file.resolve()):
        say(line)
        is_good = is_good and is_kept
    sys.exit(0 if is_good else 1)


def _check(path: Path) -> Iterator[tuple[str, bool]]:
    """A line per promise of each method in the file, with what breaks it, and whether it is kept."""
    from reweightbench.benchmark.cells.own_files import ask
    from reweightbench.benchmark.conformance.check import check_file

    # A file that hangs, or ends its process, is found out before this process loads it.
    ask(path)

    for label, verdicts in groupby(check_file(path), key=lambda verdict: verdict.label):
        yield label, True
        reasons: list[str] = []
        kept = count = 0
        for verdict in verdicts:
            # What breaks one promise often breaks the next; it is said once.
            again = verdict.reason in reasons
            reason = f": {'as above' if again else verdict.reason}" if verdict.reason else ""
            yield f"  {'ok  ' if verdict.is_kept else 'FAIL'}  {verdict.promise}{reason}", verdict.is_kept
            reasons.append(verdict.reason)
            kept, count = kept + verdict.is_kept, count + 1
        yield f"  {kept} of {count} promises kept", True
