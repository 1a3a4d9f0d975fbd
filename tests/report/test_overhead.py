"""A timing in the report: the leaderboard's column, tables of its own and the plot."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reweightbench.benchmark.records.timing import CONTROL, REFERENCE, Memory, Timing
from reweightbench.benchmark.report.findings import make_findings
from reweightbench.benchmark.report.formats import Table
from reweightbench.benchmark.report.frame import make_frame
from reweightbench.benchmark.report.leaderboard import make_leaderboard
from reweightbench.benchmark.report.report import write_report
from reweightbench.benchmark.report.time_to_accuracy import make_time_to_accuracy

MakeGrid = Callable[..., Any]


def make_timing(grid: Any, ratios: dict[str, float], hardware: str = "Example CPU, 1 thread") -> Timing:
    """A quiet timing with these ratios in every round."""
    cells = {planned.method: planned.cell for planned in grid.planned}
    times = {REFERENCE: 0.02, CONTROL: 0.02} | {label: 0.02 * ratio for label, ratio in ratios.items()}
    return Timing(
        suite=grid.suite.name,
        hardware=hardware,
        environment=next(iter(grid.records.values())).environment,
        warm_up=2,
        steps=7,
        cells={label: cells.get(label, cells[REFERENCE]) for label in times},
        rounds=[times] * 20,
        memory={label: Memory(peak=300 * 2**20) for label in times},
    )


def column(table: Table, name: str) -> dict[str, str]:
    """A column's texts by method."""
    place, method = list(table.columns).index(name), list(table.columns).index("method")
    return {row[method].text: row[place].text for row in table.rows}


def board(grid: Any, *timings: Timing) -> Table:
    findings = make_findings(grid.suite, grid.planned, grid.records.values(), timings)
    return make_leaderboard(findings, make_frame(findings), "short", 100)


def test_the_leaderboard_shows_paired_times(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("sgd", "meta_reweight", "focal"))
    table = board(grid, make_timing(grid, {"meta_reweight": 2.5}))
    assert column(table, "time / sgd") == {
        "sgd": "1",
        "meta_reweight": "2.50 [2.50, 2.50]",
        "focal": "–",  # noqa: RUF001
    }
    assert any("paired rounds on Example CPU, 1 thread" in note for note in table.notes)
    assert not any("unpaired" in text for text in [*table.columns, *table.notes])


def test_without_a_timing_the_times_are_called_unpaired(make_grid: MakeGrid) -> None:
    table = board(make_grid())
    assert "time / sgd (unpaired)" in table.columns
    assert any("unpaired" in note for note in table.notes)


@pytest.mark.parametrize("hardware", ["CPU\x1b[31m\nred", "中央処理装置", "$\\frac$"])
def test_plots_and_pages_show_any_name_of_a_machine(
    make_grid: MakeGrid, tmp_path: Path, hardware: str
) -> None:
    grid = make_grid()
    timing = make_timing(grid, {"meta_reweight": 2.0}, hardware)
    written = write_report(grid.suite, grid.planned, grid.records.values(), tmp_path, timings=[timing])
    for path in (path for path in written.paths if path.suffix != ".png"):
        assert path.read_text().replace("\n", "").isprintable(), path.name


def test_machines_are_never_averaged(make_grid: MakeGrid) -> None:
    grid = make_grid()
    timings = [
        make_timing(grid, {"meta_reweight": ratio}, hardware) for ratio, hardware in ((2, "A"), (4, "B"))
    ]
    table = board(grid, *timings)
    assert column(table, "time / sgd (A)")["meta_reweight"] == "2.00 [2.00, 2.00]"
    assert column(table, "time / sgd (B)")["meta_reweight"] == "4.00 [4.00, 4.00]"


