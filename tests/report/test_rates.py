"""Chosen learning rates: what is said of them, what their trials tell, and what other labels would have chosen."""

import itertools
import re
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_up import CLASSES, TUNING, build_grid
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.findings import Findings, make_findings
from reweightbench.benchmark.report.formats import EDGE, Table
from reweightbench.benchmark.report.frame import make_frame
from reweightbench.benchmark.report.rate_tables import describe_bracketing
from reweightbench.benchmark.report.report import write_report
from reweightbench.benchmark.report.tables import make_tables
from reweightbench.benchmark.report.trials import expect_best

NOISE = "uniform(rate=0.4)"
FOCAL = Place("short", 100, "none", "focal")
MakeGrid = Callable[..., Any]


def tune(**changes: Any) -> Any:
    """A grid of which a test may change the records."""
    values: dict[str, Any] = {"methods": ("sgd", "focal"), "peaks": {"sgd": (30, 30), "focal": (0.03, 0.3)}}
    return build_grid(**values | changes)


def findings_of(grid: Any) -> Findings:
    return make_findings(grid.suite, grid.planned, grid.records.values())


def tables_of(grid: Any) -> dict[str, Table]:
    findings = findings_of(grid)
    return {table.name: table for table in make_tables(findings, make_frame(findings))}


def rows_of(table: Table) -> list[dict[str, str]]:
    return [
        {column: entry.text for column, entry in zip(table.columns, row, strict=True)} for row in table.rows
    ]


def row_of(table: Table, method: str, **values: str) -> dict[str, str]:
    (row,) = (row for row in rows_of(table) if row | {"method": method} | values == row)
    return row


def test_rates_are_listed_by_method_and_setting(tuned_grid: Any) -> None:
    table = tables_of(tuned_grid)["rates"]
    assert len(table.rows) == 3 * 2
    row = row_of(table, "focal", corruption="none")
    assert (row["rate on clean validation"], row["rate on corrupted validation"]) == ("0.0316", "0.316")
    assert (row["rates tried"], row["edge on clean validation"]) == ("5", "")
    row = row_of(table, "sgd", corruption=NOISE)
    assert (row["rates tried"], row["rate on clean validation"]) == ("7", "10")
    assert row["edge on clean validation"] == row["edge on corrupted validation"] == "highest"


def test_page_tells_how_many_choices_are_bracketed(tuned_grid: Any, folder: Path) -> None:
    text = describe_bracketing(findings_of(tuned_grid))
    assert text.startswith(
        "8 of 12 choices are bracketed; the others: sgd / none / clean 100 / short on clean "
    )
    assert "(10, the highest)" in text
    write_report(tuned_grid.suite, tuned_grid.planned, tuned_grid.records.values(), folder)
    page = (folder / "leaderboard.md").read_text()
    assert f"- Learning rates: {text}\n" in page
    assert "# Learning rates chosen by trials" not in page
    assert (folder / "tables" / "rates.csv").is_file()


def test_choices_that_are_all_bracketed_are_named_by_number_only() -> None:
    assert (
        describe_bracketing(findings_of(tune(peaks={}))) == "8 of 8 choices are bracketed (tables/rates.csv)"
    )


def test_numbers_at_an_edge_are_marked_in_every_table(tuned_grid: Any) -> None:
    tables = tables_of(tuned_grid)
    numbers = {
        "leaderboard-short-clean100": (
            "rank",
            "accuracy",
            "balanced accuracy",
            "balanced accuracy, best epoch",
        ),
        "balanced-accuracy-short-clean100": ("none", NOISE),
        "accuracy-short-clean100": ("none", NOISE),
        "validation-clean100": ("short (lr chosen)",),
        "selection-short-clean100": ("none", NOISE),
    }
    for name, columns in numbers.items():
        for column in columns:
            assert row_of(tables[name], "sgd")[column].endswith(EDGE), (name, column)
            assert EDGE not in row_of(tables[name], "focal")[column], (name, column)
        assert any(note.startswith(EDGE) for note in tables[name].notes), name


