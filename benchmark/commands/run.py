"""`reweightbench run`: the cells of a suite that have no record yet."""

from typing import Any

import click

from reweightbench.benchmark.commands.console import say
from reweightbench.benchmark.commands.grid_command import begin, end, grid_options


@click.command("run")
@grid_options
def command(suite: str, **asked: Any) -> None:
    """Run the cells of SUITE (a name or a TOML file) that have no record yet."""
    begun = begin(suite, **asked)

    from reweightbench.benchmark.commands.dry_run import dry_run
    from reweightbench.benchmark.grid.planning import plan_on_data

    if asked["dry_run"]:
        for line in dry_run(begun):
            say(line)
        return
    planned, loaded = plan_on_data(begun.suite, begun.sources, begun.device)
    found = begun.open(loaded).run(begun.shard.select(planned), begun.suite.name)
    end(found.values())
