"""The components of each kind by name; a component is a dataclass, and its name its class name in snake case."""

import dataclasses
import hashlib
import importlib
import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from reweightbench.benchmark.contracts.discovery import (
    collect_classes,
    find_modules,
    load_file,
    read_user_files,
)
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import Spec, parse_label, snake_case, suggest, write_label
from reweightbench.benchmark.contracts.source_code import digest_modules, imported_components

if TYPE_CHECKING:
    from reweightbench.benchmark.contracts.corruption import Imbalance, Noise
    from reweightbench.benchmark.contracts.dataset import Dataset
    from reweightbench.benchmark.contracts.method import Method
    from reweightbench.benchmark.contracts.network import Network

C = TypeVar("C")

MOST_NUMBER = 1e12
"""How large an option may be, above and below zero."""

CONTRACTS = "reweightbench.benchmark.contracts"


class Registry(Generic[C]):
    """The components of one kind; importing their modules, and PyTorch with them, waits for the first look."""

    def __init__(self, kind: str, base: str, package: str) -> None:
        """`base` is the class that components derive from, as `module.Class` of the contracts."""
        self.kind = kind
        self._base_module, _, self._base_name = base.rpartition(".")
        self._package = package
        self._classes: dict[str, type[C]] = {}
        self._versions: dict[str, str] = {}
        self._imports: dict[str, list[str]] = {}

    @property
    def classes(self) -> Mapping[str, type[C]]:
        """Classes by name, sorted. An ImportError of a module is passed on, never swallowed."""
        if not self._classes:
            found: dict[str, type[C]] = {}
            for module in find_modules(self._package):
                found |= collect_classes(module, self._base, self.kind, found)
            self._classes = found
        return dict(sorted(self._classes.items()))

    def add_file(self, path: Path) -> list[str]:
        """Load a user's own Python file and return the names it adds.

        Their version is the digest of the file and of the modules that it imports from its own folder.
        """
        if not path.is_file():
            raise UsageError(f"no file '{path}'; give the path of a Python file")
        shipped = self.defined_in(path)
        if shipped:
            return shipped
        known = self.classes
        module, version = load_file(path)
        names = [
            name
            for name, cls in known.items()
            if cls.__module__ == module.__name__ and self._versions[name] == version
        ]
        if names:
            return names
        added = collect_classes(module, self._base, self.kind, self._classes)
        if not added:
            raise UsageError(
                f"'{path}' defines no {self.kind}; derive a class from {self._base.__qualname__}"
            )
        self._classes |= added
        self._versions.update(dict.fromkeys(added, version))
        files = read_user_files(path).values()
        imports = sorted({name for source in files for name in imported_components(source)})
        self._imports.update(dict.fromkeys(added, imports))
        return list(added)

    def is_own(self, name: str) -> bool:
        """Whether a component of that name came from a user's file."""
        return name in self._versions

    def digest(self, name: str) -> str:
        """The digest of a component's code: its module's and that of every component's module it imports.

        Of a user's file the version stands for itself. Raises KeyError for a name that is not known.
        """
        if not self.is_own(name):
            return digest_modules([self.classes[name].__module__])
        version, imports = self._versions[name], self._imports[name]
        return hashlib.sha256(f"{version} {digest_modules(imports)}".encode()).hexdigest()

    def defined_in(self, path: Path) -> list[str]:
        """Names of the package's own components whose code is that file."""
        return [
            name
            for name, cls in self.classes.items()
            if not self.is_own(name) and Path(inspect.getfile(cls)).resolve() == path.resolve()
        ]

    def create(self, label: str) -> C:
        """The component a label names, its options converted to the fields' types."""
        return self.build(*parse_label(label, self.kind))

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
            if isinstance(values[key], int | float) and not abs(values[key]) <= MOST_NUMBER:
                raise UsageError(f"{name}({key}={value}): give a finite number of at most {MOST_NUMBER:g}")
        missing = [key for key in fields if key not in values and _default(cls, key) is dataclasses.MISSING]
        if missing:
            raise UsageError(f"{self.kind} '{name}' needs {missing[0]}: write {name}({missing[0]}=...)")
        try:
            return cls(**values)
        except (ValueError, ArithmeticError) as error:
            raise UsageError(f"{name}: {error}") from None

    def spec(self, component: C) -> Spec:
        """The component as data."""
        cls = type(component)
        name = snake_case(cls.__name__)
        options = {key: getattr(component, key) for key in _options(cls)}
        version = self._versions.get(name) or str(getattr(component, "version", 1))
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

    def label(self, spec: Spec) -> str:
        """The name and those options that differ from the defaults."""
        cls = self.classes.get(spec.name)
        shown = {
            key: value for key, value in spec.options.items() if cls is None or _default(cls, key) != value
        }
        return write_label(spec.name, shown)

    @property
    def _base(self) -> type[C]:
        found: type[C] = getattr(importlib.import_module(f"{CONTRACTS}.{self._base_module}"), self._base_name)
        return found

    def _find(self, name: str) -> type[C]:
        classes = self.classes
        if name not in classes:
            plural = self.kind if self.kind.endswith("s") else f"{self.kind}s"
            raise UsageError(
                f"unknown {self.kind} '{name}'{suggest(name, classes)}; 'reweightbench list {plural}' shows all"
            )
        return classes[name]


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    """What checks and converts values of a type; making one takes longer than using it."""
    return TypeAdapter(hint)


def _choice(hint: Any, value: object) -> object:
    """The choice of a Literal that a text spells, so that numbers can be choices; else the value itself."""
    spelled = {str(choice): choice for choice in get_args(hint)} if get_origin(hint) is Literal else {}
    return spelled.get(value, value) if isinstance(value, str) else value


def _options(cls: type) -> dict[str, Any]:
    """Types of the fields that `__init__` takes."""
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def _default(cls: type, key: str) -> object:
    return next(field.default for field in dataclasses.fields(cls) if field.name == key)


METHODS: "Registry[Method]" = Registry("method", "method.Method", "reweightbench.methods")
DATASETS: "Registry[Dataset]" = Registry("dataset", "dataset.Dataset", "reweightbench.datasets")
IMBALANCES: "Registry[Imbalance]" = Registry("imbalance", "corruption.Imbalance", "reweightbench.datasets")
NOISES: "Registry[Noise]" = Registry("noise", "corruption.Noise", "reweightbench.datasets")
NETWORKS: "Registry[Network]" = Registry("model", "network.Network", "reweightbench.benchmark.networks")
