"""The connection to a Ray cluster, and Ray kept quiet."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.numbers import parse_whole

STORE_BYTES = 100 * 2**20
"""Shared memory for outcomes on their way to the driver; Ray would take a third of the machine's."""


def import_ray() -> Any:
    """The module; raises UsageError where it is not installed."""
    # An optional extra, which takes a second to import.
    try:
        import ray  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UsageError("--engine ray needs Ray: pip install 'reweightbench[ray]'") from None
    return ray


@contextmanager
def connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connected to the cluster, or to one on this machine that ends with the block; Ray itself says nothing."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {"include_dashboard": False, "object_store_memory": STORE_BYTES} if address is None else {}
    try:
        if address not in (None, "auto"):
            _check_address(address)
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        if address is None:
            raise UsageError(f"Ray cannot be started on this machine: {last_line(error)}") from None
        raise UsageError(
            f"no Ray cluster at --address {address}: {last_line(error)}; give HOST:PORT of 'ray start --head', "
            "and set RAY_AUTH_MODE=token where that asks for a token"
        ) from None
    try:
        yield
    except ray.exceptions.RayError as error:
        raise UsageError(
            f"the connection to Ray was lost: {last_line(error)}; the same command goes on from here"
        ) from None
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise an error unless something listens there: Ray would try for a quarter of an hour."""
    host, _, digits = address.rpartition(":")
    port = parse_whole(digits, 65535)
    if not host or port is None or "/" in host:
        raise ValueError("it is not HOST:PORT or auto")
    socket.create_connection((host, port), timeout=10).close()


def last_line(error: Exception) -> str:
    """The end of an error's message, which says most."""
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
