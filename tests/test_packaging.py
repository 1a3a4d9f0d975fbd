"""The three top-level folders are importable under one name only, and the built wheel holds all of them."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("benchmark", "methods", "datasets")

IMPORT_EVERYTHING = f"""
import importlib, pkgutil, sys
import reweightbench

for module in pkgutil.walk_packages(reweightbench.__path__, "reweightbench."):
    importlib.import_module(module.name)
print(*sorted(name for name in sys.modules if name.partition(".")[0] in {FOLDERS}))
"""

REFUSE_SOCKETS = """
import socket

def refuse(*arguments):
    raise RuntimeError(f"the installed package opened a connection: {arguments[1:]}")

socket.socket.connect = socket.socket.connect_ex = refuse
"""


def run(*command: object, cwd: Path = ROOT, text: str | None = None, **environment: str) -> tuple[int, str]:
    """Exit code and output of a command; no path of this process's own imports is passed on."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=inherited | environment,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def tool(name: str) -> Path:
    """The path of a development tool beside this interpreter."""
    return Path(sysconfig.get_path("scripts")) / name


def copy_sources(target: Path) -> Path:
    """A copy of what a build reads, so that nothing is written into the checkout or left over from it."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("src", *FOLDERS):
        shutil.copytree(ROOT / folder, target / folder, symlinks=True, ignore=ignore)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, target)
    return target


@pytest.mark.parametrize("folder", FOLDERS)
def test_links_are_relative_and_lead_to_the_folders(folder: str) -> None:
    link = ROOT / "src" / "reweightbench" / folder
    assert link.is_symlink(), f"{link} is no symlink; on Windows: git config core.symlinks true"
    assert not link.readlink().is_absolute()
    assert link.resolve(strict=True) == ROOT / folder


def test_importing_every_module_brings_no_bare_name() -> None:
    """In the checkout's root a bare import would succeed, so it has to be looked for."""
    code, output = run(sys.executable, "-c", IMPORT_EVERYTHING)
    assert (code, output.strip()) == (0, "")


@pytest.mark.parametrize("folder", FOLDERS)
def test_ruff_forbids_the_bare_name(folder: str) -> None:
    sources = [f"import {folder}\n", f"from {folder} import x\n", f"import {folder}.x\n"]
    assert [_banned_imports(source) for source in sources] == [1, 1, 1]
    assert _banned_imports(f"import reweightbench.{folder}\nfrom reweightbench.{folder} import x\n") == 0


def _banned_imports(source: str) -> int:
    code, output = run(
        tool("ruff"),
        "check",
        "--no-cache",
        "--output-format=concise",
        "--stdin-filename=methods/x.py",
        "-",
        text=source,
    )
    assert code in (0, 1), output
    return output.count("TID251")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as `pip install` of a checkout makes it."""
    return build_wheel(tmp_path_factory.mktemp("wheel"), "--wheel")


def test_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path, tmp_path: Path) -> None:
    # Without options, build makes an sdist and the wheel from it, as a release does.
    for built in (wheel, build_wheel(tmp_path)):
        tree = built.parents[1] / "tree"
        own = {path.name for path in (tree / "src" / "reweightbench").iterdir() if path.is_file()}
        expected = {f"reweightbench/{name}" for name in own | {"py.typed"}}
        for folder in FOLDERS:
            files = (path for path in (tree / folder).rglob("*") if path.is_file())
            expected |= {f"reweightbench/{path.relative_to(tree).as_posix()}" for path in files}
        names = zipfile.ZipFile(built).namelist()
        assert {name for name in names if ".dist-info/" not in name} == expected
        assert "reweightbench/benchmark/cells/suites/digits.toml" in expected


def test_installed_wheel_runs_alone(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, outside the checkout and without network.

    Only the dependencies come from this environment; site reads no `.pth` file of a folder that a
    `.pth` file names, so the editable installation of the checkout stays out of it.
    """
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    paths = sysconfig.get_paths("venv", {"base": str(home), "platbase": str(home)})
    python, packages = Path(paths["scripts"]) / "python", Path(paths["purelib"])
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps")
    assert run(*pip, wheel) == (0, "")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    (packages / "sitecustomize.py").write_text(REFUSE_SOCKETS)

    where = "import reweightbench.benchmark.contracts.errors as module; print(module.__file__)"
    code, output = run(python, "-c", where, cwd=tmp_path)
    assert (code, Path(output.strip()).parents[1]) == (0, packages / "reweightbench" / "benchmark"), output
    code, output = run(Path(paths["scripts"]) / "reweightbench", "list", cwd=tmp_path)
    assert code == 0, output
    assert re.search(r"\bsgd\b", output), output


def build_wheel(folder: Path, *options: str) -> Path:
    """The wheel of a fresh copy `folder/tree`, built in `folder/dist` with the setuptools of this environment."""
    tree = copy_sources(folder / "tree")
    code, output = run(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", *options, tree
    )
    assert code == 0, output
    (built,) = (folder / "dist").glob("*.whl")
    return built


def lint_imports(tree: Path) -> tuple[int, str]:
    """Exit code and report of import-linter on a tree other than the installed one."""
    return run(tool("lint-imports"), "--no-cache", cwd=tree, PYTHONPATH=str(tree / "src"))


def test_import_contracts_are_kept() -> None:
    code, report = lint_imports(ROOT)
    assert code == 0, report


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("benchmark/contracts/errors.py", "reweightbench.methods.sgd"),
        ("benchmark/contracts/errors.py", "reweightbench.datasets.digits"),
        ("benchmark/cells/cell.py", "reweightbench.benchmark.records.record"),
        ("benchmark/data/splits.py", "reweightbench.benchmark.commands.main"),
        ("methods/sgd.py", "reweightbench.benchmark.cells.cell"),
        ("datasets/digits.py", "reweightbench.benchmark.records.record"),
        ("methods/sgd.py", "reweightbench.datasets.digits"),
    ],
)
def test_import_contracts_bite(importer: str, imported: str, tmp_path: Path) -> None:
    tree = copy_sources(tmp_path)
    with (tree / importer).open("a") as file:
        file.write(f"\nimport {imported}\n")
    code, report = lint_imports(tree)
    assert code == 1, report
    assert re.search(rf"reweightbench\.{importer[:-3].replace('/', '.')} ->\s+{imported}", report), report


def test_constraints_pin_every_direct_dependency() -> None:
    """Tool versions stand in constraints.txt alone; a dependency without a pin would float in CI."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
    for text in project["dependencies"] + project["optional-dependencies"]["dev"]:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in pins, f"constraints.txt has no pin for {text}"
        assert pins[name] in requirement.specifier, f"constraints.txt pins {pins[name]} for {text}"


def test_no_tracked_file_names_one_machine() -> None:
    """Package-index addresses and absolute paths of the machine where a file was written."""
    machine = re.compile(r"pypi\.org/simple|files\.pythonhosted|(?<![\w.~-])/(?:root|work|tmp/bash\w*)/")
    # safe.directory: CI's checkout may belong to another user than the one who runs the tests.
    code, listing = run("git", "-c", "safe.directory=*", "ls-files", "-z")
    assert code == 0, listing
    found = []
    for name in filter(None, listing.split("\0")):
        path = ROOT / name
        # The links' targets are tracked themselves; a file may be deleted but not yet committed.
        content = b"" if path.is_symlink() or not path.is_file() else path.read_bytes()
        if b"\0" not in content:
            found += [f"{name}: {match[0]}" for match in machine.finditer(content.decode(errors="replace"))]
    assert not found
