"""The tables of a report beside the leaderboard."""

import math

import pandas as pd

from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.claims import make_claim_table
from reweightbench.benchmark.report.entries import caveats, flag_edge, percent_entry
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.formats import Entry, Table, write_csv
from reweightbench.benchmark.report.frame import METRICS
from reweightbench.benchmark.report.leaderboard import average_settings, make_leaderboard
from reweightbench.benchmark.report.overhead import make_overhead_table
from reweightbench.benchmark.report.rate_tables import make_expected_table, make_rate_table
from reweightbench.benchmark.report.selection_tables import make_selection_tables
from reweightbench.benchmark.report.statistics import summarise
from reweightbench.benchmark.report.time_to_accuracy import make_time_to_accuracy

PERCENT = "In percent, mean ± half-width of the 95% Student-t interval over seeds; the best mean stands out."


def make_tables(findings: Findings, frame: pd.DataFrame) -> list[Table]:
    """All tables, leaderboards first; one of the cells without a result only if there are any."""
    slices = [(budget, size) for size in findings.clean_sizes for budget in findings.budgets]
    tables = [make_leaderboard(findings, frame, *place) for place in slices]
    if findings.suite.claims:
        tables.append(make_claim_table(findings))
    for metric in ("balanced_accuracy", "accuracy"):
        tables += [make_pivot(findings, frame, metric, *place) for place in slices]
    tables += [make_validation_table(findings, frame, size) for size in findings.clean_sizes]
    for overheads in findings.overheads:
        tables.append(make_overhead_table(overheads))
        tables += [make_time_to_accuracy(findings, overheads, size) for size in findings.clean_sizes]
    tables += _make_tuning_tables(findings, slices)
    tables.append(make_corruption_table(frame))
    if findings.absent:
        tables.append(make_absent_table(findings))
    return tables


def _make_tuning_tables(findings: Findings, slices: list[tuple[str, int]]) -> list[Table]:
    """The tables of a suite whose learning rates are chosen."""
    if not findings.choices:
        return []
    tables = make_selection_tables(findings) if "corrupted" in findings.suite.selections else []
    tables.append(make_rate_table(findings))
    tables += [
        make_expected_table(findings, *place) for place in slices if place[0] in findings.tuned_budgets
    ]
    return tables


def make_pivot(findings: Findings, frame: pd.DataFrame, metric: str, budget: str, clean_size: int) -> Table:
    """A metric of the last epoch by method and corruption setting."""
    part = frame[(frame["budget"] == budget) & (frame["clean_size"] == clean_size)]
    columns = {
        corruption: {
            str(method): summarise(own[metric], int(own["is_diverged"].sum()))
            for method, own in part[part["corruption"] == corruption].groupby("method", observed=True)
        }
        for corruption in findings.corruptions
    }
    name = metric.replace("_", " ")
    return Table(
        name=f"{metric.replace('_', '-')}-{budget}-clean{clean_size}",
        title=f"{name.capitalize()} at the last epoch: budget {budget}, clean set of {clean_size}",
        columns=["method", *columns],
        rows=[
            [
                Entry(method),
                *(
                    percent_entry(
                        column,
                        method,
                        len(findings.seeds),
                        flag_edge(findings, Place(budget, clean_size, corruption, method)),
                    )
                    for corruption, column in columns.items()
                ),
            ]
            for method in findings.methods
        ],
        notes=[PERCENT, *caveats(findings)],
    )


