"""Rates are chosen by the same rule for all, grow beyond an edge, and do not depend on a method's name."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reweightbench.benchmark.cells.plan import Planned, plan_cells, plan_settings
from reweightbench.benchmark.cells.rates import Choice, Rates
from reweightbench.benchmark.cells.suite import EXTENSIONS, Suite
from reweightbench.benchmark.cells.suite_file import parse_suite
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.grid.tuning import choose_rates
from reweightbench.benchmark.records.survey import Known

SUITE = """
name = "tuned"
title = "A suite whose rates are chosen"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0]
methods = ["sgd", "focal"]
corruptions = [{}, { noise = "uniform(rate=0.4)" }]
corrupted_validation_fraction = 0.1

[[budgets]]
name = "one"
steps = 20

[tuning]
lowest = 0.01
highest = 1.0
count = 3
seeds = [100, 101]
"""
CHANCE = 0.1

Score = Callable[[Planned], float | None]


def load() -> Suite:
    return parse_suite(SUITE, "tuned")


def scored(
    score: Score, corrupted: Score | None = None
) -> Callable[[Sequence[Planned]], Mapping[str, Known]]:
    """Runs no trial, but says that each ended with its score, or diverged where that is None."""

    def run(planned: Sequence[Planned]) -> dict[str, Known]:
        known = {}
        for plan in planned:
            assert plan.cell.purpose == "trial"
            value, other = score(plan), (corrupted or score)(plan)
            if value is None or other is None:
                known[plan.key] = Known("nonfinite", "diverged", None, {})
            else:
                known[plan.key] = Known("ok", None, 1.0, {"clean": value, "corrupted": other})
        return known

    return run


def choose(score: Score, corrupted: Score | None = None) -> dict[tuple[str, str, str], Choice]:
    suite = load()
    assert suite.tuning is not None
    settings = plan_settings(suite, "embedded", "cpu")
    found = choose_rates(settings, suite.tuning, suite.selections, CHANCE, scored(score, corrupted))
    return {(choice.method, choice.corruption, choice.selection): choice for choice in found}


def rate(plan: Planned) -> float:
    return plan.cell.budget.learning_rate


def test_the_best_rate_of_each_method_and_setting_is_chosen() -> None:
    best = {("sgd", "none"): 0.1, ("sgd", "uniform(rate=0.4)"): 0.01, ("focal", "none"): 1.0}
    found = choose(lambda plan: 1 - abs(rate(plan) - best.get((plan.method, plan.corruption), 0.1)))
    assert {place: found[*place, "clean"].learning_rate for place in best} == best
    assert found["focal", "uniform(rate=0.4)", "clean"].learning_rate == 0.1


def test_a_best_rate_inside_the_grid_takes_no_further_trial() -> None:
    found = choose(lambda plan: 1 - abs(rate(plan) - 0.1))
    assert {(choice.rates_tried, choice.edge) for choice in found.values()} == {(3, None)}


@pytest.mark.parametrize(("sign", "chosen", "edge"), [(-1, 0.0001, "lowest"), (1, 100.0, "highest")])
def test_the_grid_grows_on_one_side_and_what_stays_at_its_edge_is_flagged(
    sign: int, chosen: float, edge: str
) -> None:
    for choice in choose(lambda plan: sign * rate(plan)).values():
        assert (choice.learning_rate, choice.edge, choice.rates_tried) == (chosen, edge, 3 + EXTENSIONS)


def test_a_rate_that_is_best_after_the_grid_has_grown_is_not_flagged() -> None:
    for choice in choose(lambda plan: -abs(rate(plan) - 0.001)).values():
        assert (choice.learning_rate, choice.edge, choice.rates_tried) == (0.001, None, 5)


def test_selections_choose_for_themselves_from_the_same_trials() -> None:
    found = choose(lambda plan: -rate(plan), corrupted=rate)
    for method in ("sgd", "focal"):
        clean, corrupted = (found[method, "none", selection] for selection in ("clean", "corrupted"))
        assert (clean.learning_rate, corrupted.learning_rate) == (0.0001, 100.0)
        assert clean.rates_tried == corrupted.rates_tried == 3 + 2 * EXTENSIONS


def test_equal_scores_choose_the_lowest_rate_that_is_tried_first() -> None:
    """So the grid grows downwards, where the tie goes on."""
    assert {choice.learning_rate for choice in choose(lambda plan: 0.5).values()} == {0.0001}


def test_a_diverged_trial_scores_as_chance() -> None:
    """Worse than a poor score, better than one below chance."""
    found = choose(lambda plan: None if rate(plan) > 0.5 else 0.2 if rate(plan) == 0.1 else CHANCE - 0.01)
    assert {choice.learning_rate for choice in found.values()} == {0.1}
    found = choose(lambda plan: None if rate(plan) == 0.1 else CHANCE - 0.01)
    assert {choice.learning_rate for choice in found.values()} == {0.1}


def test_one_diverged_seed_counts_with_the_others() -> None:
    def score(plan: Planned) -> float | None:
        if rate(plan) == 1.0:
            return None if plan.seed == 100 else 0.9
        return 0.4 if rate(plan) == 0.1 else 0.3

    # (0.1 + 0.9) / 2 is more than 0.4.
    assert choose(score)["sgd", "none", "clean"].learning_rate == 1.0


def test_a_trial_that_failed_chooses_nothing() -> None:
    def run(planned: Sequence[Planned]) -> dict[str, Known]:
        return {plan.key: Known("error", "ValueError: no", None, {}) for plan in planned}

    suite = load()
    assert suite.tuning is not None
    settings = plan_settings(suite, "embedded", "cpu")
    with pytest.raises(UsageError, match=r"24 trials failed.*sgd, none, clean set 50, one, seed 100: error"):
        choose_rates(settings, suite.tuning, suite.selections, CHANCE, run)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.dictionaries(st.integers(-3, 6), st.floats(0, 1) | st.none(), min_size=10, max_size=10))
def test_equal_trials_choose_equal_rates_whatever_the_name(scores: dict[int, float | None]) -> None:
    """What a method is called has no part in its choice: twins stay twins."""
    suite = load()
    assert suite.tuning is not None
    places = {suite.tuning.rate(place): place for place in range(-2, 6)}
    found = choose(lambda plan: scores.get(places[rate(plan)], 0.0))
    for (method, corruption, selection), choice in found.items():
        twin = found["focal" if method == "sgd" else "sgd", corruption, selection]
        assert (choice.learning_rate, choice.rates_tried) == (twin.learning_rate, twin.rates_tried)


def test_cells_hold_the_chosen_rates_and_without_them_tune_is_named() -> None:
    suite = load()
    with pytest.raises(UsageError, match=r"sgd, none, clean set 50, one; run 'reweightbench tune'"):
        plan_cells(suite, "embedded", "cpu")
    found = choose(lambda plan: 1 - abs(rate(plan) - (0.1 if plan.method == "sgd" else 1.0)))
    tuned = suite.model_copy(update={"rates": Rates(choices=tuple(found.values()))})
    rates = {plan.method: rate(plan) for plan in plan_cells(tuned, "embedded", "cpu")}
    assert rates == {"sgd": 0.1, "focal": 1.0}
    # What was chosen for one setting is no choice for another.
    for old, new in (("steps = 20", "steps = 21"), ("rate=0.4", "rate=0.3"), ("[50]", "[60]")):
        other = parse_suite(SUITE.replace(old, new), "tuned")
        with pytest.raises(UsageError, match="no learning rate has been chosen"):
            plan_cells(other.model_copy(update={"rates": tuned.rates}), "embedded", "cpu")
