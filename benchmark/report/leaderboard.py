"""The leaderboard: methods ranked over the corruption settings of one budget and clean-set size."""

import math
from collections.abc import Callable, Mapping

import pandas as pd

from reweightbench.benchmark.records.timing import REFERENCE
from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.entries import caveats, flag_edge, percent_entry
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.formats import ABSENT, Entry, Table
from reweightbench.benchmark.report.frame import describe_needs
from reweightbench.benchmark.report.statistics import Summary, summarise

HEADINGS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "best_balanced_accuracy": "balanced accuracy, best epoch",
}


def make_leaderboard(findings: Findings, frame: pd.DataFrame, budget: str, clean_size: int) -> Table:
    """Methods by mean rank, their accuracies, relative training time and the knowledge they use."""
    part = frame[(frame["budget"] == budget) & (frame["clean_size"] == clean_size)]
    ranks = rank_methods(part)
    summaries = {metric: average_settings(part, metric) for metric in HEADINGS}
    times = _time_columns(findings, part)
    trials = _trial_column(findings, budget, clean_size)
    needs = {planned.method: describe_needs(planned.cell.method) for planned in findings.planned}
    order = sorted(findings.methods, key=lambda method: ranks.get(method, math.inf))
    rows = []
    for method in order:
        rank = ranks.get(method, math.nan)
        flag = flag_edge(
            findings, *(Place(budget, clean_size, corruption, method) for corruption in findings.corruptions)
        )
        entries = [
            Entry(
                ABSENT if math.isnan(rank) else f"{rank:.2f}{flag}", rank == min(ranks.values(), default=0)
            ),
            Entry(method),
        ]
        for found in summaries.values():
            entries.append(percent_entry(found, method, len(findings.seeds), flag))
        entries += [Entry(show(method)) for show in [*times.values(), *trials.values()]]
        entries.append(Entry(needs[method]))
        rows.append(entries)
    return Table(
        name=f"leaderboard-{budget}-clean{clean_size}",
        title=f"Leaderboard: budget {budget}, clean set of {clean_size}",
        columns=["rank", "method", *HEADINGS.values(), *times, *trials, "needs"],
        rows=rows,
        notes=[
            *_notes(findings, part["corruption"].nunique()),
            *_describe_trials(findings, trials),
            *caveats(findings),
        ],
        texts=frozenset({"method", "needs"}),
    )


def rank_methods(part: pd.DataFrame) -> dict[str, float]:
    """The mean rank of each method over the settings of one budget and clean-set size, 1 is best.

    In a setting methods are ranked by mean balanced accuracy at the last epoch; ties share the mean of
    their ranks. Methods without a result in one of the settings are left out of all of them.
    """
    means = part.pivot_table(
        index="method", columns="corruption", values="balanced_accuracy", aggfunc="mean", observed=True
    )
    # Rounded, because equal scores of seeds in another order differ in the last bits.
    ranks = means.dropna().round(12).rank(ascending=False, method="average").mean(axis="columns")
    return {str(method): float(rank) for method, rank in ranks.items()}


def average_settings(part: pd.DataFrame, metric: str) -> dict[str, Summary]:
    """A summary over seeds of each method's mean over the settings of one budget and clean-set size.

    Seeds that lack one of the settings are left out: their mean would be over other settings.
    """
    settings = part["corruption"].nunique()
    groups = part.groupby(["method", "seed"], observed=True)
    is_whole = groups.size() == settings
    means, diverged = groups[metric].mean()[is_whole], groups["is_diverged"].sum()[is_whole]
    return {
        str(method): summarise(values, int(diverged[method].sum()))
        for method, values in means.groupby(level="method", observed=True)
    }


def _time_columns(findings: Findings, part: pd.DataFrame) -> dict[str, Callable[[str], str]]:
    """What a method's training time is shown as: a column per timing, or else what the grid's clock says."""
    heading = f"time / {REFERENCE}"
    if len(findings.overheads) == 1:
        return {heading: findings.overheads[0].show}
    if findings.overheads:
        return {f"{heading} ({overheads.title})": overheads.show for overheads in findings.overheads}
    times = part.groupby("method", observed=True)["overhead_unpaired"].median().to_dict()

    def show(method: str) -> str:
        time = times.get(method, math.nan)
        return ABSENT if math.isnan(time) else f"{time:.2f}"

    return {f"{heading} (unpaired)": show}


def _trial_column(findings: Findings, budget: str, clean_size: int) -> dict[str, Callable[[str], str]]:
    """How many learning rates a method tried in a setting, and the trials of all settings, where rates are chosen."""
    tried: dict[str, list[int]] = {}
    for place, chosen in findings.choices.items():
        if (place.budget, place.clean_size) == (budget, clean_size):
            tried.setdefault(place.method, []).extend(choice.rates_tried for choice in [*chosen.values()][:1])
    seeds = len(findings.suite.tuning.seeds) if findings.suite.tuning else 0

    def show(method: str) -> str:
        counts = tried.get(method, [])
        if not counts:
            return ABSENT
        low, high = min(counts), max(counts)
        return f"{low if low == high else f'{low} to {high}'} ({sum(counts) * seeds})"

    return {"rates tried (trials)": show} if tried else {}


def _describe_trials(findings: Findings, trials: Mapping[str, object]) -> list[str]:
    if not trials or findings.suite.tuning is None:
        return []
    return [
        "Rates tried: learning rates from which each setting's was chosen by balanced accuracy on clean validation, "
        f"with {len(findings.suite.tuning.seeds)} tuning seeds each; trials: the runs that this took."
    ]


def _notes(findings: Findings, settings: int) -> list[str]:
    seeds = len(findings.seeds)
    if seeds > 1:
        over_seeds = f"then mean ± half-width of the 95% Student-t interval over {seeds} seeds"
    else:
        over_seeds = "of a single seed, so without intervals"
    return [
        f"Rank: mean over {settings} corruption settings of the rank by balanced accuracy at the last epoch; "
        "ties share the mean of their ranks, and a method without a result in every setting has none.",
        f"Accuracies in percent at the last epoch: mean over the settings, {over_seeds}. "
        "Best epoch: the one with the best balanced accuracy on validation.",
        _describe_time(findings),
        "Needs: what a method knows beyond the training examples and their targets.",
    ]


def _describe_time(findings: Findings) -> str:
    if findings.overheads:
        cell = findings.overheads[0].timing.cells[REFERENCE]
        return (
            f"Time: seconds per step over those of {REFERENCE}, measured in paired rounds on "
            f"{' and '.join(overheads.title for overheads in findings.overheads)} with batches of "
            f"{cell.budget.batch_size} and a clean set of {cell.clean_size}: median [95% bootstrap interval]."
        )
    return (
        f"Time is unpaired: the median ratio to {REFERENCE} of training seconds in the same setting and seed. "
        "That is wall-clock taken during the grid while other cells ran: a rough cost, not a measurement."
    )
