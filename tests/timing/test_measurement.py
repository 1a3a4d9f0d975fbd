"""Timing: pairing, stages, what is kept over a stop, and the verdict on a noisy machine."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from click.testing import Result
from hypothesis import given, settings

from made_up import digits_cell
from processes import call, command, wait_until
from reweightbench.benchmark.cells.cell import Budget, Cell, Numerics
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.records import publishing
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.record import Environment
from reweightbench.benchmark.records.timing import (
    CONTROL,
    FEWEST_ROUNDS,
    REFERENCE,
    Memory,
    Timing,
    cost_alike,
)
from reweightbench.benchmark.report.overhead import Overheads, make_overhead_table
from reweightbench.benchmark.timing.stopwatch import Stopwatch, measure_rounds
from reweightbench.benchmark.training.preparation import prepare

SUITE = """
name = "mini"
title = "A suite for tests"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50, 0]
seeds = [0, 1]
methods = ["focal", "random_weights"]
corruptions = [{ noise = "uniform(rate=0.4)" }, {}]

[[budgets]]
name = "one"
epochs = 2
learning_rate = 0.05
"""

STAGED = '''
import time
from dataclasses import dataclass, field
from typing import ClassVar

from reweightbench.benchmark.contracts.method import Method, Stage


@dataclass
class Staged(Method):
    """Half a run of quick steps, then as many slow ones on the head alone; counts them."""

    paper: ClassVar[str] = "none"

    epoch: int = field(init=False, default=0)
    steps: list[int] = field(init=False, default_factory=list)

    def stages(self):
        return (Stage(0.5), Stage(0.5, trainable="head"))

    def start_epoch(self, epoch):
        self.epoch = epoch

    def example_weights(self, step):
        self.steps.append(self.epoch)
        time.sleep(0.2 * self.epoch)
        return super().example_weights(step)
'''


def make_cell(label: str) -> Cell:
    """A cell on digits with two epochs."""
    return digits_cell(label, epochs=2, clean_size=20)


def make_timing(rounds: list[dict[str, float]], **changes: Any) -> Timing:
    """A timing of the rows that the rounds hold."""
    labels = list(rounds[0])
    return Timing.model_validate(
        {
            "suite": "mini",
            "hardware": "Example CPU, 1 thread",
            "environment": Environment(
                suite_version="0", git_commit=None, python="3", torch="2", platform="x", processor="y"
            ),
            "warm_up": 2,
            "steps": 5,
            "cells": {label: make_cell("sgd") for label in labels},
            "rounds": rounds,
            "memory": {label: Memory(peak=2**20 * (place + 1)) for place, label in enumerate(labels)},
        }
        | changes
    )


def test_every_window_runs_once_a_round_in_changing_order() -> None:
    seen: list[str] = []

    def window(label: str) -> Callable[[], float]:
        def run() -> float:
            seen.append(label)
            return float(len(seen))

        return run

    labels = ["a", "b", "c", "d"]
    endless = measure_rounds({label: window(label) for label in labels}, seed=3)
    rounds = list(islice(endless, 12))
    orders = [tuple(seen[start : start + 4]) for start in range(0, 48, 4)]
    assert all(sorted(order) == labels for order in orders)
    assert len(set(orders)) > 6
    assert {order[0] for order in orders} == set(labels)
    for number, (times, order) in enumerate(zip(rounds, orders, strict=True)):
        assert list(times) == labels
        assert {label: times[label] for label in order} == {
            label: 4 * number + place + 1 for place, label in enumerate(order)
        }


def test_stages_count_by_their_share_and_warm_up_does_not(tmp_path: Path) -> None:
    file = tmp_path / "staged.py"
    file.write_text(STAGED)
    METHODS.add_file(file)
    cell = make_cell("staged")
    prepared = prepare(cell, make_cell_data(cell, load(cell.dataset, Sources())), Sources())
    seconds = Stopwatch(prepared).measure(steps=3, warm_up=2)
    assert prepared.method.steps == [0] * 5 + [1] * 5  # type: ignore[attr-defined]
    # Half of the steps sleep for 0.2 seconds, the others not at all.
    assert 0.1 <= seconds < 0.2
    assert not prepared.model.body.training


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(1.5, 3)), min_size=20, max_size=40),
    st.floats(0.1, 10),
)
def test_a_machine_that_drifts_moves_no_ratio(rounds: list[tuple[float, float]], factor: float) -> None:
    """Each round has a speed of its own, which all of its windows share."""
    ratios = []
    for scale in (1.0, factor):
        timing = make_timing(
            [
                {REFERENCE: speed * scale, CONTROL: speed * scale, "slow": speed * scale * ratio}
                for speed, ratio in rounds
            ]
        )
        ratios.append(Overheads(timing).ratios["slow"])
    slowest, quickest = max(ratio for _, ratio in rounds), min(ratio for _, ratio in rounds)
    first, second = ratios
    assert quickest * 0.999 <= first.low <= first.value <= first.high <= slowest * 1.001
    assert second.value == pytest.approx(first.value)
    assert (second.low, second.high) == (pytest.approx(first.low), pytest.approx(first.high))


def test_ratios_are_taken_within_rounds() -> None:
    """The medians of the two rows are 3 and 2, the median of their ratios is 1."""
    pairs = [(1.0, 3.0), (2.0, 2.0), (3.0, 3.0)] * 7
    timing = make_timing([{REFERENCE: sgd, CONTROL: sgd, "other": other} for sgd, other in pairs])
    assert Overheads(timing).ratios["other"].value == 1


@pytest.mark.parametrize(
    ("control", "is_noisy"),
    [
        ([0.99, 1.01], False),
        ([0.975, 1.0], False),
        ([0.98, 0.99], True),
        ([1.01, 1.02], True),
        ([0.9, 1.1], True),
        ([0.96, 1.01], True),
    ],
)
def test_the_control_decides_whether_a_timing_is_noisy(control: list[float], is_noisy: bool) -> None:
    timing = make_timing(
        [{REFERENCE: 1.0, CONTROL: ratio, "other": 2.0} for ratio in control for _ in range(10)]
    )
    overheads = Overheads(timing)
    assert overheads.is_noisy is is_noisy
    table = make_overhead_table(overheads)
    assert table.title.endswith("(noisy)") is is_noisy
    assert any("measure again" in note for note in table.notes) is is_noisy
    assert [[entry.text for entry in row][1:] for row in table.rows][-1] == [
        "2.00 [2.00, 2.00]",
        "2000.0",
        "3",
    ]


def test_unfinished_timings_are_not_reported() -> None:
    rounds = [{REFERENCE: 1.0, CONTROL: 1.0}] * FEWEST_ROUNDS
    assert make_timing(rounds).is_complete
    assert not make_timing(rounds[1:]).is_complete
    assert not make_timing(rounds, memory={REFERENCE: Memory(peak=1)}).is_complete


def test_memory_of_a_gpu_has_two_columns() -> None:
    timing = make_timing([{REFERENCE: 1.0, CONTROL: 1.0}] * FEWEST_ROUNDS)
    cells = {label: cell.model_copy(update={"device": "cuda"}) for label, cell in timing.cells.items()}
    memory = dict.fromkeys(cells, Memory(peak=5 * 2**20, reserved=8 * 2**20))
    table = make_overhead_table(Overheads(timing.model_copy(update={"cells": cells, "memory": memory})))
    assert list(table.columns[-2:]) == ["peak memory (MiB)", "reserved (MiB)"]
    assert [entry.text for entry in table.rows[0][-2:]] == ["5", "8"]


@pytest.mark.parametrize(
    ("changes", "is_alike"),
    [
        ({"seed": 1}, True),
        ({"device": "cuda"}, True),
        ({"clean_size": 50}, True),
        ({"budget": Budget(epochs=9, learning_rate=0.1)}, True),
        ({"budget": Budget(epochs=2, learning_rate=0.05, batch_size=50)}, False),
        ({"numerics": Numerics(threads=2)}, False),
        ({"variant": "other"}, False),
        ({"model": Spec(name="resnet8")}, False),
        ({"method": Spec(name="sgd", version="2")}, False),
    ],
)
def test_what_changes_a_step_makes_a_timing_unfit(changes: dict[str, Any], is_alike: bool) -> None:
    cell = make_cell("sgd")
    assert cost_alike(cell, cell.model_copy(update=changes)) is is_alike


SOUND = make_timing([{REFERENCE: 1.0, CONTROL: 1.0}] * FEWEST_ROUNDS).model_dump(mode="json")


@pytest.mark.parametrize(
    "changes",
    [
        {"rounds": [{REFERENCE: 0.0, CONTROL: 1.0}]},
        {"rounds": [{REFERENCE: 1.0, CONTROL: -1.0}]},
        {"rounds": [{REFERENCE: 1.0, CONTROL: 1e300}]},
        {"rounds": [{REFERENCE: 1.0}]},
        {"rounds": [{REFERENCE: 1.0, CONTROL: 1.0, "focal": 1.0}]},
        {"cells": {CONTROL: SOUND["cells"][CONTROL]}, "rounds": [], "memory": {}},
        {"cells": {REFERENCE: SOUND["cells"][REFERENCE]}, "rounds": [], "memory": {}},
        {"memory": {REFERENCE: {"peak": -1}}},
        {"memory": {"focal": {"peak": 1}}},
        {"hardware": "x" * 10_000},
        {"steps": 0},
        {"warm_up": -1},
    ],
    ids="-".join,
)
def test_a_timing_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = ResultsFolder(tmp_path / "mini")
    path = tmp_path / "mini" / "timing" / "made-up.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(SOUND))
    assert len(folder.timings()) == 1
    path.write_text(json.dumps(SOUND | changes))
    with pytest.raises(UsageError, match=r"made-up\.json' does not parse; remove it and measure again"):
        folder.timings()


def test_long_hardware_fits_into_a_file_name(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "mini")
    timing = make_timing([{REFERENCE: 1.0, CONTROL: 1.0}], hardware="Processor " * 100)
    folder.write_timing(timing)
    assert folder.timing(timing.hardware) == timing


def test_publishing_adds_finished_timings_and_no_others(tmp_path: Path) -> None:
    manifest = Manifest(suite="mini", variant="v", fingerprint="f", model="m", device="cpu")
    source, target = ResultsFolder(tmp_path / "source"), ResultsFolder(tmp_path / "target")
    rounds = [{REFERENCE: 1.0, CONTROL: 1.0}] * FEWEST_ROUNDS
    for folder in (source, target):
        folder.claim(manifest)
    source.write_timing(make_timing(rounds))
    source.write_timing(make_timing(rounds[1:], hardware="Stopped"))
    target.write_timing(make_timing(rounds, hardware="Earlier"))
    addition = publishing.compare(source, target, set(), print)
    assert addition.timings == [make_timing(rounds).hardware]
    publishing.add(source, target, set(), print)
    assert {timing.hardware for timing in target.timings()} == {make_timing(rounds).hardware, "Earlier"}
    assert len(list((tmp_path / "target" / "timing").iterdir())) == 2


def measure(place: Path, *arguments: object) -> Result:
    """Time the suite; whether the machine is quiet is not for a test to say."""
    done = call(place, "time", "mini.toml", "--steps", 1, *arguments)
    assert done.exit_code in {0, 1, 2}, done.output
    return done


def held(place: Path) -> dict[str, Any]:
    """The only timing in the folder."""
    (path,) = (place / "runs" / "mini" / "timing").glob("*.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(name="place", scope="module")
def make_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite whose timing was stopped midway and then continued."""
    place = tmp_path_factory.mktemp("timing")
    (place / "mini.toml").write_text(SUITE)
    runner = subprocess.Popen(
        command("time", "mini.toml", "--steps", 1, "--minutes", 60),
        cwd=place,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: list(place.glob("runs/mini/timing/*.json")))
    # The first round is saved at once; what comes after it, when the command is stopped.
    time.sleep(1)
    os.killpg(runner.pid, signal.SIGINT)
    try:
        assert "the same command goes on from there" in runner.communicate(timeout=60)[1]
    finally:
        runner.kill()
    assert runner.returncode == 130
    stopped = held(place)
    assert len(stopped["rounds"]) > 1
    seconds = Timing.model_validate(stopped).timed_seconds
    done = measure(place, "--minutes", (seconds + 0.5) / 60)
    assert done.exit_code in {0, 1}, done.output
    (place / "stopped.json").write_text(json.dumps(stopped))
    (place / "output.txt").write_text(done.stdout)
    return place


