"""Finding methods, datasets, corruptions and architectures by name, and writing them as labels.

A component is a dataclass; its name is its class name in snake case, and a label is that name with
options: `focal(gamma=1)`. Labels are the one spelling in suites, on the command line and in tables.
"""

import dataclasses
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import math
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from reweightbench.benchmark.corruption import Imbalance, Noise
from reweightbench.benchmark.dataset import Dataset
from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.method import Method
from reweightbench.benchmark.models import Architecture

C = TypeVar("C")

LABEL = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?", re.DOTALL)


class Spec(BaseModel):
    """A component as data: name, every option, and the version of its code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, bool | int | float | str | None] = {}
    version: str = "1"


class Registry(Generic[C]):
    """The components of one kind; importing their modules is put off until the first look."""

    def __init__(self, kind: str, base: type[C], module: str) -> None:
        self.kind = kind
        self._base = base
        self._module = module
        self._classes: dict[str, type[C]] = {}
        self._versions: dict[str, str] = {}

    @property
    def classes(self) -> Mapping[str, type[C]]:
        """Classes by name, sorted. An ImportError of a module is passed on, never swallowed."""
        if not self._classes:
            found: dict[str, type[C]] = {}
            for module in _modules(self._module):
                found |= self._collect(module, found)
            self._classes = found
        return dict(sorted(self._classes.items()))

    def add_file(self, path: Path) -> list[str]:
        """Load a user's own Python file and return the names it adds; their version is the file's sha256."""
        if not path.is_file():
            raise UsageError(f"no file '{path}'; give the path of a Python file")
        own = self.defined_in(path)
        if own:
            return own
        shipped = self.classes
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        module = _load_file(path, digest)
        names = [name for name, cls in shipped.items() if cls.__module__ == module.__name__]
        if names:
            return names
        added = self._collect(module, self._classes)
        if not added:
            raise UsageError(
                f"'{path}' defines no {self.kind}; derive a class from {self._base.__qualname__}"
            )
        self._classes |= added
        self._versions.update(dict.fromkeys(added, digest))
        return list(added)

    def defined_in(self, path: Path) -> list[str]:
        """Names of the package's own components whose code is that file."""
        return [
            name
            for name, cls in self.classes.items()
            if name not in self._versions and Path(inspect.getfile(cls)).resolve() == path.resolve()
        ]

    def create(self, label: str) -> C:
        """The component a label names, its options converted to the fields' types."""
        match = LABEL.fullmatch(label.strip())
        if match is None:
            raise UsageError(f"'{label}' is no {self.kind} label; write name or name(option=value, ...)")
        name, arguments = match.groups()
        options: dict[str, str] = {}
        for part in filter(None, map(str.strip, (arguments or "").split(","))):
            key, equals, value = part.partition("=")
            if not equals:
                raise UsageError(f"'{part}' in '{label}' is no option; write option=value")
            if key.strip() in options:
                raise UsageError(f"'{label}' gives {key.strip()} twice; give it once")
            options[key.strip()] = value.strip()
        return self.build(name, options)

    def build(self, name: str, options: Mapping[str, object]) -> C:
        """The component of that name with options of any convertible type."""
        cls = self._find(name)
        fields = _options(cls)
        values = {}
        for key, value in options.items():
            if key not in fields:
                raise UsageError(f"{self.kind} '{name}' has no option '{key}'{suggest(key, fields)}")
            try:
                values[key] = _adapter(fields[key]).validate_python(_choice(fields[key], value))
            except ValidationError as error:
                raise UsageError(f"{name}({key}={value}): {error.errors()[0]['msg']}") from None
            if isinstance(values[key], float) and not math.isfinite(values[key]):
                raise UsageError(f"{name}({key}={value}): give a finite number")
        missing = [key for key in fields if key not in values and _default(cls, key) is dataclasses.MISSING]
        if missing:
            raise UsageError(f"{self.kind} '{name}' needs {missing[0]}: write {name}({missing[0]}=...)")
        try:
            return cls(**values)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None

    def spec(self, component: C) -> Spec:
        """The component as data."""
        cls = type(component)
        name = snake_case(cls.__name__)
        options = {key: getattr(component, key) for key in _options(cls)}
        version = self._versions.get(name) or str(getattr(cls, "version", 1))
        try:
            return Spec(name=name, options=options, version=version)
        except ValidationError as error:
            option = error.errors()[0]["loc"][1]
            raise UsageError(
                f"{self.kind} '{name}': option {option} is {options[str(option)]!r}; "
                "options are numbers, texts, truth values or None"
            ) from None

    def restore(self, spec: Spec) -> C:
        """The component of a spec; raises UsageError where this installation has another version of it."""
        component = self.build(spec.name, spec.options)
        version = self.spec(component).version
        if version != spec.version:
            raise UsageError(f"{self.kind} '{spec.name}' has version {version} here, not {spec.version}")
        return component

    def canonical(self, label: str) -> str:
        """The one spelling of a label."""
        return self.label(self.spec(self.create(label)))

    def label(self, spec: Spec) -> str:
        """The name and those options that differ from the defaults."""
        cls = self.classes.get(spec.name)
        shown = {
            key: value for key, value in spec.options.items() if cls is None or _default(cls, key) != value
        }
        arguments = ", ".join(f"{key}={_plain(value)}" for key, value in shown.items())
        return f"{spec.name}({arguments})" if arguments else spec.name

    def _find(self, name: str) -> type[C]:
        classes = self.classes
        if name not in classes:
            plural = self.kind if self.kind.endswith("s") else f"{self.kind}s"
            raise UsageError(
                f"unknown {self.kind} '{name}'{suggest(name, classes)}; 'reweightbench list {plural}' shows all"
            )
        return classes[name]

    def _collect(self, module: ModuleType, known: Mapping[str, type[C]]) -> dict[str, type[C]]:
        """The concrete, public classes by name that the module defines itself; refuses a known name."""
        found: dict[str, type[C]] = {}
        for class_name, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ != module.__name__ or not issubclass(cls, self._base):
                continue
            if inspect.isabstract(cls) or class_name.startswith("_"):
                continue
            name = snake_case(class_name)
            twin: type | None = found.get(name) or known.get(name)
            if twin is not None:
                files = inspect.getfile(twin), inspect.getfile(cls)
                raise UsageError(
                    f"two {self.kind}s are named '{name}': {files[0]} and {files[1]}; rename one"
                )
            found[name] = cls
        return found


