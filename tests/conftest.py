"""What every test runs under: no network, one torch thread, and no bare import of the top-level folders."""

import ipaddress
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

BARE_NAMES = frozenset({"benchmark", "methods", "datasets"})


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
