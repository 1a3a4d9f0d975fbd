"""Tables against slow computations straight from the records, and their escaping."""

import csv
import io
import itertools
import re
import statistics
from collections.abc import Callable
from typing import Any

import pytest

from reweightbench.benchmark.cells.suite import Corruption
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.report.findings import Findings, make_findings
from reweightbench.benchmark.report.formats import (
    ABSENT,
    Entry,
    Table,
    share_notes,
    to_csv,
    to_latex,
    to_markdown,
    to_text,
    write_csv,
)
from reweightbench.benchmark.report.frame import METRICS, make_frame
from reweightbench.benchmark.report.leaderboard import make_leaderboard
from reweightbench.benchmark.report.tables import (
    make_absent_table,
    make_corruption_table,
    make_pivot,
    make_tables,
    make_validation_table,
    write_results,
)

T_3_SEEDS = 4.302653
MakeGrid = Callable[..., Any]


def findings_of(grid: Any) -> Findings:
    return make_findings(grid.suite, grid.planned, grid.records.values())


def read(grid: Any, metric: str, **labels: object) -> list[float]:
    """A metric of the last epoch of the cells with these labels, in the order of the seeds."""
    cells = grid.find(**labels)
    return [getattr(grid.records[cell.key].result.last, metric) for cell in cells if cell.key in grid.records]


def column(table: Table, name: str) -> dict[str, Entry]:
    """The entries of a column by method."""
    place, methods = list(table.columns).index(name), list(table.columns).index("method")
    return {row[methods].text: row[place] for row in table.rows}


def assert_shows(entry: Entry, values: list[float]) -> None:
    """The entry is the mean and interval of three values, in percent with one decimal."""
    match = re.fullmatch(r"(\d+\.\d) ± (\d+\.\d)", entry.text)
    assert match, entry.text
    half = T_3_SEEDS * statistics.stdev(values) / len(values) ** 0.5
    # Half a unit of the last digit, and the bits in which the order of summation may differ.
    assert float(match[1]) == pytest.approx(100 * statistics.mean(values), abs=0.05 + 1e-9)
    assert float(match[2]) == pytest.approx(100 * half, abs=0.05 + 1e-9)


def test_frame_has_a_row_per_finished_cell(make_grid: MakeGrid) -> None:
    grid = make_grid()
    grid.fail(grid.planned[0])
    del grid.records[grid.planned[1].key]
    frame = make_frame(findings_of(grid))
    assert sorted(frame["key"]) == sorted(cell.key for cell in grid.planned[2:])
    assert set(METRICS) <= set(frame.columns)
    row = frame[frame["key"] == grid.planned[-1].key].iloc[0]
    result, cost = grid.records[grid.planned[-1].key].result, grid.records[grid.planned[-1].key].cost
    assert row["best_macro_f1"] == result.best.macro_f1
    assert row["calibration_error"] == result.last.calibration_error
    assert row["validation_balanced_accuracy"] == result.validation_balanced_accuracy
    assert row["peak_memory_bytes"] == cost.peak_memory_bytes


def test_only_ok_records_count(make_grid: MakeGrid) -> None:
    grid = make_grid()
    key = grid.planned[0].key
    grid.records[key] = grid.records[key].model_copy(update={"status": "crashed"})
    findings = findings_of(grid)
    assert key not in set(make_frame(findings)["key"])
    assert [(absent.planned.key, absent.status) for absent in findings.absent] == [(key, "crashed")]


def test_overhead_is_a_ratio_within_setting_and_seed(make_grid: MakeGrid) -> None:
    grid = make_grid(budgets={"short": 4, "long": 9}, clean_sizes=(10, 20))
    frame = make_frame(findings_of(grid)).set_index("key")
    for cell in grid.planned:
        (reference,) = (
            other
            for other in grid.find(method="sgd", corruption=cell.corruption, budget=cell.budget)
            if (other.clean_size, other.seed) == (cell.clean_size, cell.seed)
        )
        seconds = [grid.records[key].cost.train_seconds for key in (cell.key, reference.key)]
        assert frame.loc[cell.key, "overhead_unpaired"] == pytest.approx(seconds[0] / seconds[1])


def test_leaderboard_shows_the_median_overhead(full_grid: Any) -> None:
    findings = findings_of(full_grid)
    frame = make_frame(findings)
    times = column(make_leaderboard(findings, frame, "short", 100), "time / sgd (unpaired)")
    for method in findings.methods:
        part = frame[(frame["method"] == method) & (frame["budget"] == "short")]
        median = statistics.median(part["overhead_unpaired"])
        assert float(times[method].text) == pytest.approx(median, abs=0.005 + 1e-9)
    assert times["sgd"].text == "1.00"


