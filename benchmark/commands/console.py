"""What commands say beside their answer."""

import click


def warn(message: str) -> None:
    """A line on standard error."""
    click.echo(f"warning: {message}", err=True)
