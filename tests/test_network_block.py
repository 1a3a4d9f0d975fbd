"""The tests' own guard: nothing here reaches the network, and local sockets still work."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from reweightbench.benchmark.grid import fork_server

# An address reserved for documentation: no answer would come from it even without the guard.
REMOTE = ("192.0.2.1", 80)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
def test_a_connection_to_another_machine_is_refused_by_name(method: str) -> None:
    with socket.socket() as connection:
        connection.settimeout(0.1)
        with pytest.raises(RuntimeError, match=r"192\.0\.2\.1:80"):
            getattr(connection, method)(REMOTE)


@pytest.mark.parametrize(("function", "arguments"), [("getaddrinfo", [80]), ("gethostbyname", [])])
def test_a_name_is_not_looked_up(function: str, arguments: list[int]) -> None:
    with pytest.raises(RuntimeError, match=r"example\.invalid"):
        getattr(socket, function)("example.invalid", *arguments)


def test_a_download_fails_with_the_guards_own_error() -> None:
    with pytest.raises(RuntimeError, match=r"network blocked in tests: example\.invalid"):
        urllib.request.urlopen("http://example.invalid/data.tar", timeout=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_works(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection((host, server.getsockname()[1]), timeout=5) as client:
            client.sendall(b"hello")
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(5) == b"hello"


def test_worker_processes_work() -> None:
    """The forkserver listens on an AF_UNIX socket."""
    with ProcessPoolExecutor(max_workers=1, mp_context=fork_server.start(threads=1)) as workers:
        assert workers.submit(os.getpid).result(timeout=60) != os.getpid()


def test_torch_uses_one_thread() -> None:
    assert torch.get_num_threads() == 1


def test_a_bare_import_fails_the_run(tmp_path: Path) -> None:
    """A run whose only test passes still fails, because that test imported a bare `datasets`."""
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "datasets.py").write_text("")
    (tmp_path / "test_bare.py").write_text("def test_passes():\n    import datasets\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert "the tests imported datasets; import reweightbench.datasets instead" in run.stdout
    assert "1 passed, 1 error" in run.stdout
