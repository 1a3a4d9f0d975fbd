"""The grid in worker processes: failures cost only their own cell, resuming equals not stopping."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from processes import WAITS, call, command, contents, session, wait_until
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.grid.local import Workers, choose_gpus

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

MISBEHAVING = Path(__file__).parents[1] / "misbehaving.py"


@pytest.fixture(name="place", scope="module")
def make_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite and its undisturbed run."""
    place = tmp_path_factory.mktemp("grid")
    (place / "tiny.toml").write_text(SUITE)
    done = call(place, "run", "tiny.toml", "--jobs", 2)
    assert done.exit_code == 0, done.output
    assert len(contents(place / "runs/tiny/records")) == 24
    return place


def test_a_second_run_does_nothing(place: Path) -> None:
    records = place / "runs/tiny/records"
    before = {path: path.stat().st_mtime_ns for path in records.iterdir()}
    done = call(place, "run", "tiny.toml", "--jobs", 2)
    assert done.exit_code == 0
    assert "cached=12" in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in records.iterdir()}


def test_one_worker_gives_the_records_of_two(place: Path) -> None:
    done = call(place, "run", "tiny.toml", "--jobs", 1, "--results", "one", "--seeds", 1)
    assert done.exit_code == 0, done.output
    single = contents(place / "one/tiny/records")
    whole = contents(place / "runs/tiny/records")
    assert len(single) == 12
    assert single == {name: whole[name] for name in single}


def test_an_interrupted_run_resumes_to_the_same_records(place: Path) -> None:
    results = "stopped"
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
    os.killpg(runner.pid, signal.SIGINT)
    _, complaint = runner.communicate(timeout=60)
    finished = contents(records)
    assert 3 <= len(list(records.glob("*.json"))) < 12
    assert runner.returncode == 130
    assert "the same command goes on" in complaint
    assert "Traceback" not in complaint
    done = call(place, "run", "tiny.toml", "--jobs", 2, "--results", results)
    assert done.exit_code == 0, done.output
    resumed = contents(records)
    assert resumed == contents(place / "runs/tiny/records")
    assert finished == {name: resumed[name] for name in finished}


def test_bad_cells_cost_only_themselves(place: Path) -> None:
    (place / "bad.toml").write_text(
        SUITE.replace("[0, 1]", "[0]").replace("{}, ", "").replace('"tiny"', '"bad"')
    )
    shutil.copy(MISBEHAVING, place / "misbehaving.py")
    arguments = ["run", "bad.toml", "--methods", "misbehaving.py,sgd", "--jobs", 2]
    done = call(place, *arguments, "--timeout", 20, "--memory-per-cell", 2)
    assert done.exit_code == 1, done.stderr
    assert "16 of 18 cells failed" in done.stderr
    assert "Traceback" not in done.stderr
    records = [json.loads(path.read_text()) for path in (place / "runs/bad/records").glob("*.json")]
    reasons = {record["cell"]["method"]["name"]: record["reason"] or "" for record in records}
    assert {(record["cell"]["method"]["name"], record["status"]) for record in records} == {
        ("sgd", "ok"),
        ("leaves_things_behind", "ok"),
        ("raises", "error"),
        ("raises_stubbornly", "error"),
        ("raises_unreadably", "error"),
        ("raises_control_characters", "error"),
        ("leaves_python", "error"),
        ("interrupts", "error"),
        ("closes_generators", "error"),
        ("hangs", "timeout"),
        ("exits", "crashed"),
        ("ends_silently", "crashed"),
        ("closes_everything", "crashed"),
        ("kills_itself", "crashed"),
        ("exhausts_memory", "oom"),
        ("hoards", "oom"),
        ("exhausts_the_card", "oom"),
        ("becomes_nan", "nonfinite"),
    }
    assert all(reason.isprintable() and len(reason) <= 2000 for reason in reasons.values())
    assert reasons["leaves_python"] == "SystemExit: 0"
    assert reasons["raises_unreadably"] == "UnreadableError without a readable text"
    assert reasons["raises_control_characters"].startswith(r"RuntimeError: red \x1b[31m half \ud800 xxx")
    assert reasons["ends_silently"] == "the worker exited with code 0"
    told = call(place, "status", "bad.toml", "--methods", "misbehaving.py,sgd")
    assert "this method raises" in told.stdout
    assert "killed by signal 9" in told.stdout
    refused = call(place, "report", "bad.toml", "--methods", "misbehaving.py,sgd")
    assert refused.exit_code == 2
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_killed_fork_server_costs_no_cell(place: Path) -> None:
    (place / "kills.py").write_text(
        "import os, signal\n"
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "from reweightbench import Method\n"
        "@dataclass\n"
        "class Kills(Method):\n"
        "    paper: ClassVar[str] = 'none'\n"
        "    def prepare(self, problem):\n"
        "        os.kill(os.getppid(), signal.SIGKILL)\n"
    )
    arguments = ["--methods", "kills.py,sgd", "--seeds", 0, "--results", "killed", "--jobs", 2, "--quiet"]
    done = call(place, "run", "tiny.toml", *arguments)
    assert (done.exit_code, done.stderr) == (0, "")
    found, whole = contents(place / "killed/tiny/records"), contents(place / "runs/tiny/records")
    assert len([name for name in found if name in whole and name.endswith(".json")]) == 2
    assert all(found[name] == whole[name] for name in found if name in whole)


