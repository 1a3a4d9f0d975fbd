"""The plots of a report, each saved as PNG and SVG."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from reweightbench.benchmark.records.files import open_atomically
from reweightbench.benchmark.records.timing import REFERENCE, file_name
from reweightbench.benchmark.report.accuracy_plots import draw_imbalance, draw_noise, draw_overhead
from reweightbench.benchmark.report.class_plots import draw_confusion, draw_recall, find_hardest
from reweightbench.benchmark.report.epoch_plots import draw_memorised, draw_validation, draw_weights
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.overhead import Overheads
from reweightbench.benchmark.report.panels import NothingToDraw, add_title
from reweightbench.benchmark.report.rate_plots import divide_methods, draw_expected, draw_rates

INTERVAL = "bars are 95% Student-t intervals over seeds"
BAND = "lines are means over seeds, bands one standard deviation either way"
SINGLE = "a single seed"
SVG_SALT = "reweightbench"
"""Takes the place of the random part of ids in SVG files."""

DOTS_PER_INCH = 150


@dataclass(frozen=True)
class Plot:
    """A plot not yet drawn; `name` is a file name's stem."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class SavedPlots:
    """The plots with their files, and the titles of those left out with the reason."""

    saved: list[tuple[Plot, list[Path]]]
    skipped: list[tuple[str, str]]


def save_plots(findings: Findings, frame: pd.DataFrame, folder: Path) -> SavedPlots:
    """Draw every plot the records hold data for, and save it to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = SavedPlots([], [])
    with mpl.rc_context(), warnings.catch_warnings():
        # Where the font lacks a character of a name, a box stands in its place.
        warnings.filterwarnings("ignore", r"Glyph \d+")
        mpl.rcdefaults()
        mpl.rcParams["svg.hashsalt"] = SVG_SALT
        # Nothing above the panels moves their titles up; to look for it takes a tenth of the time.
        mpl.rcParams["axes.titley"] = 1.0
        for plot in tqdm(list(list_plots(findings, frame)), desc="plots", disable=None, leave=False):
            try:
                figure = plot.draw()
            except NothingToDraw as reason:
                plots.skipped.append((plot.title, str(reason)))
                continue
            add_title(figure, plot.title, findings.marks)
            plots.saved.append((plot, _save(figure, folder / plot.name)))
    return plots


def list_plots(findings: Findings, frame: pd.DataFrame) -> Iterator[Plot]:
    """All plots of a report, in its order."""
    for size in findings.clean_sizes:
        yield from _accuracy_plots(findings, frame[frame["clean_size"] == size], size)
        for budget in findings.budgets:
            yield from _budget_plots(findings, budget, size)
            if budget in findings.tuned_budgets:
                yield from _rate_plots(findings, budget, size)
    for budget in findings.budgets:
        if budget in findings.tuned_budgets:
            yield Plot(
                f"expected-best-{budget}",
                f"Expected best balanced accuracy on validation by number of rates tried: budget {budget}",
                "Clean validation, mean over settings; rates drawn with replacement from those tried.",
                partial(draw_expected, findings, budget),
            )


def _accuracy_plots(findings: Findings, part: pd.DataFrame, size: int) -> Iterator[Plot]:
    draws = {
        "imbalance": (draw_imbalance, "imbalance", "settings without noise"),
        "noise": (draw_noise, "noise rate", "settings without imbalance"),
    }
    spread = INTERVAL if len(findings.seeds) > 1 else SINGLE
    for name, (draw, against, detail) in draws.items():
        yield Plot(
            f"{name}-clean{size}",
            f"Balanced accuracy against {against}: clean set of {size}",
            f"Test set, last epoch; {detail}; {spread}.",
            partial(draw, findings, part),
        )
    measured: Sequence[Overheads | None] = findings.overheads or [None]
    for overheads in measured:
        if overheads is None:
            name, place, detail = "overhead", "", "median time; wall-clock is unpaired"
        else:
            name = f"overhead-{file_name(overheads.timing.hardware)}"
            place = f" on {overheads.title}"
            detail = "median time over paired rounds with its 95% bootstrap interval"
        yield Plot(
            f"{name}-clean{size}",
            f"Balanced accuracy against training time{place}: clean set of {size}",
            f"Test set, last epoch; mean over settings, {detail}; {spread}.",
            partial(draw_overhead, findings, part, overheads),
        )


def _budget_plots(findings: Findings, budget: str, size: int) -> Iterator[Plot]:
    cells = findings.select(budget, size)
    hardest = find_hardest(cells) if cells else "none"
    judge = REFERENCE if REFERENCE in findings.methods else "all methods"
    band = BAND if len(findings.seeds) > 1 else SINGLE
    gap = " Runs that diverged are not in it." if findings.diverged else ""
    draws = {
        "validation": (draw_validation, "Learning curves", f"Balanced accuracy on validation; {band}.{gap}"),
        "memorised": (draw_memorised, "Memorised wrong targets", f"Share of the mislabelled; {band}.{gap}"),
        "weights": (
            draw_weights,
            "Weights of examples",
            f"Mean weight, and AUROC: the chance that a clean example weighs more than a mislabelled one; {band}.{gap}",
        ),
        "recall": (draw_recall, "Recall per class", "Test set, last epoch, mean over seeds, in percent."),
        "confusion": (
            draw_confusion,
            f"Confusion at {hardest}",
            f"The setting hardest for {judge}; last epoch, seeds added up, in percent of the true class.{gap}",
        ),
    }
    for name, (draw, title, caption) in draws.items():
        yield Plot(
            f"{name}-{budget}-clean{size}",
            f"{title}: budget {budget}, clean set of {size}",
            caption,
            partial(draw, findings, budget, size),
        )


def _rate_plots(findings: Findings, budget: str, size: int) -> Iterator[Plot]:
    """One for all methods, or one for each family of many."""
    for family, methods in divide_methods(findings).items():
        name = f"rates-{file_name(family)}" if family else "rates"
        of_family = f" of {family} methods" if family else ""
        yield Plot(
            f"{name}-{budget}-clean{size}",
            f"Balanced accuracy on validation against learning rate{of_family}: budget {budget}, clean set of {size}",
            "Clean validation, last epoch, mean over the tuning seeds, a trial that diverged scoring as guessing; the "
            "ring marks the rate chosen.",
            partial(draw_rates, findings, budget, size, methods),
        )


def _save(figure: Figure, stem: Path) -> list[Path]:
    """Write the files, without the date and the version that would make equal plots differ."""
    png, svg = (stem.with_name(f"{stem.name}.{ending}") for ending in ("png", "svg"))
    # The layout takes as long as the drawing; it is found once and kept for both files.
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    figure.set_layout_engine(None)
    with open_atomically(png) as stream:
        figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    with open_atomically(svg) as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return [png, svg]
