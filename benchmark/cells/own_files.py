"""A user's file of methods, asked about in a process of its own: its code cannot touch the process that plans."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from reweightbench.benchmark.contracts.errors import UsageError

IMPORT_SECONDS = 30.0
"""How long a file may take to be imported."""

START_SECONDS = 300.0
"""How long the process may take altogether, with the libraries that it loads first."""

MOST_BYTES = 2**20

PROGRAM = """
import json, sys
asked = json.load(sys.stdin)
sys.path[:] = asked.pop("path")
from reweightbench.benchmark.cells.own_answers import answer
answer(**asked)
"""


class OwnFile(BaseModel):
    """The methods of a file, those of them that are not the package's own, and the answers about these.

    `siblings` are the files that its import loads from its own folder, by path from there.
    """

    names: list[str] = []
    own: list[str] = []
    siblings: list[str] = []
    answers: dict[str, Any] = {}
    error: str = ""


def ask(file: Path, labels: Sequence[str] | None = (), seconds: float | None = None) -> OwnFile:
    """What a Python file defines, and what `labels` of its methods stand for; None asks for the names alone.

    Raises UsageError for what is no file of methods, and for one that ends its process or does not return from
    its import within so many seconds, at most IMPORT_SECONDS.
    """
    if not file.is_file():
        raise UsageError(f"no file '{file}'; give the path of a Python file")
    if file.stat().st_size > MOST_BYTES:
        raise UsageError(f"'{file}' is larger than a mebibyte; give a Python file of methods")
    limit = min(seconds or IMPORT_SECONDS, IMPORT_SECONDS)
    asked = {
        "path": list(map(str, sys.path)),
        "file": str(file),
        "labels": labels if labels is None else list(labels),
        "seconds": limit,
    }
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM],
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            timeout=START_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(f"'{file}' cannot be loaded: its process does not end") from None
    if done.returncode == -signal.SIGALRM:
        raise UsageError(f"'{file}' cannot be loaded: its import does not end within {limit:g} seconds")
    try:
        found = OwnFile.model_validate_json(done.stdout)
    except ValueError:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise UsageError(f"'{file}' cannot be loaded: its import ends the process with {how}") from None
    if found.error:
        raise UsageError(found.error)
    return found


def keep_output_clean() -> int:
    """In the process: where the answer goes; what the file prints goes nowhere."""
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nowhere, stream)
    return answers