def test_a_stopped_timing_goes_on(place: Path) -> None:
    stopped, now = json.loads((place / "stopped.json").read_text()), held(place)
    count = len(stopped["rounds"])
    assert now["rounds"][:count] == stopped["rounds"]
    assert len(now["rounds"]) >= max(FEWEST_ROUNDS, count + 1)
    seconds = [Timing.model_validate(timing).timed_seconds for timing in (stopped, now)]
    assert seconds[0] + 0.5 <= seconds[1] < seconds[0] + 30
    assert all(set(times) == {"sgd", CONTROL, "focal", "random_weights"} for times in now["rounds"])
    assert all(value > 0 for times in now["rounds"] for value in times.values())
    assert Counter(map(str, now["rounds"])).most_common(1)[0][1] == 1


def test_a_timing_holds_the_first_setting_and_the_memory_of_every_row(place: Path) -> None:
    now = held(place)
    assert now["memory"].keys() == now["cells"].keys()
    # A process that has loaded torch, and no more than that of this small suite.
    assert all(50 * 2**20 < memory["peak"] < 4 * 2**30 for memory in now["memory"].values())
    assert now["cells"][CONTROL] == now["cells"]["sgd"]
    assert {cell["clean_size"] for cell in now["cells"].values()} == {50}
    assert {cell["noise"]["name"] for cell in now["cells"].values()} == {"uniform"}
    output = (place / "output.txt").read_text()
    assert "Training-time overhead on" in output
    assert all(label in output for label in now["cells"])