def snake_case(name: str) -> str:
    """`MetaReweight` to `meta_reweight`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def split_labels(text: str) -> list[str]:
    """Labels of a comma-separated list; commas inside parentheses belong to a label."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()]


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the closest known name, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; it has {', '.join(names)}" if names else ""


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    """What checks and converts values of a type; making one takes longer than using it."""
    return TypeAdapter(hint)


def _choice(hint: Any, value: object) -> object:
    """The choice of a Literal that a text spells, so that numbers can be choices; else the value itself."""
    spelled = {str(choice): choice for choice in get_args(hint)} if get_origin(hint) is Literal else {}
    return spelled.get(value, value) if isinstance(value, str) else value


def _plain(value: object) -> str:
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def _options(cls: type) -> dict[str, Any]:
    """Types of the fields that `__init__` takes."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def _default(cls: type, key: str) -> object:
    return next(field.default for field in dataclasses.fields(cls) if field.name == key)


def _modules(name: str) -> Iterator[ModuleType]:
    """The module of that name or, if it is a package, every module in it."""
    module = importlib.import_module(name)
    if not hasattr(module, "__path__"):
        yield module
        return
    for entry in pkgutil.iter_modules(module.__path__):
        yield importlib.import_module(f"{name}.{entry.name}")


@cache
def _load_file(path: Path, digest: str) -> ModuleType:
    """The module of a file, loaded once per content."""
    spec = importlib.util.spec_from_file_location(f"reweightbench_user_{digest[:16]}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"'{path}' is no Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up postponed annotations there.
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[module.__name__]
        if isinstance(error, Exception):
            reason = " ".join(str(error).split())
            raise UsageError(f"'{path}' cannot be loaded: {type(error).__name__}: {reason}") from error
        raise
    return module


METHODS = Registry("method", Method, "reweightbench.methods")
DATASETS = Registry("dataset", Dataset, "reweightbench.datasets")
IMBALANCES = Registry("imbalance", Imbalance, "reweightbench.datasets")
NOISES = Registry("noise", Noise, "reweightbench.datasets")
ARCHITECTURES = Registry("model", Architecture, "reweightbench.benchmark.architectures")
