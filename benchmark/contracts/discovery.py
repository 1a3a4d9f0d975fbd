"""Finding the classes of components in the package's modules and in a user's own files."""

import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import snake_case
from reweightbench.benchmark.contracts.text import describe_error

C = TypeVar("C")


def find_modules(name: str) -> Iterator[ModuleType]:
    """Every module of the package of that name; an ImportError is passed on, never swallowed."""
    package = importlib.import_module(name)
    for entry in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{name}.{entry.name}")


@cache
def load_file(path: Path, digest: str) -> ModuleType:
    """The module of a user's file, loaded once per content; raises UsageError where it cannot be loaded."""
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
        if isinstance(error, KeyboardInterrupt):
            raise
        raise UsageError(f"'{path}' cannot be loaded: {describe_error(error)}") from error
    return module


def collect_classes(
    module: ModuleType, base: type[C], kind: str, known: Mapping[str, type[C]]
) -> dict[str, type[C]]:
    """The concrete, public subclasses of `base` by name that the module defines itself.

    Raises UsageError for a name that is `known` already.
    """
    found: dict[str, type[C]] = {}
    for class_name, cls in inspect.getmembers(module, inspect.isclass):
        if cls.__module__ != module.__name__ or not issubclass(cls, base):
            continue
        if inspect.isabstract(cls) or class_name.startswith("_"):
            continue
        name = snake_case(class_name)
        twin: type | None = found.get(name) or known.get(name)
        if twin is not None:
            files = inspect.getfile(twin), inspect.getfile(cls)
            raise UsageError(f"two {kind}s are named '{name}': {files[0]} and {files[1]}; rename one")
        found[name] = cls
    return found
