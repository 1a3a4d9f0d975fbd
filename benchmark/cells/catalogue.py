"""What labels stand for, remembered between processes: to read records then needs no component's code.

Components import PyTorch, which takes seconds; a plan or a report asks no more of them than is kept here.
"""

import atexit
import json
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.labels import Spec, parse_label
from reweightbench.benchmark.contracts.registry import Registry
from reweightbench.benchmark.contracts.source_code import digest_package

M = TypeVar("M", bound=BaseModel)


class Entry(BaseModel):
    """A label in its one spelling, and the component as data."""

    label: str
    spec: Spec


class Facts(BaseModel):
    """What a table says about a component: a method's `family` and `needs`, a dataset's `license`."""

    family: str = ""
    needs: tuple[str, ...] = ()
    license: str = ""


def look_up(registry: Registry[Any], label: str) -> Entry:
    """What a label stands for; raises UsageError for one that names nothing, or gives an option it has not."""

    def work_out() -> Entry:
        spec = registry.spec(registry.create(label))
        return Entry(label=registry.label(spec), spec=spec)

    return _recall(registry, parse_label(label, registry.kind)[0], f"label {label}", Entry, work_out)


def find_label(registry: Registry[Any], spec: Spec) -> str:
    """The label of a component as data; one that is not installed here shows all its options."""

    def work_out() -> Entry:
        return Entry(label=registry.label(spec), spec=spec)

    return _recall(registry, spec.name, f"label of {spec.model_dump_json()}", Entry, work_out).label


def find_facts(registry: Registry[Any], name: str) -> Facts | None:
    """Facts about the component of that name; None for one that is not installed here."""

    def work_out() -> Facts:
        cls = registry.classes[name]
        return Facts(
            family=getattr(cls, "family", ""),
            needs=tuple(sorted(getattr(cls, "needs", ()))),
            license=getattr(cls, "license", ""),
        )

    try:
        return _recall(registry, name, f"facts {name}", Facts, work_out)
    except KeyError:
        return None


def list_needs(needs: Iterable[str]) -> str:
    """What a method knows beyond the training examples and their targets, in words."""
    return ", ".join(need.replace("_", " ") for need in sorted(needs)) or "nothing"


def _recall(registry: Registry[Any], name: str, question: str, kind: type[M], work_out: Callable[[], M]) -> M:
    # A user's file is not part of what the memory belongs to.
    if registry.is_own(name):
        return work_out()
    return _MEMORY.recall(f"{registry.kind} {question}", kind, work_out)


class _Memory:
    """Answers about the package's components, in a file that belongs to the present state of its code."""

    def __init__(self) -> None:
        self._answers: dict[str, object] | None = None
        self._is_changed = False

    def recall(self, question: str, kind: type[M], work_out: Callable[[], M]) -> M:
        if self._answers is None:
            self._answers = _read()
        with suppress(KeyError, ValidationError):
            return kind.model_validate(self._answers[question])
        answer = work_out()
        if not self._is_changed:
            self._is_changed = True
            atexit.register(self._write)
        self._answers[question] = answer.model_dump(mode="json")
        return answer

    def _write(self) -> None:
        """Put the file in place by one rename; without it, the next process works the answers out again."""
        path = _path()
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._answers), encoding="utf-8")
            temporary.replace(path)


def _read() -> dict[str, object]:
    with suppress(OSError, ValueError):
        found = json.loads(_path().read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def _path() -> Path:
    return Sources().cache_dir / f"labels-{digest_package()[:16]}.json"


_MEMORY = _Memory()
