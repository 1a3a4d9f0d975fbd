"""Modules of users' files, each with modules of its own folder that no other file gets under the same name."""

import builtins
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from reweightbench.benchmark.contracts.siblings import is_sibling

PREFIX = "reweightbench_user_"
"""How the names of such modules begin: a user's file is a package, and its siblings are parts of that."""


def name_module(digest: str) -> str:
    """The name of a user's file as a module; other code has another."""
    return f"{PREFIX}{digest[:16]}"


def make_module(path: Path, digest: str) -> ModuleType:
    """The module of a user's file, not executed yet."""
    name = name_module(digest)
    spec = spec_from_file_location(
        name, path, loader=_SourceLoader(name, str(path)), submodule_search_locations=[str(path.parent)]
    )
    assert spec is not None
    return module_from_spec(spec)


def forget(name: str) -> None:
    """Take the module of a user's file out of those that are loaded, and its siblings."""
    for loaded in [loaded for loaded in sys.modules if f"{loaded}.".startswith(f"{name}.")]:
        del sys.modules[loaded]


@contextmanager
def own_folder_first(module: ModuleType) -> Iterator[None]:
    """While a user's file is executed: what is imported by a text comes from its folder too."""
    finder = _PlainNames(module.__name__, Path(str(module.__file__)))
    importlib.invalidate_caches()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        # Another file's siblings may have these names.
        for name in finder.found:
            sys.modules.pop(name, None)


def read_loaded(path: Path, name: str) -> dict[str, bytes]:
    """The contents of the siblings that the module of a user's file has loaded, by path from its folder."""
    files = (
        getattr(module, "__file__", None)
        for loaded, module in list(sys.modules.items())
        if loaded.startswith(f"{name}.")
    )
    sources = sorted(Path(file) for file in files if file and file.endswith(".py"))
    return {
        source.relative_to(path.parent).as_posix(): source.read_bytes()
        for source in sources
        if source.is_relative_to(path.parent) and source.is_file()
    }


class _SourceLoader(SourceFileLoader):
    """Loads from the source alone: cached bytecode goes by seconds and sizes, which a quick edit may keep."""

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        vars(module)["__builtins__"] = vars(builtins) | {"__import__": _import_in(package)}
        super().exec_module(module)


class _PrivateNames:
    """Finds siblings under the names that keep them apart."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _SourceLoader(name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _PrivateNames)


class _PlainNames:
    """Finds the siblings of one file under the names that they have in its folder."""

    def __init__(self, package: str, path: Path) -> None:
        self.found: list[str] = []
        self._package = package
        self._path = path

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        first = name.partition(".")[0]
        if name.startswith(PREFIX) or first == self._path.stem or not is_sibling(self._path.parent, first):
            return None
        self.found.append(name)
        return ModuleSpec(name, _Alias(f"{self._package}.{name}"))


class _Alias(Loader):
    """Gives out the module of another name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import has put the alias's in its place.
        module.__spec__ = self._spec


def _import_in(package: str) -> Callable[..., Any]:
    """What the import statement does in the modules of one user's file: their own folder comes first."""
    path = Path(str(sys.modules[package].__file__))

    def import_module(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        first = name.partition(".")[0]
        # A file may have the name of the library that it imports.
        is_own_name = first == path.stem and globals is not None and globals["__name__"] == package
        if level or is_own_name or not is_sibling(path.parent, first):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = builtins.__import__(f"{package}.{name}", globals, locals, fromlist or (), 0)
        return module if fromlist else sys.modules[f"{package}.{first}"]

    return import_module
