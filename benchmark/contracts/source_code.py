"""The package's own code as digests: of all of it, of the engine, and of a component with what it builds on."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import reweightbench

ENGINE = ("contracts", "cells", "data", "networks", "training")
"""The rooms whose code can change a result."""

COMPONENTS = ("reweightbench.methods", "reweightbench.datasets", "reweightbench.benchmark.networks")
"""The packages that hold components."""


@cache
def digest_package() -> str:
    """The sha256 of the names and contents of all Python files of the package."""
    digest = hashlib.sha256()
    folder = Path(reweightbench.__file__).parent
    # Its parts are links in a checkout, which a recursive search does not follow.
    parts = [folder / name for name in ("benchmark", "methods", "datasets")]
    for path in sorted(path for part in parts for path in part.rglob("*.py")):
        digest.update(f"\n{path.relative_to(folder)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def digest_syntax(source: bytes) -> str:
    """The sha256 of a module's syntax tree, the same for every version of Python.

    Comments, docstrings and other texts that stand alone, formatting and positions do not count.
    """
    written: list[str] = []
    _write(ast.parse(source), written)
    return hashlib.sha256("\n".join(written).encode()).hexdigest()


def digest_modules(names: Iterable[str]) -> str:
    """The sha256 of modules of the package and of all modules of components that they import."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += imported_components(_find(name).read_bytes())
    return _digest_named(found)


def digest_engine(components: Iterable[str]) -> str:
    """The sha256 of the engine's modules, without those of `components`, which have digests of their own."""
    own = set(components)
    prefix = "reweightbench.benchmark"
    folder = Path(reweightbench.__file__).parent / "benchmark"
    names = {f"{prefix}.{room}.{path.stem}" for room in ENGINE for path in (folder / room).glob("*.py")}
    return _digest_named(names - own)


def imported_components(source: bytes) -> Iterator[str]:
    """The modules of components that a module imports anywhere in its code."""
    for name in imported_names(parse(source)):
        if name.rpartition(".")[0] in COMPONENTS and _find(name).is_file():
            yield name


def parse(source: bytes) -> ast.Module:
    """The syntax tree; an empty one for what is no Python: that fails when it is loaded, if it ever is."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Every absolute name that a module may import a module under: `a`, `a.b` and `a.b.c` of `from a.b import c`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            full = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in full:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _find(module: str) -> Path:
    """The file of a module of the package."""
    return Path(reweightbench.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")


def _digest_named(names: Iterable[str]) -> str:
    lines = (f"{name} {_digest_file(_find(name))}\n" for name in sorted(names))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def _digest_file(path: Path) -> str:
    return digest_syntax(path.read_bytes())


def _write(node: ast.AST, written: list[str]) -> None:
    """A node and what lies below it, without empty fields: versions of Python differ in how they show those."""
    written.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if value is None or value == []:
            continue
        written.append(name)
        if isinstance(value, list):
            written.append("[")
            for item in value:
                if isinstance(item, ast.AST):
                    if not (_is_lone_text(item) or _is_empty_part(item, node)):
                        _write(item, written)
                else:
                    written.append(ascii(item))
            written.append("]")
        elif isinstance(value, ast.AST):
            _write(value, written)
        else:
            written.append(ascii(value))
    written.append(";")


def _is_empty_part(item: ast.AST, node: ast.AST) -> bool:
    """Whether an item is an empty text in an f-string; only some versions of Python have it there."""
    return isinstance(node, ast.JoinedStr) and isinstance(item, ast.Constant) and item.value == ""


def _is_lone_text(node: ast.AST) -> bool:
    """Whether a node is a docstring or another text that nothing is done with."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
