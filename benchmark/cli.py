"""The command line: every user mistake is one line, and the exit code is 0 only if all is well."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from reweightbench import __version__
from reweightbench.benchmark import actions, cluster, planning, recorded, runner
from reweightbench.benchmark.dataset import Sources
from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.grid import run_cells
from reweightbench.benchmark.options import (
    choose_workers,
    count_jobs,
    data_options,
    device_option,
    engine_options,
    methods_option,
    quiet_option,
    results_option,
    select_suite,
    selection_options,
    weights_option,
    worker_options,
)
from reweightbench.benchmark.registry import (
    ARCHITECTURES,
    DATASETS,
    IMBALANCES,
    METHODS,
    NOISES,
    Registry,
)
from reweightbench.benchmark.results import ResultsFolder
from reweightbench.benchmark.suite import Shard, parse_shard
from reweightbench.benchmark.timing import FEWEST_ROUNDS

KINDS = ("methods", "datasets", "imbalances", "noises", "models", "suites")


class Commands(click.Group):
    """Turns errors a user can mend into one line and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
        except OSError as error:
            place = f" '{error.filename}'" if error.filename else ""
            click.echo(
                f"error: {error.strerror or error}{place}; finished cells are kept, mend it and run the same again",
                err=True,
            )
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("stopped; finished cells are kept, the same command goes on from there", err=True)
            ctx.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def main() -> None:
    """Benchmark of example reweighting under label noise and class imbalance."""


@main.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
def list_components(kind: str | None) -> None:
    """What the suite knows: methods, datasets, models, corruptions, suites."""
    registries: dict[str, Registry[Any]] = {
        "methods": METHODS,
        "datasets": DATASETS,
        "imbalances": IMBALANCES,
        "noises": NOISES,
        "models": ARCHITECTURES,
    }
    for name in [kind] if kind else KINDS:
        click.secho(name, bold=True)
        lines = actions.describe_suites() if name == "suites" else actions.describe(registries[name])
        click.echo("".join(f"  {line}\n" for line in lines))


@main.command()
@click.argument("datasets", nargs=-1, required=True)
@data_options
def prepare(datasets: tuple[str, ...], data_dir: Path, allow_subset: bool) -> None:
    """Fetch and verify data once; afterwards everything works offline."""
    for label in datasets:
        for line in actions.prepare(label, Sources(data_dir=data_dir, allow_subset=allow_subset)):
            click.echo(line)


