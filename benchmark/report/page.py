"""The page `leaderboard.md`: what was run, then its tables and plots."""

import re
from collections.abc import Sequence
from pathlib import Path

from reweightbench.benchmark.cells.catalogue import find_facts
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.benchmark.records.record import COMPARED_FIELDS
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.formats import (
    ABSENT,
    Entry,
    Table,
    escape_markdown,
    share_notes,
    to_markdown,
)
from reweightbench.benchmark.report.plots import SavedPlots
from reweightbench.benchmark.report.rate_tables import describe_bracketing

LINK = re.compile(r"\]\(((?:tables|plots)/[A-Za-z0-9_-][A-Za-z0-9._-]*)\)")
"""A link of the page to a file of the report."""

PUBLISHED_SEEDS = 5
ORIGINALS = frozenset({"embedded", "official", "full"})
"""Variants whose images are the original ones."""

INCOMPARABLE = "not comparable digit for digit with published numbers"
FULL_TABLE_ROWS = 20


def write_page(findings: Findings, tables: Sequence[Table], plots: SavedPlots, files: Sequence[Path]) -> str:
    """The Markdown of the page; `files` are paths relative to it."""
    parts = [f"# {escape_markdown(findings.suite.title)}\n"]
    parts += [f"**{escape_markdown(mark)}**\n" for mark in findings.marks]
    parts.append(_describe_run(findings))
    shown = [_budget_table(findings), *(_shorten(table) for table in tables if table.on_page)]
    parts += [to_markdown(table, heading="##") for table in share_notes(shown)]
    for plot, paths in plots.saved:
        title = escape_markdown(plot.title)
        image = next(path.name for path in paths if path.suffix == ".png")
        parts.append(f"## {title}\n\n![{title}](plots/{image})\n\n{escape_markdown(plot.caption)}\n")
    if plots.skipped:
        left_out = [
            f"- {escape_markdown(title)}: {escape_markdown(reason)}" for title, reason in plots.skipped
        ]
        parts.append("## Plots left out\n\n" + "\n".join(left_out) + "\n")
    parts.append("## Files\n\n" + "\n".join(f"- [{path.name}]({path.as_posix()})" for path in files) + "\n")
    return "\n".join(parts)


def _describe_run(findings: Findings) -> str:
    """What was run, where, and what the numbers may be compared with."""
    cell = findings.planned[0].cell
    seeds = len(findings.seeds)
    few = f"; a published table takes at least {PUBLISHED_SEEDS}" if seeds < PUBLISHED_SEEDS else ""
    weights = f", weights: {cell.model.options['weights']}" if "weights" in cell.model.options else ""
    lines = {
        "Suite": findings.suite.name,
        "Dataset": f"{_describe(cell.dataset)}, {_describe_variant(cell.variant)}{_license(cell.dataset)}",
        "Model": f"{_describe(cell.model, leave_out='weights')}{weights}",
        "Cells": f"{findings.cells - len(findings.absent)} finished of {findings.cells} "
        f"(methods: {len(findings.methods)}, corruption settings: {len(findings.corruptions)}, "
        f"clean-set sizes: {len(findings.clean_sizes)}, budgets: {len(findings.budgets)}, seeds: {seeds})",
        "Seeds": f"{', '.join(map(str, findings.seeds))}{few}",
        **({"Learning rates": describe_bracketing(findings)} if findings.choices else {}),
        "Device": f"{cell.device}, threads: {cell.numerics.threads}, precision: {cell.numerics.precision}",
        "Environment": _describe_environment(findings),
    }
    return "\n".join(f"- {name}: {escape_markdown(text)}" for name, text in lines.items()) + "\n"


def _describe(spec: Spec, leave_out: str = "") -> str:
    options = ", ".join(f"{key}={value}" for key, value in spec.options.items() if key != leave_out)
    return f"{spec.name}({options})" if options else spec.name


def _describe_variant(variant: str) -> str:
    return f"variant {variant}" + ("" if variant in ORIGINALS else f" ({INCOMPARABLE})")


def _license(dataset: Spec) -> str:
    facts = find_facts(DATASETS, dataset.name)
    return f", license {facts.license}" if facts else ""


def _describe_environment(findings: Findings) -> str:
    fields = ["suite_version", *COMPARED_FIELDS, "python", "git_commit"]
    return ", ".join(
        f"{field.replace('_', ' ')} {' and '.join(findings.environment_values(field))}" for field in fields
    )


def _budget_table(findings: Findings) -> Table:
    """The budgets, and the learning rates of the methods that have their own."""
    examples = {planned.budget: planned.cell.budget for planned in findings.planned}
    lengths = [
        unit for unit in ("epochs", "steps") if any(getattr(budget, unit) for budget in examples.values())
    ]
    rows = []
    for name, budget in examples.items():
        texts = [
            name,
            *(str(getattr(budget, unit) or ABSENT) for unit in lengths),
            str(budget.batch_size),
            _describe_rates(findings, name),
            budget.schedule,
            f"{budget.momentum:g}" + (" (Nesterov)" if budget.nesterov else ""),
            f"{budget.weight_decay:g}",
        ]
        rows.append([Entry(text) for text in texts])
    columns = ["budget", *lengths, "batch size", "learning rate", "schedule", "momentum", "weight decay"]
    return Table(
        "budgets", "Budgets", columns, rows, texts=frozenset({"budget", "learning rate", "schedule"})
    )


def _describe_rates(findings: Findings, budget: str) -> str:
    if budget in findings.tuned_budgets:
        return "chosen per method and setting: tables/rates.csv"
    methods: dict[float, list[str]] = {}
    rates = {
        planned.method: planned.cell.budget.learning_rate
        for planned in findings.planned
        if planned.budget == budget
    }
    for method, rate in rates.items():
        methods.setdefault(rate, []).append(method)
    if len(methods) == 1:
        return f"{next(iter(methods)):g}"
    return "; ".join(f"{rate:g} ({', '.join(labels)})" for rate, labels in methods.items())


def _shorten(table: Table) -> Table:
    """The first rows of a table that would push everything else off the page."""
    rest = len(table.rows) - FULL_TABLE_ROWS
    if table.name != "missing-cells" or rest <= 0:
        return table
    note = f"{rest} more in tables/{table.name}.csv."
    return Table(table.name, table.title, table.columns, table.rows[:FULL_TABLE_ROWS], [note], table.texts)
