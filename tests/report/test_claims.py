"""Claims made beforehand: known differences are found, and chance is not."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from made_up import build_grid
from reweightbench.benchmark.cells.suite import Claim
from reweightbench.benchmark.report.claims import judge, make_claim_table
from reweightbench.benchmark.report.findings import make_findings
from reweightbench.benchmark.report.formats import to_csv
from reweightbench.benchmark.report.pairs import Paired

FAMILIES = 500
SEEDS = (0, 1, 2, 3, 4)
MakeGrid = Callable[..., Any]


def claim(method: str, rival: str, family: str = "first", corruption: str = "none") -> Claim:
    return Claim(family=family, method=method, rival=rival, corruption=corruption, budget="short")


def read_rows(grid: Any) -> list[dict[str, str]]:
    table = make_claim_table(make_findings(grid.suite, grid.planned, grid.records.values()))
    return [
        {column: entry.text for column, entry in zip(table.columns, row, strict=True)} for row in table.rows
    ]


def set_scores(grid: Any, method: str, scores: list[float], **labels: object) -> None:
    for cell, score in zip(grid.find(method=method, **labels), scores, strict=True):
        grid.change_last(cell, balanced_accuracy=score)


def words(differences: list[list[float]]) -> list[str]:
    return [verdict.word for verdict in judge([Paired(values) for values in differences])]


def test_known_difference_is_reproduced_and_its_reverse_is_opposite(make_grid: MakeGrid) -> None:
    claims = (claim("focal", "sgd"), claim("sgd", "focal", family="second"))
    grid = make_grid(methods=("sgd", "focal"), seeds=SEEDS, claims=claims)
    set_scores(grid, "sgd", [0.70, 0.72, 0.74, 0.71, 0.73], corruption="none")
    set_scores(grid, "focal", [0.81, 0.81, 0.84, 0.82, 0.82], corruption="none")
    first, second = read_rows(grid)
    # Differences 11, 9, 10, 11, 9: mean 10, deviation 1, times Student's 2.776 over the root of 5.
    assert first["difference"] == "10.0 ± 1.2"
    assert second["difference"] == "−10.0 ± 1.2"  # noqa: RUF001
    assert [row["verdict"] for row in (first, second)] == ["reproduced", "opposite here"]
    assert first["claim"] == "focal above sgd"
    assert first["setting"] == "none, clean set 100, short"
    assert first["p (Holm)"] == "< 0.001"


def test_identical_methods_differ_by_exactly_nothing(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("sgd", "twin"), seeds=SEEDS)
    claims = [Claim.model_construct(**dict(claim("sgd", "sgd")) | {"method": "twin"})]
    grid.suite = grid.suite.model_copy(update={"claims": tuple(claims)})
    for method in ("sgd", "twin"):
        set_scores(grid, method, [0.7, 0.72, 0.74, 0.71, 0.73], corruption="none")
    (row,) = read_rows(grid)
    assert (row["difference"], row["p (Holm)"], row["verdict"]) == ("0", "1.000", "not decided")


def test_shuffled_labels_are_not_decided(make_grid: MakeGrid) -> None:
    corruptions = make_grid().suite.corruptions
    claims = [claim("focal", "sgd", corruption=corruption.label) for corruption in corruptions]
    grid = make_grid(methods=("sgd", "focal"), seeds=range(10), claims=claims)
    generator = np.random.default_rng(3)
    for corruption in corruptions:
        # An advantage of ten points that belongs to either method by chance.
        scores = np.array([[0.7, 0.8]] * 10)
        scores = generator.permuted(scores, axis=1) + generator.normal(0, 0.01, (10, 2))
        for method, values in zip(("sgd", "focal"), scores.T.tolist(), strict=True):
            set_scores(grid, method, values, corruption=corruption.label)
    assert {row["verdict"] for row in read_rows(grid)} == {"not decided"}


@pytest.mark.parametrize("seeds", [2, 5])
def test_families_without_any_difference_are_rarely_decided(seeds: int) -> None:
    """At most 5% of families may have a decided claim, and chance lets some have one."""
    noise = np.random.default_rng(0).normal(size=(FAMILIES, 20, seeds))
    decided = sum(any(word != "not decided" for word in words(family.tolist())) for family in noise)
    assert 0 < decided <= FAMILIES * 0.05 + 3 * math.sqrt(FAMILIES * 0.05 * 0.95)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_scores_in_whole_examples_are_rarely_decided(seeds: int) -> None:
    """Few seeds of scores that are multiples of 1 / 360 often differ by the same amount."""
    generator = np.random.default_rng(2)
    scores = np.round(360 * (0.9 + generator.normal(0, 0.003, (2, FAMILIES, 20, seeds)))) / 360
    decided = sum(
        any(word != "not decided" for word in words(family.tolist())) for family in scores[0] - scores[1]
    )
    assert decided <= FAMILIES * 0.05 + 3 * math.sqrt(FAMILIES * 0.05 * 0.95)


def test_families_that_share_a_rival_are_rarely_decided() -> None:
    generator = np.random.default_rng(1)
    scores, rival = generator.normal(size=(FAMILIES, 20, 5)), generator.normal(size=(FAMILIES, 1, 5))
    decided = sum(any(word != "not decided" for word in words(family.tolist())) for family in scores - rival)
    assert decided <= FAMILIES * 0.05 + 3 * math.sqrt(FAMILIES * 0.05 * 0.95)


def test_more_claims_in_a_family_ask_for_more(make_grid: MakeGrid) -> None:
    clear = [0.10, 0.12, 0.07, 0.14, 0.05]
    noise = [[0.01, -0.02, 0.03, -0.01, 0.0]] * 19
    assert words([clear]) == ["reproduced"]
    assert words([clear, *noise])[0] == "not decided"


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([], "not decided"),
        ([0.2], "not decided"),
        ([0.0, 0.0, 0.0], "not decided"),
        ([0.25] * 5, "not decided"),
        ([0.25] * 6, "reproduced"),
        ([-0.25] * 6, "opposite here"),
        ([0.9025 - 0.9, 0.8525 - 0.85, 0.7525 - 0.75], "not decided"),
        ([0.25, 0.0, 0.0], "not decided"),
    ],
)
def test_differences_without_spread(differences: list[float], word: str) -> None:
    assert words([differences]) == [word]


def test_diverged_runs_are_in_the_difference(make_grid: MakeGrid) -> None:
    grid = make_grid(methods=("sgd", "focal"), claims=[claim("focal", "sgd")])
    set_scores(grid, "sgd", [0.5, 0.6], corruption="none")
    set_scores(grid, "focal", [0.9, 0.9], corruption="none")
    grid.fail(next(grid.find(method="focal", corruption="none", seed=1)), "nonfinite")
    (row,) = read_rows(grid)
    # 0.9 - 0.5 and 0.1 - 0.6.
    assert row["difference"].startswith("−5.0 ± ")  # noqa: RUF001
    assert row["difference"].endswith(" (1 diverged)")


def test_claims_without_results_still_count_in_their_family(make_grid: MakeGrid) -> None:
    claims = [claim("focal", "sgd"), *[claim("focal", "sgd", corruption="uniform(rate=0.4)")]]
    grid = make_grid(methods=("sgd", "focal"), claims=claims)
    for cell in grid.find(corruption="uniform(rate=0.4)", method="focal"):
        del grid.records[cell.key]
    set_scores(grid, "sgd", [0.70, 0.71], corruption="none")
    set_scores(grid, "focal", [0.80, 0.815], corruption="none")
    rows = read_rows(grid)
    # Differences of 10 and 10.5 points: t = 41, p = 0.0155 on one degree of freedom; twice that for the family.
    assert [row["p (Holm)"] for row in rows] == ["0.031", "1.000"]
    assert (rows[1]["difference"], rows[1]["verdict"]) == ("–", "not decided")  # noqa: RUF001


def test_note_names_correction_families_and_seeds(make_grid: MakeGrid) -> None:
    claims = [claim("focal", "sgd"), claim("sgd", "focal"), claim("focal", "sgd", family="other")]
    grid = make_grid(methods=("sgd", "focal"), seeds=(0, 1, 2), claims=claims)
    table = make_claim_table(make_findings(grid.suite, grid.planned, grid.records.values()))
    note = table.notes[0]
    assert "corrected by Holm" in note
    assert "first 2, other 1" in note
    assert "over 3 seeds" in note
    assert [row[0].text for row in table.rows] == ["first (2)", "first (2)", "other (1)"]
    assert "'" not in to_csv(table), "no difference is taken for a formula"


def test_claims_name_their_clean_set_where_there_are_two() -> None:
    claims = [Claim(**dict(claim("focal", "sgd")) | {"clean_size": size}) for size in (10, 20)]
    grid = build_grid(methods=("sgd", "focal"), clean_sizes=(10, 20), claims=claims)
    for size, score in ((10, 0.8), (20, 0.6)):
        set_scores(grid, "sgd", [0.7, 0.7], corruption="none", clean_size=size)
        set_scores(grid, "focal", [score, score + 0.02], corruption="none", clean_size=size)
    assert [row["difference"].split()[0] for row in read_rows(grid)] == ["11.0", "−9.0"]  # noqa: RUF001
