"""The tables of a suite whose learning rates are chosen: which were, and what a number of trials finds."""

import numpy as np

from reweightbench.benchmark.cells.rates import Selection
from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.formats import ABSENT, Entry, Table
from reweightbench.benchmark.report.trials import expect_best

FIRST = 5
"""How many choices at an edge the page names."""


def make_rate_table(findings: Findings) -> Table:
    """The rate of each method and setting under each selection, the rates tried, and where the best was the last."""
    selections = findings.suite.selections
    rows = []
    for place, chosen in findings.choices.items():
        rates = [
            f"{chosen[selection].learning_rate:g}" if selection in chosen else ABSENT
            for selection in selections
        ]
        tried = str(max(choice.rates_tried for choice in chosen.values())) if chosen else ABSENT
        edges = [chosen[selection].edge or "" if selection in chosen else ABSENT for selection in selections]
        texts = [place.method, place.corruption, str(place.clean_size), place.budget, *rates, tried, *edges]
        rows.append([Entry(text) for text in texts])
    edges = [f"edge on {selection} validation" for selection in selections]
    return Table(
        name="rates",
        title="Learning rates chosen by trials",
        columns=[
            "method",
            "corruption",
            "clean set",
            "budget",
            *(f"rate on {selection} validation" for selection in selections),
            "rates tried",
            *edges,
        ],
        rows=rows,
        notes=[
            "Rates with the best mean balanced accuracy on a validation part at the last epoch, with seeds apart from "
            "the table's. Edge: the best rate is the lowest or the highest of those tried."
        ],
        texts=frozenset({"method", "corruption", "budget", *edges}),
        on_page=False,
    )


def describe_bracketing(findings: Findings) -> str:
    """How many choices have worse rates on both sides, and the others by name."""
    choices = [(place, choice) for place, chosen in findings.choices.items() for choice in chosen.values()]
    open_ends = [(place, choice) for place, choice in choices if choice.edge]
    text = f"{len(choices) - len(open_ends)} of {len(choices)} choices are bracketed"
    if not open_ends:
        return f"{text} (tables/rates.csv)"
    named = [
        f"{place.method} / {place.corruption} / clean {place.clean_size} / {place.budget} on {choice.selection} "
        f"validation ({choice.learning_rate:g}, the {choice.edge})"
        for place, choice in open_ends[:FIRST]
    ]
    rest = f"; and {len(open_ends) - FIRST} more" if len(open_ends) > FIRST else ""
    return f"{text}; the others: {'; '.join(named)}{rest} (tables/rates.csv)"


def expect_best_over_settings(
    findings: Findings, budget: str, clean_size: int, selection: Selection = "clean"
) -> dict[str, list[float]]:
    """By method, the expected best score of 1, 2, ... trials in a setting, mean over the settings.

    As many trials as every method has rates in every setting; methods without trials in some setting are left out.
    """
    means = {
        method: [
            list(findings.trials.means(Place(budget, clean_size, corruption, method), selection).values())
            for corruption in findings.corruptions
        ]
        for method in findings.methods
    }
    whole = {method: settings for method, settings in means.items() if all(settings)}
    count = min((len(scores) for settings in whole.values() for scores in settings), default=0)
    return {
        method: np.mean([list(expect_best(scores, count)) for scores in settings], axis=0).tolist()
        for method, settings in whole.items()
    }


def make_expected_table(findings: Findings, budget: str, clean_size: int) -> Table:
    """The expected best score on clean validation by method and number of trials."""
    expected = expect_best_over_settings(findings, budget, clean_size)
    count = max(map(len, expected.values()), default=0)
    best = np.max([*expected.values()], axis=0) if expected else []
    return Table(
        name=f"expected-best-{budget}-clean{clean_size}",
        title=f"Expected best balanced accuracy on validation by number of rates tried: budget {budget}, "
        f"clean set of {clean_size}",
        columns=["method", *map(str, range(1, count + 1))],
        rows=[
            [
                Entry(method),
                *(Entry(f"{100 * score:.1f}", score == top) for score, top in zip(scores, best, strict=True)),
            ]
            for method, scores in expected.items()
        ],
        notes=[
            "In percent, mean over the corruption settings: the expected best score of that many learning rates drawn "
            "with replacement from those tried (Dodge et al. 2019, Show Your Work, equations 1 to 3). A rate's score "
            "is its mean over the tuning seeds; a trial that diverged scores as guessing."
        ],
        on_page=False,
    )
