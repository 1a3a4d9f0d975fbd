"""Publishing adds: what is published stays, whoever publishes what beside it."""

from pathlib import Path

import pytest

from made_up import build_grid
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records import publishing, single
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.record import Outcome, Record

MANIFEST = Manifest(
    suite="made-up", variant="embedded", fingerprint="f" * 64, model="small_cnn", device="cpu"
)
RECORDS = build_grid(methods=("sgd", "focal"), seeds=(0, 1)).records


def make_folder(path: Path, keys: set[str], **changes: object) -> ResultsFolder:
    folder = ResultsFolder(path)
    folder.claim(MANIFEST)
    for key in keys:
        single.write(path / "records", Outcome(RECORDS[key].model_copy(update=changes), {}))
    return folder


def publish(source: ResultsFolder, target: ResultsFolder) -> publishing.Addition:
    keys = {record.key for record in source.scan(pytest.fail)}
    addition = publishing.compare(source, target, keys, pytest.fail)
    publishing.add(source, target, addition, pytest.fail)
    return addition


def contents(folder: ResultsFolder) -> dict[str, Record]:
    return folder.read(pytest.fail)


def test_a_part_published_again_leaves_the_rest(tmp_path: Path) -> None:
    every = set(RECORDS)
    some = {key for key, record in RECORDS.items() if record.cell.method.name == "sgd"}
    target = ResultsFolder(tmp_path / "target")
    first = publish(make_folder(tmp_path / "all", every), target)
    assert (first.new, first.kept) == (every, set())
    second = publish(make_folder(tmp_path / "some", some), target)
    assert (second.new, second.replaced, second.kept) == (set(), set(), every)
    assert contents(target) == RECORDS


def test_parts_add_up(tmp_path: Path) -> None:
    target = ResultsFolder(tmp_path / "target")
    for number, key in enumerate(RECORDS):
        addition = publish(make_folder(tmp_path / str(number), {key}), target)
        assert (addition.new, len(addition.kept)) == ({key}, number)
    assert contents(target) == RECORDS


def test_other_results_are_named_and_take_the_place_of_the_old_ones(tmp_path: Path) -> None:
    key = next(iter(RECORDS))
    target = ResultsFolder(tmp_path / "target")
    publish(make_folder(tmp_path / "all", set(RECORDS)), target)
    result = RECORDS[key].result
    assert result is not None
    changed = result.model_copy(update={"weights_sha256": "1" * 64})
    addition = publish(make_folder(tmp_path / "one", {key}, result=changed), target)
    assert addition.replaced == {key}
    assert contents(target)[key].result == changed
    assert {other: record for other, record in contents(target).items() if other != key} == {
        other: record for other, record in RECORDS.items() if other != key
    }


def test_single_files_of_an_earlier_release_are_packed_and_others_left(tmp_path: Path) -> None:
    first, *rest = RECORDS
    target = make_folder(tmp_path / "target", set(rest))
    (target.path / "records" / "notes.md").write_text("mine")
    publish(make_folder(tmp_path / "one", {first}), target)
    assert [path.name for path in (target.path / "records").iterdir()] == ["notes.md"]
    assert contents(target) == RECORDS


@pytest.mark.parametrize("name", ["records", "timing", "checkpoints"])
def test_nothing_is_published_into_what_a_link_leads_to(tmp_path: Path, name: str) -> None:
    first, *rest = RECORDS
    elsewhere = make_folder(tmp_path / "elsewhere", set(rest))
    target = ResultsFolder(tmp_path / "target")
    target.claim(MANIFEST)
    (elsewhere.path / name).mkdir(exist_ok=True)
    (target.path / name).symlink_to(elsewhere.path / name)
    with pytest.raises(UsageError, match=f"{name}' is a link"):
        publish(make_folder(tmp_path / "one", {first}), target)
    assert set(contents(elsewhere)) == set(rest)
    assert not target.is_packed


def test_a_folder_cannot_be_published_into_itself(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "all", set(RECORDS))
    (tmp_path / "link").symlink_to(folder.path)
    for path in (folder.path, tmp_path / "link", tmp_path / "all" / ".." / "all"):
        with pytest.raises(UsageError, match="the folder the records come from"):
            publishing.compare(folder, ResultsFolder(path), set(RECORDS), pytest.fail)
    assert contents(folder) == RECORDS


def test_a_published_record_that_cannot_be_read_is_not_dropped(tmp_path: Path) -> None:
    first, second, *rest = RECORDS
    target = make_folder(tmp_path / "target", {second, *rest})
    damaged = target.path / "records" / f"{second}.json"
    damaged.write_text("{}")
    source = make_folder(tmp_path / "one", {first})
    addition = publishing.compare(source, target, {first}, lambda _: None)
    with pytest.raises(UsageError, match=f"{second}.*mend or remove it"):
        publishing.add(source, target, addition, pytest.fail)
    assert damaged.read_text() == "{}"
    assert not target.is_packed