def test_an_edge_in_one_setting_marks_that_setting_and_the_mean() -> None:
    grid = tune(peaks={})
    choices = [
        choice.model_copy(update={"edge": "lowest"})
        if (choice.method, choice.corruption, choice.selection) == ("focal", NOISE, "clean")
        else choice
        for choice in grid.suite.rates.choices
    ]
    grid.suite = grid.suite.model_copy(
        update={"rates": grid.suite.rates.model_copy(update={"choices": tuple(choices)})}
    )
    tables = tables_of(grid)
    row = row_of(tables["balanced-accuracy-short-clean100"], "focal")
    assert (EDGE in row["none"], EDGE in row[NOISE]) == (False, True)
    assert EDGE in row_of(tables["leaderboard-short-clean100"], "focal")["accuracy"]


def test_trials_are_counted_on_the_leaderboard(tuned_grid: Any) -> None:
    table = tables_of(tuned_grid)["leaderboard-short-clean100"]
    counts = {row["method"]: row["rates tried (trials)"] for row in rows_of(table)}
    assert counts == {"sgd": "7 (28)", "focal": "5 (20)", "meta_reweight": "5 (20)"}
    trials = [plan for plan in tuned_grid.trials if plan.method == "sgd"]
    assert len(trials) == 28


def test_suite_without_tuning_says_nothing_of_it(make_grid: MakeGrid) -> None:
    tables = tables_of(make_grid())
    assert not {"rates", "selection"} & tables.keys()
    assert not any(name.startswith(("expected", "selection")) for name in tables)
    assert "rates tried (trials)" not in tables["leaderboard-short-clean100"].columns


def test_budgets_in_steps_have_chosen_rates(tuned_grid: Any, folder: Path) -> None:
    write_report(tuned_grid.suite, tuned_grid.planned, tuned_grid.records.values(), folder)
    page = (folder / "leaderboard.md").read_text()
    (heading,) = re.findall(r"\| budget +\|.*", page)
    assert [text.strip() for text in heading.strip("|").split("|")][:4] == [
        "budget",
        "steps",
        "batch size",
        "learning rate",
    ]
    assert re.search(r"\| short +\| +800 \| +100 \| chosen per method and setting: tables/rates.csv", page)
    results = (folder / "tables" / "results.csv").read_text().splitlines()
    assert "learning_rate,edge,steps,seeds" in results[0]
    assert ",10.0,highest,800,3," in results[1]
    assert ",0.0316,,800,3," in results[2]


def test_scores_of_a_rate_are_means_over_the_tuning_seeds(tuned_grid: Any) -> None:
    means = findings_of(tuned_grid).trials.means(FOCAL)
    assert list(means) == [0.01, 0.0316, 0.1, 0.316, 1.0]
    for rate, mean in means.items():
        scores = [
            tuned_grid.records[plan.key].result.validation_balanced_accuracy
            for plan in tuned_grid.trials
            if (plan.method, plan.corruption) == ("focal", "none") and plan.cell.budget.learning_rate == rate
        ]
        assert mean == pytest.approx(statistics.mean(scores))
        assert len(scores) == len(TUNING.seeds)


def test_order_of_the_records_changes_nothing(tuned_grid: Any) -> None:
    turned = make_findings(tuned_grid.suite, tuned_grid.planned, reversed(list(tuned_grid.records.values())))
    assert turned.trials == findings_of(tuned_grid).trials


def test_diverged_trial_scores_as_guessing() -> None:
    grid = tune()
    trials = [plan for plan in grid.trials if (plan.method, plan.corruption) == ("focal", "none")]
    first, other = (plan for plan in trials if plan.cell.budget.learning_rate == 1.0)
    grid.fail(first, "nonfinite")
    kept = grid.records[other.key].result.validation_balanced_accuracy
    assert findings_of(grid).trials.means(FOCAL)[1.0] == pytest.approx((1 / CLASSES + kept) / 2)


@pytest.mark.parametrize("change", ["failed", "missing", "other grid"])
def test_rate_without_all_its_trials_has_no_score(change: str) -> None:
    grid = tune()
    trials = [plan for plan in grid.trials if (plan.method, plan.corruption) == ("focal", "none")]
    plan = next(plan for plan in trials if plan.cell.budget.learning_rate == 1.0)
    if change == "failed":
        grid.fail(plan, "oom")
    elif change == "missing":
        del grid.records[plan.key]
    else:
        tuning = TUNING.model_copy(update={"seeds": (100, 102)})
        grid.suite = grid.suite.model_copy(update={"tuning": tuning})
    means = findings_of(grid).trials.means(FOCAL)
    assert 1.0 not in means
    assert bool(means) == (change != "other grid")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), st.integers(1, 3))
