"""Which modules of its own folder a user's file imports, and their digest."""

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from reweightbench.benchmark.contracts.source_code import imported_names, parse

INSTALLED = {"site-packages", "dist-packages"}
"""Folders of libraries, in which nothing is a user's own."""

NEVER_SIBLINGS = sys.stdlib_module_names | {"reweightbench"}


def read_files(path: Path) -> dict[str, bytes]:
    """The contents of a user's file and of what it imports from its own folder, by path from that folder.

    Imports are followed through the siblings, wherever in the code they stand. A package beside the file counts
    with all its Python files; files of other kinds never count.
    """
    folder = path.parent
    found = {path.name: path.read_bytes()}
    waiting = [path.name]
    while waiting:
        name = waiting.pop()
        for sibling in _imported(name, found[name], folder):
            for file in files_of(folder, sibling):
                relative = file.relative_to(folder).as_posix()
                if relative not in found:
                    found[relative] = file.read_bytes()
                    waiting.append(relative)
    return found


def digest_files(files: Mapping[str, bytes]) -> str:
    """The sha256 of a file that stands alone, or of the names and contents of several."""
    if len(files) == 1:
        return hashlib.sha256(*files.values()).hexdigest()
    lines = (f"{name} {hashlib.sha256(content).hexdigest()}\n" for name, content in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def is_sibling(folder: Path, name: str) -> bool:
    """Whether a module of that name lies in the folder of a user's file."""
    return name not in NEVER_SIBLINGS and any(files_of(folder, name))


def files_of(folder: Path, name: str) -> Iterator[Path]:
    """The Python files of a module or a package in a folder; a package has an `__init__.py`."""
    package, module = folder / name, folder / f"{name}.py"
    if folder.name in INSTALLED:
        return
    if (package / "__init__.py").is_file():
        yield from sorted(file for file in package.rglob("*.py") if file.is_file())
    elif module.is_file():
        yield module


def _imported(name: str, source: bytes, folder: Path) -> set[str]:
    """The names of siblings that a file, `name` from the folder, may import."""
    tree = parse(source)
    names = {*imported_names(tree), *_relative_names(tree, level=name.count("/") + 1)}
    # The folder may be a package itself, and be imported under its own name.
    if folder.name in names and (folder / "__init__.py").is_file():
        names |= {full.removeprefix(f"{folder.name}.") for full in names} | {"__init__"}
    return {full.partition(".")[0] for full in names} - NEVER_SIBLINGS


def _relative_names(tree: ast.Module, level: int) -> Iterator[str]:
    """What is imported from so many packages up."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == level:
            yield from [node.module] if node.module else [alias.name for alias in node.names]
