"""What all plots share: how a method looks, grids of panels, legends and labels."""

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.frame import is_control

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C00")
"""The colours of Okabe and Ito (2008) that stand out on white, the yellow darkened."""

GREYS = ("#000000", "#4D4D4D", "#707070", "#8C8C8C", "#A6A6A6")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
Line = Literal["-", "--", "-.", ":", ""]
LINES: tuple[Line, ...] = ("-", "--", "-.", ":")
BREAK = "\x01"
PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g}%")
SMALL = 8
"""Size in points of every text but titles."""


class NothingToDraw(Exception):  # noqa: N818
    """The records hold no data for a plot; the message is the reason."""


@dataclass(frozen=True)
class Style:
    """How a method looks in every plot: controls are grey with hollow markers."""

    color: str
    marker: str
    line: Line
    is_control: bool

    @property
    def face(self) -> str:
        """The colour inside the marker."""
        return "white" if self.is_control else self.color

    def sample(self, label: str, *, with_line: bool = True) -> Line2D:
        """The method's line and marker for a legend."""
        # Older releases of matplotlib leave labels that begin with an underscore out of a legend.
        text = show_label(label, 34)
        return Line2D(
            [],
            [],
            color=self.color,
            linestyle=self.line if with_line else "",
            marker=self.marker,
            markerfacecolor=self.face,
            markersize=5,
            label=f" {text}" if text.startswith("_") else text,
        )


def make_styles(findings: Findings) -> dict[str, Style]:
    """A style per method label: by their order, so that a method looks the same in all plots of a report."""
    specs = {planned.method: planned.cell.method for planned in findings.planned}
    styles, places = {}, {True: 0, False: 0}
    for number, (method, spec) in enumerate(specs.items()):
        control = is_control(spec)
        colors, place = (GREYS if control else COLORS), places[control]
        places[control] += 1
        # Controls differ little in colour, so each also gets its own line; others change it once colours run out.
        turn = place if control else place // len(colors)
        styles[method] = Style(
            colors[place % len(colors)], MARKERS[number % len(MARKERS)], LINES[turn % len(LINES)], control
        )
    return styles


def make_panels(
    titles: Sequence[str], columns: int, width: float, height: float
) -> tuple[Figure, list[list[Axes]]]:
    """A figure and its rows of panels, each of `width` by `height` inches, as many as there are titles."""
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    figure = Figure(figsize=(max(7.0, columns * width), rows * height + 0.3), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    panels: list[list[Axes]] = [[] for _ in range(rows)]
    for place, title in enumerate(titles):
        axes = figure.add_subplot(grid[place // columns, place % columns])
        axes.set_title(show_label(title, int(width * 11)), fontsize=SMALL + 1)
        axes.tick_params(labelsize=SMALL)
        panels[place // columns].append(axes)
    return figure, panels


def lowest(panels: Sequence[Sequence[Axes]]) -> list[Axes]:
    """The lowest panel of each column, also where the last row is not full."""
    return [[row[column] for row in panels if column < len(row)][-1] for column in range(len(panels[0]))]


def add_legend(figure: Figure, samples: Iterable[Line2D]) -> None:
    """A legend below the panels, in as many columns as fit; the figure grows by its height."""
    handles = list(samples)
    labels = [str(handle.get_label()).split("\n") for handle in handles]
    longest = max(len(line) for lines in labels for line in lines)
    columns = min(len(handles), max(1, int(figure.get_figwidth() / (0.8 + 0.065 * longest))))
    rows = math.ceil(len(handles) / columns)
    deepest = max(sum(map(len, labels[start : start + rows])) for start in range(0, len(handles), rows))
    grow(figure, 0.17 * deepest + 0.2)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=columns,
        fontsize=SMALL,
        handlelength=3,
        frameon=False,
    )


def add_title(figure: Figure, title: str, marks: Sequence[str]) -> None:
    """A title with `marks` on lines of their own below it; the figure grows by their height."""
    width = int(figure.get_figwidth() * 10)
    lines = show_label(title, width).split("\n")
    lines += [textwrap.shorten(mark, width, placeholder=" …").replace("$", r"\$") for mark in marks]
    grow(figure, 0.2 * len(lines))
    figure.suptitle("\n".join(lines), fontsize=11)


def grow(figure: Figure, height: float) -> None:
    """Make a figure taller by `height` inches."""
    figure.set_figheight(figure.get_figheight() + height)


def method_samples(
    styles: Mapping[str, Style], methods: Iterable[str], *, with_line: bool = True
) -> list[Line2D]:
    """Samples for a legend of these methods, in the order of the styles."""
    shown = set(methods)
    return [style.sample(method, with_line=with_line) for method, style in styles.items() if method in shown]


def show_label(text: str, width: int) -> str:
    """Text for a plot: wrapped to `width` characters, and without the sign that starts a formula."""
    # A word that is too long breaks before its options; the mark tells that space from one in the text.
    words = [word.replace("(", f"{BREAK} (") if len(word) > width else word for word in text.split()]
    lines = "\n".join(textwrap.wrap(" ".join(words), width, break_on_hyphens=False))
    return lines.replace(f"{BREAK} ", "").replace(BREAK, "").replace("$", r"\$")
