"""How a table shows a number: mean and interval, and the marks that it must not be read without."""

import math
from collections.abc import Mapping

from reweightbench.benchmark.cells.rates import Selection
from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.formats import ABSENT, EDGE, MINUS, Entry
from reweightbench.benchmark.report.statistics import Summary


def percent_entry(summaries: Mapping[str, Summary], name: str, seeds: int, flag: str = "") -> Entry:
    """`mean ± interval` in percent and a flag, best if no other mean is larger.

    Says how many seeds were counted if not all, and how many runs diverged.
    """
    summary = summaries.get(name)
    if summary is None or math.isnan(summary.mean):
        return Entry(ABSENT)
    best = max(other.mean for other in summaries.values() if not math.isnan(other.mean))
    return Entry(describe_percent(summary, seeds) + flag, summary.mean == best)


def describe_percent(summary: Summary, seeds: int) -> str:
    """`mean ± interval (n=2, 1 diverged)` in percent."""
    details = [f"n={summary.count}"] if summary.count < seeds else []
    details += [f"{summary.diverged} diverged"] if summary.diverged else []
    suffix = f" ({', '.join(details)})" if details else ""
    interval = "" if math.isnan(summary.interval) else f" ± {100 * summary.interval:.1f}"
    return f"{100 * summary.mean:.1f}".replace("-", MINUS) + interval + suffix


def flag_edge(findings: Findings, *places: Place, selection: Selection = "clean") -> str:
    """The mark of a number to which a learning rate at an end of those tried belongs, or nothing."""
    return f" {EDGE}" if any(findings.edge(place, selection) for place in places) else ""


def caveats(findings: Findings) -> list[str]:
    """Notes on marks of numbers and on what is compared; none where everything is as it should be."""
    notes = []
    if findings.diverged:
        notes.append(
            "Diverged: the loss or the weights of that many runs ceased to be finite; each counts as guessing, with "
            f"an accuracy and a balanced accuracy of {100 * findings.chance:.1f}."
        )
    if findings.absent:
        notes.append(
            "Cells are missing: every mean is over the seeds that all methods with a result in the setting have."
        )
    if any(choice.edge for chosen in findings.choices.values() for choice in chosen.values()):
        notes.append(
            f"{EDGE}: a learning rate behind this number is the lowest or the highest of those tried, so that a better "
            "one may lie beyond; tables/rates.csv has all."
        )
    return notes
