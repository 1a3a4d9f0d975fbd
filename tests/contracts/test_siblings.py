"""A user's file gets the modules of its own folder, and they are part of its version."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reweightbench.benchmark.contracts.discovery import read_user_files
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.method import Method
from reweightbench.benchmark.contracts.registry import Registry

METHOD = """
import importlib
from dataclasses import dataclass
from typing import ClassVar

from reweightbench import Method

{imports}

@dataclass
class {name}(Method):
    paper: ClassVar[str] = "none"

    def power(self):
        {late}
        return {value}
"""

Load = Callable[[Path], tuple[str, float]]


@pytest.fixture(name="load")
def make_load() -> Load:
    """Loads the one method of a file as a fresh process would, and returns its version and power."""

    def load(path: Path) -> tuple[str, float]:
        registry: Registry[Method] = Registry("method", "method.Method", "reweightbench.methods")
        (name,) = registry.add_file(path)
        method = registry.create(name)
        return registry.spec(method).version, method.power()  # type: ignore[attr-defined]

    return load


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files by their paths in a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def write_method(
    folder: Path, imports: str, value: str = "POWER", late: str = "pass", name: str = "Own"
) -> Path:
    """Write a method's file that imports something, and return its path."""
    path = folder / f"{name.lower()}.py"
    write(folder, {path.name: METHOD.format(imports=imports, value=value, late=late, name=name)})
    return path


IMPORTS = {
    "from": ("from myloss import POWER", "POWER", "pass"),
    "module": ("import myloss as m", "m.POWER", "pass"),
    "relative": ("from . import myloss", "myloss.POWER", "pass"),
    "relative_from": ("from .myloss import POWER", "POWER", "pass"),
    "late": ("", "myloss.POWER", "import myloss"),
    "through": ("from other import POWER", "POWER", "pass"),
    "text": ("myloss = importlib.import_module('myloss')", "myloss.POWER", "pass"),
    "made_text": ("POWER = importlib.import_module('my' + 'loss').POWER", "POWER", "pass"),
    "function": ("POWER = __import__('my' + 'loss').POWER", "POWER", "pass"),
    "package": ("from losses.deep import POWER", "POWER", "pass"),
    "package_module": ("import losses.deep", "losses.deep.POWER", "pass"),
    "package_from": ("from losses import deep", "deep.POWER", "pass"),
    "package_text": ("deep = importlib.import_module('losses.deep')", "deep.POWER", "pass"),
    "package_late": ("import losses", "losses.power()", "pass"),
    "package_up": ("from losses.up import POWER", "POWER", "pass"),
}
SIBLINGS = {
    "other.py": "from myloss import POWER\n",
    "losses/__init__.py": "def power():\n    from losses.deep import POWER\n    return POWER\n",
    "losses/deep.py": "from myloss import POWER\n",
    "losses/up.py": "from ..myloss import POWER\n",
    "unused.py": "UNUSED = 1\n",
    "notes.txt": "nothing\n",
}


@pytest.mark.parametrize("way", IMPORTS)
def test_a_sibling_counts_however_it_is_imported(way: str, tmp_path: Path, load: Load) -> None:
    imports, value, late = IMPORTS[way]
    write(tmp_path, SIBLINGS | {"myloss.py": "POWER = 1\n"})
    path = write_method(tmp_path, imports, value, late)
    version, power = load(path)
    assert power == 1
    write(tmp_path, {"unused.py": "UNUSED = 2\n", "notes.txt": "something\n"})
    assert load(path) == (version, 1)
    # The same size within the same second, which a cached bytecode would not notice.
    write(tmp_path, {"myloss.py": "POWER = 2\n"})
    changed, power = load(path)
    assert power == 2
    assert changed != version
    write(tmp_path, {"myloss.py": "POWER = 1\n"})
    assert load(path) == (version, 1)


