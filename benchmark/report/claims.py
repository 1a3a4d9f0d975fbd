"""What a suite claimed beforehand, and whether its records bear it out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reweightbench.benchmark.cells.suite import Claim
from reweightbench.benchmark.report.choices import Place
from reweightbench.benchmark.report.entries import caveats, flag_edge
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.formats import Entry, Table
from reweightbench.benchmark.report.pairs import Paired, group_by_place, pair
from reweightbench.benchmark.report.statistics import compute_p_value, correct_holm

LEVEL = 0.05
"""Chance at most of deciding any claim of a family wrongly where all differences are chance."""

Word = Literal["reproduced", "opposite here", "not decided"]


@dataclass(frozen=True)
class Verdict:
    """The p-value of a claim after correction, and what that amounts to."""

    p_value: float
    word: Word


def judge(family: Sequence[Paired]) -> list[Verdict]:
    """A verdict for each claim of a family, from the differences of method and rival.

    A claim is decided where Student's two-sided t test of its differences, corrected by Holm over the family, has a
    p-value of at most `LEVEL`. Fewer than two differences decide nothing, nor do a few that are all equal.
    """
    corrected = correct_holm([compute_p_value(paired.differences) for paired in family])
    return [
        Verdict(p_value, _find_word(p_value, paired))
        for p_value, paired in zip(corrected, family, strict=True)
    ]


def make_claim_table(findings: Findings) -> Table:
    """The suite's claims by family: difference of method and rival, corrected p-value and verdict."""
    cells = group_by_place(findings.compared)
    rows = []
    for family, size in _family_sizes(findings).items():
        claims = [claim for claim in findings.suite.claims if claim.family == family]
        places = [_find_places(findings, claim) for claim in claims]
        pairs = [pair(cells.get(place, {}), cells.get(rival, {})) for place, rival in places]
        for claim, (place, rival), paired, verdict in zip(claims, places, pairs, judge(pairs), strict=True):
            texts = [
                f"{family} ({size})",
                f"{claim.method} above {claim.rival}",
                f"{claim.corruption}, clean set {place.clean_size}, {claim.budget}",
                paired.describe(len(findings.seeds)) + flag_edge(findings, place, rival),
                _show_p_value(verdict.p_value),
                verdict.word,
            ]
            rows.append([Entry(text) for text in texts])
    return Table(
        name="claims",
        title="Claims made beforehand",
        columns=["family", "claim", "setting", "difference", "p (Holm)", "verdict"],
        rows=rows,
        notes=[_describe_test(findings), *caveats(findings)],
        texts=frozenset({"family", "claim", "setting", "verdict"}),
    )


def _family_sizes(findings: Findings) -> Counter[str]:
    return Counter(claim.family for claim in findings.suite.claims)


def _find_places(findings: Findings, claim: Claim) -> tuple[Place, Place]:
    """Of the method and of its rival."""
    size = findings.suite.clean_sizes[0] if claim.clean_size is None else claim.clean_size
    return (
        Place(claim.budget, size, claim.corruption, claim.method),
        Place(claim.budget, size, claim.corruption, claim.rival),
    )


def _find_word(p_value: float, paired: Paired) -> Word:
    if p_value > LEVEL:
        return "not decided"
    return "reproduced" if paired.summary.mean > 0 else "opposite here"


def _show_p_value(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _describe_test(findings: Findings) -> str:
    sizes = ", ".join(f"{family} {size}" for family, size in _family_sizes(findings).items())
    return (
        "Difference of the balanced accuracies at the last epoch, in points: paired by seed, mean ± half-width of the "
        f"95% Student-t interval over {len(findings.seeds)} seeds, not corrected; 0 where all seeds agree exactly. "
        "p: Student's two-sided t test of these differences, or 2 / 2^n where all n of them are equal; corrected by "
        f"Holm over the family (claims: {sizes}). Reproduced: significantly higher at {100 * LEVEL:g}%; opposite "
        "here: significantly lower; not decided: neither, also with fewer than two seeds. A claim without results "
        "counts as undecided."
    )
