"""Packed records are the records, to the last byte; a file from somebody else is checked before it is believed."""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from made_up import Grid, build_grid
from reweightbench import load_records
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records import single
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.merge import merge
from reweightbench.benchmark.records.record import ARRAY_PARTS, CodeDigests, Cost, Outcome, Record
from reweightbench.benchmark.report.report import write_report

MANIFEST = Manifest(
    suite="made-up", variant="embedded", fingerprint="f" * 64, model="small_cnn", device="cpu"
)
PACKED = "records.parquet"
MANY = 300
"""More records than a row group holds."""

GRID = build_grid(
    methods=("sgd", "loss_reweight(favour=easy)", "meta_reweight"), clean_sizes=(100,), seeds=(0, 1)
)


def with_arrays(record: Record) -> Outcome:
    """The record with arrays of the sizes it names."""
    if record.result is None:
        return Outcome(record, {})
    sizes = record.result.sizes
    arrays = {name: np.arange(sizes[part]) for name, part in ARRAY_PARTS.items() if part in sizes}
    predicted = np.array(record.result.last.confusion).sum(0)
    arrays["predictions"] = np.repeat(np.arange(len(predicted)), predicted)
    return Outcome(record, {name: array.astype(np.int32) for name, array in arrays.items()})


def make_folder(path: Path, records: Iterable[Record]) -> ResultsFolder:
    """A results folder with single files."""
    folder = ResultsFolder(path)
    folder.claim(MANIFEST)
    for record in records:
        single.write(path / "records", with_arrays(record))
    return folder


def pack(source: ResultsFolder, path: Path) -> ResultsFolder:
    """A results folder with all records of another one, packed."""
    folder = ResultsFolder(path)
    folder.claim(MANIFEST)
    folder.pack(source.outcomes(pytest.fail))
    return folder


def fail(record: Record, **changes: object) -> Record:
    """A failure of the record's cell."""
    return record.model_copy(
        update={"status": "error", "reason": "broken", "result": None, "cost": None, **changes}
    )


shares = st.floats(0, 1)
amounts = st.floats(0, 1e9)
texts = st.text(max_size=9)


def curves_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """A value for each of the epochs of the grid's cells."""
    return st.lists(values, min_size=4, max_size=4)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record of one of the grid's cells, finished or not, with extreme numbers, any texts, and gaps."""
    record = draw(st.sampled_from([*GRID.records.values()]))
    environment = record.environment.model_copy(
        update={
            "processor": draw(texts),
            "git_commit": draw(st.none() | texts),
            "gpu": draw(st.none() | texts),
        }
    )
    record = record.model_copy(update={"environment": environment, "sources": draw(st.none() | sources())})
    if draw(st.booleans()):
        return fail(record, status=draw(st.sampled_from(["error", "oom"])), reason=draw(st.none() | texts))
    result, gaps = record.result, curves_of(st.none() | shares)
    assert result is not None
    drawn = {
        "train_loss": draw(curves_of(st.floats(-1e30, 1e30))),
        "memorised": draw(gaps),
        "weight_clean": draw(st.just([]) | gaps),
    }
    curves = result.curves.model_copy(update=drawn)
    last = result.last.model_copy(update={"calibration_error": draw(shares)})
    seconds, size = draw(amounts), draw(st.integers(0, 2**50))
    cost = Cost(train_seconds=seconds, total_seconds=seconds, peak_memory_bytes=size)
    return record.model_copy(
        update={"result": result.model_copy(update={"last": last, "curves": curves}), "cost": cost}
    )


def sources() -> st.SearchStrategy[CodeDigests]:
    """Digests of code, some of them unknown."""
    digests = st.none() | st.just("d" * 64)
    return st.builds(CodeDigests, engine=st.just("e" * 64), noise=digests, method=digests)


