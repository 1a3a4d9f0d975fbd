"""Options that several commands share, and what they stand for."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.grid import Workers, choose_gpus
from reweightbench.benchmark.registry import METHODS, split_labels
from reweightbench.benchmark.suite import Suite, load_suite, parse_seeds, select

F = TypeVar("F", bound=Callable[..., Any])

GIBIBYTE = 2**30


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


data_options = options(
    click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        default=Path("data"),
        envvar="REWEIGHTBENCH_DATA",
        show_envvar=True,
        help="Where downloaded datasets lie.",
    ),
    click.option(
        "--allow-subset", is_flag=True, help="Accept an incomplete dataset; its results are marked."
    ),
)
results_option = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of results folders."
)
device_option = click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto")
weights_option = click.option(
    "--weights", help="Pretrained weights: a file, or 'none' to train from scratch."
)
quiet_option = click.option("--quiet", is_flag=True, help="No progress bar.")
methods_option = click.option(
    "--methods", help="Only these: labels, or paths of your own Python files, comma-separated."
)
selection_options = options(
    methods_option,
    click.option("--seeds", help="Only these, for example 0-4 or 0,2,7."),
)


worker_options = options(
    click.option(
        "--jobs",
        type=click.IntRange(1),
        help="Cells at a time  [default: cores / threads of a cell; 1 on a GPU; what a cluster can take].",
    ),
    click.option(
        "--timeout", type=click.FloatRange(0, min_open=True), help="Seconds after which a cell is given up."
    ),
    click.option(
        "--memory-per-cell",
        type=click.FloatRange(0, min_open=True),
        help="GiB of main memory that a cell may allocate; one that wants more ends as oom.",
    ),
    click.option(
        "--checkpoint-every",
        type=click.IntRange(1),
        metavar="EPOCHS",
        help="Write down every cell's training after so many epochs; one that is stopped goes on from there.",
    ),
    click.option("--gpus", help="GPUs to use, for example 0,1."),
    click.option(
        "--per-gpu",
        type=click.IntRange(1),
        help="Cells at a time on each of --gpus, or of a cluster's  [default: 1].",
    ),
)


engine_options = options(
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        help="What runs the cells: this machine, or a Ray cluster.",
    ),
    click.option(
        "--address",
        help="Ray cluster: HOST:PORT, or auto for this machine's  [default: start Ray on this machine].",
    ),
)


def choose_workers(
    suite: Suite,
    device: str,
    *,
    engine: str,
    address: str | None,
    jobs: int | None,
    timeout: float | None,
    memory_gib: float | None,
    gpus: str | None,
    per_gpu: int | None,
) -> Workers:
    """What the options say about running cells; raises UsageError where they do not fit."""
    if address is not None and engine != "ray":
        raise UsageError(f"--address {address} is of use with --engine ray only; add that or leave it out")
    if gpus is not None and engine == "ray":
        raise UsageError(f"--gpus {gpus}: Ray assigns the GPUs; leave it out, --per-gpu and --jobs remain")
    names = choose_gpus(gpus, device) if gpus is not None else ()
    if names and jobs:
        raise UsageError("--gpus says how many cells run at a time; leave --jobs out, or use --per-gpu")
    if per_gpu is not None and engine == "ray" and device != "cuda":
        raise UsageError(
            f"--per-gpu {per_gpu} is of no use on the device {device}; leave it out or use --device cuda"
        )
    if per_gpu is not None and not names and engine != "ray":
        raise UsageError(f"--per-gpu {per_gpu} is of use with --gpus only; name the GPUs, or use --jobs")
    if memory_gib and not Path("/proc/self/status").exists():
        raise UsageError("--memory-per-cell needs Linux; leave it out")
    threads = suite.numerics.threads
    if names:
        count = len(names) * (per_gpu or 1)
    elif engine == "ray":
        # The cluster says how many it can take.
        count = jobs or sys.maxsize
    else:
        count = count_jobs(jobs, device, threads)
    return Workers(
        jobs=count,
        threads=threads,
        timeout=timeout,
        memory=int(memory_gib * GIBIBYTE) if memory_gib else None,
        gpus=names,
    )


def count_jobs(wanted: int | None, device: str, threads: int) -> int:
    """Cells at a time: those that fit the cores, or one on a GPU, which does not grow with the cores."""
    most = max(1, (os.cpu_count() or 1) // threads)
    if wanted is None:
        return most if device == "cpu" else 1
    if device == "cpu" and wanted > most:
        click.echo(f"warning: --jobs {wanted} is more than the cores can take; running {most}", err=True)
        return most
    return wanted


def select_suite(name: str, methods: str | None, seeds: str | None) -> tuple[Suite, tuple[Path, ...]]:
    """The suite with the chosen methods and seeds, and the files of the user's own methods."""
    labels: list[str] = []
    files: list[Path] = []
    for part in split_labels(methods or ""):
        if part.endswith(".py"):
            files.append(Path(part).resolve())
            labels += METHODS.add_file(files[-1])
        else:
            labels.append(METHODS.canonical(part))
    suite = load_suite(name)
    return select(suite, labels, parse_seeds(seeds) if seeds else None), tuple(files)
