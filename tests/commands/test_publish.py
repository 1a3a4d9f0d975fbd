"""What publishing refuses and what it only says, from records that are made up."""

from pathlib import Path

import pytest

from made_up import make_record
from processes import call
from reweightbench.benchmark.cells.plan import plan_every_cell
from reweightbench.benchmark.cells.suite_file import load_suite
from reweightbench.benchmark.records import single
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.record import Outcome, Record

MINI = """
name = "mini"
title = "Mini"
dataset = "digits"
model = "small_cnn"
methods = ["sgd", "focal"]
corruptions = [{}]
clean_sizes = [50]
budgets = [{ name = "short", epochs = 1, learning_rate = 0.05 }]
seeds = [0]
"""


@pytest.fixture(name="records")
def make_records(tmp_path: Path) -> list[Record]:
    """A complete run of the suite in `runs`."""
    (tmp_path / "mini.toml").write_text(MINI)
    suite = load_suite(str(tmp_path / "mini.toml"))
    records = [make_record(plan) for plan in plan_every_cell(suite, "embedded", "cpu")]
    write(tmp_path / "runs", records)
    return records


def write(results: Path, records: list[Record]) -> ResultsFolder:
    folder = ResultsFolder(results / "mini")
    folder.claim(
        Manifest(suite="mini", variant="embedded", fingerprint="f" * 64, model="small_cnn", device="cpu")
    )
    for record in records:
        single.write(folder.path / "records", Outcome(record, {}))
    return folder


def read_files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_other_results_are_refused_and_stay(tmp_path: Path, records: list[Record]) -> None:
    result = records[0].result
    assert result
    other = result.model_copy(update={"weights_sha256": "1" * 64})
    published = write(tmp_path / "results", [records[0].model_copy(update={"result": other})])
    (published.path / "manifest.json").unlink()
    before = read_files(published.path / "records")
    for options in ([], ["--dry-run"]):
        done = call(tmp_path, "publish", "mini.toml", *options)
        assert done.exit_code == 2
        assert "1 records of 'runs/mini' have other results" in done.output
        assert "--replace" in done.output
        assert read_files(published.path / "records") == before
        assert not published.is_packed


def test_a_dry_run_writes_nothing(tmp_path: Path, records: list[Record]) -> None:
    published = write(tmp_path / "results", records[:1])
    before = read_files(tmp_path)
    done = call(tmp_path, "publish", "mini.toml", "--dry-run")
    assert done.exit_code == 0, done.output
    assert "1 records new, 0 replaced, 1 kept (not yet: --dry-run)" in done.output
    assert read_files(tmp_path) == before
    assert not published.is_packed
