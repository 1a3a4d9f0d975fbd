"""What every test runs under: no network, one torch thread, no bare import; and where the time goes.

Files that take longest come first, so that no process is left alone with one of them at the end.
"""

import ipaddress
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from reweightbench.benchmark.contracts.registry import METHODS

BARE_NAMES = frozenset({"benchmark", "methods", "datasets"})

LONGEST = (
    "grid/test_ray_cluster.py",
    "grid/test_chaos.py",
    "test_docs.py",
    "grid/test_local.py",
    "training/test_checkpoint.py",
    "timing/test_measurement.py",
    "commands/test_main.py",
)
SHOWN_FILES = 10


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seconds by file, of those that took longest."""
    seconds = Counter[str]()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.location[0]] += report.duration
    terminalreporter.write_line("seconds by file:")
    for file, taken in seconds.most_common(SHOWN_FILES):
        terminalreporter.write_line(f"{taken:7.1f}  {file}")


# A run in the background may ignore Ctrl-C, and processes started from it would too.
signal.signal(signal.SIGINT, signal.default_int_handler)


class NetworkBlockedError(RuntimeError):
    """A test reached for the network. No OSError, so that download code does not take it for a bad mirror."""


@pytest.fixture(scope="session", autouse=True)
def block_network() -> Iterator[None]:
    """Refuse connections and name look-ups that would leave this machine; workers' sockets stay usable."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _refuse_remote_peer(getattr(socket.socket, name)))
        for name in ("getaddrinfo", "gethostbyname"):
            patch.setattr(socket, name, _refuse_remote_host(getattr(socket, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def use_one_thread() -> None:
    """Results depend on the number of threads in their last bits."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def forget_own_methods() -> Iterator[None]:
    """A command that runs in this process adds a user's methods to those that other files test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(METHODS, "_classes", dict(METHODS.classes))
        patch.setattr(METHODS, "_versions", dict(METHODS._versions))
        yield


@pytest.fixture(scope="session", autouse=True)
def forbid_bare_imports() -> Iterator[None]:
    """A bare `datasets` would be Hugging Face's package on a user's machine; a bare copy of ours, a twin."""
    yield
    bare = sorted(name for name in sys.modules if name.partition(".")[0] in BARE_NAMES)
    assert not bare, f"the tests imported {', '.join(bare)}; import reweightbench.{bare[0]} instead"


def _refuse_remote_peer(connect: Callable[..., Any]) -> Callable[..., Any]:
    def checked(self: socket.socket, address: Any) -> Any:
        # Addresses of other families (AF_UNIX among them) do not leave the machine.
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _require_local(address[0], f"{address[0]}:{address[1]}")
        return connect(self, address)

    return checked


def _refuse_remote_host(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def checked(host: Any, *arguments: Any, **options: Any) -> Any:
        _require_local(host, str(host))
        return resolve(host, *arguments, **options)

    return checked


def _require_local(host: Any, address: str) -> None:
    text = host.decode() if isinstance(host, bytes) else host
    if text not in (None, "", "localhost") and not _is_loopback(text):
        raise NetworkBlockedError(f"network blocked in tests: {address}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