@pytest.fixture(name="source")
def make_source(tmp_path: Path) -> ResultsFolder:
    """Single files of the grid's records, one of them a failure."""
    first, *rest = GRID.records.values()
    return make_folder(tmp_path / "source", [fail(first), *rest])


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(records(), max_size=3, unique_by=lambda record: record.key))
def test_packing_and_unpacking_gives_the_same_files(found: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = make_folder(Path(place) / "single", found)
        whole = pack(folder, Path(place) / "packed")
        assert not (whole.path / "records").exists()
        assert merge([whole], ResultsFolder(Path(place) / "again"), pytest.fail) == len(found)
        assert contents(Path(place) / "again" / "records") == contents(folder.path / "records")


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of each file."""
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def test_both_forms_give_equal_reports(source: ResultsFolder, tmp_path: Path) -> None:
    pages = {}
    for folder in (source, pack(source, tmp_path / "packed")):
        place = folder.path / "report"
        records = folder.scan(pytest.fail)
        written = write_report(GRID.suite, GRID.planned, records, place, allow_partial=True).paths
        pages[folder.path.name] = {path.relative_to(place): path.read_bytes() for path in written}
    assert pages["source"] == pages["packed"]


def test_equal_records_give_equal_bytes(source: ResultsFolder, tmp_path: Path) -> None:
    first = pack(source, tmp_path / "first")
    turned = make_folder(tmp_path / "turned", reversed([*source.read(pytest.fail).values()]))
    for other in (first, turned):
        assert contents(pack(other, tmp_path / "second").path)[PACKED] == contents(first.path)[PACKED]


def test_columns_hold_what_the_record_says(source: ResultsFolder, tmp_path: Path) -> None:
    frame = pd.read_parquet(pack(source, tmp_path / "packed").path / PACKED).set_index("key")
    assert len(frame.columns) == len(set(frame.columns))
    chosen = next(GRID.find(method="loss_reweight(favour=easy)", corruption="uniform(rate=0.4)", seed=1))
    row, record = frame.loc[chosen.key], GRID.records[chosen.key]
    assert record.result is not None
    assert record.cost is not None
    told = {
        "method": "loss_reweight(favour=easy)",
        "method_name": "loss_reweight",
        "method_options": json.dumps({"favour": "easy"}),
        "noise": "uniform(rate=0.4)",
        "dataset": "digits",
        "variant": "embedded",
        "clean_size": 100,
        "epochs": 4,
        "learning_rate": 0.05,
        "precision": "float32",
        "seed": 1,
        "status": "ok",
        "last_balanced_accuracy": record.result.last.balanced_accuracy,
        "best_accuracy": record.result.best.accuracy,
        "sizes_train": 1000,
        "realised_noise_share": 0.4,
        "train_seconds": record.cost.train_seconds,
        "processor": "Example CPU",
    }
    assert {name: row[name] for name in told} == told
    assert pd.isna(row["imbalance"])
    assert pd.isna(row["gpu"])
    assert row["last_recall"].tolist() == record.result.last.recall
    assert [counts.tolist() for counts in row["last_confusion"]] == record.result.last.confusion
    assert row["curves_memorised"].tolist() == record.result.curves.memorised
    assert row["test_ids"].tolist() == list(range(400))
    assert Record.model_validate_json(row["record"]) == record
    failure = frame[frame["status"] == "error"].iloc[0]
    assert failure["reason"] == "broken"
    assert failure[["last_accuracy", "last_recall", "train_seconds", "test_ids"]].isna().all()


def test_records_load_alike_from_both_forms(source: ResultsFolder, tmp_path: Path) -> None:
    whole = pack(source, tmp_path / "packed")
    frame = load_records(source.path)
    pd.testing.assert_frame_equal(frame, load_records(whole.path))
    pd.testing.assert_frame_equal(frame, pd.read_parquet(whole.path / PACKED))
    with pytest.raises(UsageError, match="no results in"):
        load_records(tmp_path)
    next((source.path / "records").glob("*.json")).write_text("{")
    with pytest.warns(UserWarning, match="unreadable"):
        assert len(load_records(source.path)) == len(frame) - 1


@pytest.fixture(name="pair")
def make_pair(tmp_path: Path) -> Callable[[Record, Record], ResultsFolder]:
    """Makes a folder that holds one record packed and another one of the same cell in a single file."""

    def make(in_row: Record, in_file: Record) -> ResultsFolder:
        folder = pack(make_folder(tmp_path / "source", [in_row]), tmp_path / "pair")
        single.write(folder.path / "records", with_arrays(in_file))
        return folder

    return make


def test_of_a_packed_and_a_single_record_the_finished_one_counts_else_the_single_one(pair) -> None:
    record = next(iter(GRID.records.values()))
    slow = record.model_copy(update={"cost": record.cost.model_copy(update={"total_seconds": 1e6})})
    cases = [
        (fail(record), record, record),
        (record, fail(record), record),
        (record, slow, record),
        (fail(record), fail(record, status="oom"), fail(record, status="oom")),
    ]
    for in_row, in_file, expected in cases:
        assert pair(in_row, in_file).read(pytest.fail) == {record.key: expected}


def test_two_results_of_one_cell_are_an_error(pair, tmp_path: Path) -> None:
    record = next(iter(GRID.records.values()))
    other = record.model_copy(update={"result": record.result.model_copy(update={"best_epoch": 3})})
    with pytest.raises(UsageError, match=f"different results of cell {record.key}"):
        pair(record, other).read(pytest.fail)
    folder = pack(make_folder(tmp_path / "one", [record]), tmp_path / "two")
    assert folder.write(with_arrays(record)) == record
    assert not (folder.path / "records").exists()
    with pytest.raises(UsageError, match="another process has finished a cell"):
        folder.write(with_arrays(other))


def test_packing_removes_the_single_files_of_what_it_packs_and_nothing_else(source: ResultsFolder) -> None:
    (source.path / "records" / "notes.txt").write_text("mine")
    before = source.read(pytest.fail)
    first, *chosen = before
    source.pack(source.all_of(set(chosen), pytest.fail))
    left = {name.partition(".")[0] for name in contents(source.path / "records")}
    assert left == {"notes", first}
    assert source.read(pytest.fail) == before


def write_header(path: Path, header: str) -> None:
    """Arrays of which the first has this header, and no value."""
    text = header.encode() + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("test.npy", b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-30]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x93NUMPY" + bytes(122)),
        lambda path: np.savez(path, test=np.arange(3, dtype=np.int32)),
        lambda path: np.savez(path, test=np.arange(400)),
        lambda path: np.savez(path, tset=np.arange(400, dtype=np.int32)),
        lambda path: np.savez(path, test=np.array([None] * 400)),
        lambda path: np.savez_compressed(path, test=np.zeros(2**26, np.int32)),
        lambda path: write_header(path, "{'descr': '<i4', 'fortran_order': False, 'shape': (10**14,)}"),
        lambda path: write_header(
            path, "{'descr': '<i4', 'fortran_order': False, 'shape': (99999999999999,)}"
        ),
        lambda path: write_header(path, "{'descr': '<i4', ((("),
        lambda path: write_header(path, "(" * 9000),
    ],
    ids=[
        *("cut", "empty", "no archive", "length", "type", "name", "pickled", "large"),
        *("expression", "claim", "open", "deep"),
    ],
)
def test_arrays_that_do_not_fit_stop_packing_before_anything_is_replaced(
    source: ResultsFolder, damage
) -> None:
    key = next(key for key, record in source.read(pytest.fail).items() if record.result)
    damage(source.path / "records" / f"{key}.npz")
    before, warnings = contents(source.path / "records"), []
    with pytest.raises(UsageError, match=f"1 of {len(GRID.records)} records"):
        source.pack(source.all_of(set(GRID.records), warnings.append))
    assert [key in warning for warning in warnings] == [True]
    assert contents(source.path / "records") == before
    assert {path.name for path in source.path.iterdir()} == {"manifest.json", "records"}


def rewrite(change: Callable[[pa.Table], pa.Table], **options: Any) -> Callable[[Path], None]:
    """Damage that writes the table anew, changed."""

    def damage(path: Path) -> None:
        table = change(pq.read_table(path))
        path.unlink()
        pq.write_table(table, path, **options)

    return damage


def put(name: str, values: Callable[[list[Any]], pa.Array | list[Any]]) -> Callable[[pa.Table], pa.Table]:
    """A change of one column."""

    def change(table: pa.Table) -> pa.Table:
        column = values(table[name].to_pylist())
        column = column if isinstance(column, pa.Array) else pa.array(column, table.schema.field(name).type)
        return table.set_column(table.column_names.index(name), name, column)

    return change


def be_a_link(path: Path) -> None:
    os.symlink(path.rename(path.with_name("elsewhere")), path)


def be_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


HOSTILE = {
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "text": (lambda path: path.write_bytes(b"no parquet" * 100), "cannot be read"),
    "bit": (
        lambda path: path.write_bytes(path.read_bytes().replace(b"\x28\xb5\x2f\xfd", b"\x28" * 4)),
        "cannot be read",
    ),
    "link": (be_a_link, "not a regular file"),
    "pipe": (be_a_pipe, "not a regular file"),
    "folder": (lambda path: [path.unlink(), path.mkdir()], "not a regular file"),
    "unknown column": (
        rewrite(lambda table: table.append_column("x", table["key"])),
        "column 'x' is unknown",
    ),
    "column twice": (rewrite(lambda table: table.append_column("seed", table["seed"])), "there twice"),
    "no record": (rewrite(lambda table: table.drop_columns(["record"])), "no column 'record'"),
    "no ids": (rewrite(lambda table: table.drop_columns(["test_ids"])), "no column 'test_ids'"),
    "number as text": (rewrite(put("seed", lambda values: pa.array(map(str, values)))), "'seed' is string"),
    "longer numbers": (
        rewrite(put("test_ids", lambda values: pa.array(values, pa.list_(pa.int64())))),
        "'test_ids' is list",
    ),
    "key twice": (rewrite(lambda table: pa.concat_tables([table, table])), "twice or not in order"),
    "turned": (rewrite(lambda table: table.take([*range(len(table))][::-1])), "twice or not in order"),
    "no key": (rewrite(put("key", lambda keys: [*keys[:-1], None])), "is no sha256"),
    "key of two lines": (rewrite(put("key", lambda keys: ["0\n" * 32, *keys[1:]])), "is no sha256"),
    "hole in ids": (rewrite(put("test_ids", lambda ids: [[None], *ids[1:]])), "cannot be read"),
    "long list": (
        rewrite(put("test_ids", lambda ids: [None, np.zeros(2**25 + 1, np.int32), *ids[2:]])),
        f"at most {2**25} are allowed",
    ),
    "large group": (rewrite(lambda table: table.take([0] * 257)), "257 rows"),
    "other schema": (
        rewrite(put("record", lambda texts: [text.replace('n":2', 'n":9', 1) for text in texts])),
        "schema version 9",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_one_line(name: str, source: ResultsFolder, tmp_path: Path) -> None:
    folder = pack(source, tmp_path / "packed")
    damage, message = HOSTILE[name]
    damage(folder.path / PACKED)
    with pytest.raises(UsageError, match=message) as caught:
        list(folder.outcomes(pytest.fail))
    assert "\n" not in str(caught.value)
    assert PACKED in str(caught.value)


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("record", lambda texts: ["{", *texts[1:]]),
        ("record", lambda texts: [None, *texts[1:]]),
        ("record", lambda texts: [texts[1], *texts[1:]]),
        ("record", lambda texts: [texts[0].replace('"seed":', '"seed":1'), *texts[1:]]),
        ("test_ids", lambda ids: [[1, 2], *ids[1:]]),
    ],
    ids=["no JSON", "none", "another's", "tampered", "length"],
)
def test_a_row_that_is_no_record_is_named_and_left_out(column: str, change, tmp_path: Path) -> None:
    folder = pack(make_folder(tmp_path / "source", GRID.records.values()), tmp_path / "packed")
    rewrite(put(column, change))(folder.path / PACKED)
    first, *rest = sorted(GRID.records)
    warnings: list[str] = []
    assert [outcome.record.key for outcome in folder.outcomes(warnings.append)] == rest
    assert [first in warning and "\n" not in warning for warning in warnings] == [True]


def test_columns_that_a_later_version_adds_may_be_missing(source: ResultsFolder, tmp_path: Path) -> None:
    folder = pack(source, tmp_path / "packed")
    rewrite(lambda table: table.drop_columns(["precision", "curves_weight_auroc"]))(folder.path / PACKED)
    assert folder.read(pytest.fail) == source.read(pytest.fail)


def test_rows_are_read_by_and_by(tmp_path: Path) -> None:
    grid: Grid = build_grid(seeds=range(MANY // 4))
    folder = pack(make_folder(tmp_path / "source", grid.records.values()), tmp_path / "packed")
    metadata = pq.read_metadata(folder.path / PACKED)
    last = metadata.row_group(1).column(metadata.schema.names.index("record"))
    with (folder.path / PACKED).open("r+b") as stream:
        stream.seek(last.dictionary_page_offset + last.total_compressed_size - 9)
        stream.write(b"damaged")
    found = folder.scan(pytest.fail)
    assert [next(found).key for _ in range(256)] == sorted(grid.records)[:256]
    with pytest.raises(UsageError, match="cannot be read"):
        next(found)


def test_a_folder_of_single_files_needs_no_library_for_packed_ones(source: ResultsFolder) -> None:
    code = f"""
import sys
from pathlib import Path
from reweightbench.benchmark.records.folder import ResultsFolder
assert len(ResultsFolder(Path({str(source.path)!r})).read(print)) == {len(GRID.records)}
assert "pyarrow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
