"""Publishing adds: what is published stays, whoever publishes what beside it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from made_up import build_grid
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records import publishing, single
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.record import CodeDigests, Outcome, Record, Result

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
    return publishing.add(source, target, keys, pytest.fail, replace=True)


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
    with pytest.raises(UsageError, match=f"{second}.*mend or remove it"):
        publishing.add(source, target, {first}, lambda _: None)
    assert damaged.read_text() == "{}"
    assert not target.is_packed


def change_weights(key: str) -> Result:
    result = RECORDS[key].result
    assert result is not None
    return result.model_copy(update={"weights_sha256": "1" * 64})


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_folder_that_has_lost_its_manifest_keeps_its_results(tmp_path: Path, is_packed: bool) -> None:
    key = next(iter(RECORDS))
    target = make_folder(tmp_path / "target", {key}, result=change_weights(key))
    if is_packed:
        target.pack(target.outcomes(pytest.fail))
    (target.path / "manifest.json").unlink()
    source = make_folder(tmp_path / "all", set(RECORDS))
    with pytest.raises(UsageError, match=r"^1 records of .*--replace"):
        publishing.add(source, target, set(RECORDS), pytest.fail)
    assert contents(target)[key].result == change_weights(key)
    assert publishing.add(source, target, set(RECORDS), pytest.fail, replace=True).replaced == {key}
    assert contents(target) == RECORDS


def test_an_equal_result_of_other_code_confirms_the_published_one(tmp_path: Path) -> None:
    key = next(iter(RECORDS))
    old, new = CodeDigests(engine="1" * 64), CodeDigests(engine="2" * 64)
    target = ResultsFolder(tmp_path / "target")
    publish(make_folder(tmp_path / "old", set(RECORDS), sources=old), target)
    source = make_folder(tmp_path / "new", {key}, sources=new)
    addition = publishing.add(source, target, {key}, pytest.fail)
    assert (addition.confirmed, addition.kept) == ({key}, set(RECORDS) - {key})
    assert "0 replaced, 1 confirmed by other code" in addition.describe()
    assert {held for held, record in contents(target).items() if record.sources == new} == {key}
    unknown = make_folder(tmp_path / "unknown", {key})
    assert publishing.add(unknown, target, {key}, pytest.fail).confirmed == set()
    assert contents(target)[key].sources == new


def test_publishers_wait_for_each_other(tmp_path: Path) -> None:
    first, *rest = RECORDS
    target = make_folder(tmp_path / "target", set())
    source = make_folder(tmp_path / "one", {first})
    with ThreadPoolExecutor() as pool:
        with target.lock():
            waiting = pool.submit(publish, source, ResultsFolder(target.path))
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
            target.pack(make_folder(tmp_path / "rest", set(rest)).outcomes(pytest.fail))
        addition = waiting.result(timeout=60)
    assert (addition.new, addition.kept) == ({first}, set(rest))
    assert contents(target) == RECORDS


def test_a_single_file_that_is_written_while_records_are_packed_stays(tmp_path: Path) -> None:
    first = next(iter(RECORDS))
    folder = make_folder(tmp_path / "one", set(RECORDS))
    changed = RECORDS[first].model_copy(update={"sources": CodeDigests(engine="1" * 64)})

    def read_and_write() -> Iterator[Outcome]:
        yield from folder.outcomes(pytest.fail)
        single.write(folder.path / "records", Outcome(changed, {}))

    folder.pack(read_and_write())
    assert [path.stem for path in (folder.path / "records").iterdir()] == [first]
