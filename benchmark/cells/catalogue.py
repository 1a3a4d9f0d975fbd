"""What labels stand for, remembered between processes: to read records then needs no component's code.

Components import PyTorch, which takes seconds; a plan or a report asks no more of them than is kept here.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from reweightbench.benchmark.cells.memory import Memory
from reweightbench.benchmark.cells.own_files import ask
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import Spec, parse_label
from reweightbench.benchmark.contracts.registry import NETWORKS, Registry
from reweightbench.benchmark.contracts.source_code import digest_engine

M = TypeVar("M", bound=BaseModel)


class Entry(BaseModel):
    """A label in its one spelling, and the component as data."""

    label: str
    spec: Spec


class Facts(BaseModel):
    """What a report says about a component: a method's `family` and `needs`, a dataset's `license` and class count."""

    family: str = ""
    needs: tuple[str, ...] = ()
    license: str = ""
    class_count: int = 0


class Requirements(BaseModel):
    """What a method asks of a budget and of the clean set: the fields of its `stages`, and its `needs`."""

    stages: tuple[dict[str, Any], ...]
    needs: tuple[str, ...]


class Digest(BaseModel):
    """The digest of some code."""

    digest: str


def look_up(registry: Registry[Any], label: str) -> Entry:
    """What a label stands for; raises UsageError for one that names nothing, or gives an option it has not."""

    def work_out() -> Entry:
        spec = registry.spec(registry.create(label))
        return Entry(label=registry.label(spec), spec=spec)

    return _recall(registry, label, "label", Entry, work_out)


def find_requirements(registry: Registry[Any], label: str) -> Requirements:
    """What the method of a label requires."""

    def work_out() -> Requirements:
        method = registry.create(label)
        return Requirements(
            stages=tuple(asdict(stage) for stage in method.stages()), needs=tuple(sorted(method.needs))
        )

    return _recall(registry, label, "requirements", Requirements, work_out)


def find_facts(registry: Registry[Any], name: str) -> Facts | None:
    """Facts about the component of that name; None for one that is not installed here."""

    def work_out() -> Facts:
        cls = registry.classes[name]
        return Facts(
            family=getattr(cls, "family", ""),
            needs=tuple(sorted(getattr(cls, "needs", ()))),
            license=getattr(cls, "license", ""),
            class_count=len(getattr(cls, "classes", ())),
        )

    # A record from elsewhere may have any name.
    with suppress(KeyError, UsageError):
        return _recall(registry, name, "facts", Facts, work_out)
    return None


def add_own_file(file: Path, labels: Sequence[str] = (), seconds: float | None = None) -> dict[str, bool]:
    """The names of the methods in a user's file, and which of them are not the package's own.

    The catalogue then knows these, and those of the `labels` that name them, without loading the file here.
    """
    found = ask(file, labels, seconds)
    for name in found.own:
        if _OWN_FILES.setdefault(name, file) != file:
            raise UsageError(f"two methods are named '{name}': {_OWN_FILES[name]} and {file}; rename one")
        _OWN_SIBLINGS[name] = tuple(found.siblings)
    _OWN_ANSWERS.update(found.answers)
    return {name: name in found.own for name in found.names}


def find_siblings(name: str) -> tuple[str, ...]:
    """The files that the import of a user's method loads from its own folder, by path from there."""
    return _OWN_SIBLINGS.get(name, ())


def answer_all(registry: Registry[Any], names: Iterable[str], labels: Iterable[str]) -> dict[str, Any]:
    """Every answer about components that are loaded here, by its question."""
    answers: dict[str, Any] = {}
    for name in names:
        answers[_question(registry, name, "facts")] = find_facts(registry, name)
        answers[_question(registry, name, "digest")] = Digest(digest=registry.digest(name))
    for label in labels:
        entry = look_up(registry, label)
        for spelling in (label, entry.label):
            answers[_question(registry, spelling, "label")] = entry
            answers[_question(registry, spelling, "requirements")] = _try_requirements(registry, label)
    return answers


def has_passed(check: str) -> bool:
    """Whether a check has passed with the present state of the code."""
    return _MEMORY.holds(f"passed {check}")


def note_passed(check: str) -> None:
    """Remember that a check has passed."""
    _MEMORY.note(f"passed {check}", True)


def find_digest(registry: Registry[Any], name: str) -> str | None:
    """The digest of the code of the component of that name; None for one that is not installed here.

    Of a user's method it is known since its file was added: no process starts for it.
    """
    if _is_in_own_file(registry, name):
        answer = _OWN_ANSWERS.get(_question(registry, name, "digest"))
        return None if answer is None else Digest.model_validate(answer).digest
    # A record from elsewhere may have any name.
    with suppress(KeyError, UsageError):
        return _recall(registry, name, "digest", Digest, lambda: Digest(digest=registry.digest(name))).digest
    return None


def find_engine_digest() -> str:
    """The digest of the engine's code, without that of the networks, which are components."""

    def work_out() -> Digest:
        return Digest(digest=digest_engine(cls.__module__ for cls in NETWORKS.classes.values()))

    return _MEMORY.recall("engine", Digest, work_out).digest


def list_needs(needs: Iterable[str]) -> str:
    """What a method knows beyond the training examples and their targets, in words."""
    return ", ".join(need.replace("_", " ") for need in sorted(needs)) or "nothing"


def _try_requirements(registry: Registry[Any], label: str) -> Requirements | None:
    """What a user's method requires; None for one that cannot say it, and will fail in its own cells."""
    try:
        return find_requirements(registry, label)
    except BaseException:  # noqa: BLE001 - a user's code raises what it likes
        return None


_OWN_FILES: dict[str, Path] = {}
_OWN_SIBLINGS: dict[str, tuple[str, ...]] = {}
_OWN_ANSWERS: dict[str, Any] = {}


def is_own(registry: Registry[Any], name: str) -> bool:
    """Whether the component of that name comes from a user's file."""
    return registry.is_own(name) or (registry.kind == "method" and name in _OWN_FILES)


def _is_in_own_file(registry: Registry[Any], name: str) -> bool:
    return registry.kind == "method" and name in _OWN_FILES


def _question(registry: Registry[Any], label: str, about: str) -> str:
    return f"{registry.kind} {about} {label}"


def _recall(registry: Registry[Any], label: str, about: str, kind: type[M], work_out: Callable[[], M]) -> M:
    name, question = parse_label(label, registry.kind)[0], _question(registry, label, about)
    if _is_in_own_file(registry, name):
        if question not in _OWN_ANSWERS:
            _OWN_ANSWERS.update(ask(_OWN_FILES[name], [label]).answers)
        if _OWN_ANSWERS[question] is None:
            raise KeyError(question)
        return kind.model_validate(_OWN_ANSWERS[question])
    # A user's file is not part of what the memory belongs to.
    if registry.is_own(name):
        return work_out()
    return _MEMORY.recall(question, kind, work_out)


_MEMORY = Memory(Sources().cache_dir)
