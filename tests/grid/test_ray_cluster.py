"""The grid on real Ray: the local engine's records, and only a lost node makes a cell run twice."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from processes import WAITS, call, contents, session, wait_until
from reweightbench.benchmark.cells.catalogue import add_own_file
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.discovery import read_user_files
from reweightbench.benchmark.grid import ray_cluster

SUITE = """
name = "tiny"
title = "A grid that runs in seconds"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0]
methods = ["sgd", "meta_reweight"]
corruptions = [{}]

[[budgets]]
name = "one"
epochs = 1
learning_rate = 0.05
"""

MISBEHAVING = Path(__file__).parents[1] / "misbehaving.py"

KILLS = """
import os, signal
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from reweightbench.benchmark.contracts.method import Method

@dataclass
class Kills(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem):
        with Path(__file__).with_name("attempts").open("a") as stream:
            stream.write("one\\n")
        os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_session(leader: "subprocess.Popen[str]") -> None:
    """End a node as a power failure would: all processes of the session, at once."""
    for process in session(leader.pid):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    leader.wait()


class Place:
    """A folder with the suite, and the commands that run in it."""

    def __init__(self, folder: Path, ray_folder: str) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        # Ray keeps an access token in the home folder, and asks for it where there is one.
        self._environment = os.environ | {"RAY_TMPDIR": ray_folder, "HOME": ray_folder}
        self._environment |= {"RAY_health_check_period_ms": "500", "RAY_health_check_failure_threshold": "3"}
        self._environment["RAY_USAGE_STATS_ENABLED"] = "0"
        self._environment.pop("RAY_ADDRESS", None)
        (folder / "tiny.toml").write_text(SUITE)

    def start(self, *arguments: object, module: str = "reweightbench") -> "subprocess.Popen[str]":
        """A command as a user starts it, in a session of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, arguments)],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE if module == "reweightbench" else subprocess.DEVNULL,
            stderr=subprocess.PIPE if module == "reweightbench" else subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: object) -> tuple[int, str]:
        """Exit code and complaints of `run` with the suite."""
        runner = self.start("run", "tiny.toml", *arguments)
        _, complaint = runner.communicate(timeout=300)
        return runner.returncode, complaint

    def run_locally(self, *arguments: object) -> int:
        """Exit code of `run` with the suite on the local engine, the records in `local`."""
        return call(self.folder, "run", "tiny.toml", *arguments, "--results", "local", "--quiet").exit_code

    def records(self, results: str) -> dict[str, Any]:
        return contents(self.folder / results / "tiny" / "records")

    def started(self) -> list[tuple[int, int]]:
        """Session and process of each cell of WAITS."""
        path = self.folder / "started"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


@contextmanager
def made_place(folder: Path) -> Iterator[Place]:
    """The place, whose processes end with the block."""
    # Paths of sockets have little room.
    with tempfile.TemporaryDirectory(prefix="ray-") as ray_folder:
        place = Place(folder, ray_folder)
        yield place
        for process in place.processes:
            kill_session(process)


@pytest.fixture(name="place")
def make_place(tmp_path: Path) -> Iterator[Place]:
    with made_place(tmp_path) as place:
        yield place


@pytest.fixture(name="head", scope="module")
def start_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster whose one node takes one cell."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with made_place(tmp_path_factory.mktemp("head")) as place:
        start_node(place, "--head", "--include-dashboard=false", f"--port={address.rpartition(':')[2]}")
        wait_until(lambda: is_listening(address))
        yield address


def start_node(place: Place, *arguments: str) -> "subprocess.Popen[str]":
    shared = ("--num-cpus=1", "--num-gpus=0", "--object-store-memory=80000000", "--block")
    return place.start("start", *arguments, *shared, module="ray.scripts.scripts")


def is_listening(address: str) -> bool:
    host, port = address.split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


# Before the head of the other tests is there, which 'auto' would find.
@pytest.mark.parametrize(
    ("address", "reason"),
    [("127.0.0.1:1", "Connection refused"), ("nowhere", "it is not HOST:PORT or auto"), ("auto", "")],
)
def test_no_cluster_is_one_line(
    place: Place, monkeypatch: pytest.MonkeyPatch, address: str, reason: str
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for name in ("HOME", "RAY_TMPDIR"):
        monkeypatch.setenv(name, str(place.folder))
    result = call(place.folder, "run", "tiny.toml", "--quiet", "--engine", "ray", "--address", address)
    assert result.exit_code == 2, result.output
    assert re.fullmatch(f"error: no Ray cluster at --address {address}: .*{reason}.*\n", result.stderr)


def test_ray_on_this_machine_gives_the_records_of_the_local_engine(place: Place) -> None:
    shutil.copy(MISBEHAVING, place.folder)
    (place.folder / "kills.py").write_text(KILLS)
    arguments = ["--methods", "misbehaving.py,kills.py,sgd,meta_reweight"]
    arguments += ["--timeout", "20", "--memory-per-cell", "2"]
    code, complaint = place.run(*arguments, "--engine", "ray", "--results", "ray", "--quiet")
    assert code == 1, complaint
    assert complaint.startswith("warning: 17 of 20 cells failed;")
    assert len(complaint.splitlines()) == 1
    assert (place.folder / "attempts").read_text() == "one\n"
    assert place.run_locally(*arguments) == 1
    records, local = place.records("ray"), place.records("local")
    # How a process ends that has closed everything is chance.
    for record in (
        found for place in (records, local) for name, found in place.items() if name.endswith(".json")
    ):
        record["reason"] = None if record["status"] == "crashed" else record["reason"]
    assert records == local
    assert Counter(records[name]["status"] for name in records if name.endswith(".json")) == {
        "error": 7,
        "crashed": 5,
        "ok": 3,
        "oom": 3,
        "nonfinite": 1,
        "timeout": 1,
    }


def test_cells_of_a_lost_node_run_again(place: Place, head: str) -> None:
    (place.folder / "waits.py").write_text(WAITS)
    arguments = ["--methods", "waits.py,sgd,meta_reweight", "--seeds", "0-1"]
    second = start_node(place, f"--address={head}")
    runner = place.start(
        "run", "tiny.toml", *arguments, "--engine", "ray", "--address", head, "--results", "ray"
    )
    wait_until(lambda: second.pid in dict(place.started()))
    kill_session(second)
    (place.folder / "go").touch()
    _, complaint = runner.communicate(timeout=300)
    assert runner.returncode == 0, complaint
    assert len(place.started()) == 3
    assert place.run_locally(*arguments) == 0
    assert place.records("ray") == place.records("local")


def test_stopping_the_driver_stops_its_cells(place: Place, head: str) -> None:
    (place.folder / "waits.py").write_text(WAITS)
    runner = place.start("run", "tiny.toml", "--methods", "waits.py", "--engine", "ray", "--address", head)
    wait_until(place.started)
    os.killpg(runner.pid, signal.SIGINT)
    _, complaint = runner.communicate(timeout=60)
    assert runner.returncode == 130
    assert "the same command goes on" in complaint
    assert "Traceback" not in complaint
    wait_until(lambda: not Path(f"/proc/{place.started()[0][1]}").exists())


def test_a_cluster_that_cannot_take_a_cell_is_one_line(place: Place, head: str) -> None:
    code, complaint = place.run("--engine", "ray", "--address", head, "--device", "cuda", "--quiet")
    assert code == 2, complaint
    assert complaint.startswith("error: no node of the cluster has 1 CPU and a GPU for a cell")
    assert len(complaint.splitlines()) == 1


def test_without_ray_the_extra_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    # An import then fails as for a package that is not installed.
    monkeypatch.setitem(sys.modules, "ray", None)
    result = call(place.folder, "run", "tiny.toml", "--engine", "ray", "--quiet")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "pip install 'reweightbench[ray]'" in result.stderr


def test_method_files_travel_with_the_cells(tmp_path: Path) -> None:
    own = tmp_path / "waits.py"
    own.write_text(f"import beside.deep\n{WAITS}")
    (tmp_path / "beside").mkdir()
    for name in ("__init__", "deep"):
        (tmp_path / "beside" / f"{name}.py").write_text(f"NAME = '{name}'\n")
    (tmp_path / "unused.py").touch()
    shipped = Path(ray_cluster.__file__).parents[2] / "methods" / "sgd.py"
    found = {"waits": own, "sgd": shipped}
    freight = ray_cluster.Freight.pack(Sources(data_dir=Path("data"), method_files=found))
    with freight.unpacked("waits") as sources:
        assert sources == Sources(data_dir=Path("data").resolve(), method_files={"waits": own})
    with freight.unpacked("sgd") as sources:
        assert not sources.method_files
    files = read_user_files(own)
    assert set(files) == {"waits.py", "beside/__init__.py", "beside/deep.py"}
    for changed in (own, tmp_path / "beside" / "deep.py"):
        text = changed.read_text()
        changed.write_text("another node's file\n")
        with freight.unpacked("waits") as sources:
            path = sources.method_files["waits"]
            assert path != own
            assert read_user_files(path) == files
        assert not path.exists()
        changed.write_text(text)


def test_siblings_that_a_text_imports_travel_too(tmp_path: Path) -> None:
    own, extra = tmp_path / "names_it.py", tmp_path / "extra.py"
    text = WAITS.replace("class Waits", "class NamesIt")
    own.write_text(f"import importlib\nimportlib.import_module('extra')\n{text}")
    extra.write_text("NAME = 'extra'\n")
    add_own_file(own)
    freight = ray_cluster.Freight.pack(Sources(method_files={"names_it": own}))
    with freight.unpacked("names_it") as sources:
        assert sources.method_files["names_it"] == own
    extra.unlink()
    with freight.unpacked("names_it") as sources:
        assert sources.method_files["names_it"].with_name("extra.py").read_text() == "NAME = 'extra'\n"