def test_overhead_is_unknown_without_the_reference(make_grid: MakeGrid) -> None:
    findings = findings_of(make_grid(methods=("focal", "meta_reweight")))
    frame = make_frame(findings)
    assert frame["overhead_unpaired"].isna().all()
    times = column(make_leaderboard(findings, frame, "short", 100), "time / sgd (unpaired)")
    assert {entry.text for entry in times.values()} == {ABSENT}


def test_leaderboard_ranks_and_means(full_grid: Any) -> None:
    findings = findings_of(full_grid)
    table = make_leaderboard(findings, make_frame(findings), "long", 100)
    methods, corruptions, seeds = findings.methods, findings.corruptions, findings.seeds
    ranks = dict.fromkeys(methods, 0.0)
    for corruption in corruptions:
        means = {
            method: statistics.mean(
                read(full_grid, "balanced_accuracy", method=method, corruption=corruption, budget="long")
            )
            for method in methods
        }
        for method in methods:
            better = sum(means[other] > means[method] + 1e-9 for other in methods)
            equal = sum(abs(means[other] - means[method]) <= 1e-9 for other in methods)
            ranks[method] += (better + (equal + 1) / 2) / len(corruptions)
    assert {method: entry.text for method, entry in column(table, "rank").items()} == {
        method: f"{rank:.2f}" for method, rank in ranks.items()
    }
    shown = [float(row[0].text) for row in table.rows]
    assert shown == sorted(shown)
    for method in methods:
        by_seed = [
            statistics.mean(read(full_grid, "accuracy", method=method, budget="long", seed=seed))
            for seed in seeds
        ]
        assert_shows(column(table, "accuracy")[method], by_seed)


def test_ties_share_their_mean_rank(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("a", "b", "c"), corruptions=(Corruption(),))
    for method, scores in {"a": (0.5, 0.7), "b": (0.7, 0.5), "c": (0.1, 0.2)}.items():
        for cell, score in zip(grid.find(method=method), scores, strict=True):
            grid.change_last(cell, balanced_accuracy=score)
    findings = findings_of(grid)
    ranks = column(make_leaderboard(findings, make_frame(findings), "short", 100), "rank")
    assert {method: entry.text for method, entry in ranks.items()} == {"a": "1.50", "b": "1.50", "c": "3.00"}
    assert {method for method, entry in ranks.items() if entry.is_best} == {"a", "b"}


def test_method_without_a_setting_has_no_rank(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("sgd", "meta_reweight", "focal"))
    for cell in grid.find(method="meta_reweight", corruption="none"):
        grid.fail(cell)
    findings = findings_of(grid)
    table = make_leaderboard(findings, make_frame(findings), "short", 100)
    assert [row[1].text for row in table.rows][-1] == "meta_reweight"
    assert column(table, "rank")["meta_reweight"].text == ABSENT
    assert column(table, "balanced accuracy")["meta_reweight"].text == ABSENT
    assert {column(table, "rank")[method].text for method in ("sgd", "focal")} <= {"1.00", "1.50", "2.00"}


def test_seed_without_a_setting_is_left_out(make_grid: MakeGrid) -> None:
    grid = make_grid(seeds=(0, 1, 2))
    lost = next(grid.find(method="sgd", corruption="none", seed=1))
    grid.fail(lost)
    findings = findings_of(grid)
    text = column(make_leaderboard(findings, make_frame(findings), "short", 100), "accuracy")["sgd"].text
    means = [statistics.mean(read(grid, "accuracy", method="sgd", seed=seed)) for seed in (0, 2)]
    assert text.startswith(f"{100 * statistics.mean(means):.1f} ± ")
    assert text.endswith(" (n=2)")


def test_needs_come_from_the_registry(make_grid: MakeGrid) -> None:
    known = list(METHODS.classes)
    findings = findings_of(make_grid(methods=(*known, "not_installed"), corruptions=(Corruption(),)))
    needs = column(make_leaderboard(findings, make_frame(findings), "short", 100), "needs")
    assert needs.pop("not_installed").text == "unknown"
    for method, entry in needs.items():
        words = set() if entry.text == "nothing" else set(entry.text.split(", "))
        assert words == {need.replace("_", " ") for need in METHODS.classes[method].needs}
    assert any(entry.text != "nothing" for entry in needs.values())


@pytest.mark.parametrize("metric", ["balanced_accuracy", "accuracy"])
def test_pivot_shows_mean_and_interval_and_marks_the_best(full_grid: Any, metric: str) -> None:
    findings = findings_of(full_grid)
    table = make_pivot(findings, make_frame(findings), metric, "short", 100)
    assert list(table.columns) == ["method", *findings.corruptions]
    for corruption in findings.corruptions:
        values = {
            method: read(full_grid, metric, method=method, corruption=corruption, budget="short")
            for method in findings.methods
        }
        entries = column(table, corruption)
        for method, entry in entries.items():
            assert_shows(entry, values[method])
        top = max(map(statistics.mean, values.values()))
        best = {method for method, scores in values.items() if statistics.mean(scores) > top - 1e-12}
        assert {method for method, entry in entries.items() if entry.is_best} == best