def test_the_report_holds_tables_and_a_plot_per_machine(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid()
    timings = [make_timing(grid, {"meta_reweight": 2.0}, hardware) for hardware in ("First/CPU", "Second")]
    report = write_report(grid.suite, grid.planned, grid.records.values(), folder, timings=timings)
    names = {path.name for path in report.paths}
    for machine in ("first-cpu", "second"):
        assert f"overhead-{machine}.csv" in names
        assert f"time-to-accuracy-{machine}-clean100.csv" in names
        assert f"overhead-{machine}-clean100.png" in names
    assert "overhead-clean100.png" not in names
    overhead = (folder / "tables" / "overhead-first-cpu.csv").read_text().splitlines()
    assert overhead[0] == "method,time / sgd,ms per step,peak memory (MiB)"
    assert 'sgd (control),"1.00 [1.00, 1.00]",20.0,300' in overhead
    assert 'meta_reweight,"2.00 [2.00, 2.00]",40.0,300' in overhead


def test_a_plot_without_any_timed_method_is_left_out(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(methods=("focal",))
    timing = make_timing(make_grid(), {"meta_reweight": 2.0})
    report = write_report(grid.suite, grid.planned, grid.records.values(), folder, timings=[timing])
    assert ("no method with a result was timed") in dict(report.skipped).values()


def change_curve(grid: Any, curve: list[float], **labels: Any) -> None:
    """Give the cells this learning curve on validation."""
    for planned in grid.find(**labels):
        curves = grid.records[planned.key].result.curves
        changed = curves.model_copy(update={"validation_balanced_accuracy": curve})
        grid.change_result(planned, curves=changed, validation_balanced_accuracy=curve[-1])


def test_time_to_accuracy_is_the_first_epoch_that_reaches_it_times_the_overhead(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("sgd", "meta_reweight", "focal"), seeds=(0, 1, 2))
    change_curve(grid, [0.5, 0.9, 0.6, 0.7], method="sgd")
    for planned in grid.find(method="sgd"):
        # Curves are kept to fewer digits than the last value by itself.
        grid.change_result(planned, validation_balanced_accuracy=0.7000004)
    change_curve(grid, [0.7, 0.6, 0.6, 0.6], method="meta_reweight")
    change_curve(grid, [0.1, 0.2, 0.3, 0.4], method="meta_reweight", seed=2)
    change_curve(grid, [0.1, 0.2, 0.3, 0.69], method="focal")
    timing = make_timing(grid, {"meta_reweight": 3.0, "focal": 1.1})
    findings = make_findings(grid.suite, grid.planned, grid.records.values(), [timing])
    table = make_time_to_accuracy(findings, findings.overheads[0], 100)
    assert column(table, "short") == {
        "sgd": "0.50 (6 of 6)",
        "meta_reweight": "0.75 (4 of 6)",
        "focal": "– (0 of 6)",  # noqa: RUF001
    }


def test_run_that_diverged_never_reaches_the_accuracy(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("sgd", "focal"), seeds=(0, 1, 2))
    change_curve(grid, [0.5, 0.5, 0.6, 0.7])
    for method, seed in (("focal", 0), ("sgd", 1)):
        for planned in grid.find(method=method, seed=seed):
            grid.fail(planned, "nonfinite")
    timing = make_timing(grid, {"focal": 1.5})
    findings = make_findings(grid.suite, grid.planned, grid.records.values(), [timing])
    table = make_time_to_accuracy(findings, findings.overheads[0], 100)
    assert column(table, "short") == {"sgd": "1.00 (4 of 4)", "focal": "1.50 (2 of 4)"}


@pytest.mark.parametrize("methods", [("sgd",), ("meta_reweight", "focal")])
def test_time_to_accuracy_of_methods_without_reference_or_timing(
    make_grid: MakeGrid, methods: tuple[str, ...]
) -> None:
    grid = make_grid(methods=("sgd", "meta_reweight", "focal"))
    for method in {"sgd", "meta_reweight", "focal"} - set(methods):
        for planned in grid.find(method=method):
            del grid.records[planned.key]
    findings = make_findings(
        grid.suite, grid.planned, grid.records.values(), [make_timing(grid, {"meta_reweight": 2.0})]
    )
    table = make_time_to_accuracy(findings, findings.overheads[0], 100)
    shown = column(table, "short")
    assert shown["focal"] == "–"  # noqa: RUF001
    assert ("of" in shown["sgd"]) is (methods == ("sgd",))
