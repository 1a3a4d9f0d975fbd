"""Runs that diverged count as guessing, and methods with fewer seeds are not compared on easier ones."""

import csv
import io
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_up import CLASSES, build_grid
from reweightbench.benchmark.cells.suite import Corruption
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.report.findings import Findings, make_findings
from reweightbench.benchmark.report.formats import Table
from reweightbench.benchmark.report.frame import make_frame
from reweightbench.benchmark.report.leaderboard import make_leaderboard
from reweightbench.benchmark.report.plots import list_plots
from reweightbench.benchmark.report.report import Report, write_report
from reweightbench.benchmark.report.tables import make_pivot, make_tables, write_results

CHANCE = 1 / CLASSES
SETTING = {"corruptions": (Corruption(),), "methods": ("sgd", "focal", "focal(gamma=0.5)")}
MakeGrid = Callable[..., Any]


def findings_of(grid: Any) -> Findings:
    return make_findings(grid.suite, grid.planned, grid.records.values())


def report_on(grid: Any, folder: Path, **allow: bool) -> Report:
    return write_report(grid.suite, grid.planned, grid.records.values(), folder, **allow)


def column(table: Table, name: str) -> dict[str, str]:
    """Texts of a column by method."""
    place, methods = list(table.columns).index(name), list(table.columns).index("method")
    return {row[methods].text: row[place].text for row in table.rows}


def set_scores(grid: Any, method: str, scores: list[float]) -> None:
    for cell, score in zip(grid.find(method=method), scores, strict=True):
        grid.change_last(cell, balanced_accuracy=score)


def diverge(grid: Any, **labels: object) -> None:
    for cell in grid.find(**labels):
        grid.fail(cell, "nonfinite", "loss is NaN")


def test_diverged_run_counts_as_guessing_in_means_and_ranks(make_grid: MakeGrid) -> None:
    grid = make_grid(**SETTING)
    set_scores(grid, "sgd", [0.6, 0.5])
    set_scores(grid, "focal", [0.92, 0.90])
    set_scores(grid, "focal(gamma=0.5)", [0.95, 0.95])
    diverge(grid, method="focal(gamma=0.5)", seed=1)
    findings = findings_of(grid)
    frame = make_frame(findings)
    board = make_leaderboard(findings, frame, "short", 100)
    assert column(board, "rank") == {"focal": "1.00", "sgd": "2.00", "focal(gamma=0.5)": "3.00"}
    for table in (board, make_pivot(findings, frame, "balanced_accuracy", "short", 100)):
        text = column(table, "none" if "none" in table.columns else "balanced accuracy")["focal(gamma=0.5)"]
        half = 12.7062 * 100 * statistics.stdev([0.95, CHANCE]) / 2**0.5
        assert text == f"52.5 ± {half:.1f} (1 diverged)"
        assert any("Diverged: " in note and "balanced accuracy of 10.0" in note for note in table.notes)
    for name in ("accuracy", "balanced accuracy, best epoch"):
        assert column(board, name)["focal(gamma=0.5)"].endswith("(1 diverged)")
    assert "diverged" not in " ".join(column(board, "accuracy")[method] for method in ("sgd", "focal"))


