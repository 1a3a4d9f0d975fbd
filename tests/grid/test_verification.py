"""What is said of a recorded cell that has been run again."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from made_up import Grid, build_grid, digits_cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.grid.local import Workers
from reweightbench.benchmark.grid.verification import (
    Verified,
    choose_sample,
    compare,
    find_misfit,
    predict_interval,
    verify,
)
from reweightbench.benchmark.records.record import Record


@pytest.fixture(name="grid")
def make_grid() -> Grid:
    return build_grid(methods=("sgd", "focal", "meta_reweight"), seeds=range(5))


def change(record: Record, *, score: float | None = None, **environment: Any) -> Record:
    """The record with another balanced accuracy or another environment."""
    result = record.result
    assert result
    if score is not None:
        result = result.model_copy(
            update={"last": result.last.model_copy(update={"balanced_accuracy": score})}
        )
    place = record.environment.model_copy(update=environment)
    return record.model_copy(update={"result": result, "environment": place})


def test_the_same_result_is_equal_wherever_it_comes_from(grid: Grid) -> None:
    plan = grid.planned[0]
    again = change(grid.records[plan.key], processor="another", git_commit="f" * 7)
    assert compare(plan, again, grid.planned, grid.records) == ("equal", "to the last bit")


def test_another_result_in_the_same_environment_differs(grid: Grid) -> None:
    plan = grid.planned[0]
    again = change(grid.records[plan.key], score=0.5, git_commit="f" * 7, python="3.12")
    verdict, reason = compare(plan, again, grid.planned, grid.records)
    assert verdict == "differs"
    assert "balanced accuracy 50.00, recorded" in reason
    assert "in the same environment" in reason


@pytest.mark.parametrize("field", ["torch", "processor", "gpu", "platform"])
def test_elsewhere_a_result_may_lie_where_another_seeds_would(grid: Grid, field: str) -> None:
    plan = grid.planned[0]
    beside = [
        grid.records[other.key].result.last.balanced_accuracy
        for other in grid.find(method=plan.method, corruption=plan.corruption)
    ]
    low, high = predict_interval(beside)
    for score, expected in [
        (low + 1e-6, "within"),
        (high - 1e-6, "within"),
        (low - 1e-6, "differs"),
        (high + 1e-6, "differs"),
    ]:
        again = change(grid.records[plan.key], score=score, **{field: "another"})
        verdict, reason = compare(plan, again, grid.planned, grid.records)
        assert verdict == expected
        assert reason.endswith(f"other {field}")


def test_a_cell_that_fails_now_is_told(grid: Grid) -> None:
    plan = grid.planned[0]
    again = Record(
        key=plan.key,
        cell=plan.cell,
        status="oom",
        reason="too big",
        environment=grid.records[plan.key].environment,
    )
    assert compare(plan, again, grid.planned, grid.records) == ("failed", "oom: too big")


@pytest.mark.parametrize("number", [-1, 400, 2**31 - 1])
@pytest.mark.parametrize("is_split_again", [False, True])
def test_ids_that_are_none_of_the_data_are_told(grid: Grid, number: int, is_split_again: bool) -> None:
    record = grid.records[grid.planned[0].key]
    assert record.result
    confusion = np.array(record.result.tested.confusion)
    targets, predictions = (
        np.repeat(classes.ravel(), confusion.ravel()) for classes in np.indices(confusion.shape)
    )
    sound = {"test": np.arange(400, dtype=np.int32), "predictions": predictions.astype(np.int32)}
    again = sound if is_split_again else {}
    assert find_misfit(sound, again, record, targets) == ""
    foreign = sound | {"test": np.array([*range(399), number], np.int32)}
    told = find_misfit(foreign, again, record, targets)
    assert told == "the recorded ids of the test part are none of the data"


def test_a_cell_that_fails_now_is_not_held_against_its_arrays() -> None:
    cell = digits_cell("sgd", epochs=1, clean_size=50, variant="another")
    grid = build_grid(methods=("sgd",), seeds=(0,))
    plan = replace(grid.planned[0], cell=cell, key=cell.key)
    record = grid.records[grid.planned[0].key].model_copy(update={"key": plan.key, "cell": cell})
    arrays = {"test": np.array([0], np.int32), "predictions": np.array([99], np.int32)}
    told: list[Verified] = []
    verify(
        [plan],
        [plan],
        {plan.key: record},
        {plan.key: arrays},
        sources=Sources(),
        workers=Workers(jobs=1, threads=1),
        tell=told.append,
    )
    assert [verified.verdict for verified in told] == ["failed"]


def test_the_interval_is_that_of_a_further_value() -> None:
    values = np.array([0.7, 0.72, 0.69, 0.75, 0.71])
    low, high = predict_interval(values.tolist())
    width = stats.t(4).ppf(0.975) * values.std(ddof=1) * math.sqrt(1 + 1 / 5)
    assert (low, high) == pytest.approx((values.mean() - width, values.mean() + width))


def test_a_single_seed_elsewhere_says_nothing() -> None:
    grid = build_grid(seeds=(0,))
    plan = grid.planned[0]
    again = change(grid.records[plan.key], score=0.5, torch="another")
    verdict, reason = compare(plan, again, grid.planned, grid.records)
    assert verdict == "unknown"
    assert "a single seed gives no interval" in reason


def test_the_interval_covers_as_often_as_it_says() -> None:
    stream = np.random.default_rng(0)
    draws = stream.normal(size=(4000, 6))
    inside = 0
    for row in draws.tolist():
        low, high = predict_interval(row[:5])
        inside += low <= row[5] <= high
    # Four standard deviations of a share of 0.95 in 4,000 draws are 0.014.
    assert inside / 4000 == pytest.approx(0.95, abs=0.014)


def test_a_sample_takes_every_method_before_any_twice(grid: Grid) -> None:
    sample = choose_sample(grid.planned, grid.records, 3, seed=0)
    assert {plan.method for plan in sample} == {"sgd", "focal", "meta_reweight"}
    assert len(choose_sample(grid.planned, grid.records, 1000, seed=0)) == len(grid.planned)


def test_a_sample_depends_on_its_seed_only(grid: Grid) -> None:
    first, again, other = (choose_sample(grid.planned, grid.records, 4, seed) for seed in (0, 0, 1))
    assert first == again != other


def test_cells_that_are_not_finished_are_not_sampled(grid: Grid) -> None:
    kept = grid.planned[0]
    for plan in grid.planned[1:]:
        grid.fail(plan)
    assert choose_sample(grid.planned, grid.records, 5, seed=0) == [kept]
    grid.fail(kept)
    with pytest.raises(UsageError, match="no finished cell"):
        choose_sample(grid.planned, grid.records, 5, seed=0)
