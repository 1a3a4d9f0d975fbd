"""Code that changes is seen: a user's file by its key, the package's own by what records remember of it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from processes import start
from reweightbench.benchmark.commands.main import main

SUITE = """
name = "mini"
title = "A suite for tests"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0]
methods = ["sgd", "focal"]
corruptions = [{}]

[[budgets]]
name = "one"
epochs = 1
learning_rate = 0.05
"""

MINE = """
from dataclasses import dataclass
from typing import ClassVar

from myloss import POWER

from reweightbench import Method


@dataclass
class Mine(Method):
    paper: ClassVar[str] = "none"

    def example_losses(self, logits, batch):
        return POWER * super().example_losses(logits, batch)
"""


def call(*arguments: str) -> Result:
    """A command in this process."""
    return CliRunner().invoke(main, arguments)


def read_records(folder: Path) -> dict[str, dict[str, Any]]:
    """The records by their files' names."""
    return {path.name: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_a_change_in_a_module_beside_a_users_file_runs_its_cells_again(tmp_path: Path) -> None:
    (tmp_path / "mini.toml").write_text(SUITE)
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.py").write_text(MINE)
    hashes = []
    for power in (2, 3):
        (own / "myloss.py").write_text(f"POWER = {power}\n")
        done = start(tmp_path, "run", "mini.toml", "--methods", "sgd,own/mine.py")
        assert done.returncode == 0, done.stderr
        assert f"cached={power - 2}, " in done.stderr
        records = read_records(tmp_path / "runs/mini/records")
        hashes.append({record["result"]["weights_sha256"] for record in records.values()})
    assert [len(found) for found in hashes] == [2, 3]
    told = start(tmp_path, "status", "mini.toml", "--methods", "sgd,own/mine.py")
    assert told.stdout == "mini: 2 cells, 2 ok\n"


def test_records_of_other_code_are_named_and_repeated_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mini.toml").write_text(SUITE)
    folder = Path("runs/mini/records")
    assert call("run", "mini.toml", "--quiet").exit_code == 0
    made = read_records(folder)
    path = next(folder / name for name, record in made.items() if record["cell"]["method"]["name"] == "focal")
    record = made[path.name]
    changed = record | {"sources": record["sources"] | {"method": "a" * 64}}
    changed["result"] = record["result"] | {"weights_sha256": "b" * 64}
    path.write_text(json.dumps(changed))
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}

    line = "1 record was made by other code of focal; --rerun-changed repeats it"
    assert line in call("status", "mini.toml").stdout
    assert "focal" not in call("status", "mini.toml", "--methods", "sgd").stdout
    assert line in call("run", "mini.toml", "--dry-run").stdout
    for command in ("run", "report"):
        told = call(command, "mini.toml", *(["--quiet"] if command == "run" else []))
        assert (told.exit_code, told.stderr) == (0, f"warning: {line}\n")
    published = call("publish", "mini.toml", "--into", "published")
    assert (published.exit_code, published.stderr) == (0, f"warning: {line}\n")
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before

    refused = call("run", "mini.toml", "--rerun-changed", "--quiet", "--results", "published")
    assert refused.exit_code == 2
    assert re.fullmatch(
        "error: 'published/mini' holds packed records, .* 'reweightbench merge' .*\n", refused.stderr
    )

    failed = call("run", "mini.toml", "--rerun-changed", "--quiet", "--memory-per-cell", "0.001")
    assert failed.exit_code == 1
    assert re.search("in repeating focal, .*; its earlier record stays\n", failed.stderr)
    assert {file: file.stat().st_mtime_ns for file in folder.iterdir()} == before

    again = call("run", "mini.toml", "--rerun-changed", "--quiet")
    assert (again.exit_code, again.stderr) == (0, "")
    after = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert {file.stem for file in after if after[file] != before[file]} == {path.stem}
    mended = read_records(folder)
    for name in made:
        for field in ("result", "sources"):
            assert mended[name][field] == made[name][field]
    assert call("status", "mini.toml").stdout == "mini: 2 cells, 2 ok\n"
