"""Changed code of an unchanged version is listed only after a published cell came to the same bits."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SUITE = """
name = "mini"
title = "A suite for tests"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0]
methods = ["drw"]
corruptions = [{ imbalance = "longtail(factor=10)" }]

[[budgets]]
name = "two"
epochs = 2
learning_rate = 0.05
"""


class Checkout:
    """A copy of this package in a repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for part in ("src", "benchmark", "methods", "datasets"):
            shutil.copytree(ROOT / part, folder / part, symlinks=True, ignore=ignore)
        self._git("init", "-q")

    def commit(self) -> None:
        """Commit the code as it is."""
        self._git("add", *("src", "benchmark", "methods", "datasets"))
        self._git("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "code")

    def call(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of a command of the copy."""
        done = subprocess.run(
            [sys.executable, "-m", "reweightbench", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(self.folder / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace some text of a file."""
        text = (self.folder / path).read_text()
        assert old in text
        (self.folder / path).write_text(text.replace(old, new))

    def listed(self) -> dict[str, dict[str, str]]:
        """The list as it was written."""
        found: dict[str, dict[str, str]] = json.loads(
            (self.folder / "benchmark/records/sources.json").read_text()
        )
        return found

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.folder, check=True)


@pytest.fixture(name="checkout", scope="module")
def make_checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy with one published cell."""
    checkout = Checkout(tmp_path_factory.mktemp("checkout"))
    checkout.commit()
    (checkout.folder / "mini.toml").write_text(SUITE)
    assert checkout.call("run", "mini.toml", "--results", "results", "--quiet") == (0, "")
    return checkout


def test_changed_code_is_listed_only_if_it_is_shown_to_change_nothing(checkout: Checkout) -> None:
    before = checkout.listed()["method drw"]
    checkout.edit("methods/drw.py", "from dataclasses", "UNUSED = 1\nfrom dataclasses")
    code, told = checkout.call("sources", "--write")
    assert code == 1
    assert "method drw: the same bits as before" in told
    # It builds on the other, and has changed with it.
    assert "method ldam: no published cell uses it; raise version in its class" in told
    after = checkout.listed()["method drw"]
    assert (after["version"], after["same_bits"]) == (before["version"], [before["digest"]])

    checkout.edit("methods/drw.py", "round(self.start", "round(0.5 * self.start")
    code, told = checkout.call("sources", "--write")
    assert code == 1
    assert "weights_sha256" in told
    assert "raise version in its class" in told
    assert checkout.listed()["method drw"] == after
    checkout.edit("methods/drw.py", "round(0.5 * self.start", "round(self.start")


def test_a_record_of_another_machine_is_compared_with_the_code_before(checkout: Checkout) -> None:
    (path,) = (checkout.folder / "results/mini/records").glob("*.json")
    record = json.loads(path.read_text())
    record["environment"]["processor"] = "another"
    record["result"]["weights_sha256"] = "0" * 64
    path.write_text(json.dumps(record))
    checkout.edit("methods/drw.py", "UNUSED = 1", "UNUSED = 2")
    assert "method drw: the same bits as before" in checkout.call("sources", "--write")[1]
