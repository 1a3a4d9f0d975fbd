"""Plots of trials against the records, and the families that methods are divided into."""

from collections.abc import Callable
from typing import Any

import pytest
from matplotlib.axes import Axes

from drawn import findings_of, plots_of
from made_up import build_grid
from reweightbench.benchmark.cells.suite import Corruption
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.panels import NothingToDraw, make_styles
from reweightbench.benchmark.report.rate_plots import MOST_LINES, divide_methods
from reweightbench.benchmark.report.rate_tables import expect_best_over_settings

MakeGrid = Callable[..., Any]


def lines_of(axes: Axes, findings: Findings, method: str) -> list[dict[float, float]]:
    """The points of what was drawn in a method's colour."""
    color = make_styles(findings)[method].color
    return [
        dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in axes.lines
        if color in (line.get_color() if line.get_linestyle() != "None" else line.get_markeredgecolor(),)
    ]


def test_scores_are_drawn_by_rate_with_a_ring_at_the_chosen_one(tuned_grid: Any) -> None:
    findings = findings_of(tuned_grid)
    figure = plots_of(tuned_grid)["rates-short-clean100"].draw()
    assert [axes.get_title() for axes in figure.axes] == findings.corruptions
    for axes, corruption in zip(figure.axes, findings.corruptions, strict=True):
        assert axes.get_xscale() == "log"
        for method in findings.methods:
            place = Place("short", 100, corruption, method)
            means = findings.trials.means(place)
            best = findings.choices[place]["clean"].learning_rate
            assert lines_of(axes, findings, method) == [means, {best: means[best]}]
            assert means[best] == max(means.values())


def test_expected_best_is_drawn_by_number_of_rates(tuned_grid: Any) -> None:
    findings = findings_of(tuned_grid)
    (axes,) = plots_of(tuned_grid)["expected-best-short"].draw().axes
    for method, scores in expect_best_over_settings(findings, "short", 100).items():
        assert lines_of(axes, findings, method) == [dict(enumerate(scores, start=1))]


def test_many_methods_are_divided_by_family() -> None:
    grid = build_grid(methods=(*METHODS.classes, "mine"), corruptions=(Corruption(),), seeds=(0,), peaks={})
    findings = findings_of(grid)
    groups = divide_methods(findings)
    assert set(groups) == {cls.family for cls in METHODS.classes.values()} | {"other"}
    assert groups["other"] == ["sgd", "mine"]
    assert {method for methods in groups.values() for method in methods} == set(findings.methods)
    assert all("sgd" in methods and len(methods) <= MOST_LINES for methods in groups.values())
    plots = plots_of(grid)
    assert {name for name in plots if name.startswith("rates-")} == {
        f"rates-{family}-short-clean100" for family in groups
    }
    titles = [axes.get_title() for axes in plots["expected-best-short"].draw().axes]
    assert titles == [f"{family}, clean set of 100" for family in groups]


def test_few_methods_share_a_panel(tuned_grid: Any) -> None:
    assert divide_methods(findings_of(tuned_grid)) == {"": ["sgd", "focal", "meta_reweight"]}


def test_plots_without_records_of_trials_are_left_out() -> None:
    grid = build_grid(peaks={}, corruptions=(Corruption(),), seeds=(0,))
    for plan in grid.trials:
        del grid.records[plan.key]
    plots = plots_of(grid)
    for name in ("rates-short-clean100", "expected-best-short"):
        with pytest.raises(NothingToDraw, match="trial"):
            plots[name].draw()


def test_suite_without_tuning_has_none_of_them(make_grid: MakeGrid) -> None:
    assert not any(name.startswith(("rates", "expected")) for name in plots_of(make_grid()))
