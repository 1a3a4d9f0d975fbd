"""What commands print; the one way to the terminal, which makes foreign text safe."""

import click

from reweightbench.benchmark.contracts.text import one_line, printable


def say(text: str) -> None:
    """An answer, of one line or several, on standard output."""
    click.echo(printable(text))


def warn(message: str) -> None:
    """A line on standard error."""
    complain(f"warning: {message}")


def complain(message: str) -> None:
    """A line on standard error, as it is."""
    click.echo(one_line(message), err=True)
