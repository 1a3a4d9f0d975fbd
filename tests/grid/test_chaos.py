"""A grid that is killed at random moments, and the places and clocks that a long run meets.

REWEIGHTBENCH_KILLS says how often the grid is killed; `make chaos` does it thirty times.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from processes import WAITS, call, command, contents, session, start, wait_until
from reweightbench.benchmark.records.folder import ResultsFolder

KILLS = int(os.environ.get("REWEIGHTBENCH_KILLS", "4"))
SEEDS = 4 if KILLS < 10 else 10

SUITE = f"""
name = "chaos"
title = "Short cells"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = {list(range(SEEDS))}
methods = ["sgd", "elr", "random_weights"]
corruptions = [{{}}, {{ imbalance = "longtail(factor=10)", noise = "uniform(rate=0.4)" }}]

[[budgets]]
name = "three"
epochs = 3
learning_rate = 0.05
"""
CELLS = 6 * SEEDS


@pytest.fixture(name="place", scope="module")
def make_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite and its undisturbed run."""
    place = tmp_path_factory.mktemp("chaos")
    (place / "chaos.toml").write_text(SUITE)
    done = call(place, "run", "chaos.toml", "--jobs", 2, "--quiet")
    assert done.exit_code == 0, done.output
    assert len(contents(place / "runs/chaos/records")) == 2 * CELLS
    return place


def read(folder: Path) -> set[str]:
    """Keys of the finished cells; every record has to parse."""
    unreadable: list[str] = []
    records = ResultsFolder(folder).read(unreadable.append)
    assert not unreadable
    return {key for key, record in records.items() if record.status == "ok"}


def test_a_grid_killed_at_random_moments_loses_nothing(place: Path) -> None:
    chance = random.Random(KILLS)
    folder = place / "killed/chaos"
    arguments = ["run", "chaos.toml", "--jobs", 2, "--quiet", "--results", "killed", "--retry-failed"]
    kills, finished = 0, set[str]()
    while kills < KILLS:
        runner = subprocess.Popen(
            command(*arguments, "--checkpoint-every", 1),
            cwd=place,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # Before its workers exist there is nobody else to kill.
        while runner.poll() is None and len(session(runner.pid)) < 4:
            time.sleep(0.01)
        while kills < KILLS and runner.poll() is None:
            time.sleep(chance.uniform(0, 0.5))
            victim = chance.choice(["runner", "group", "worker", "worker"])
            others = [pid for pid in session(runner.pid) if pid != runner.pid]
            with suppress(ProcessLookupError):
                if victim == "worker" and others:
                    os.kill(chance.choice(others), signal.SIGKILL)
                elif victim == "group":
                    os.killpg(runner.pid, signal.SIGKILL)
                else:
                    runner.kill()
                kills += 1
        if kills == KILLS:
            with suppress(ProcessLookupError):
                os.killpg(runner.pid, signal.SIGKILL)
        runner.wait()
        assert finished <= read(folder)
        finished = read(folder)
        if len(finished) > CELLS // 2 and kills < KILLS:
            # So that every kill meets running cells.
            wait_until(lambda leader=runner.pid: not session(leader))
            shutil.rmtree(folder)
            finished = set()
    done = call(place, *arguments)
    assert done.exit_code == 0, done.output
    assert contents(folder / "records") == contents(place / "runs/chaos/records")
    assert not list((folder / "checkpoints").glob("*"))


def test_two_runners_on_one_folder_agree(place: Path) -> None:
    arguments = ["run", "chaos.toml", "--jobs", 1, "--quiet", "--results", "shared", "--methods", "sgd,elr"]
    runners = [subprocess.Popen(command(*arguments), cwd=place) for _ in range(2)]
    assert [runner.wait(timeout=240) for runner in runners] == [0, 0]
    records = contents(place / "shared/chaos/records")
    whole = contents(place / "runs/chaos/records")
    assert len(records) == CELLS // 3 * 4
    assert records == {name: whole[name] for name in records}


CLOCK = '''
"""A wall clock that jumps by an hour, back and forth, several times a second."""
import time
real = time.time
time.time = lambda: real() - (3600 if int(5 * time.monotonic()) % 2 else 0)
'''


def test_a_clock_that_jumps_changes_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "clock").mkdir()
    (place / "clock/sitecustomize.py").write_text(CLOCK)
    (place / "waits.py").write_text(WAITS)
    monkeypatch.setenv("PYTHONPATH", str(place / "clock"), prepend=os.pathsep)
    arguments = ["chaos.toml", "--results", "jumped", "--seeds", 0, "--methods", "sgd,elr,waits.py"]
    done = start(place, "run", *arguments, "--jobs", 2, "--timeout", 8, "--quiet")
    assert done.returncode == 1, done.stderr
    told = call(place, "status", *arguments).stdout
    assert "4 ok" in told
    assert told.count("timeout: waits") == 2
    whole = contents(place / "runs/chaos/records")
    finished = read(place / "jumped/chaos")
    jumped = contents(place / "jumped/chaos/records")
    assert {name: jumped[name] for name in jumped if name[:64] in finished} == {
        name: whole[name] for name in whole if name[:64] in finished
    }


MOUNT = """
set -eu
mount -t tmpfs -o size=100k tmpfs {results}
first=0; {run} || first=$?
cp -r {results} {copy}
mount -o remount,ro {results}
second=0; {run} || second=$?
mount -o remount,rw,size=50m {results}
third=0; {run} || third=$?
rm -rf {copy}/after; cp -r {results} {copy}/after
echo $first $second $third
"""


def test_a_full_and_a_read_only_disk_lose_nothing(place: Path) -> None:
    results, copy = place / "small", place / "copy"
    results.mkdir()
    run = command("run", "chaos.toml", "--jobs", 2, "--quiet", "--results", results, "--checkpoint-every", 2)
    script = MOUNT.format(results=results, copy=copy, run=" ".join(run))
    isolated = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    allowed = subprocess.run([*isolated, f"mount -t tmpfs tmpfs {results}"], capture_output=True, check=False)
    if allowed.returncode:
        pytest.skip("this machine does not let its users mount")
    done = subprocess.run(
        [*isolated, script], cwd=place, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout == "2 2 0\n", done.stderr
    full, read_only = done.stderr.strip().splitlines()
    assert full.startswith("error: No space left on device")
    assert "finished cells are kept" in full
    assert read_only.startswith("error: Read-only file system")
    whole = contents(place / "runs/chaos/records")
    assert 0 < len(read(copy / "chaos")) < CELLS
    assert contents(copy / "after/chaos/records") == whole