def test_expected_best_is_the_mean_over_all_draws(scores: list[float], count: int) -> None:
    draws = [max(draw) for draw in itertools.product(scores, repeat=count)]
    expected = list(expect_best(scores, count))
    assert len(expected) == count
    assert expected[-1] == pytest.approx(statistics.mean(draws), abs=1e-12)
    assert expected[0] == pytest.approx(statistics.mean(scores), abs=1e-12)


def test_expected_best_goes_as_far_as_every_method_has_rates(tuned_grid: Any) -> None:
    table = tables_of(tuned_grid)["expected-best-short-clean100"]
    assert list(table.columns) == ["method", "1", "2", "3", "4", "5"]
    trials = findings_of(tuned_grid).trials
    settings = [Place("short", 100, corruption, "sgd") for corruption in ("none", NOISE)]
    once = statistics.mean(statistics.mean(trials.means(place).values()) for place in settings)
    assert float(row_of(table, "sgd")["1"]) == pytest.approx(100 * once, abs=0.05)
    for row in rows_of(table):
        scores = [float(row[str(number)]) for number in range(1, 6)]
        assert scores == sorted(scores)


def test_choices_that_agree_differ_by_exactly_nothing(tuned_grid: Any) -> None:
    tables = tables_of(tuned_grid)
    assert row_of(tables["selection-short-clean100"], "meta_reweight") == {
        "method": "meta_reweight",
        "none": "0",
        NOISE: "0",
    }
    row = row_of(tables["selection"], "meta_reweight", corruption=NOISE)
    assert row["balanced accuracy (clean)"] == row["balanced accuracy (corrupted)"]
    assert row["clean labels"] == "100"


def test_choices_that_differ_are_compared_by_seed() -> None:
    grid = tune(seeds=(0, 1, 2))
    labels = {"method": "focal", "corruption": NOISE}
    for plan, score in zip(grid.find(**labels), (0.90, 0.80, 0.70), strict=True):
        grid.change_last(plan, balanced_accuracy=score)
    other = [plan for plan in grid.reselected if (plan.method, plan.corruption) == ("focal", NOISE)]
    for plan, score in zip(other, (0.88, 0.77, 0.69), strict=True):
        grid.change_last(plan, balanced_accuracy=score)
    tables = tables_of(grid)
    row = row_of(tables["selection"], "focal", corruption=NOISE)
    assert row["balanced accuracy (clean)"].startswith("80.0 ± ")
    assert row["balanced accuracy (corrupted)"].startswith("78.0 ± ")
    # Differences 2, 3 and 1: mean 2, deviation 1, times Student's 4.303 over the root of 3.
    assert row["difference"] == "−2.0 ± 2.5"  # noqa: RUF001
    assert row_of(tables["selection-short-clean100"], "focal")[NOISE] == row["difference"]
    assert "true labels of 100 examples" in tables["selection"].notes[0]


def test_cells_of_the_other_selection_are_missed(folder: Path) -> None:
    grid = tune()
    table = {plan.key for plan in grid.planned}
    lost = next(plan for plan in grid.reselected if plan.key not in table)
    del grid.records[lost.key]
    with pytest.raises(UsageError, match=r"1 of 12 cells .* focal / none .* seed 0 \(missing\)"):
        write_report(grid.suite, grid.planned, grid.records.values(), folder)
    write_report(grid.suite, grid.planned, grid.records.values(), folder, allow_partial=True)
    row = (folder / "tables" / "selection.csv").read_text().splitlines()[2]
    assert row.startswith("focal,none,100,short,0.0316,0.316,")
    assert "(n=1)" in row


def test_suite_without_corrupted_validation_has_no_other_selection() -> None:
    grid = tune(peaks={})
    grid.suite = grid.suite.model_copy(update={"corrupted_validation_fraction": 0.0})
    findings = findings_of(grid)
    assert findings.reselected == {}
    assert not any(name.startswith("selection") for name in tables_of(grid))
    assert "edge on corrupted validation" not in tables_of(grid)["rates"].columns


def test_equal_records_give_equal_bytes(tuned_grid: Any, tmp_path: Path) -> None:
    records = list(tuned_grid.records.values())
    for name, order in (("one", records), ("two", records[::-1])):
        write_report(tuned_grid.suite, tuned_grid.planned, order, tmp_path / name)
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert {"rates-short-clean100.png", "expected-best-short.svg", "selection.tex"} <= {p.name for p in files}
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path
    assert np.any([path.suffix == ".svg" for path in files])
