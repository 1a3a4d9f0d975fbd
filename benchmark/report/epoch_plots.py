"""How training went: learning curves, memorised wrong targets and the weights of examples, by epoch."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.finished import Curve, CurveName
from reweightbench.benchmark.report.panels import (
    PERCENT,
    SMALL,
    Line,
    NothingToDraw,
    Style,
    add_legend,
    lowest,
    make_panels,
    make_styles,
    method_samples,
)


def draw_validation(findings: Findings, budget: str, clean_size: int) -> Figure:
    """A panel per corruption: balanced accuracy on validation by epoch."""
    return _draw_curves(
        findings, budget, clean_size, "validation_balanced_accuracy", "balanced accuracy on validation"
    )


def draw_memorised(findings: Findings, budget: str, clean_size: int) -> Figure:
    """A panel per noisy corruption: share of mislabelled examples fitted to their wrong target, by epoch."""
    return _draw_curves(findings, budget, clean_size, "memorised", "wrong targets memorised")


def draw_weights(findings: Findings, budget: str, clean_size: int) -> Figure:
    """A row of panels per noisy corruption: mean weights of clean and mislabelled examples, and their AUROC."""
    curves = {
        name: _collect(findings, budget, clean_size, name)
        for name in ("weight_clean", "weight_mislabelled", "weight_auroc")
    }
    corruptions = list(curves["weight_mislabelled"])
    if not corruptions:
        raise NothingToDraw("no method with explicit weights in a setting with noise")
    styles = make_styles(findings)
    titles = [corruption for corruption in corruptions for _ in ("weight", "AUROC")]
    figure, panels = make_panels(titles, 2, 4.8, 2.5)
    for (left, right), corruption in zip(panels, corruptions, strict=True):
        for method, seeds in curves["weight_clean"][corruption].items():
            _draw_band(left, seeds, styles[method], "-")
        for method, seeds in curves["weight_mislabelled"][corruption].items():
            _draw_band(left, seeds, styles[method], ":")
        for method, seeds in curves["weight_auroc"].get(corruption, {}).items():
            _draw_band(right, seeds, styles[method], styles[method].line)
        right.axhline(0.5, color="#888888", linewidth=0.8, linestyle=(0, (1, 2)))
        right.set_ylim(-0.03, 1.03)
        left.set_ylim(bottom=0)
        left.set_ylabel("mean weight", fontsize=SMALL)
        right.set_ylabel("AUROC", fontsize=SMALL)
        for axes in (left, right):
            _finish_axes(axes)
    for axes in panels[-1]:
        axes.set_xlabel("epoch", fontsize=SMALL)
    methods = {method for found in curves["weight_mislabelled"].values() for method in found}
    kinds = [
        Line2D([], [], color="black", linestyle="-", label="weight of clean examples"),
        Line2D([], [], color="black", linestyle=":", label="weight of mislabelled examples"),
    ]
    add_legend(figure, [*method_samples(styles, methods), *kinds])
    return figure


def _draw_curves(findings: Findings, budget: str, clean_size: int, name: CurveName, label: str) -> Figure:
    curves = _collect(findings, budget, clean_size, name)
    if not curves:
        reason = "no setting with noise" if name == "memorised" else "no finished cell"
        raise NothingToDraw(reason)
    styles = make_styles(findings)
    figure, panels = make_panels(list(curves), 3, 3.5, 2.6)
    for axes, found in zip([axes for row in panels for axes in row], curves.values(), strict=True):
        for method, seeds in found.items():
            _draw_band(axes, seeds, styles[method], styles[method].line)
        axes.yaxis.set_major_formatter(PERCENT)
        _finish_axes(axes)
    for row in panels:
        row[0].set_ylabel(label, fontsize=SMALL)
    for axes in lowest(panels):
        axes.set_xlabel("epoch", fontsize=SMALL)
    add_legend(figure, method_samples(styles, {method for found in curves.values() for method in found}))
    return figure


def _collect(
    findings: Findings, budget: str, clean_size: int, name: CurveName
) -> dict[str, dict[str, list[Curve]]]:
    """Curves by corruption and method, one per seed that has it."""
    curves: dict[str, dict[str, list[Curve]]] = {}
    for cell in findings.select(budget, clean_size):
        if name in cell.curves:
            methods = curves.setdefault(cell.planned.corruption, {})
            methods.setdefault(cell.planned.method, []).append(cell.curves[name])
    return curves


def _draw_band(axes: Axes, seeds: Sequence[Curve], style: Style, line: Line) -> None:
    """The mean over seeds and a band of one standard deviation either way; gaps where a value is missing."""
    values = np.stack(seeds)
    epochs = np.arange(1, values.shape[1] + 1)
    mean = values.mean(axis=0)
    (drawn,) = axes.plot(epochs, mean, color=style.color, linestyle=line, linewidth=1.2)
    drawn.set(
        marker=style.marker, markerfacecolor=style.face, markersize=3.5, markevery=max(1, len(epochs) // 6)
    )
    if len(seeds) > 1:
        spread = values.std(axis=0, ddof=1)
        axes.fill_between(epochs, mean - spread, mean + spread, color=style.color, alpha=0.12, linewidth=0)


def _finish_axes(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