def test_diverged_run_is_neither_missing_nor_refused(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(seeds=(0, 1, 2))
    diverge(grid, method="meta_reweight", corruption="none", seed=1)
    report = report_on(grid, folder)
    mark = "diverged: 1 of 12 cells, which count as guessing"
    for path in report.paths:
        if path.suffix in (".md", ".tex"):
            assert mark in path.read_text(), path.name
        if path.suffix == ".csv":
            assert path.read_text().splitlines()[0].endswith("diverged"), path.name
    page = report.paths[0].read_text()
    assert "12 finished of 12" in page
    assert "missing-cells" not in page


def test_nothing_is_said_of_divergence_where_there_is_none(make_grid: MakeGrid, folder: Path) -> None:
    report = report_on(make_grid(**SETTING), folder)
    assert not any("iverged" in path.read_text() for path in report.paths if path.suffix != ".png")


@pytest.mark.parametrize("methods", [("sgd", "focal"), ("focal", "meta_reweight")])
def test_grid_whose_runs_all_diverged_is_reported(
    make_grid: MakeGrid, folder: Path, methods: tuple[str, ...]
) -> None:
    grid = make_grid(methods=methods)
    diverge(grid)
    report = report_on(grid, folder)
    (row,) = re.findall(
        r"\| *focal .*", (folder / "tables" / "balanced-accuracy-short-clean100.md").read_text()
    )
    assert [text.strip() for text in row.strip("|").split("|")[1:]] == ["**10.0 ± 0.0 (2 diverged)**"] * 2
    assert "Recall per class: budget short, clean set of 100" not in dict(report.skipped)


def test_chance_is_unknown_without_a_result_and_the_dataset(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(dataset=Spec(name="not_installed"))
    diverge(grid)
    with pytest.raises(UsageError, match="dataset 'not_installed' ended with a result"):
        report_on(grid, folder)
    assert not folder.exists()


def test_results_leave_out_means_that_divergence_would_flatter(make_grid: MakeGrid) -> None:
    grid = make_grid(**SETTING)
    diverge(grid, method="focal", seed=0)
    rows = {
        row["method"]: row
        for row in csv.DictReader(io.StringIO(write_results(make_frame(findings_of(grid)), ())))
    }
    (kept,) = (grid.records[cell.key].result.last for cell in grid.find(method="focal", seed=1))
    assert rows["focal"]["seeds"] == "2"
    assert rows["focal"]["seeds_diverged"] == "1"
    assert float(rows["focal"]["accuracy_mean"]) == pytest.approx((CHANCE + kept.accuracy) / 2)
    assert rows["focal"]["macro_f1_mean"] == rows["focal"]["calibration_error_mean"] == ""
    assert rows["sgd"]["seeds_diverged"] == "0"
    assert float(rows["sgd"]["macro_f1_mean"]) > 0


def test_corruption_is_described_by_runs_that_ended(make_grid: MakeGrid) -> None:
    grid = make_grid(**SETTING)
    before = {table.name: table for table in make_tables(findings_of(grid), make_frame(findings_of(grid)))}
    diverge(grid, method="sgd")
    findings = findings_of(grid)
    after = {table.name: table for table in make_tables(findings, make_frame(findings))}
    assert after["corruption"].rows == before["corruption"].rows


def test_recall_of_a_diverged_run_is_that_of_guessing(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("sgd", "focal"), corruptions=(Corruption(),))
    diverge(grid, method="focal", seed=0)
    (kept,) = (grid.records[cell.key].result.last for cell in grid.find(method="focal", seed=1))
    findings = findings_of(grid)
    plots = {plot.name: plot for plot in list_plots(findings, make_frame(findings))}
    (_, row) = plots["recall-short-clean100"].draw().axes[0].images[0].get_array()
    assert row.tolist() == pytest.approx([(CHANCE + recall) / 2 for recall in kept.recall])
    assert "diverged" in plots["confusion-short-clean100"].caption


@pytest.mark.parametrize("status", ["timeout", "nonfinite"])
def test_method_that_lacks_the_harder_seed_gains_nothing(
    make_grid: MakeGrid, folder: Path, status: str
) -> None:
    grid = make_grid(**SETTING)
    set_scores(grid, "sgd", [0.80, 0.70])
    set_scores(grid, "focal", [0.926, 0.896])
    set_scores(grid, "focal(gamma=0.5)", [0.920, 0.0])
    grid.fail(next(grid.find(method="focal(gamma=0.5)", seed=1)), status)
    report_on(grid, folder, allow_partial=True)
    findings = findings_of(grid)
    board = make_leaderboard(findings, make_frame(findings), "short", 100)
    scores = column(board, "balanced accuracy")
    assert column(board, "rank")["focal"] == "1.00"
    if status == "timeout":
        assert scores["focal"] == "92.6 (n=1)"
        assert scores["focal(gamma=0.5)"] == "92.0 (n=1)"
        assert any("seeds that all methods" in note for note in board.notes)
    else:
        assert scores["focal"].startswith("91.1 ± ")
        assert scores["focal(gamma=0.5)"].startswith("51.0 ± ")


def test_settings_are_compared_each_on_its_own_seeds() -> None:
    grid = build_grid(methods=("sgd", "focal"), seeds=(0, 1, 2))
    grid.fail(next(grid.find(method="focal", corruption="none", seed=0)))
    findings = findings_of(grid)
    frame = make_frame(findings)
    assert frame.groupby(["corruption", "method"], observed=True).size().tolist() == [2, 2, 3, 3]
    kept = frame[frame["corruption"] == "none"].groupby("method", observed=True)["seed"]
    assert [set(seeds) for _, seeds in kept] == [{1, 2}] * 2


def test_methods_without_a_common_seed_are_not_compared(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(methods=("sgd", "focal"), corruptions=(Corruption(),))
    for method, seed in (("sgd", 0), ("focal", 1)):
        grid.fail(next(grid.find(method=method, seed=seed)))
    report_on(grid, folder, allow_partial=True)
    text = (folder / "tables" / "leaderboard-short-clean100.csv").read_text()
    assert re.findall(r"\d\d\.\d", text) == []
