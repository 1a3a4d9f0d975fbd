"""The order of a grid's cells, and the estimate of the time they take, on a simulated clock."""

import heapq
import math
import random

import pytest

from made_up import ALL_METHODS, Grid, build_grid
from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.cells.suite import Corruption
from reweightbench.benchmark.grid.schedule import Schedule
from reweightbench.benchmark.records.record import Record

SPEED = {method: 1.0 + 3 * place for place, method in enumerate(ALL_METHODS)}
CORRUPTIONS = (
    Corruption(),
    Corruption(noise="uniform(rate=0.4)"),
    Corruption(imbalance="longtail(factor=10)"),
    Corruption(imbalance="longtail(factor=50)"),
)


def make_grid() -> Grid:
    """320 cells whose lengths lie between seconds and minutes."""
    return build_grid(
        methods=list(ALL_METHODS),
        corruptions=CORRUPTIONS,
        budgets={"long": 30, "short": 8},
        seeds=range(4),
    )


def length_of(plan: Planned) -> float:
    """Seconds of a cell: there are fewer examples where classes are unequal."""
    size = {"longtail(factor=10)": 0.5, "longtail(factor=50)": 0.3}.get(plan.corruption, 1.0)
    return plan.cell.budget.epochs * SPEED[plan.method] * size


def simulate(schedule: Schedule, grid: Grid, jobs: int) -> tuple[list[Planned], list[float], list[float]]:
    """The cells in the order they start, and at the end of each the time and the estimate of what is left."""
    plans = {plan.key: plan for plan in grid.planned}
    chance = random.Random(0)
    waiting, running = iter(schedule), []
    started, times, estimates = [], [], []
    now = 0.0
    while True:
        while len(running) < jobs and (cell := next(waiting, None)) is not None:
            started.append(plans[cell.key])
            length = length_of(started[-1]) * chance.uniform(0.9, 1.1)
            heapq.heappush(running, (now + length, length, cell.key))
        if not running:
            return started, times, estimates
        now, length, key = heapq.heappop(running)
        schedule.note(grid.records[key], length)
        times.append(now)
        estimates.append(schedule.seconds_left(jobs))


@pytest.mark.parametrize("jobs", [1, 2, 7])
def test_the_estimate_is_good_after_a_tenth(jobs: int) -> None:
    grid = make_grid()
    _, times, estimates = simulate(Schedule(grid.planned, grid.planned, {}), grid, jobs)
    tenth = len(times) // 10
    shortest = min(map(length_of, grid.planned))
    for now, estimate in zip(times[tenth:], estimates[tenth:], strict=True):
        assert estimate == pytest.approx(times[-1] - now, rel=0.3, abs=2 * shortest)
    assert estimates[-1] == 0


def test_a_single_long_cell_keeps_all_workers_waiting() -> None:
    grid = build_grid(methods=("sgd",), seeds=(0, 1))
    schedule = Schedule(grid.planned, grid.planned, {})
    waiting = iter(schedule)
    cells = [next(waiting) for _ in range(len(grid.planned))]
    for cell in cells[:-1]:
        schedule.note(grid.records[cell.key], 100.0)
    assert schedule.seconds_left(8) == pytest.approx(50)


def test_every_kind_starts_once_before_any_starts_again() -> None:
    grid = make_grid()
    started, _, _ = simulate(Schedule(grid.planned, grid.planned, {}), grid, 2)
    kinds = [(plan.method, plan.budget) for plan in started]
    assert len(set(kinds[:20])) == 20
    assert sorted(plan.key for plan in started) == sorted(plan.key for plan in grid.planned)


def test_the_longest_come_first_when_lengths_are_known() -> None:
    grid = make_grid()
    started, _, _ = simulate(Schedule(grid.planned, grid.planned, {}), grid, 1)
    lengths = [length_of(plan) for plan in started[20:]]
    longest_later = [max(lengths[place:]) for place in range(len(lengths))]
    early = [length < 0.7 * longest for length, longest in zip(lengths, longest_later, strict=True)]
    # The first guess about a kind can be wrong.
    assert sum(early) <= 3
    assert max(lengths[-10:]) < 0.1 * max(lengths)


def test_records_of_earlier_runs_tell_the_lengths() -> None:
    grid = make_grid()
    done = {plan.key: grid.records[plan.key].cost.total_seconds for plan in grid.planned if plan.seed == 0}
    todo = [plan for plan in grid.planned if plan.seed != 0]
    schedule = Schedule(todo, grid.planned, done)
    lengths = [grid.records[plan.key].cost.total_seconds for plan in todo]
    assert schedule.seconds_left(1) == pytest.approx(sum(lengths), rel=0.1)
    assert schedule.seconds_left(4) == pytest.approx(sum(lengths) / 4, rel=0.1)


def test_nothing_is_known_at_first() -> None:
    grid = make_grid()
    schedule = Schedule(grid.planned, grid.planned, {})
    assert math.isnan(schedule.seconds_left(2))
    assert Schedule([], grid.planned, {}).seconds_left(2) == 0


def test_a_failure_says_nothing_about_lengths() -> None:
    grid = make_grid()
    schedule = Schedule(grid.planned, grid.planned, {})
    cell = next(iter(schedule))
    failed = {"status": "error", "result": None, "cost": None}
    record: Record = grid.records[cell.key].model_copy(update=failed)
    schedule.note(record, 0.1)
    assert math.isnan(schedule.seconds_left(2))
