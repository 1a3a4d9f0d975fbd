"""Claims in a suite's file: labels in one spelling, of the suite, and no more than are tested together."""

import pytest

from reweightbench.benchmark.cells.suite import MOST_CLAIMS, Suite
from reweightbench.benchmark.cells.suite_file import parse_suite
from reweightbench.benchmark.contracts.errors import UsageError

HEAD = """
name = "mine"
title = "Mine"
dataset = "digits"
model = "small_cnn"
methods = ["sgd", "focal(gamma=1)", "weighted_sampler"]
corruptions = [{}, { imbalance = "longtail(factor=10)", noise = "uniform(rate=0.4)" }]
clean_sizes = [100]
budgets = [{ name = "short", epochs = 2, learning_rate = 0.1 }]
seeds = [0, 1]
"""
CLAIM = {
    "family": "mine",
    "method": "focal(gamma=1)",
    "rival": "sgd",
    "corruption": "longtail(factor=10) + uniform(rate=0.4)",
    "budget": "short",
}


def parse(*claims: dict[str, object], head: str = HEAD) -> Suite:
    tables = [
        "[[claims]]\n" + "".join(f"{key} = {value!r}\n" for key, value in claim.items()) for claim in claims
    ]
    return parse_suite("\n".join([head, *tables]), "mine.toml")


def test_claims_are_read_in_one_spelling() -> None:
    (claim,) = parse(CLAIM | {"method": "focal( gamma = 1.0 )"}).claims
    assert claim.method == "focal(gamma=1)"
    assert claim.clean_size is None
    assert parse().claims == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "focal"}, r"claims.0.method 'focal' is not of this suite; it has sgd, focal\(gamma=1\)"),
        ({"rival": "ohem"}, r"claims.0.rival 'ohem' is not of this suite; it has sgd, "),
        ({"corruption": "uniform(rate=0.4)"}, "claims.0.corruption 'uniform.*; did you mean"),
        ({"budget": "long"}, "claims.0.budget 'long' is not of this suite; it has short"),
        ({"clean_size": 50}, "claims.0.clean_size 50 is not of this suite; it has 100"),
        ({"rival": "focal(gamma=1)"}, r"claims.0 compares 'focal\(gamma=1\)' with itself"),
        ({"methods": "sgd"}, "claims.0.methods: unknown key; did you mean 'method'"),
    ],
)
def test_claims_about_other_things_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(CLAIM | changes)
    assert "\n" not in str(caught.value)


def test_claims_name_a_clean_size_where_there_are_two() -> None:
    head = HEAD.replace("[100]", "[100, 200]")
    assert parse(CLAIM | {"clean_size": 200}, head=head).claims[0].clean_size == 200
    with pytest.raises(UsageError, match=r"claims.0.clean_size None is not of this suite; it has 100, 200"):
        parse(CLAIM, head=head)


def test_a_claim_is_made_once() -> None:
    with pytest.raises(UsageError, match=r"claims.1 is claims.0 again"):
        parse(CLAIM, CLAIM)


def test_too_many_claims_of_a_family_are_refused() -> None:
    sizes = list(range(10, 10 + MOST_CLAIMS + 1))
    head = HEAD.replace("[100]", str(sizes))
    claims = [CLAIM | {"clean_size": size} for size in sizes]
    with pytest.raises(UsageError, match="family 'mine' has 21 claims, at most 20 are tested together"):
        parse(*claims, head=head)
    assert len(parse(*claims[1:], CLAIM | {"clean_size": 10, "family": "other"}, head=head).claims) == 21
