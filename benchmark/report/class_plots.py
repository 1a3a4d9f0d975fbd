"""Which classes a method gets right, and what it takes the others for."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.benchmark.records.timing import REFERENCE
from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.finished import Finished
from reweightbench.benchmark.report.panels import (
    PERCENT,
    SMALL,
    NothingToDraw,
    grow,
    lowest,
    make_panels,
    show_label,
)

MOST_NUMBERS = 12
"""Classes up to which every field of a map says its value."""


def draw_recall(findings: Findings, budget: str, clean_size: int) -> Figure:
    """A panel per corruption: recall at the last epoch by method (row) and class, mean over seeds."""
    cells = findings.select(budget, clean_size)
    corruptions = _in_order(findings.corruptions, {cell.planned.corruption for cell in cells})
    if not corruptions:
        raise NothingToDraw("no finished cell")
    methods = _in_order(findings.methods, {cell.planned.method for cell in cells})
    names = class_names(cells[0])
    labels = [show_label(method, 30) for method in methods]
    row_height = max(0.24, 0.05 + 0.14 * max(label.count("\n") + 1 for label in labels))
    seeds: dict[tuple[str, str], list[NDArray[np.float64]]] = {}
    for cell in cells:
        seeds.setdefault((cell.planned.corruption, cell.planned.method), []).append(cell.recall)
    figure, panels = make_panels(corruptions, 3, 3.7, 0.5 + row_height * len(methods))
    axes_list = [axes for row in panels for axes in row]
    for axes, corruption in zip(axes_list, corruptions, strict=True):
        recall = np.full((len(methods), len(names)), np.nan)
        for row, method in enumerate(methods):
            if (corruption, method) in seeds:
                recall[row] = np.mean(seeds[corruption, method], axis=0)
        image = _draw_map(axes, recall)
        _name_ticks(axes, names, [])
    for row_panels in panels:
        row_panels[0].set_yticks(
            range(len(methods)), [show_label(name, 30) for name in methods], fontsize=SMALL
        )
    for axes in set(axes_list) - set(lowest(panels)):
        axes.set_xticklabels([])
    _add_scale(figure, image, axes_list, "recall")
    return figure


def draw_confusion(findings: Findings, budget: str, clean_size: int) -> Figure:
    """A panel per method at the hardest corruption: share of a true class (row) predicted as each class.

    Counts of the last epoch are summed over seeds.
    """
    cells = findings.select(budget, clean_size)
    if not cells:
        raise NothingToDraw("no finished cell")
    hardest = find_hardest(cells)
    cells = [cell for cell in cells if cell.planned.corruption == hardest]
    methods = _in_order(findings.methods, {cell.planned.method for cell in cells if not cell.is_diverged})
    if not methods:
        raise NothingToDraw(f"every run at {hardest} diverged")
    names = class_names(cells[0])
    figure, panels = make_panels(methods, 4, 2.7, 2.6)
    axes_list = [axes for row in panels for axes in row]
    for axes, method in zip(axes_list, methods, strict=True):
        counts = findings.confusions[Place(budget, clean_size, hardest, method)]
        totals = counts.sum(axis=1, keepdims=True)
        image = _draw_map(
            axes, np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=totals > 0), 0.005
        )
        _name_ticks(axes, names, names)
    for row in panels:
        row[0].set_ylabel("true class", fontsize=SMALL)
        for axes in row[1:]:
            axes.set_yticklabels([])
    for axes in set(axes_list) - set(lowest(panels)):
        axes.set_xticklabels([])
    for axes in lowest(panels):
        axes.set_xlabel("predicted class", fontsize=SMALL)
    _add_scale(figure, image, axes_list, "share of the true class")
    return figure


def find_hardest(cells: list[Finished]) -> str:
    """The corruption with the lowest mean balanced accuracy of the reference, or of all methods without it."""
    own = [cell for cell in cells if cell.planned.method == REFERENCE] or cells
    scores = pd.Series(
        [cell.figures.balanced_accuracy for cell in own], index=[cell.planned.corruption for cell in own]
    )
    return str(scores.groupby(level=0, sort=False).mean().idxmin())


def class_names(finished: Finished) -> list[str]:
    """Names of the classes, or their numbers where the dataset is not installed here."""
    count = len(finished.recall)
    dataset = DATASETS.classes.get(finished.planned.cell.dataset.name)
    names = dataset.classes if dataset and len(dataset.classes) == count else map(str, range(count))
    return [textwrap.shorten(name, 14, placeholder="…").replace("$", r"\$") for name in names]


def _in_order(order: list[str], present: set[str]) -> list[str]:
    return [label for label in order if label in present]


def _draw_map(axes: Axes, values: NDArray[np.float64], least: float = 0.0) -> AxesImage:
    """Fractions `(rows, columns)` as colours; where there is room also in percent, from `least` on.

    A fraction is NaN where a class has no example: a dash in a row of others.
    """
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if values.shape[1] <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(values):
            if value >= least or (np.isnan(value) and not np.isnan(values[row]).all()):
                color = "white" if value > 0.55 else "#222222"
                text = "\N{EN DASH}" if np.isnan(value) else f"{100 * value:.0f}"
                shown = axes.text(column, row, text, ha="center", va="center", fontsize=6, color=color)
                # Inside the panel by construction; asking each for its size takes most of the layout's time.
                shown.set_in_layout(False)
    return image


def _name_ticks(axes: Axes, across: list[str], down: list[str]) -> None:
    """Class names along the sides: all of them, or about ten where there are many."""
    for axis, names in ((axes.xaxis, across), (axes.yaxis, down)):
        places = range(0, len(names), max(1, round(len(names) / 10)) if len(names) > MOST_NUMBERS else 1)
        axis.set_ticks(places, [names[place] for place in places], fontsize=SMALL - 1)
    if max(map(len, across)) > 2:
        axes.tick_params(axis="x", rotation=90)


def _add_scale(figure: Figure, image: AxesImage, panels: list[Axes], label: str) -> None:
    grow(figure, 0.8)
    scale = figure.colorbar(
        image, ax=panels, location="bottom", pad=0.01, shrink=0.4, aspect=40, format=PERCENT
    )
    scale.set_label(label, fontsize=SMALL)
    scale.ax.tick_params(labelsize=SMALL)
