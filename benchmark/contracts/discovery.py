"""Finding the classes of components in the package's modules and in a user's own files."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import snake_case
from reweightbench.benchmark.contracts.private_modules import (
    forget,
    make_module,
    name_module,
    own_folder_first,
    read_loaded,
)
from reweightbench.benchmark.contracts.siblings import digest_files, read_files
from reweightbench.benchmark.contracts.text import describe_error

C = TypeVar("C")

_LOADED: dict[str, str] = {}
"""Digests of users' files by the names of their modules."""


def find_modules(name: str) -> Iterator[ModuleType]:
    """Every module of the package of that name; an ImportError is passed on, never swallowed."""
    package = importlib.import_module(name)
    for entry in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{name}.{entry.name}")


def load_file(path: Path) -> tuple[ModuleType, str]:
    """The module of a user's file, and the digest of the file with the siblings that it imports.

    It is loaded once per content. Raises UsageError where it cannot be loaded.
    """
    if path.suffix != ".py":
        raise UsageError(f"'{path}' is no Python file; its name must end in .py")
    module = make_module(path, digest_files(read_files(path)))
    held = sys.modules.get(module.__name__)
    if held is not None and (held.__file__, _LOADED[held.__name__]) == (str(path), _digest(path)):
        return held, _LOADED[held.__name__]
    # What the same code has imported by a text may be something else in another folder, or have changed.
    forget(module.__name__)
    # Dataclasses look up postponed annotations there.
    sys.modules[module.__name__] = module
    try:
        with own_folder_first(module):
            _execute(module)
    except BaseException as error:
        forget(module.__name__)
        if isinstance(error, KeyboardInterrupt):
            raise
        reason = describe_error(error).replace(f"{module.__name__}.", "")
        raise UsageError(f"'{path}' cannot be loaded: {reason}") from error
    digest = _LOADED[module.__name__] = _digest(path)
    return module, digest


def read_user_files(path: Path) -> dict[str, bytes]:
    """The contents of a user's file and of its siblings, those included that only a load has shown."""
    files = read_files(path)
    return read_loaded(path, name_module(digest_files(files))) | files


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


def _digest(path: Path) -> str:
    return digest_files(read_user_files(path))


def _execute(module: ModuleType) -> None:
    assert module.__spec__ is not None
    assert module.__spec__.loader is not None
    module.__spec__.loader.exec_module(module)
