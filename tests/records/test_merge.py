"""Records of several machines come together without losing or mixing up any."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from made_up import Grid, build_grid
from reweightbench.benchmark.cells.plan import Shard
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.merge import merge
from reweightbench.benchmark.records.record import Record
from reweightbench.benchmark.training.run import Outcome

MANIFEST = Manifest(
    suite="made-up", variant="embedded", fingerprint="f" * 64, model="small_cnn", device="cpu"
)

Write = Callable[..., ResultsFolder]


@pytest.fixture(name="grid")
def make_grid() -> Grid:
    return build_grid()


@pytest.fixture(name="write")
def make_write(tmp_path: Path) -> Write:
    """Writes records into a folder of that name."""

    def write(name: str, records: Iterable[Record], manifest: Manifest = MANIFEST) -> ResultsFolder:
        folder = ResultsFolder(tmp_path / name)
        folder.claim(manifest)
        for record in records:
            size = record.result.sizes["test"] if record.result else 3
            folder.write(Outcome(record, {"test": np.arange(size, dtype=np.int32)}))
        return folder

    return write


def fail(record: Record) -> Record:
    return record.model_copy(update={"status": "error", "reason": "broken", "result": None, "cost": None})


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shards_together_are_the_whole(count: int, grid: Grid, write: Write) -> None:
    parts = []
    for number in range(1, count + 1):
        plans = Shard(number, count).select(grid.planned)
        parts.append(write(f"part{number}", (grid.records[plan.key] for plan in plans)))
    target = ResultsFolder(parts[0].path.parent / "whole")
    assert merge(parts, target, print) == len(grid.records)
    assert target.read(print) == grid.records
    assert target.manifest() == MANIFEST
    names = {f"{key}.{ending}" for key in grid.records for ending in ("json", "npz")}
    assert {path.name for path in (target.path / "records").iterdir()} == names


def test_shards_are_of_equal_size_and_apart(grid: Grid) -> None:
    parts = [Shard(number, 3).select(grid.planned) for number in (1, 2, 3)]
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    assert len({plan.key for part in parts for plan in part}) == len(grid.planned) == sum(sizes)


def test_merging_again_copies_nothing(grid: Grid, write: Write) -> None:
    source, target = write("source", grid.records.values()), write("target", [])
    assert merge([source], target, print) == len(grid.records)
    assert merge([source, source], target, print) == 0


def test_a_finished_cell_supersedes_a_failed_one_in_either_order(grid: Grid, write: Write) -> None:
    first, *_ = grid.records.values()
    good, bad = write("good", [first]), write("bad", [fail(first)])
    for name, sources in {"good-bad": [good, bad], "bad-good": [bad, good]}.items():
        target = write(name, [])
        merge(sources, target, print)
        assert target.read(print)[first.key].status == "ok"
    assert merge([good], bad, print) == 1
    assert bad.read(print)[first.key].status == "ok"


def test_time_and_environment_may_differ(grid: Grid, write: Write) -> None:
    first, *_ = grid.records.values()
    elsewhere = first.model_copy(
        update={
            "cost": first.cost.model_copy(update={"train_seconds": 1.0}),
            "environment": first.environment.model_copy(update={"processor": "another"}),
        }
    )
    target = write("target", [first])
    assert merge([write("source", [elsewhere])], target, print) == 0
    assert target.read(print)[first.key] == first


def test_two_results_of_one_cell_are_refused_before_anything_is_copied(grid: Grid, write: Write) -> None:
    first, second, *_ = grid.records.values()
    other = first.model_copy(update={"result": first.result.model_copy(update={"weights_sha256": "1" * 64})})
    one, two, target = write("one", [first]), write("two", [second, other]), write("target", [])
    with pytest.raises(
        UsageError, match=rf"one' and '.*two' hold different results of sgd, seed 0 .*{first.key}"
    ):
        merge([one, two], target, print)
    assert target.read(print) == {}


@pytest.mark.parametrize("field", ["suite", "variant", "fingerprint", "model", "device"])
def test_folders_of_different_things_are_refused(field: str, grid: Grid, write: Write) -> None:
    value = {"device": "cuda"}.get(field, "e" * 64)
    one = write("one", grid.records.values())
    two = write("two", [], MANIFEST.model_copy(update={field: value}))
    target = ResultsFolder(one.path.parent / "target")
    with pytest.raises(UsageError, match=f"holds results with {field}"):
        merge([one, two], target, print)
    assert not target.path.exists()


def test_a_folder_without_results_is_refused(tmp_path: Path, write: Write) -> None:
    with pytest.raises(UsageError, match=r"no results in '.*none'"):
        merge([ResultsFolder(tmp_path / "none")], write("target", []), print)
