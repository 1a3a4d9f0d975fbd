"""The grid in real processes: failures cost only their own cell, resuming equals not stopping."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SUITE = """
name = "tiny"
title = "A grid that runs in seconds"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0, 1]
methods = ["sgd", "meta_reweight", "random_weights"]
corruptions = [{}, { imbalance = "longtail(factor=10)", noise = "uniform(rate=0.4)" }]

[[budgets]]
name = "two"
epochs = 2
learning_rate = 0.05
"""

MISBEHAVING = Path(__file__).parent / "misbehaving.py"


def command(*arguments: object) -> list[str]:
    """The command line as a user starts it."""
    return [sys.executable, "-m", "reweightbench", *map(str, arguments)]


def start(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end in `folder`."""
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


def contents(folder: Path) -> dict[str, Any]:
    """Records without time, memory and environment, and the bytes of the arrays."""
    held: dict[str, Any] = {path.name: path.read_bytes() for path in folder.glob("*.npz")}
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        held[path.name] = {key: record[key] for key in record if key not in ("cost", "environment")}
    return held


@pytest.fixture(name="place", scope="module")
def make_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite and its undisturbed run."""
    place = tmp_path_factory.mktemp("grid")
    (place / "tiny.toml").write_text(SUITE)
    done = start(place, "run", "tiny.toml", "--jobs", 2)
    assert done.returncode == 0, done.stderr
    assert len(contents(place / "runs/tiny/records")) == 24
    return place


def test_a_second_run_does_nothing(place: Path) -> None:
    records = place / "runs/tiny/records"
    before = {path: path.stat().st_mtime_ns for path in records.iterdir()}
    done = start(place, "run", "tiny.toml", "--jobs", 2)
    assert done.returncode == 0
    assert "cached=12" in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in records.iterdir()}


def test_one_worker_gives_the_records_of_two(place: Path) -> None:
    done = start(place, "run", "tiny.toml", "--jobs", 1, "--results", "one", "--seeds", 1)
    assert done.returncode == 0, done.stderr
    single = contents(place / "one/tiny/records")
    whole = contents(place / "runs/tiny/records")
    assert len(single) == 12
    assert single == {name: whole[name] for name in single}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_resumes_to_the_same_records(place: Path, how: signal.Signals) -> None:
    results = f"stopped-{how.name}"
    records = place / results / "tiny" / "records"
    # A session of its own, as a terminal would give it: Ctrl-C then reaches the workers too.
    runner = subprocess.Popen(
        command("run", "tiny.toml", "--jobs", 1, "--results", results),
        cwd=place,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while len(list(records.glob("*.json"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(runner.pid, how)
    _, complaint = runner.communicate(timeout=60)
    finished = contents(records)
    assert 3 <= len(list(records.glob("*.json"))) < 12
    if how == signal.SIGINT:
        assert runner.returncode == 130
        assert "the same command goes on" in complaint
        assert "Traceback" not in complaint
    done = start(place, "run", "tiny.toml", "--jobs", 2, "--results", results)
    assert done.returncode == 0, done.stderr
    resumed = contents(records)
    assert resumed == contents(place / "runs/tiny/records")
    assert finished == {name: resumed[name] for name in finished}


def test_bad_cells_cost_only_themselves(place: Path) -> None:
    text = (place / "tiny.toml").read_text().replace("[0, 1]", "[0]").replace('"tiny"', '"bad"')
    (place / "bad.toml").write_text(text)
    shutil.copy(MISBEHAVING, place / "misbehaving.py")
    arguments = ["run", "bad.toml", "--methods", "misbehaving.py,sgd", "--timeout", 8, "--jobs", 2]
    done = start(place, *arguments)
    assert done.returncode == 1
    assert "14 of 16 cells failed" in done.stderr
    assert "Traceback" not in done.stderr
    records = [json.loads(path.read_text()) for path in (place / "runs/bad/records").glob("*.json")]
    statuses = {(record["cell"]["method"]["name"], record["status"]) for record in records}
    assert statuses == {
        ("sgd", "ok"),
        ("raises", "error"),
        ("raises_stubbornly", "error"),
        ("hangs", "timeout"),
        ("exits", "crashed"),
        ("kills_itself", "crashed"),
        ("exhausts_memory", "oom"),
        ("becomes_nan", "nonfinite"),
    }
    told = start(place, "status", "bad.toml", "--methods", "misbehaving.py,sgd")
    assert "this method raises" in told.stdout
    assert "killed by signal 9" in told.stdout
    refused = start(place, "report", "bad.toml", "--methods", "misbehaving.py,sgd")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1


def test_failures_run_again_only_when_asked(place: Path) -> None:
    text = (place / "tiny.toml").read_text().replace("[0, 1]", "[0]").replace('"tiny"', '"flaky"')
    (place / "flaky.toml").write_text(text)
    # The method's file stays the same; what it reads decides whether it fails.
    (place / "flaky.py").write_text(
        '"""Fails as long as a file exists."""\n'
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "from typing import ClassVar\n"
        "from reweightbench.benchmark.method import Method\n"
        "@dataclass\n"
        "class Flaky(Method):\n"
        "    paper: ClassVar[str] = 'none'\n"
        "    def prepare(self, problem):\n"
        "        if Path('broken').exists(): raise OSError('broken')\n"
    )
    (place / "broken").touch()
    arguments = ["run", "flaky.toml", "--methods", "sgd,flaky.py"]
    assert start(place, *arguments).returncode == 1
    (place / "broken").unlink()
    still = start(place, *arguments)
    assert still.returncode == 1
    assert "cached=4" in still.stderr
    again = start(place, *arguments, "--retry-failed")
    assert again.returncode == 0, again.stderr
    assert "cached=2" in again.stderr
    assert "done=2" in again.stderr
