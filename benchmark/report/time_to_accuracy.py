"""How long a method takes to the accuracy that plain training ends with."""

from collections.abc import Sequence

import numpy as np

from reweightbench.benchmark.records.timing import REFERENCE, file_name
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.finished import Finished
from reweightbench.benchmark.report.formats import ABSENT, Entry, Table
from reweightbench.benchmark.report.overhead import Overheads


def make_time_to_accuracy(findings: Findings, overheads: Overheads, clean_size: int) -> Table:
    """Training time to the reference's last balanced accuracy on validation, over its whole training time.

    Per setting and seed: the first epoch that reaches it, as a share of the epochs, times the overhead.
    """
    columns = {budget: _find_shares(findings.select(budget, clean_size)) for budget in findings.budgets}
    rows = []
    for method in findings.methods:
        entries = [
            _show(column.get(method, []), overheads.ratios[method].value)
            if method in overheads.ratios
            else ABSENT
            for column in columns.values()
        ]
        rows.append([Entry(text) for text in (method, *entries)])
    return Table(
        name=f"time-to-accuracy-{file_name(overheads.timing.hardware)}-clean{clean_size}",
        title=f"Time to the accuracy of {REFERENCE} on {overheads.title}: clean set of {clean_size}",
        columns=["method", *columns],
        rows=rows,
        notes=[
            f"Training time until the balanced accuracy on validation first reaches what {REFERENCE} ends with in the "
            f"same setting and seed, over the whole training time of {REFERENCE}: median over the runs that reach "
            "it (how many of all). Epochs are timed by the paired overhead."
        ],
    )


def _find_shares(cells: Sequence[Finished]) -> dict[str, list[float]]:
    """Per method, the share of the epochs each run needs; infinite for a run that does not get there."""
    targets = {
        _place(finished): finished.curves["validation_balanced_accuracy"][-1]
        for finished in cells
        if finished.planned.method == REFERENCE and not finished.is_diverged
    }
    shares: dict[str, list[float]] = {}
    for finished in cells:
        if _place(finished) not in targets:
            continue
        curve = finished.curves.get("validation_balanced_accuracy", np.array([]))
        reached = np.flatnonzero(curve >= targets[_place(finished)])
        share = (reached[0] + 1) / len(curve) if len(reached) else np.inf
        shares.setdefault(finished.planned.method, []).append(float(share))
    return shares


def _place(finished: Finished) -> tuple[str, int]:
    return finished.planned.corruption, finished.planned.seed


def _show(shares: Sequence[float], overhead: float) -> str:
    if not shares:
        return ABSENT
    there = [share for share in shares if np.isfinite(share)]
    time = f"{overhead * float(np.median(there)):.2f}" if there else ABSENT
    return f"{time} ({len(there)} of {len(shares)})"
