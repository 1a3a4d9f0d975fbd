"""A user's own method put to the checks of the contract."""

import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reweightbench.benchmark.contract import CHECKS, BrokenPromiseError, Check, list_forms
from reweightbench.benchmark.registry import METHODS


@dataclass(frozen=True)
class Verdict:
    """Whether the method of a label keeps a promise; `reason` says why not, and is empty if it does."""

    label: str
    promise: str
    reason: str

    @property
    def is_kept(self) -> bool:
        """Whether the promise is kept."""
        return not self.reason


def check_file(path: Path) -> Iterator[Verdict]:
    """The verdict of every check on every method of a Python file, in each of its forms."""
    for name in METHODS.add_file(path):
        for label in list_forms(name):
            for check in CHECKS:
                yield Verdict(label, check.__name__.replace("_", " "), _find_reason(check, label, path))


def _find_reason(check: Check, label: str, path: Path) -> str:
    try:
        check(label)
    except BrokenPromiseError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever a user's code raises is the finding
        return f"{type(error).__name__}: {' '.join(str(error).split())}{_find_place(error, path)}"
    return ""


def _find_place(error: Exception, path: Path) -> str:
    """Where in the file the error comes from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" ({path.name}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""