FLAKY = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from reweightbench.benchmark.contracts.method import Method

@dataclass
class Flaky(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem):
        if Path(__file__).with_name("broken").exists():
            raise OSError("broken")
"""


def test_a_users_file_changes_no_other_method(place: Path) -> None:
    (place / "a, folder").mkdir()
    (place / "a, folder" / "patches.py").write_text(
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "import torch\n"
        "from reweightbench import Method\n"
        "torch.set_flush_denormal(True)\n"
        "loss = torch.nn.functional.cross_entropy\n"
        "torch.nn.functional.cross_entropy = lambda *args, **options: 2 * loss(*args, **options)\n"
        "@dataclass\n"
        "class Patches(Method):\n"
        "    paper: ClassVar[str] = 'none'\n"
    )
    arguments = [
        "--methods",
        "sgd",
        "--methods",
        "a, folder/patches.py",
        "--seeds",
        0,
        "--results",
        "patched",
    ]
    done = call(place, "run", "tiny.toml", *arguments, "--quiet")
    assert done.exit_code == 0, done.stderr
    found, whole = contents(place / "patched/tiny/records"), contents(place / "runs/tiny/records")
    results: dict[str, set[str]] = {"sgd": set(), "patches": set()}
    for name in (name for name in found if name.endswith(".json")):
        results[found[name]["cell"]["method"]["name"]].add(found[name]["result"]["weights_sha256"])
        assert found[name] == whole.get(name, found[name])
    # The file has its effect, in its own cells.
    assert len(results["sgd"]) == len(results["patches"]) == 2
    assert not results["sgd"] & results["patches"]


def test_a_socket_that_finds_no_room_is_one_line(place: Path) -> None:
    folder = place / ("long" * 30)
    folder.mkdir()
    done = subprocess.run(
        command("run", "tiny.toml", "--results", "nowhere", "--quiet"),
        cwd=place,
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "set TMPDIR to a folder" in done.stderr


def test_failures_run_again_only_when_asked(place: Path) -> None:
    (place / "flaky.toml").write_text(SUITE.replace("[0, 1]", "[0]").replace('"tiny"', '"flaky"'))
    # The method's file stays the same; what it reads decides whether it fails.
    (place / "flaky.py").write_text(FLAKY)
    (place / "broken").touch()
    arguments = ["run", "flaky.toml", "--methods", "sgd,flaky.py"]
    assert call(place, *arguments).exit_code == 1
    (place / "broken").unlink()
    still = call(place, *arguments)
    assert still.exit_code == 1
    assert "cached=4" in still.stderr
    again = call(place, *arguments, "--retry-failed")
    assert again.exit_code == 0, again.output
    assert "cached=2" in again.stderr
    assert "done=2" in again.stderr


def test_shards_merge_to_the_whole_run(place: Path) -> None:
    for part in (1, 2):
        arguments = ["run", "tiny.toml", "--jobs", 2, "--shard", f"{part}/2", "--results", f"part{part}"]
        done = call(place, *arguments, "--quiet")
        assert done.exit_code == 0, done.output
    told = call(place, "merge", "part1/tiny", "part2/tiny", "merged/tiny")
    assert told.stdout == "12 records copied to 'merged/tiny'\n"
    assert contents(place / "merged/tiny/records") == contents(place / "runs/tiny/records")
    assert "12 ok" in call(place, "status", "tiny.toml", "--results", "merged").stdout


def test_status_tells_the_time_that_is_left(place: Path) -> None:
    done = call(place, "run", "tiny.toml", "--jobs", 2, "--shard", "1/2", "--results", "half")
    assert done.exit_code == 0, done.output
    told = call(place, "status", "tiny.toml", "--results", "half").stdout
    assert "12 cells, " in told
    assert "6 ok" in told
    assert "6 missing" in told
    assert re.search(r"about 0:00:\d\d of one worker's time left", told)


def test_records_are_verified_by_running_them_again(place: Path) -> None:
    shutil.copytree(place / "runs", place / "kept")
    arguments = ["verify", "tiny.toml", "--results", "kept", "--sample", 12, "--seeds", 0]
    good = call(place, *arguments)
    assert good.exit_code == 0, good.output
    assert [line.split()[0] for line in good.stdout.splitlines()] == ["equal"] * 6
    path = next((place / "kept/tiny/records").glob("*.json"))
    record = json.loads(path.read_text())
    # A figure that nothing else in the record contradicts.
    record["result"]["last"]["calibration_error"] /= 2
    path.write_text(json.dumps(record))
    arguments[-1] = record["cell"]["seed"]
    bad = call(place, *arguments)
    assert bad.exit_code == 1
    verdicts = [line for line in bad.stdout.splitlines() if not line.startswith("equal")]
    assert len(verdicts) == 1
    assert verdicts[0].startswith(f"differs  {record['cell']['method']['name']}")
    assert "in the same environment" in verdicts[0]


def test_deterministic_arithmetic_has_records_of_its_own(place: Path) -> None:
    arguments = ["tiny.toml", "--results", "exact", "--seeds", 0]
    done = call(place, "run", *arguments, "--deterministic", "--quiet")
    assert done.exit_code == 0, done.output
    assert "6 ok" in call(place, "status", *arguments).stdout
    whole = contents(place / "runs/tiny/records")
    plain = {json.dumps(record["result"]) for name, record in whole.items() if name.endswith(".json")}
    exact = [json.loads(path.read_text()) for path in (place / "exact/tiny/records").glob("*.json")]
    assert len(exact) == 6
    assert all(record["cell"]["numerics"]["deterministic"] for record in exact)
    # On a CPU it asks for what is so anyway.
    assert {json.dumps(record["result"]) for record in exact} < plain


def test_workers_end_with_a_runner_that_is_killed(place: Path) -> None:
    (place / "waits.py").write_text(WAITS)
    runner = subprocess.Popen(
        command("run", "tiny.toml", "--methods", "waits.py", "--results", "orphans", "--quiet"),
        cwd=place,
        start_new_session=True,
    )
    try:
        wait_until((place / "started").exists)
        assert len(session(runner.pid)) > 1
        runner.kill()
        runner.wait()
        wait_until(lambda: not session(runner.pid))
    finally:
        (place / "go").touch()


def test_gpus_are_those_that_this_process_may_see(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-abc,7")
    assert choose_gpus("0, 2", "cuda") == ("4", "7")
    assert choose_gpus("1", "cuda") == ("GPU-abc",)
    for text in ("3", "0,9", "", "first", "-1"):
        with pytest.raises(UsageError, match="is no GPU here; there are 0 to 2"):
            choose_gpus(text, "cuda")
    with pytest.raises(UsageError, match="--gpus 0 is of no use on the device cpu"):
        choose_gpus("0", "cpu")


def test_gpus_take_equally_many_cells() -> None:
    assert sorted(Workers(jobs=6, gpus=("4", "7")).slots) == ["4"] * 3 + ["7"] * 3
    assert Workers(jobs=2).slots == [None, None]
