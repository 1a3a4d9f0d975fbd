"""How scores on validation depend on the learning rate, and what more trials are expected to find."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from reweightbench.benchmark.cells.catalogue import find_facts
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.records.timing import REFERENCE
from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.panels import (
    PERCENT,
    SMALL,
    NothingToDraw,
    Style,
    add_legend,
    lowest,
    make_panels,
    make_styles,
    method_samples,
)
from reweightbench.benchmark.report.rate_tables import expect_best_over_settings

MOST_LINES = 12
"""Methods that one panel can show; more are divided by family."""

MOST_TICKS = 4
PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def divide_methods(findings: Findings) -> dict[str, list[str]]:
    """The methods that share a panel, by family, each family with the reference; all under `` where they are few."""
    if len(findings.methods) <= MOST_LINES:
        return {"": findings.methods}
    specs = {planned.method: planned.cell.method for planned in findings.planned}
    families: dict[str, set[str]] = {}
    for method, spec in specs.items():
        facts = find_facts(METHODS, spec.name)
        families.setdefault(facts.family if facts and facts.family else "other", set()).add(method)
    return {
        family: [method for method in findings.methods if method in own | {REFERENCE}]
        for family, own in families.items()
    }


def draw_rates(findings: Findings, budget: str, clean_size: int, methods: Sequence[str]) -> Figure:
    """A panel per corruption: mean score on clean validation by learning rate, a ring around the chosen rate."""
    corruptions = [
        corruption
        for corruption in findings.corruptions
        if any(findings.trials.means(Place(budget, clean_size, corruption, method)) for method in methods)
    ]
    if not corruptions:
        raise NothingToDraw("no record of a trial")
    styles = make_styles(findings)
    drawn: set[str] = set()
    figure, panels = make_panels(corruptions, 3, 3.5, 2.6)
    for axes, corruption in zip([axes for row in panels for axes in row], corruptions, strict=True):
        ticks: set[float] = set()
        for method in methods:
            place, style = Place(budget, clean_size, corruption, method), styles[method]
            means = findings.trials.means(place)
            if not means:
                continue
            _draw_line(axes, style, list(means), list(means.values()))
            choice = findings.choices.get(place, {}).get("clean")
            if choice is not None and choice.learning_rate in means:
                _draw_ring(axes, style, choice.learning_rate, means[choice.learning_rate])
            ticks |= means.keys()
            drawn.add(method)
        _show_rates(axes, sorted(ticks))
    for row in panels:
        row[0].set_ylabel("balanced accuracy on validation", fontsize=SMALL)
    for axes in lowest(panels):
        axes.set_xlabel("learning rate", fontsize=SMALL)
    add_legend(figure, method_samples(styles, drawn))
    return figure


def draw_expected(findings: Findings, budget: str) -> Figure:
    """A panel per clean-set size and family of methods: expected best score on validation by number of rates tried."""
    panels_of: dict[str, dict[str, list[float]]] = {}
    for size in findings.clean_sizes:
        expected = expect_best_over_settings(findings, budget, size)
        for family, methods in divide_methods(findings).items():
            title = f"{family}, clean set of {size}" if family else f"clean set of {size}"
            panels_of[title] = {method: expected[method] for method in methods if method in expected}
    if not any(panels_of.values()):
        raise NothingToDraw("no method with a record of every trial")
    styles = make_styles(findings)
    figure, panels = make_panels(list(panels_of), 3, 3.5, 2.6)
    for axes, shown in zip([axes for row in panels for axes in row], panels_of.values(), strict=True):
        for method, scores in shown.items():
            _draw_line(axes, styles[method], range(1, len(scores) + 1), scores)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        _finish_axes(axes)
    _share_height([axes for row in panels for axes in row])
    for row in panels:
        row[0].set_ylabel("expected best on validation", fontsize=SMALL)
    for axes in lowest(panels):
        axes.set_xlabel("learning rates tried", fontsize=SMALL)
    add_legend(figure, method_samples(styles, {method for shown in panels_of.values() for method in shown}))
    return figure


def _draw_line(axes: Axes, style: Style, across: Sequence[float], up: Sequence[float]) -> None:
    axes.plot(
        across,
        up,
        color=style.color,
        linestyle=style.line,
        linewidth=1.2,
        marker=style.marker,
        markersize=4,
        markerfacecolor=style.face,
    )


def _draw_ring(axes: Axes, style: Style, across: float, up: float) -> None:
    axes.plot(
        [across],
        [up],
        linestyle="",
        marker="o",
        markersize=10,
        markerfacecolor="none",
        markeredgecolor=style.color,
    )


def _show_rates(axes: Axes, rates: Sequence[float]) -> None:
    """A logarithmic axis that names some of the rates that were tried."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(rates[:: max(1, -(-len(rates) // MOST_TICKS))]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(PLAIN)
    _finish_axes(axes)


def _share_height(panels: Sequence[Axes]) -> None:
    """Give the panels one range of scores, so that lines of different panels can be compared."""
    limits = [axes.get_ylim() for axes in panels if axes.lines]
    for axes in panels:
        axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _finish_axes(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(PERCENT)
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