def test_pivot_tells_fewer_seeds_and_none(make_grid: MakeGrid) -> None:
    grid = make_grid(seeds=(0, 1, 2))
    grid.fail(next(grid.find(method="sgd", corruption="none")))
    for cell in grid.find(method="sgd", corruption="uniform(rate=0.4)"):
        del grid.records[cell.key]
    findings = findings_of(grid)
    table = make_pivot(findings, make_frame(findings), "accuracy", "short", 100)
    assert column(table, "none")["sgd"].text.endswith("(n=2)")
    assert column(table, "uniform(rate=0.4)")["sgd"] == Entry(ABSENT)
    assert column(table, "none")["meta_reweight"].text.endswith("(n=2)"), "compared on the seeds of both"
    assert "n=" not in column(table, "uniform(rate=0.4)")["meta_reweight"].text


def test_one_seed_shows_no_interval(make_grid: MakeGrid) -> None:
    findings = findings_of(make_grid(seeds=(3,)))
    table = make_pivot(findings, make_frame(findings), "accuracy", "short", 100)
    assert not any("±" in entry.text for row in table.rows for entry in row)


def test_validation_table_marks_the_best_budget_of_each_method(make_grid: MakeGrid) -> None:
    grid = make_grid(budgets={"low": 3, "high": 4}, seeds=(0, 1))
    scores = {
        ("sgd", "low"): 0.6,
        ("sgd", "high"): 0.7,
        ("meta_reweight", "low"): 0.9,
        ("meta_reweight", "high"): 0.8,
    }
    for (method, budget), score in scores.items():
        for cell, change in zip(
            grid.find(method=method, budget=budget), itertools.cycle((-0.1, 0.1)), strict=False
        ):
            grid.change_result(cell, validation_balanced_accuracy=score + change)
    findings = findings_of(grid)
    table = make_validation_table(findings, make_frame(findings), 100)
    assert list(table.columns) == ["method", "low (lr 0.05)", "high (lr 0.05)"]
    low, high = (column(table, name) for name in table.columns[1:])
    assert low["sgd"].text.startswith("60.0 ± ")
    assert (low["sgd"].is_best, high["sgd"].is_best) == (False, True)
    assert (low["meta_reweight"].is_best, high["meta_reweight"].is_best) == (True, False)


def test_validation_table_shows_learning_rates_of_their_own(make_grid: MakeGrid) -> None:
    grid = make_grid(own_rates={"meta_reweight": 0.2})
    findings = findings_of(grid)
    table = make_validation_table(findings, make_frame(findings), 100)
    entries = column(table, "short (at lr)")
    assert entries["sgd"].text.endswith(" at 0.05")
    assert entries["meta_reweight"].text.endswith(" at 0.2")
    assert not any(entry.is_best for entry in entries.values()), "there is one budget only"


def test_corruption_table_is_of_what_came_out(make_grid: MakeGrid) -> None:
    grid = make_grid(seeds=(0, 1))
    for cell in grid.find(corruption="uniform(rate=0.4)"):
        realised = grid.records[cell.key].result.realised
        share = {0: 0.30, 1: 0.40}[cell.seed]
        counts = [7 + cell.seed, *realised.class_counts[1:]]
        grid.change_result(
            cell, realised=realised.model_copy(update={"noise_share": share, "class_counts": counts})
        )
    table = make_corruption_table(make_frame(findings_of(grid)))
    rows = {row[0].text: [entry.text for entry in row[1:]] for row in table.rows}
    assert rows == {
        "none": ["100", "1000", "100 to 100", "0.0"],
        "uniform(rate=0.4)": ["100", "1000", "7 to 100", "35.0"],
    }


def test_absent_table_lists_failed_and_missing_cells(make_grid: MakeGrid) -> None:
    grid = make_grid()
    grid.fail(grid.planned[0], "oom", "out of memory")
    del grid.records[grid.planned[-1].key]
    rows = [[entry.text for entry in row] for row in make_absent_table(findings_of(grid)).rows]
    assert rows == [
        ["sgd", "none", "100", "short", "0", "oom", "out of memory"],
        ["meta_reweight", "uniform(rate=0.4)", "100", "short", "1", "missing", ""],
    ]


