"""`reweightbench tune`: learning rates chosen by trials, for every method in every setting."""

from typing import Any

import click

from reweightbench.benchmark.commands.console import say
from reweightbench.benchmark.commands.grid_command import begin, grid_options
from reweightbench.benchmark.contracts.errors import UsageError


@click.command("tune")
@grid_options
def command(suite: str, **asked: Any) -> None:
    """Choose the learning rates of SUITE by trials that never see the test part.

    Every method gets the same trials in every setting; 'run' uses what they choose.
    """
    if asked["seeds"]:
        raise UsageError("tune takes its seeds from the suite's table [tuning]; leave --seeds out")
    begun = begin(suite, **asked)

    from reweightbench.benchmark.commands.dry_run import estimate
    from reweightbench.benchmark.grid.planning import plan_trials_on_data
    from reweightbench.benchmark.grid.tuning import choose_rates, plan_trials

    tuning = begun.suite.tuning
    if tuning is None:
        raise UsageError(
            f"suite '{begun.suite.name}' says nothing of tuning; add a table [tuning] with lowest, highest, count "
            "and seeds"
        )
    settings, loaded = plan_trials_on_data(begun.suite, begun.sources, begun.device, begun.shard)
    trials = plan_trials(settings, tuning)
    if asked["dry_run"]:
        say(
            f"{begun.suite.name}: {len(trials)} trials, and more where the best rate is the first or the last"
        )
        for line in estimate(begun, trials):
            say(line)
        return
    grid = begun.open(loaded)
    chosen = choose_rates(
        settings,
        tuning,
        begun.suite.selections,
        1 / len(loaded.dataset.classes),
        lambda planned: grid.run(planned, f"{begun.suite.name} trials"),
    )
    begun.folder.write_rates(chosen)
    bracketed = sum(choice.edge is None for choice in chosen)
    say(
        f"{begun.suite.name}: {len(chosen)} rates chosen, {bracketed} of them between rates that were worse; "
        "'reweightbench run' uses them"
    )