@main.command()
@click.argument("suite")
@results_option
@data_options
@selection_options
@worker_options
@engine_options
@device_option
@weights_option
@click.option("--retry-failed", is_flag=True, help="Run failed cells again.")
@click.option("--shard", help="Only part I of N parts of the grid: I/N; 'merge' brings them together.")
@click.option(
    "--deterministic", is_flag=True, help="Only operations that repeat to the last bit, slower on a GPU."
)
@click.option(
    "--dry-run", is_flag=True, help="Check the suite, count its cells and estimate how long they take."
)
@quiet_option
def run(
    suite: str,
    results: Path,
    data_dir: Path,
    allow_subset: bool,
    methods: str | None,
    seeds: str | None,
    jobs: int | None,
    device: str,
    weights: str | None,
    retry_failed: bool,
    timeout: float | None,
    memory_per_cell: float | None,
    checkpoint_every: int | None,
    gpus: str | None,
    per_gpu: int | None,
    engine: str,
    address: str | None,
    shard: str | None,
    deterministic: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Run the cells of SUITE (a name or a TOML file) that have no record yet."""
    chosen, files = select_suite(suite, methods, seeds)
    sources = Sources(data_dir=data_dir, allow_subset=allow_subset, method_files=files)
    chosen, sources = actions.with_weights(chosen, sources, weights)
    if deterministic:
        chosen = chosen.model_copy(
            update={"numerics": chosen.numerics.model_copy(update={"deterministic": True})}
        )
    part = parse_shard(shard) if shard else Shard()
    place = actions.resolve_device(device, engine)
    workers = choose_workers(
        chosen,
        place,
        engine=engine,
        address=address,
        jobs=jobs,
        timeout=timeout,
        memory_gib=memory_per_cell,
        gpus=gpus,
        per_gpu=per_gpu,
    )
    folder = ResultsFolder(results / chosen.name)
    if dry_run:
        lines = planning.dry_run(
            chosen,
            folder,
            sources,
            place,
            shard=part,
            # How many cells a cluster can take is known when it is there.
            jobs=workers.jobs if engine == "local" else jobs or 1,
            retry_failed=retry_failed,
            quiet=quiet,
            warn=actions.warn,
        )
        for line in lines:
            click.echo(line)
        return
    failed = runner.run(
        chosen,
        folder,
        sources,
        place,
        workers=workers,
        engine=partial(cluster.run_cells, address=address, per_gpu=per_gpu or 1)
        if engine == "ray"
        else run_cells,
        shard=part,
        checkpoint_every=checkpoint_every,
        retry_failed=retry_failed,
        quiet=quiet,
        warn=actions.warn,
    )
    sys.exit(1 if failed else 0)


@main.command()
@click.argument("suite")
@results_option
@selection_options
def status(suite: str, results: Path, methods: str | None, seeds: str | None) -> None:
    """Done, failed and missing cells of SUITE."""
    chosen, _ = select_suite(suite, methods, seeds)
    for line in recorded.status(chosen, results / chosen.name, actions.warn):
        click.echo(line)


@main.command("time")
@click.argument("suite")
@results_option
@data_options
@methods_option
@device_option
@weights_option
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    help=f"How long to time steps; {FEWEST_ROUNDS} rounds are taken at least.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    help="Timed steps of a method in a round  [default: 0.02 seconds of sgd, at least 2].",
)
@click.option("--restart", is_flag=True, help="Measure anew in the place of an earlier measurement.")
@quiet_option
def measure_time(
    suite: str,
    results: Path,
    data_dir: Path,
    allow_subset: bool,
    methods: str | None,
    device: str,
    weights: str | None,
    minutes: float,
    steps: int | None,
    restart: bool,
    quiet: bool,
) -> None:
    """Measure the training time of SUITE's methods against sgd's, on an otherwise idle machine."""
    chosen, files = select_suite(suite, methods, None)
    sources = Sources(data_dir=data_dir, allow_subset=allow_subset, method_files=files)
    chosen, sources = actions.with_weights(chosen, sources, weights)
    text, is_noisy = actions.measure_time(
        chosen,
        ResultsFolder(results / chosen.name),
        sources,
        actions.resolve_device(device),
        minutes=minutes,
        steps=steps,
        restart=restart,
        quiet=quiet,
    )
    click.echo(text)
    if is_noisy:
        click.echo("warning: this machine was not quiet; run the same with --restart when it is", err=True)
    sys.exit(1 if is_noisy else 0)


@main.command()
@click.argument("suite")
@results_option
@selection_options
@click.option("--allow-partial", is_flag=True, help="Report although cells are missing; every page says so.")
@click.option("--allow-mixed", is_flag=True, help="Report although records come from different environments.")
def report(
    suite: str,
    results: Path,
    methods: str | None,
    seeds: str | None,
    allow_partial: bool,
    allow_mixed: bool,
) -> None:
    """Tables (Markdown, CSV, LaTeX) and plots of SUITE."""
    chosen, _ = select_suite(suite, methods, seeds)
    click.echo(actions.report(chosen, results / chosen.name, allow_partial, allow_mixed))


@main.command()
@click.argument("suite")
@results_option
@selection_options
@click.option("--into", type=click.Path(path_type=Path), default=Path("results"), help="Where to publish.")
def publish(suite: str, results: Path, methods: str | None, seeds: str | None, into: Path) -> None:
    """Copy complete records of SUITE and their report, ready to commit."""
    chosen, _ = select_suite(suite, methods, seeds)
    click.echo(actions.publish(chosen, results / chosen.name, into / chosen.name))


@main.command()
@click.argument("suite")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    help="Folder of results folders whose records are verified.",
)
@data_options
@selection_options
@click.option("--sample", type=click.IntRange(1), default=5, help="How many cells to run again.")
@click.option("--sample-seed", type=int, default=0, help="Another seed takes other cells.")
@click.option("--jobs", type=click.IntRange(1), help="Cells at a time, as in run.")
def verify(
    suite: str,
    results: Path,
    data_dir: Path,
    allow_subset: bool,
    methods: str | None,
    seeds: str | None,
    sample: int,
    sample_seed: int,
    jobs: int | None,
) -> None:
    """Run a sample of SUITE's recorded cells again and compare: bit by bit in the same environment."""
    chosen, files = select_suite(suite, methods, seeds)
    sources = Sources(data_dir=data_dir, allow_subset=allow_subset, method_files=files)
    folder = results / chosen.name
    place = actions.resolve_device(ResultsFolder(folder).manifest().device)
    count = count_jobs(jobs, place, chosen.numerics.threads)
    is_good = actions.verify(chosen, folder, sources, size=sample, seed=sample_seed, jobs=count)
    sys.exit(0 if is_good else 1)


@main.command("merge")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def merge_folders(sources: tuple[Path, ...], target: Path) -> None:
    """Copy the records of SOURCES, folders such as runs/digits from several machines, into TARGET."""
    click.echo(actions.merge_folders(sources, target))


@main.command("check")
@click.argument("file", type=click.Path(path_type=Path))
def check_method_file(file: Path) -> None:
    """Put the methods of a Python FILE to every promise of the contract."""
    is_good = True
    for line, is_kept in actions.check(file.resolve()):
        click.echo(line)
        is_good = is_good and is_kept
    sys.exit(0 if is_good else 1)
