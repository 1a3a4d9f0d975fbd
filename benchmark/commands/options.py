"""Options that several commands share."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


class Amount(click.FloatRange):
    """A number above 0 and up to a bound; `nan` is none."""

    def __init__(self, most: float) -> None:
        super().__init__(0, most, min_open=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; fails for what is none."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


COUNT = click.IntRange(1, 1_000_000)
SECONDS = Amount(1e9)

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
    "--methods",
    multiple=True,
    help="Only these: labels, or paths of your own Python files, comma-separated or by repeating the option.",
)
selection_options = options(
    methods_option,
    click.option("--seeds", multiple=True, help="Only these, for example 0-4 or 0,2,7."),
)


worker_options = options(
    click.option(
        "--jobs",
        type=click.IntRange(1, 10_000),
        help="Cells at a time  [default: cores / threads of a cell; 1 on a GPU; what a cluster can take].",
    ),
    click.option("--timeout", type=SECONDS, help="Seconds after which a cell is given up."),
    click.option(
        "--memory-per-cell",
        type=Amount(1e6),
        help="GiB of main memory that a cell may allocate; one that wants more ends as oom.",
    ),
    click.option(
        "--checkpoint-every",
        type=COUNT,
        metavar="EPOCHS",
        help="Write down every cell's training after so many epochs; one that is stopped goes on from there.",
    ),
    click.option("--gpus", help="GPUs to use, for example 0,1."),
    click.option(
        "--per-gpu",
        type=click.IntRange(1, 1000),
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
