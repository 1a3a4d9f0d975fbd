"""Plots: what they draw against the records, that their text is legible, and what is left out."""

import itertools
import statistics
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from drawn import findings_of, plots_of
from made_up import ALL_CORRUPTIONS, ALL_METHODS
from reweightbench.benchmark.cells.suite import Corruption
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.report.frame import make_frame
from reweightbench.benchmark.report.panels import NothingToDraw, add_title, make_styles, show_label
from reweightbench.benchmark.report.plots import save_plots

T_3_SEEDS = 4.302653
WIDE_KINDS = {"imbalance", "noise", "overhead"}
BUDGET_KINDS = {"validation", "memorised", "weights", "recall", "confusion"}
LEAST_HEIGHT = 1.7
"""Inches of a panel."""

KINDS = WIDE_KINDS | BUDGET_KINDS
MakeGrid = Callable[..., Any]


def drawn_points(axes: Axes) -> dict[tuple[str, str], ErrorbarContainer]:
    """The error bars of a panel by colour and marker of the method."""
    return {(bars[0].get_color(), bars[0].get_marker()): bars for bars in axes.containers}


def test_every_plot_is_saved_as_a_picture(make_grid: MakeGrid, tmp_path: Path) -> None:
    corruptions = (
        Corruption(),
        Corruption(imbalance="longtail(factor=10)"),
        Corruption(noise="uniform(rate=0.4)"),
    )
    findings = findings_of(make_grid(corruptions=corruptions))
    plots = save_plots(findings, make_frame(findings), tmp_path)
    names = {f"{kind}-clean100" for kind in WIDE_KINDS} | {f"{kind}-short-clean100" for kind in BUDGET_KINDS}
    assert plots.skipped == []
    assert {plot.name for plot, _ in plots.saved} == names
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{end}" for name in names for end in ("png", "svg")
    }
    for _, (png, svg) in plots.saved:
        with Image.open(png) as image:
            pixels = np.asarray(image.convert("RGB"))
        assert min(pixels.shape[:2]) > 300
        assert len(np.unique(pixels.reshape(-1, 3)[::7], axis=0)) > 20
        assert pixels.std() > 10
        root = ET.parse(svg).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 20


