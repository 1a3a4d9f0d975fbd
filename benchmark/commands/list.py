"""`reweightbench list`: what the suite knows."""

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import click

from reweightbench.benchmark.commands.console import say

KINDS = ("methods", "datasets", "imbalances", "noises", "models", "suites")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def command(kind: str | None) -> None:
    """What the suite knows: methods, datasets, models, corruptions, suites."""
    for name in [kind] if kind else KINDS:
        click.secho(name, bold=True)
        lines = _describe_suites() if name == "suites" else _describe(name)
        say("".join(f"  {line}\n" for line in lines))


def _describe(kind: str) -> Iterator[str]:
    """Lines per component: its name with the options and their defaults, and what it is."""
    from reweightbench.benchmark.cells.catalogue import list_needs
    from reweightbench.benchmark.contracts import registry
    from reweightbench.benchmark.contracts.method import Method

    components: dict[str, Any] = {
        "methods": registry.METHODS,
        "datasets": registry.DATASETS,
        "imbalances": registry.IMBALANCES,
        "noises": registry.NOISES,
        "models": registry.NETWORKS,
    }
    for name, cls in components[kind].classes.items():
        fields = [field for field in dataclasses.fields(cls) if field.init]
        options = ", ".join(
            field.name if field.default is dataclasses.MISSING else f"{field.name}={_show(field.default)}"
            for field in fields
        )
        summary = (inspect.getdoc(cls) or "").splitlines()[0]
        yield f"{name}({options})" if options else name
        yield f"    {summary}"
        if issubclass(cls, Method):
            yield f"    {cls.family}; needs {list_needs(cls.needs)}; {cls.paper}"


def _show(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _describe_suites() -> Iterator[str]:
    """A line per suite that comes with the package."""
    from reweightbench.benchmark.cells.suite_file import load_suite, suite_names

    for name in suite_names():
        yield f"{name:18} {load_suite(name).title}"
