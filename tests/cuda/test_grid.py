"""The command line on a GPU: cells side by side on one card, reports and timings with its name."""

import time
from pathlib import Path
from typing import Any

import pytest

from made_up import digits_cell
from processes import start
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.grid.local import Workers, choose_gpus, run_cells
from reweightbench.benchmark.records.environment import describe_environment, describe_hardware
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.record import Outcome, Record
from reweightbench.benchmark.records.timing import CONTROL, FEWEST_ROUNDS, REFERENCE
from reweightbench.benchmark.report.overhead import Overheads

SUITE = """
name = "tiny"
title = "A grid that runs in seconds"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0, 1]
methods = ["sgd", "meta_reweight"]
corruptions = [{ noise = "uniform(rate=0.4)" }]

[[budgets]]
name = "two"
epochs = 2
learning_rate = 0.05
"""

MEETS = '''
"""Waits until another cell is in a process of its own, and notes what it may see."""
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from reweightbench import Method

PLACE = Path({place!r})

@dataclass
class Meets(Method):
    """None."""
    paper: ClassVar[str] = "none"

    def prepare(self, problem):
        (PLACE / f"{{os.getpid()}}.seen").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        deadline = time.monotonic() + 100
        while len(list(PLACE.glob("*.seen"))) < 2:
            if time.monotonic() > deadline:
                raise TimeoutError("no other cell came")
            time.sleep(0.02)
'''


@pytest.fixture(name="gpu", scope="session")
def choose_gpu(device: str) -> str:
    """The first card as CUDA_VISIBLE_DEVICES has it."""
    return choose_gpus("0", device)[0] if device == "cuda" else "0"


@pytest.fixture(name="place", scope="module")
def make_place(device: str, measured: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite, its records and its report."""
    place = tmp_path_factory.mktemp("grid")
    (place / "tiny.toml").write_text(SUITE)
    side_by_side = ["--gpus", "0", "--per-gpu", "2"] if device == "cuda" else ["--jobs", "2"]
    started = time.perf_counter()
    done = start(place, "run", "tiny.toml", "--device", device, *side_by_side)
    measured["seconds of a grid of four cells, two at a time"] = time.perf_counter() - started
    assert done.returncode == 0, done.stderr
    return place


def run_all(label: str, device: str, workers: Workers, *files: Path) -> list[Record]:
    """The records of a method's cells of two seeds."""
    records = []

    def finish(outcome: Outcome, seconds: float) -> None:
        records.append(outcome.record)

    cells = [digits_cell(label, epochs=2, clean_size=50, device=device, seed=seed) for seed in (0, 1)]
    run_cells(cells, Sources(method_files=files), workers, finish)
    return records


def test_two_cells_share_a_card_at_the_same_time(device: str, gpu: str, tmp_path: Path) -> None:
    path = tmp_path / "meets.py"
    path.write_text(MEETS.format(place=str(tmp_path)))
    METHODS.add_file(path)
    records = run_all("meets", device, Workers(jobs=2, gpus=(gpu,)), path)
    assert [record.status for record in records] == ["ok", "ok"], [record.reason for record in records]
    assert [path.read_text() for path in tmp_path.glob("*.seen")] == [gpu, gpu]
    assert {record.environment.gpu for record in records} == {describe_environment().gpu}


def test_a_worker_sees_its_own_cards_only(device: str) -> None:
    """A worker to which no card is shown has none: no process before it has started CUDA."""
    records = run_all("sgd", device, Workers(jobs=1, gpus=("-1",)))
    expected = "error" if device == "cuda" else "ok"
    assert [record.status for record in records] == [expected, expected]
    assert all("CUDA" in (record.reason or "") for record in records) or device == "cpu"


@pytest.mark.parametrize("limit", [4, 16])
def test_a_limit_of_memory_leaves_room_for_cuda(limit: int, device: str, measured: dict[str, Any]) -> None:
    """Not a promise for 4 GiB: how a cell ends under --memory-per-cell."""
    records = run_all("sgd", device, Workers(jobs=2, memory=limit * 2**30))
    measured[f"cells with {limit} GiB of memory"] = [(record.status, record.reason) for record in records]
    assert limit < 16 or [record.status for record in records] == ["ok", "ok"]


def test_a_report_names_the_card(place: Path, device: str) -> None:
    done = start(place, "report", "tiny.toml")
    assert done.returncode == 0, done.stderr
    page = (place / "runs/tiny/report/leaderboard.md").read_text()
    gpu = describe_environment().gpu
    assert gpu is None or gpu in page
    assert (gpu is None) == (device == "cpu")


def test_records_are_verified(place: Path, measured: dict[str, Any]) -> None:
    """Not a promise to the last bit without `--deterministic`: what a cell that runs again says."""
    done = start(place, "verify", "tiny.toml", "--results", "runs", "--sample", 2)
    measured["verified without --deterministic"] = done.stdout.splitlines()
    assert done.returncode in {0, 1}, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_a_deterministic_grid_repeats_its_records(place: Path, device: str) -> None:
    """In processes of the command line, from which a sample is run again and compared bit by bit."""
    arguments = ["tiny.toml", "--results", "exact", "--quiet"]
    done = start(place, "run", *arguments, "--device", device, "--deterministic")
    assert done.returncode == 0, done.stderr
    done = start(place, "verify", "tiny.toml", "--results", "exact", "--sample", 4)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["equal"] * 4, done.stdout


def test_steps_are_timed(place: Path, device: str, measured: dict[str, Any]) -> None:
    done = start(place, "time", "tiny.toml", "--device", device, "--minutes", "0.2", "--quiet")
    # 1 says that the machine was not quiet, which is no fault of the code.
    assert done.returncode in {0, 1}, done.stderr
    timing = ResultsFolder(place / "runs/tiny").timing(describe_hardware(device, 1))
    assert timing is not None
    assert timing.is_complete
    assert set(timing.cells) == {REFERENCE, CONTROL, "meta_reweight"}
    assert len(timing.rounds) >= FEWEST_ROUNDS
    for memory in timing.memory.values():
        assert memory.peak > 0
        assert (memory.reserved is not None and memory.reserved >= memory.peak) or device == "cpu"
    overheads = Overheads(timing)
    measured["timing"] = {
        "control": [float(value) for value in vars(overheads.ratios[CONTROL]).values()],
        "is noisy": overheads.is_noisy,
        "steps": timing.steps,
        "table": done.stdout.splitlines(),
    }
