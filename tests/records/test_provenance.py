"""Records know the code that made them, old ones stay as they are, and other code is counted by component."""

import json
from pathlib import Path

import pytest

from made_up import Grid, build_grid
from reweightbench.benchmark.cells.catalogue import add_own_file, find_digest, look_up
from reweightbench.benchmark.cells.suite import Corruption
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.records import code_list
from reweightbench.benchmark.records.code_list import Listed, describe_differences, list_code, read_list
from reweightbench.benchmark.records.provenance import CodeChanges, describe_code
from reweightbench.benchmark.records.record import CodeDigests, Record


@pytest.fixture(name="grid")
def make_grid() -> Grid:
    """Eight records that were made by the present code."""
    corruptions = (
        Corruption(imbalance="longtail(factor=10)"),
        Corruption(imbalance="longtail(factor=10)", noise="uniform(rate=0.4)"),
    )
    grid = build_grid(methods=("sgd", "focal"), corruptions=corruptions)
    for plan in grid.planned:
        update = {"sources": describe_code(plan.cell)}
        grid.records[plan.key] = grid.records[plan.key].model_copy(update=update)
    return grid


def change(grid: Grid, field: str, digest: str | None, **labels: object) -> None:
    """Make records be of other code."""
    for plan in grid.find(**labels):
        record = grid.records[plan.key]
        assert record.sources
        update = {"sources": record.sources.model_copy(update={field: digest})}
        grid.records[plan.key] = record.model_copy(update=update)


def watch(grid: Grid) -> CodeChanges:
    """What all of the grid's records say."""
    changes = CodeChanges({plan.key for plan in grid.planned})
    assert list(changes.watch(grid.records.values())) == list(grid.records.values())
    return changes


def test_records_of_the_present_code_are_not_spoken_of(grid: Grid) -> None:
    changes = watch(grid)
    assert (changes.lines(), changes.found) == ([], set())


def test_other_code_is_counted_by_component(grid: Grid) -> None:
    change(grid, "method", "a" * 64, method="focal", seed=0)
    change(grid, "noise", "b" * 64, method="sgd", seed=0, corruption=grid.planned[-1].corruption)
    change(grid, "engine", "c" * 64, method="focal")
    changes = watch(grid)
    assert changes.lines() == [
        "2 records were made by other code of focal; --rerun-changed repeats them",
        "4 records were made by other code of the engine; --rerun-changed repeats them",
        "1 record was made by other code of uniform; --rerun-changed repeats it",
    ]
    assert len(changes.found) == 5


def test_only_the_records_that_were_asked_for_count(grid: Grid) -> None:
    change(grid, "method", "a" * 64, method="focal")
    changes = CodeChanges({plan.key for plan in grid.find(method="sgd")})
    assert len(list(changes.watch(grid.records.values()))) == len(grid.records)
    assert (changes.lines(), changes.found) == ([], set())


def test_unknown_code_counts_as_unchanged(grid: Grid) -> None:
    change(grid, "method", None, method="focal")
    for plan in grid.find(method="sgd"):
        grid.records[plan.key] = grid.records[plan.key].model_copy(update={"sources": None})
    assert watch(grid).lines() == []


def test_code_that_gives_the_same_bits_counts_as_the_present_one(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_list, "PATH", tmp_path / "sources.json")
    entry = list_code()["method focal"]
    change(grid, "method", "a" * 64, method="focal")
    for same_bits, digest, count in (
        (("a" * 64,), entry.digest, 0),
        (("b" * 64,), entry.digest, 4),
        # What was shown of another state of the code says nothing of this one.
        (("a" * 64,), "d" * 64, 4),
    ):
        listed = Listed(version="1", digest=digest, same_bits=same_bits)
        code_list.write_list({"method focal": listed})
        assert len(watch(grid).found) == count
    read_list.cache_clear()


def test_a_record_without_its_code_keeps_its_bytes(grid: Grid) -> None:
    record = next(iter(grid.records.values()))
    old = json.loads(record.model_dump_json())
    assert list(old)[-1] == "sources"
    del old["sources"]
    text = json.dumps(old, separators=(",", ":"), ensure_ascii=False)
    assert Record.model_validate_json(text).model_dump_json() == text
    assert Record.model_validate(old | {"sources": None}).model_dump_json() == text
    new = record.model_dump_json()
    assert Record.model_validate_json(new).model_dump_json() == new


def test_a_cells_code_is_described_part_by_part(grid: Grid) -> None:
    listed = list_code()
    digests = [describe_code(plan.cell) for plan in grid.planned]
    assert digests[0] == CodeDigests(
        engine=listed["engine"].digest,
        dataset=listed["dataset digits"].digest,
        imbalance=listed["imbalance longtail"].digest,
        model=listed["model small_cnn"].digest,
        method=listed["method sgd"].digest,
    )
    assert digests[-1].noise == listed["noise uniform"].digest
    assert digests[-1].method == listed["method focal"].digest
    unknown = grid.planned[0].cell.method.model_copy(update={"name": "nobody_has_it"})
    assert describe_code(grid.planned[0].cell.model_copy(update={"method": unknown})).method is None


OWN = """
from reweightbench.methods.focal import Focal

class NearlyFocal(Focal):
    pass
"""


def test_the_package_code_under_a_users_method_counts(grid: Grid, tmp_path: Path) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    add_own_file(path)
    spec = look_up(METHODS, "nearly_focal").spec
    plan = next(iter(grid.find(method="focal")))
    cell = plan.cell.model_copy(update={"method": spec})
    sources = describe_code(cell)
    assert sources.method is not None
    assert sources.method not in (spec.version, list_code()["method focal"].digest)
    made = grid.records[plan.key].model_copy(update={"cell": cell, "sources": sources})
    other = made.model_copy(update={"sources": sources.model_copy(update={"method": "a" * 64})})
    for record, count in ((made, 0), (other, 1)):
        changes = CodeChanges({record.key})
        list(changes.watch([record]))
        assert len(changes.lines()) == count


def test_the_code_of_a_users_method_is_told_without_its_file(grid: Grid, tmp_path: Path) -> None:
    """A cell's failure is recorded where the grid runs, whatever has become of the file."""
    path = tmp_path / "own.py"
    path.write_text(OWN.replace("NearlyFocal", "AlmostFocal"))
    add_own_file(path)
    spec = look_up(METHODS, "almost_focal").spec
    path.unlink()
    assert describe_code(grid.planned[0].cell.model_copy(update={"method": spec})).method is not None


@pytest.mark.parametrize("name", ["nobody_has_it", "no(label", "sgd(learning=1)"])
def test_code_of_what_is_not_here_is_unknown(name: str) -> None:
    assert find_digest(METHODS, name) is None


def test_the_list_is_that_of_the_present_code() -> None:
    """Whoever changes code says whether results change; each line tells how."""
    assert describe_differences() == []
