"""The command line as users start and stop it, and what it leaves behind."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from reweightbench.benchmark.commands.main import main

WAITS = """
import os, time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from reweightbench import Method

PLACE = Path(__file__).parent

@dataclass
class Waits(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem):
        with (PLACE / "started").open("a") as stream:
            stream.write(f"{os.getsid(0)} {os.getpid()}\\n")
        while not (PLACE / "go").exists():
            time.sleep(0.05)
"""
"""A method's file: it writes its session and process to `started` beside it and waits for `go` there."""


def command(*arguments: object) -> list[str]:
    """The command line as a user starts it."""
    return [sys.executable, "-m", "reweightbench", *map(str, arguments)]


def call(folder: Path, *arguments: object) -> Result:
    """Run a command to its end in `folder` and in this process; the fork server of its workers stays.

    Starting the libraries takes longer than most tests: `start` is for those that need a process of its own.
    """
    with chdir(folder):
        return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


def start(folder: Path, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end in `folder` and in a process of its own."""
    return subprocess.run(
        command(*arguments), cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


def session(leader: int) -> list[int]:
    """The processes of the session that a process has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # After the name, which may hold anything: state, parent, group, session.
            state, _, _, number = status.read_text().rpartition(") ")[2].split()[:4]
            if int(number) == leader and state != "Z":
                found.append(int(status.parent.name))
    return found


def contents(folder: Path) -> dict[str, Any]:
    """Records without time, memory and environment, and the bytes of the arrays."""
    held: dict[str, Any] = {path.name: path.read_bytes() for path in folder.glob("*.npz")}
    for path in folder.glob("*.json"):
        record = json.loads(path.read_text())
        held[path.name] = {key: record[key] for key in record if key not in ("cost", "environment")}
    return held


def wait_until(is_true: Callable[[], object]) -> None:
    """Return when it is; fail after two minutes."""
    deadline = time.monotonic() + 120
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
