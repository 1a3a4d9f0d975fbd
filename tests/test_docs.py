"""Generated pages say what the committed records say, and what the pages tell a reader to do works."""

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reweightbench import load_records

DOCS = Path(__file__).parent.parent / "docs"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def load(name: str) -> Any:
    """A script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_on_meta_reweighting_is_current() -> None:
    assert load("meta_fidelity").write() == (DOCS / "meta-fidelity.md").read_text(encoding="utf-8")


def test_the_page_on_all_methods_is_current_and_discusses_every_contradiction() -> None:
    assert load("digits_all").write() == (DOCS / "digits-all.md").read_text(encoding="utf-8")


def test_the_readmes_table_of_methods_is_current() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert load("methods_table").write() == readme


def test_the_readmes_ways_to_read_records_work_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    section = readme.partition("## Read the records\n")[2].partition("\n## ")[0]
    for name in ("results", "runs"):
        (tmp_path / name).symlink_to(DOCS.parent / "results")
    monkeypatch.chdir(tmp_path)
    packed, single = (text for _, _, text in BLOCK.findall(section))
    names: dict[str, Any] = {}
    exec(packed, names)
    assert "meta_reweight" in capsys.readouterr().out
    published = names["records"]
    exec(single, names)
    pd.testing.assert_frame_equal(names["records"], published)


def test_the_picture_of_the_architecture_is_current() -> None:
    architecture = load("architecture")
    assert architecture.write_page() == (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert architecture.write_picture() == (DOCS / "architecture.svg").read_text(encoding="utf-8")


def test_every_file_that_the_architecture_names_is_there() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    places = [DOCS.parent / "benchmark", DOCS.parent]
    for path in re.findall(r"`((?:benchmark/)?[a-z]+/(?:[a-z_]+\.py)?)`", text):
        assert any((place / path).exists() for place in places), path


FAMILIES = defaultdict(dict)
for name, cls in load("methods_table").shipped().items():
    FAMILIES[cls.family][name] = cls


@pytest.mark.parametrize("family", FAMILIES)
def test_a_familys_page_describes_its_methods_with_their_options(family: str) -> None:
    page = (DOCS / "methods" / f"{family}.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(FAMILIES[family])
    for name, cls in FAMILIES[family].items():
        for option in fields(cls):
            assert not option.init or f"`{option.name}" in sections[name], f"{name}: {option.name}"
        if "Deviations:" in inspect.getdoc(cls):
            assert "eviat" in sections[name], name


def test_the_tutorial_works_as_written(tmp_path: Path) -> None:
    """Files are written and commands run in order; a text block shows lines of the commands before it."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    output = ""
    for kind, name, text in BLOCK.findall((DOCS / "add-a-method.md").read_text(encoding="utf-8")):
        if name:
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif kind == "sh":
            done = subprocess.run(
                ["bash", "-euc", text],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            output = done.stdout
        else:
            assert set(text.splitlines()) <= set(output.splitlines())
    assert len(load_records(tmp_path / "results" / "small")) == 16
    leaderboard = (tmp_path / "results" / "small" / "report" / "leaderboard.md").read_text(encoding="utf-8")
    assert "poly1" in leaderboard
    assert "steady" in leaderboard