def make_validation_table(findings: Findings, frame: pd.DataFrame, clean_size: int) -> Table:
    """Balanced accuracy on validation by method and budget: what hyperparameters are chosen on.

    The best budget of each method stands out. A learning rate is shown with the budget, or with the
    value where methods differ in it.
    """
    part = frame[frame["clean_size"] == clean_size]
    columns = {
        budget: average_settings(part[part["budget"] == budget], "validation_balanced_accuracy")
        for budget in findings.budgets
    }
    rates = {
        (planned.method, planned.budget): planned.cell.budget.learning_rate for planned in findings.planned
    }
    headings, own_rates = {}, set()
    for budget in findings.budgets:
        values = {rates[method, budget] for method in findings.methods}
        if budget in findings.tuned_budgets:
            headings[budget] = f"{budget} (lr chosen)"
        elif len(values) == 1:
            headings[budget] = f"{budget} (lr {values.pop():g})"
        else:
            headings[budget] = f"{budget} (at lr)"
            own_rates.add(budget)
    rows = []
    for method in findings.methods:
        row = {budget: column[method] for budget, column in columns.items() if method in column}
        entries = [Entry(method)]
        for budget in findings.budgets:
            places = (Place(budget, clean_size, corruption, method) for corruption in findings.corruptions)
            entry = percent_entry(row, budget, len(findings.seeds), flag_edge(findings, *places))
            suffix = f" at {rates[method, budget]:g}" if budget in own_rates else ""
            entries.append(Entry(entry.text + suffix, entry.is_best and len(row) > 1))
        rows.append(entries)
    return Table(
        name=f"validation-clean{clean_size}",
        title=f"Balanced accuracy on validation at the last epoch: clean set of {clean_size}",
        columns=["method", *headings.values()],
        rows=rows,
        notes=[
            "In percent: mean over corruption settings for each seed, then mean ± half-width of the 95% "
            "Student-t interval over seeds; the best budget of each method stands out.",
            *caveats(findings),
        ],
    )


def make_corruption_table(frame: pd.DataFrame) -> Table:
    """What the corruption settings came out as, from one cell per setting and seed: methods share them."""
    once = frame[~frame["is_diverged"].astype(bool)].drop_duplicates(["clean_size", "corruption", "seed"])
    rows = []
    for (clean_size, corruption), part in once.groupby(["clean_size", "corruption"], observed=True):
        rows.append(
            [
                Entry(str(corruption)),
                Entry(str(clean_size)),
                Entry(f"{part['train_size'].mean():.0f}"),
                Entry(f"{part['smallest_class'].min():.0f} to {part['largest_class'].max():.0f}"),
                Entry(f"{100 * part['noise_share'].mean():.1f}"),
            ]
        )
    return Table(
        name="corruption",
        title="Corruption as realised",
        columns=["corruption", "clean set", "training examples", "per class", "wrong targets (%)"],
        rows=rows,
        notes=[
            "Per class: the smallest and the largest by true class. Wrong targets: mean share over seeds."
        ],
        texts=frozenset({"corruption"}),
    )


def make_absent_table(findings: Findings) -> Table:
    """The cells without a result and why."""
    return Table(
        name="missing-cells",
        title="Cells without a result",
        columns=["method", "corruption", "clean set", "budget", "seed", "status", "reason"],
        rows=[
            [
                Entry(text)
                for text in (
                    absent.planned.method,
                    absent.planned.corruption,
                    str(absent.planned.clean_size),
                    absent.planned.budget,
                    str(absent.planned.seed),
                    absent.status,
                    absent.reason,
                )
            ]
            for absent in findings.absent
        ],
        texts=frozenset({"method", "corruption", "budget", "status", "reason"}),
    )


def write_results(frame: pd.DataFrame, marks: tuple[str, ...]) -> str:
    """CSV with a line per setting and method: mean, deviation and interval of every metric."""
    keys = ["budget", "clean_size", "corruption", "method"]
    lengths = [unit for unit in ("epochs", "steps") if frame[unit].notna().any()]
    edges = ["edge"] if frame["edge"].any() else []
    described = ["imbalance", "noise", "learning_rate", *edges, *lengths]
    has_diverged = bool(frame["is_diverged"].any())
    columns = [*keys, *described, "seeds", *["seeds_diverged"] * has_diverged]
    for metric in METRICS:
        columns += [f"{metric}_mean", f"{metric}_std", f"{metric}_interval"]
    rows = []
    for group, part in frame.groupby(keys, observed=True):
        texts = ["" if pd.isna(value) else value for value in part.iloc[0][described]]
        row: list[str | float] = [*map(str, group), *texts, len(part)]
        row += [int(part["is_diverged"].sum())] * has_diverged
        for metric in METRICS:
            # A mean over the runs that have the metric would leave out those that diverged.
            summary = summarise(part[metric] if part[metric].notna().all() else [])
            values = (summary.mean, summary.deviation, summary.interval)
            row += ["" if math.isnan(value) else value for value in values]
        rows.append(row)
    return write_csv(columns, rows, marks)