def test_settings_of_matplotlib_stay_as_they_were(make_grid: MakeGrid, tmp_path: Path) -> None:
    findings = findings_of(make_grid(methods=("sgd",), corruptions=(Corruption(),), seeds=(0,)))
    with mpl.rc_context({"font.size": 33, "figure.dpi": 20, "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        save_plots(findings, make_frame(findings), tmp_path / "a")
        assert dict(mpl.rcParams) == before
    save_plots(findings, make_frame(findings), tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def hidden_tick_labels(figure: Figure) -> Iterator[Text]:
    """Labels of ticks outside the limits of their axis, which matplotlib keeps but does not draw."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                if not low <= tick.get_loc() <= high:
                    yield tick.label1


def assert_legible(figure: Figure) -> None:
    """No text of the figure overlaps another or leaves the picture, and no panel is squeezed."""
    figure.draw_without_rendering()
    for axes in figure.axes:
        if axes.get_title():
            assert axes.get_window_extent().height / figure.dpi > LEAST_HEIGHT, axes
    hidden = set(hidden_tick_labels(figure))
    texts = [
        text
        for text in figure.findobj(Text)
        if text.get_visible() and text.get_text().strip() and text not in hidden
    ]
    boxes = np.array([text.get_window_extent().extents for text in texts])
    width, height = figure.bbox.size
    outside = (boxes[:, :2].min(1) < -1) | (boxes[:, 2] > width + 1) | (boxes[:, 3] > height + 1)
    assert not outside.any(), texts[int(outside.argmax())]
    common = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:]) - np.maximum(
        boxes[:, None, :2], boxes[None, :, :2]
    )
    overlaps = np.argwhere(np.triu((common > 1).all(axis=2), 1))
    assert not len(overlaps), [(texts[one], texts[other]) for one, other in overlaps]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_text_of_the_full_grid_is_legible(full_grid: Any, kind: str) -> None:
    name = f"{kind}-clean100" if kind in WIDE_KINDS else f"{kind}-long-clean100"
    plot = plots_of(full_grid)[name]
    figure = plot.draw()
    add_title(figure, plot.title, ["partial: 3 of 400 cells"])
    assert_legible(figure)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_long_names_are_legible(make_grid: MakeGrid, kind: str) -> None:
    methods = (
        "sgd",
        "_mine",
        "a_long_method_name(temperature=0.25, warm_up_epochs=12, favour=easy)",
        "price_in_$(a=1)",
        *ALL_METHODS,
    )
    corruptions = (
        Corruption(),
        Corruption(imbalance="longtail(factor=100)"),
        Corruption(imbalance="step(factor=2)"),
        Corruption(noise="uniform_inclusive(rate=0.25)"),
        Corruption(imbalance="longtail(factor=100)", noise="uniform_inclusive(rate=0.25)"),
    )
    grid = make_grid(methods=tuple(dict.fromkeys(methods)), corruptions=corruptions, seeds=(0,))
    (plot,) = (plot for name, plot in plots_of(grid).items() if name.startswith(kind))
    figure = plot.draw()
    add_title(figure, plot.title, [])
    assert_legible(figure)
    for legend in figure.legends if kind != "weights" else []:
        assert "_mine" in {text.get_text().strip() for text in legend.get_texts()}


@pytest.mark.parametrize("methods", [tuple(ALL_METHODS), (*METHODS.classes, "a_long_method_name(epochs=12)")])
def test_plots_of_trials_are_legible(make_grid: MakeGrid, methods: tuple[str, ...]) -> None:
    corruptions = (*ALL_CORRUPTIONS[-2:], Corruption())
    grid = make_grid(methods=methods, corruptions=corruptions, seeds=(0,), peaks={"sgd": (30, 30)})
    drawn = [plot for name, plot in plots_of(grid).items() if name.startswith(("rates", "expected-best"))]
    assert len(drawn) >= 2
    for plot in drawn:
        figure = plot.draw()
        add_title(figure, plot.title, ["partial: 3 of 400 cells"])
        assert_legible(figure)


@pytest.mark.parametrize(
    ("name", "levels"),
    [
        ("imbalance", {"none": 1, "longtail(factor=10)": 10, "longtail(factor=50)": 50}),
        ("noise", {"none": 0, "uniform(rate=0.2)": 0.2, "uniform(rate=0.4)": 0.4}),
    ],
)
def test_levels_are_means_with_intervals(full_grid: Any, name: str, levels: dict[str, float]) -> None:
    figure = plots_of(full_grid)[f"{name}-clean100"].draw()
    styles = make_styles(findings_of(full_grid))
    for axes, budget in zip(figure.axes[:2], ("short", "long"), strict=True):
        assert budget in axes.get_title()
        points = drawn_points(axes)
        assert len(points) == len(styles)
        for method, style in styles.items():
            line, _, (bars,) = points[style.color, style.marker]
            for place, (corruption, level) in enumerate(levels.items()):
                scores = [
                    full_grid.records[cell.key].result.last.balanced_accuracy
                    for cell in full_grid.find(method=method, budget=budget, corruption=corruption)
                ]
                half = T_3_SEEDS * statistics.stdev(scores) / 3**0.5
                low, high = bars.get_segments()[place][:, 1]
                assert line.get_xdata()[place] == pytest.approx(level, abs=0.1 * max(level, 0.1))
                assert line.get_ydata()[place] == pytest.approx(statistics.mean(scores))
                assert (high - low) / 2 == pytest.approx(half, rel=1e-5, abs=1e-9)


def test_kinds_of_noise_have_rows_of_their_own(full_grid: Any) -> None:
    figure = plots_of(full_grid)["noise-clean100"].draw()
    assert [axes.get_title() for axes in figure.axes] == [
        f"{kind}: budget {budget}" for kind in ("uniform", "background") for budget in ("short", "long")
    ]


def test_overhead_is_a_median_ratio(full_grid: Any) -> None:
    figure = plots_of(full_grid)["overhead-clean100"].draw()
    style = make_styles(findings_of(full_grid))["meta_reweight"]
    ratios, scores = [], []
    for cell in full_grid.find(method="meta_reweight", budget="short"):
        (reference,) = full_grid.find(
            method="sgd", budget="short", corruption=cell.corruption, seed=cell.seed
        )
        seconds = [full_grid.records[key].cost.train_seconds for key in (cell.key, reference.key)]
        ratios.append(seconds[0] / seconds[1])
        scores.append(full_grid.records[cell.key].result.last.balanced_accuracy)
    line = drawn_points(figure.axes[0])[style.color, style.marker][0]
    assert line.get_xdata()[0] == pytest.approx(statistics.median(ratios))
    assert line.get_ydata()[0] == pytest.approx(statistics.mean(scores))


def test_recall_map_is_a_mean_over_seeds(full_grid: Any) -> None:
    figure = plots_of(full_grid)["recall-long-clean100"].draw()
    findings = findings_of(full_grid)
    panels = {axes.get_title().replace("\n", " "): axes for axes in figure.axes}
    for corruption in findings.corruptions:
        shown = panels[corruption].images[0].get_array()
        for row, method in enumerate(findings.methods):
            recall = [
                full_grid.records[cell.key].result.last.recall
                for cell in full_grid.find(method=method, budget="long", corruption=corruption)
            ]
            assert shown[row].tolist() == pytest.approx(
                [statistics.mean(seeds) for seeds in zip(*recall, strict=True)]
            )


def test_a_class_without_a_test_example_is_a_dash(make_grid: MakeGrid) -> None:
    grid = make_grid(corruptions=(Corruption(),))
    for key, record in grid.records.items():
        last = record.result.last
        absent = {
            "recall": [None, *last.recall[1:]],
            "confusion": [[0] * len(last.recall), *last.confusion[1:]],
        }
        result = record.result.model_copy(update={"last": last.model_copy(update=absent)})
        grid.records[key] = record.model_copy(update={"result": result})
    (axes, *_) = plots_of(grid)["recall-short-clean100"].draw().axes
    is_empty = np.ma.getmaskarray(axes.images[0].get_array())
    assert is_empty[:, 0].all()
    assert not is_empty[:, 1:].any()
    dashes = [text.get_position()[0] for text in axes.texts if text.get_text() == "\N{EN DASH}"]
    assert dashes == [0] * len(is_empty)


def test_confusion_is_of_the_setting_hardest_for_sgd(full_grid: Any) -> None:
    plot = plots_of(full_grid)["confusion-long-clean100"]
    means = {
        corruption: statistics.mean(
            full_grid.records[cell.key].result.last.balanced_accuracy
            for cell in full_grid.find(method="sgd", budget="long", corruption=corruption)
        )
        for corruption in findings_of(full_grid).corruptions
    }
    hardest = min(means, key=lambda corruption: means[corruption])
    assert hardest in plot.title
    figure = plot.draw()
    counts = sum(
        np.array(full_grid.records[cell.key].result.last.confusion)
        for cell in full_grid.find(method="focal", budget="long", corruption=hardest)
    )
    (panel,) = (axes for axes in figure.axes if axes.get_title() == "focal")
    assert np.asarray(panel.images[0].get_array()) == pytest.approx(
        counts / counts.sum(axis=1, keepdims=True)
    )


def test_learning_curves_are_means_over_seeds(full_grid: Any) -> None:
    figure = plots_of(full_grid)["validation-short-clean100"].draw()
    findings = findings_of(full_grid)
    assert len(figure.axes) == len(findings.corruptions)
    axes = figure.axes[findings.corruptions.index("uniform(rate=0.4)")]
    style = make_styles(findings)["focal"]
    (line,) = (
        line for line in axes.lines if (line.get_color(), line.get_marker()) == (style.color, style.marker)
    )
    curves = [
        full_grid.records[cell.key].result.curves.validation_balanced_accuracy
        for cell in full_grid.find(method="focal", budget="short", corruption="uniform(rate=0.4)")
    ]
    assert list(line.get_xdata()) == list(range(1, 9))
    assert list(line.get_ydata()) == pytest.approx(
        [statistics.mean(seeds) for seeds in zip(*curves, strict=True)]
    )


def test_memorised_and_weights_show_noisy_settings_only(full_grid: Any) -> None:
    plots = plots_of(full_grid)
    noisy = [corruption for corruption in findings_of(full_grid).corruptions if "rate" in corruption]
    titles = [axes.get_title().replace("\n", " ") for axes in plots["memorised-long-clean100"].draw().axes]
    assert titles == noisy
    figure = plots["weights-long-clean100"].draw()
    titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
    assert titles == [corruption for corruption in noisy for _ in range(2)]
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert "meta_reweight" in labels
    assert "sgd" not in labels


def test_epochs_without_weights_are_gaps(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("sgd", "meta_reweight"), corruptions=(Corruption(noise="uniform(rate=0.4)"),))
    for cell in grid.find(method="meta_reweight"):
        curves = grid.records[cell.key].result.curves
        grid.change_result(
            cell, curves=curves.model_copy(update={"weight_auroc": [None, *curves.weight_auroc[1:]]})
        )
    figure = plots_of(grid)["weights-short-clean100"].draw()
    line = figure.axes[1].lines[0]
    assert np.isnan(np.asarray(line.get_ydata(), dtype=float)).tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"corruptions": (Corruption(),)}, {"imbalance", "noise", "memorised", "weights"}),
        (
            {"corruptions": (Corruption(imbalance="dominant(share=0.5)"), Corruption())},
            {"imbalance", "noise", "memorised", "weights"},
        ),
        ({"methods": ("focal", "meta_reweight")}, {"imbalance", "overhead"}),
        ({"methods": ("sgd", "focal")}, {"imbalance", "weights"}),
    ],
)
def test_plots_without_data_are_left_out(
    make_grid: MakeGrid, changes: dict[str, Any], left_out: set[str]
) -> None:
    assert left_out_kinds(make_grid(seeds=(0,), **changes)) == left_out


def test_unfinished_cells_do_not_stop_the_plots(make_grid: MakeGrid) -> None:
    budgets = {"short": 2, "long": 3, "none": 4}
    grid = make_grid(methods=("sgd", "focal", "meta_reweight"), budgets=budgets, seeds=(0,))
    for cell in itertools.chain(
        grid.find(method="focal", budget="short"),
        grid.find(corruption="none", budget="long", method="sgd"),
        grid.find(budget="none"),
    ):
        grid.fail(cell)
    assert left_out_kinds(grid) == {"imbalance", *(f"{kind}-none" for kind in BUDGET_KINDS)}


def left_out_kinds(grid: Any) -> set[str]:
    """The names of plots that have nothing to draw, without the clean-set size and the one budget."""
    left_out = set()
    for name, plot in plots_of(grid).items():
        try:
            figure = plot.draw()
        except NothingToDraw:
            left_out.add(name.removesuffix("-clean100").removesuffix("-short"))
        else:
            figure.draw_without_rendering()
    return left_out


def test_left_out_plots_are_reported(make_grid: MakeGrid, tmp_path: Path) -> None:
    findings = findings_of(make_grid(methods=("focal",), corruptions=(Corruption(),), seeds=(0,)))
    plots = save_plots(findings, make_frame(findings), tmp_path)
    assert {plot.name for plot, _ in plots.saved} == {
        f"{kind}-short-clean100" for kind in ("validation", "recall", "confusion")
    }
    reasons = dict(plots.skipped)
    assert len(reasons) == 5
    assert "'sgd'" in reasons["Balanced accuracy against training time: clean set of 100"]


def test_methods_look_different_and_controls_grey(make_grid: MakeGrid) -> None:
    methods = (*METHODS.classes, "mine", "yours", "theirs")
    styles = make_styles(findings_of(make_grid(methods=methods, corruptions=(Corruption(),), seeds=(0,))))
    looks = {(style.color, style.marker, style.line) for style in styles.values()}
    assert len(looks) == len(methods)
    for method, style in styles.items():
        channels = {style.color[place : place + 2] for place in (1, 3, 5)}
        control = method in METHODS.classes and METHODS.classes[method].family == "control"
        assert (len(channels) == 1) == control == style.is_control


def test_labels_wrap_between_words_and_before_options() -> None:
    assert (
        show_label("longtail(factor=10) + uniform(rate=0.4)", 30)
        == "longtail(factor=10) +\nuniform(rate=0.4)"
    )
    assert show_label("loss_reweight(favour=easy)", 20) == "loss_reweight\n(favour=easy)"
    assert show_label("a $x$ (b)", 20) == r"a \$x\$ (b)"