def test_a_finished_timing_is_shown_again(place: Path) -> None:
    before = held(place)
    again = measure(place, "--minutes", 0.001)
    assert again.stdout == (place / "output.txt").read_text()
    assert held(place) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "2"], "has windows of 1 steps, not 2; --restart measures anew"),
        (["--methods", "sgd"], "is of other methods or settings; --restart"),
        (["--minutes", "0"], "--minutes"),
    ],
)
def test_other_measurements_are_refused(place: Path, arguments: list[str], message: str) -> None:
    before = held(place)
    refused = measure(place, *arguments)
    assert refused.exit_code == 2
    assert message in refused.stderr
    assert held(place) == before


def change(place: Path, target: Path, **fields: Any) -> None:
    """A copy of the folder in which the timing has other fields."""
    shutil.copytree(place, target)
    (path,) = target.glob("runs/mini/timing/*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(("control", "code"), [(1.0, 0), (1.5, 1)])
def test_the_exit_code_tells_a_noisy_timing(control: float, code: int, place: Path, tmp_path: Path) -> None:
    rounds = [dict.fromkeys(times, 1.0) | {CONTROL: control} for times in held(place)["rounds"]]
    change(place, tmp_path / "changed", rounds=rounds)
    shown = measure(tmp_path / "changed", "--minutes", 0.001)
    assert shown.exit_code == code
    assert ("not quiet" in shown.stderr) is bool(code)


def test_rounds_of_two_environments_are_not_mixed(place: Path, tmp_path: Path) -> None:
    environment = held(place)["environment"] | {"torch": "1.0"}
    change(place, tmp_path / "changed", environment=environment)
    refused = measure(tmp_path / "changed", "--minutes", 0.001)
    assert refused.exit_code == 2
    assert "another environment (torch 1.0, now" in refused.stderr


def test_missing_memory_is_measured_without_new_rounds(place: Path, tmp_path: Path) -> None:
    before = held(place)
    memory = {label: peak for label, peak in before["memory"].items() if label != "focal"}
    change(place, tmp_path / "changed", memory=memory)
    assert measure(tmp_path / "changed", "--minutes", 0.001).exit_code in {0, 1}
    now = held(tmp_path / "changed")
    assert now["rounds"] == before["rounds"]
    assert now["memory"]["focal"]["peak"] > 0


def test_restart_measures_anew_with_steps_that_fill_a_window(place: Path, tmp_path: Path) -> None:
    change(place, tmp_path / "changed", steps=977)
    arguments = ["--restart", "--minutes", 0.001, "--methods", "sgd"]
    done = call(tmp_path / "changed", "time", "mini.toml", *arguments)
    assert done.exit_code in {0, 1}, done.output
    now = held(tmp_path / "changed")
    assert set(now["cells"]) == {"sgd", CONTROL}
    assert 2 <= now["steps"] < 977
    assert len(now["rounds"]) >= FEWEST_ROUNDS


def test_a_method_that_fails_is_named(place: Path) -> None:
    slow, broken = "time.sleep(0.2 * self.epoch)", 'raise RuntimeError("out of\\nideas")'
    (place / "broken.py").write_text(STAGED.replace(slow, broken).replace("class Staged", "class Broken"))
    failed = measure(
        place, "--methods", "sgd,broken.py", "--results", "elsewhere", "--quiet", "--minutes", "0.01"
    )
    assert failed.exit_code == 2
    assert failed.stderr == "error: 'broken' cannot be timed: RuntimeError: out of ideas\n"


def test_deterministic_arithmetic_is_not_timed(place: Path) -> None:
    (place / "exact.toml").write_text(SUITE + "\n[numerics]\ndeterministic = true\n")
    refused = call(place, "time", "exact.toml")
    assert refused.exit_code == 2
    assert "deterministic arithmetic is slower" in refused.stderr