def test_tables_are_one_per_budget_and_clean_size(make_grid: MakeGrid) -> None:
    grid = make_grid(budgets={"short": 2, "long": 3}, clean_sizes=(10, 20))
    findings = findings_of(grid)
    names = [table.name for table in make_tables(findings, make_frame(findings))]
    places = [f"{budget}-clean{size}" for size in (10, 20) for budget in ("short", "long")]
    kinds = ("leaderboard", "balanced-accuracy", "accuracy")
    expected = [f"{kind}-{place}" for kind in kinds for place in places]
    assert names == [*expected, "validation-clean10", "validation-clean20", "corruption"]


def test_budget_without_a_finished_cell_gives_empty_tables(make_grid: MakeGrid) -> None:
    grid = make_grid(budgets={"short": 2, "long": 3})
    for cell in grid.find(budget="long"):
        del grid.records[cell.key]
    findings = findings_of(grid)
    tables = {table.name: table for table in make_tables(findings, make_frame(findings))}
    assert {entry.text for entry in column(tables["leaderboard-long-clean100"], "rank").values()} == {ABSENT}
    assert {entry.text for entry in column(tables["accuracy-long-clean100"], "none").values()} == {ABSENT}
    assert len(tables["missing-cells"].rows) == 8


def test_results_hold_full_precision(make_grid: MakeGrid) -> None:
    grid = make_grid(seeds=(0, 1, 2))
    text = write_results(make_frame(findings_of(grid)), ("partial: 1 of 2 cells",))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 4
    for row in rows:
        values = read(grid, "balanced_accuracy", method=row["method"], corruption=row["corruption"])
        assert int(row["seeds"]) == 3
        assert float(row["balanced_accuracy_mean"]) == pytest.approx(statistics.mean(values), rel=1e-14)
        assert float(row["balanced_accuracy_std"]) == pytest.approx(statistics.stdev(values), rel=1e-12)
        half = T_3_SEEDS * statistics.stdev(values) / 3**0.5
        assert float(row["balanced_accuracy_interval"]) == pytest.approx(half, rel=1e-6)
        assert row["partial"] == "1 of 2 cells"


HOSTILE = Table(
    name="hostile",
    title="50% of $x_1$ & <b>",
    columns=["method", "a|b"],
    rows=[
        [Entry("=cmd|' /C calc'!A0"), Entry("1.0 ± 0.5", is_best=True)],
        [Entry("x_y#{}\\~^\n<img>"), Entry("-2")],
    ],
    notes=["note *bold* `code` [link](http://example.org)"],
)


def test_latex_is_escaped() -> None:
    text = to_latex(HOSTILE, ["partial: 1 of 2_cells"])
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert body == [
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"method & a|b \\",
        r"\midrule",
        r"=cmd|' /C calc'!A0 & \textbf{1.0 $\pm$ 0.5} \\",
        r"x\_y\#\{\}\textbackslash{}\textasciitilde{}\textasciicircum{} \textless{}img\textgreater{} & -2 \\",
        r"\bottomrule",
        r"\multicolumn{2}{l}{partial: 1 of 2\_cells} \\",
        r"\end{tabular}",
    ]


def test_markdown_shows_text_as_it_is() -> None:
    text = to_markdown(HOSTILE, ["partial: <1>"])
    assert "<img>" not in text
    assert "&lt;img&gt;" in text
    assert r"=cmd\|' /C calc'!A0" in text
    assert "**1.0 ± 0.5**" in text
    assert "**partial: &lt;1&gt;**" in text
    assert r"\*bold\* \`code\` \[link\](http" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert {line.replace(r"\|", "").count("|") for line in rows} == {3}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r\n@", " -"])
def test_csv_defuses_formulas(start: str) -> None:
    text = write_csv(["name", "value"], [[f"{start}1+1", -1.5]], [f"mark: {start}2"])
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["name", "value", "mark"],
        [f"'{start.strip()}1+1", "-1.5", f"'{start.strip()}2"],
    ]


def test_csv_of_a_table_carries_the_marks() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(HOSTILE, ["partial: 3 of 4 cells"]))))
    assert [row["partial"] for row in rows] == ["3 of 4 cells"] * 2
    assert rows[0]["method"] == "'=cmd|' /C calc'!A0"


def test_text_stars_the_best() -> None:
    lines = to_text(HOSTILE).splitlines()
    assert lines[3].split()[-1] == "0.5*"
    assert lines[-1] == HOSTILE.notes[0]


def test_neighbours_share_their_notes() -> None:
    def table(notes: list[str]) -> Table:
        return Table("t", "t", ["method"], [], notes)

    shared = share_notes([table(["x"]), table(["x"]), table(["y"]), table(["x"])])
    assert [list(entry.notes) for entry in shared] == [[], ["x"], ["y"], ["x"]]