@pytest.mark.parametrize("way", IMPORTS)
def test_files_of_two_folders_get_their_own_siblings(way: str, tmp_path: Path) -> None:
    imports, value, late = IMPORTS[way]
    registry: Registry[Method] = Registry("method", "method.Method", "reweightbench.methods")
    for number, name in enumerate(("First", "Second")):
        folder = tmp_path / name
        write(folder, SIBLINGS | {"myloss.py": f"POWER = {number}\n"})
        registry.add_file(write_method(folder, imports, value, late, name))
    powers = [registry.create(name).power() for name in ("first", "second")]  # type: ignore[attr-defined]
    assert powers == [0, 1]
    assert not {"myloss", "other", "losses"} & sys.modules.keys()


def test_equal_files_that_make_up_their_imports_are_told_apart(tmp_path: Path, load: Load) -> None:
    found = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        write(folder, {"myloss.py": f"POWER = {number}\n"})
        found.append(load(write_method(folder, *IMPORTS["made_text"])))
    assert [power for _, power in found] == [1, 2]
    assert found[0][0] != found[1][0]


def test_a_sibling_does_not_hide_the_standard_library_or_the_package(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"math.py": "pi = 3\n", "reweightbench.py": "Method = object\n"})
    version, power = load(write_method(tmp_path, "import math", "math.pi"))
    assert power == pytest.approx(3.14159, abs=1e-5)
    write(tmp_path, {"math.py": "pi = 4\n"})
    assert load(tmp_path / "own.py") == (version, power)


def test_a_file_may_have_the_name_of_a_library_that_it_imports(tmp_path: Path, load: Load) -> None:
    path = write_method(tmp_path, "import scipy", "scipy.__name__", name="Scipy")
    assert load(path)[1] == "scipy"


def test_siblings_may_import_each_other(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"a.py": "POWER = 1\nimport b\n", "b.py": "import a\nimport own\n"})
    path = write_method(tmp_path, "from a import POWER")
    assert load(path)[1] == 1
    assert set(read_user_files(path)) == {"own.py", "a.py", "b.py"}


def test_a_sibling_may_postpone_its_annotations(tmp_path: Path, load: Load) -> None:
    """The types of inherited options are looked up in the sibling's names."""
    base = "from __future__ import annotations\n" + METHOD.format(
        name="Parent", imports="from typing import Literal", late="pass", value="self.kind"
    ).replace("    def power", "    kind: Literal[1, 2] = 2\n\n    def power")
    write(tmp_path, {"parents.py": base})
    path = write_method(tmp_path, "from parents import Parent", "self.kind")
    path.write_text(path.read_text().replace("(Method)", "(Parent)"))
    assert load(path)[1] == 2


def test_the_folder_may_be_a_package_under_its_own_name(
    tmp_path: Path, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my_package"
    write(folder, {"__init__.py": "", "myloss.py": "POWER = 1\n"})
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write_method(folder, "from my_package.myloss import POWER")
    assert load(path)[1] == 1
    assert set(read_user_files(path)) == {"own.py", "__init__.py", "myloss.py"}


@pytest.mark.parametrize(
    ("sibling", "reason"),
    [
        ("import a_library_that_nobody_has\n", "No module named 'a_library_that_nobody_has'"),
        ("this is no Python\n", "invalid syntax"),
        ("raise ValueError('broken')\n", "ValueError: broken"),
    ],
)
def test_a_sibling_that_cannot_be_loaded_is_one_line(
    sibling: str, reason: str, tmp_path: Path, load: Load
) -> None:
    write(tmp_path, {"myloss.py": sibling})
    path = write_method(tmp_path, "from myloss import POWER")
    with pytest.raises(UsageError, match=r"own.py' cannot be loaded: ") as caught:
        load(path)
    assert reason in str(caught.value)
    assert "reweightbench_user" not in str(caught.value)
    write(tmp_path, {"myloss.py": "POWER = 1\n"})
    assert load(path)[1] == 1


def test_a_module_that_is_missing_is_named_as_the_file_names_it(tmp_path: Path, load: Load) -> None:
    write(tmp_path, {"losses/__init__.py": ""})
    with pytest.raises(UsageError, match=r"No module named 'losses\.absent'"):
        load(write_method(tmp_path, "import losses.absent"))
