"""The report of a suite: tables, plots and the page that holds them, made from records alone."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import read_foreign_text
from reweightbench.benchmark.records.files import refuse_detours, write_atomically
from reweightbench.benchmark.records.record import Record
from reweightbench.benchmark.records.timing import Timing
from reweightbench.benchmark.report.findings import Findings, make_findings
from reweightbench.benchmark.report.formats import Table, share_notes, to_csv, to_latex, to_markdown, to_text
from reweightbench.benchmark.report.frame import make_frame
from reweightbench.benchmark.report.page import LINK, write_page
from reweightbench.benchmark.report.plots import save_plots
from reweightbench.benchmark.report.tables import make_tables, write_results

MOST_PAGE_BYTES = 2**28

PAGE, TABLES, PLOTS = "leaderboard.md", "tables", "plots"
FIRST = 5
"""How many missing cells an error names."""


@dataclass(frozen=True)
class Report:
    """Every file written, the page first; what to print in a terminal; plots left out and why."""

    paths: list[Path]
    text: str
    skipped: list[tuple[str, str]]


def write_report(
    suite: Suite,
    planned: Sequence[Planned],
    records: Iterable[Record],
    folder: Path,
    *,
    timings: Sequence[Timing] = (),
    allow_partial: bool = False,
    allow_mixed: bool = False,
) -> Report:
    """Write the page `leaderboard.md` and the folders `tables` and `plots` beside it.

    Equal records give equal bytes. Files of an earlier report that this one no longer has are deleted.
    Raises UsageError where cells are not finished (unless `allow_partial`), where finished ones come from
    different environments (unless `allow_mixed`), where they were trained on different data, and where the folder
    holds a link or another thing that is neither folder nor file.
    """
    findings = make_findings(suite, planned, records, timings)
    check_findings(findings, allow_partial=allow_partial, allow_mixed=allow_mixed)
    refuse_detours([folder, *folder.glob("*"), *folder.glob("*/*")])
    frame = make_frame(findings)
    tables = make_tables(findings, frame)
    _delete_earlier(folder)
    paths = _write_tables(findings, frame, tables, folder / TABLES)
    plots = save_plots(findings, frame, folder / PLOTS)
    paths += [path for _, files in plots.saved for path in files]
    page = folder / PAGE
    _write(page, write_page(findings, tables, plots, [path.relative_to(folder) for path in paths]))
    boards = share_notes([table for table in tables if table.name.startswith("leaderboard-")])
    left_out = [f"left out: {title} ({reason})" for title, reason in plots.skipped]
    text = "\n".join([*findings.marks, *map(to_text, boards), *left_out, f"page: {page}"])
    return Report([page, *paths], text, plots.skipped)


def check_findings(findings: Findings, *, allow_partial: bool = False, allow_mixed: bool = False) -> None:
    """Raise UsageError where `write_report` would refuse, without writing anything."""
    _check_cells(findings, allow_partial)
    _check_environments(findings, allow_mixed)
    _check_data(findings)


def _check_cells(findings: Findings, allow_partial: bool) -> None:
    absent, total = findings.absent, findings.cells
    named = "; ".join(map(str, absent[:FIRST]))
    rest = f"; and {len(absent) - FIRST} more" if len(absent) > FIRST else ""
    if not findings.finished and all(cell.status == "missing" for cell in absent):
        raise UsageError(f"suite '{findings.suite.name}' has no finished cell of {total}; run it first")
    if not findings.finished:
        raise UsageError(
            f"suite '{findings.suite.name}' has no finished cell of {total}: {named}{rest}; 'reweightbench status' "
            "shows why, 'reweightbench run --retry-failed' repeats them"
        )
    if absent and not allow_partial:
        raise UsageError(
            f"{len(absent)} of {total} cells of suite '{findings.suite.name}' have no result: {named}{rest}; "
            "finish the run, or take --allow-partial for a page that says so"
        )


def _check_environments(findings: Findings, allow_mixed: bool) -> None:
    if findings.mixture and not allow_mixed:
        raise UsageError(
            f"records of suite '{findings.suite.name}' come from different environments: "
            f"{'; '.join(findings.mixture)}; re-run the cells of one of them, "
            "or take --allow-mixed for a page that says so"
        )


def _check_data(findings: Findings) -> None:
    """Methods are compared on the same images and the same wrong targets, seed by seed."""
    targets: dict[tuple[str, int, int], str | None] = {}
    trained = [finished for finished in findings.everything if not finished.is_diverged]
    for finished in trained:
        planned = finished.planned
        place = planned.corruption, planned.clean_size, planned.seed
        found = targets.setdefault(place, finished.targets_sha256)
        if finished.fingerprint != trained[0].fingerprint or finished.targets_sha256 != found:
            raise UsageError(
                f"record {planned.key} ({planned.method} / {planned.corruption} / seed {planned.seed}) was trained "
                "on other data than the others; delete it and run the suite again"
            )


def _delete_earlier(folder: Path) -> None:
    """Delete the files that the earlier page links to: without it, nothing says that they are a report's."""
    page = folder / PAGE
    if os.path.lexists(page):
        text = read_foreign_text(page, MOST_PAGE_BYTES, links=False, remedy="remove it and report again")
        for path in LINK.findall(text):
            (folder / path).unlink(missing_ok=True)


def _write_tables(
    findings: Findings, frame: pd.DataFrame, tables: Sequence[Table], folder: Path
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"results.csv": write_results(frame, findings.marks)}
    for table in tables:
        for ending, convert in (("md", to_markdown), ("csv", to_csv), ("tex", to_latex)):
            texts[f"{table.name}.{ending}"] = convert(table, findings.marks)
    for name, text in texts.items():
        _write(folder / name, text)
    return [folder / name for name in texts]


def _write(path: Path, text: str) -> None:
    write_atomically(path, text.encode())
