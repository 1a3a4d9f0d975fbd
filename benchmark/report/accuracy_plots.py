"""Balanced accuracy against what makes the problem harder and against what a method costs."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.records.timing import REFERENCE
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.leaderboard import average_settings
from reweightbench.benchmark.report.overhead import Overheads
from reweightbench.benchmark.report.panels import (
    PERCENT,
    SMALL,
    Line,
    NothingToDraw,
    Style,
    add_legend,
    make_panels,
    make_styles,
    method_samples,
)
from reweightbench.benchmark.report.statistics import Median, Summary, summarise

DODGE = 0.03
"""Width over which the methods of one level spread, as a share of the axis."""

MOST_LINEAR = 4
"""Ratio of the longest to the shortest training time up to which the axis is linear."""

PLAIN = FuncFormatter(lambda value, _: f"{value:g}")

Levels = dict[str, float]


@dataclass(frozen=True)
class Axis:
    """A kind of corruption along the x axis, by one of its options; `neutral` is its value without it."""

    name: Literal["imbalance", "noise"]
    option: str
    neutral: float
    other: Literal["imbalance", "noise"]


def draw_imbalance(findings: Findings, frame: pd.DataFrame) -> Figure:
    """A row of panels per kind of imbalance with a factor, a panel per budget; settings without noise."""
    return _draw_levels(findings, frame, Axis("imbalance", "factor", neutral=1, other="noise"))


def draw_noise(findings: Findings, frame: pd.DataFrame) -> Figure:
    """A row of panels per kind of noise with a rate, a panel per budget; settings without imbalance."""
    return _draw_levels(findings, frame, Axis("noise", "rate", neutral=0, other="imbalance"))


def draw_overhead(findings: Findings, frame: pd.DataFrame, overheads: Overheads | None = None) -> Figure:
    """A panel per budget: mean over settings against training time over that of the reference.

    Without `overheads` the time is the unpaired one of the grid.
    """
    if overheads is None and frame["overhead_unpaired"].isna().all():
        raise NothingToDraw(f"no finished cell of '{REFERENCE}', the reference of training time")
    styles = make_styles(findings)
    drawn: set[str] = set()
    figure, panels = make_panels([f"budget {budget}" for budget in findings.budgets], 2, 4.6, 3.4)
    axes_list = [axes for row in panels for axes in row]
    for axes, budget in zip(axes_list, findings.budgets, strict=True):
        part = frame[frame["budget"] == budget]
        times = _unpaired_times(part) if overheads is None else overheads.ratios
        summaries = average_settings(part, "balanced_accuracy")
        shown = {method: times[method] for method in summaries if method in times}
        values = [time.value for time in shown.values()]
        if values and max(values) > MOST_LINEAR * min(values):
            axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(PLAIN)
        for method, time in shown.items():
            mean = summaries[method].mean
            _draw_points(axes, styles[method], {time.value: summaries[method]}, line="")
            axes.plot([time.low, time.high], [mean, mean], color=styles[method].color, linewidth=0.8)
        drawn |= shown.keys()
        unpaired = " (unpaired)" if overheads is None else ""
        axes.set_xlabel(f"training time / {REFERENCE}{unpaired}", fontsize=SMALL)
        _finish_axes(axes)
    for row in panels:
        row[0].set_ylabel("balanced accuracy", fontsize=SMALL)
    if not drawn:
        raise NothingToDraw("no method with a result was timed")
    add_legend(figure, method_samples(styles, drawn, with_line=False))
    return figure


def _unpaired_times(part: pd.DataFrame) -> dict[str, Median]:
    times = part.groupby("method", observed=True)["overhead_unpaired"].median().dropna()
    return {str(method): Median(float(time), float(time), float(time)) for method, time in times.items()}


def _draw_levels(findings: Findings, frame: pd.DataFrame, axis: Axis) -> Figure:
    present = set(frame["corruption"])
    kinds = {
        kind: levels
        for kind, levels in _find_levels(findings, axis).items()
        if len({level for label, level in levels.items() if label in present}) > 1
    }
    if not kinds:
        raise NothingToDraw(f"fewer than two levels of {axis.name} {axis.option} without {axis.other}")
    styles = make_styles(findings)
    titles = [f"{kind}: budget {budget}" for kind in kinds for budget in findings.budgets]
    figure, panels = make_panels(titles, len(findings.budgets), 4.6, 3.4)
    for row, levels in zip(panels, kinds.values(), strict=True):
        for axes, budget in zip(row, findings.budgets, strict=True):
            part = frame[(frame["budget"] == budget) & frame["corruption"].isin(list(levels))]
            _draw_lines(axes, part, levels, styles)
            axes.set_xlabel(f"{axis.name} {axis.option}", fontsize=SMALL)
            _finish_axes(axes)
        row[0].set_ylabel("balanced accuracy", fontsize=SMALL)
    add_legend(figure, method_samples(styles, frame["method"].unique()))
    return figure


def _find_levels(findings: Findings, axis: Axis) -> dict[str, Levels]:
    """Per kind of the corruption, the level by the setting's label; no corruption at all is in every kind."""
    kinds: dict[str, Levels] = {}
    neutral = set()
    for planned in findings.planned:
        spec: Spec | None = getattr(planned.cell, axis.name)
        if getattr(planned.cell, axis.other) is not None:
            continue
        level = axis.neutral if spec is None else spec.options.get(axis.option)
        if spec is None:
            neutral.add(planned.corruption)
        elif isinstance(level, int | float):
            kinds.setdefault(_describe_kind(spec, axis.option), {})[planned.corruption] = float(level)
    return {kind: dict.fromkeys(neutral, axis.neutral) | levels for kind, levels in kinds.items()}


def _describe_kind(spec: Spec, option: str) -> str:
    rest = ", ".join(f"{key}={value}" for key, value in spec.options.items() if key != option)
    return f"{spec.name}({rest})" if rest else spec.name


def _draw_lines(axes: Axes, part: pd.DataFrame, levels: Levels, styles: dict[str, Style]) -> None:
    """A line per method over the levels, methods moved sideways so that interval bars stay apart."""
    ticks = sorted(set(levels.values()))
    is_log = ticks[0] > 0 and ticks[-1] / ticks[0] >= 10
    span = math.log(ticks[-1] / ticks[0]) if is_log else ticks[-1] - ticks[0]
    for place, (method, style) in enumerate(styles.items()):
        shift = DODGE * span * (place / max(1, len(styles) - 1) - 0.5)
        own = part[part["method"] == method]
        points = {
            level * math.exp(shift) if is_log else level + shift: summarise(
                own.loc[own["corruption"].map(levels) == level, "balanced_accuracy"]
            )
            for level in ticks
        }
        _draw_points(axes, style, points, style.line)
    if is_log:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PLAIN)


def _draw_points(axes: Axes, style: Style, points: dict[float, Summary], line: Line) -> None:
    """Means with their intervals by place; places without a seed are left out."""
    found = {place: summary for place, summary in points.items() if summary.count}
    axes.errorbar(
        list(found),
        [summary.mean for summary in found.values()],
        yerr=np.nan_to_num([summary.interval for summary in found.values()]),
        color=style.color,
        linestyle=line,
        linewidth=1.2,
        marker=style.marker,
        markersize=5,
        markerfacecolor=style.face,
        elinewidth=0.8,
        capsize=2,
    )


def _finish_axes(axes: Axes) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0), min(high, 1.02))
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
