"""Answers about the package's components that outlast a process, as long as code and PyTorch stay the same."""

import atexit
import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from reweightbench.benchmark.contracts.sealed_folder import SealedFolder
from reweightbench.benchmark.contracts.source_code import digest_package

M = TypeVar("M", bound=BaseModel)


class Memory:
    """Answers by question, in a sealed file that is written when the process ends.

    What the suite did not write there is forgotten. Where the folder cannot be used, or belongs to others too, each
    process works its answers out itself.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._is_changed = False

    def recall(self, question: str, kind: type[M], work_out: Callable[[], M]) -> M:
        """The answer that is remembered, else the one that is worked out."""
        if self.holds(question):
            with suppress(ValidationError):
                return kind.model_validate(self._answers[question])
        answer = work_out()
        self.note(question, answer.model_dump(mode="json"))
        return answer

    def holds(self, question: str) -> bool:
        """Whether there is an answer."""
        return question in self._answers

    def note(self, question: str, answer: object) -> None:
        """Remember an answer, which must be JSON."""
        self._answers[question] = answer
        if not self._is_changed:
            self._is_changed = True
            atexit.register(self._write)

    @cached_property
    def _folder(self) -> SealedFolder | None:
        with suppress(OSError):
            return SealedFolder(self._path)
        return None

    @cached_property
    def _name(self) -> str:
        # What components do, they do with the PyTorch that is installed; its metadata names it without an import.
        state = f"{digest_package()} {version('torch')}"
        return f"labels-{hashlib.sha256(state.encode()).hexdigest()[:16]}.json"

    @cached_property
    def _answers(self) -> dict[str, Any]:
        content = self._folder and self._folder.read(self._folder.path / self._name, self._name)
        return dict(content["answers"]) if content else {}

    def _write(self) -> None:
        if self._folder:
            with suppress(OSError):
                self._folder.write(self._folder.path / self._name, self._name, {"answers": self._answers})
