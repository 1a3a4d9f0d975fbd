"""A results folder keeps whole records, names damaged ones and refuses other suites' cells."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from reweightbench.benchmark.cells.plan import plan_cells
from reweightbench.benchmark.cells.suite_file import load_suite
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records.environment import describe_environment
from reweightbench.benchmark.records.files import write_atomically
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.record import Record
from reweightbench.benchmark.training.run import Outcome, run_outcome

MANIFEST = Manifest(
    suite="digits",
    variant="embedded",
    fingerprint="0" * 64,
    model="small_cnn",
    device="cpu",
    deterministic=False,
)


@pytest.fixture(name="outcomes")
def make_outcomes() -> list[Outcome]:
    """Three records without a result, with arrays."""
    cells = [plan.cell for plan in plan_cells(load_suite("digits"), "embedded", "cpu")[:3]]
    environment = describe_environment()
    records = [Record(key=cell.key, cell=cell, status="error", environment=environment) for cell in cells]
    return [Outcome(record, {"test": np.arange(5, dtype=np.int32)}) for record in records]


@pytest.fixture(name="folder")
def make_folder(tmp_path: Path, outcomes: list[Outcome]) -> ResultsFolder:
    """A results folder that holds the records."""
    folder = ResultsFolder(tmp_path / "digits")
    folder.claim(MANIFEST)
    for outcome in outcomes:
        folder.write(outcome)
    return folder


def find(folder: ResultsFolder, outcome: Outcome) -> Path:
    """The file of a record."""
    return folder.path / "records" / f"{outcome.record.key}.json"


def test_records_are_read_as_written(folder: ResultsFolder, outcomes: list[Outcome]) -> None:
    warnings: list[str] = []
    assert folder.read(warnings.append) == {outcome.record.key: outcome.record for outcome in outcomes}
    assert warnings == []
    with np.load(find(folder, outcomes[0]).with_suffix(".npz"), allow_pickle=False) as held:
        np.testing.assert_array_equal(held["test"], np.arange(5))


def test_equal_outcomes_give_equal_bytes(folder: ResultsFolder, outcomes: list[Outcome]) -> None:
    path = find(folder, outcomes[0])
    before = {path: path.read_bytes() for path in (path, path.with_suffix(".npz"))}
    path.unlink()
    folder.write(outcomes[0])
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace('"status":"error"', '"status":"fine"'),
        lambda text: json.dumps(json.loads(text) | {"extra": 1}),
        lambda text: text.replace('"seed":0', '"seed":7'),
    ],
    ids=["cut", "empty", "value", "key", "tampered"],
)
def test_a_damaged_record_is_named_and_moved_aside(folder: ResultsFolder, outcomes, damage) -> None:
    path = find(folder, outcomes[0])
    path.write_text(damage(path.read_text()))
    warnings: list[str] = []
    kept = {outcome.record.key for outcome in outcomes[1:]}
    assert set(folder.read(warnings.append)) == kept
    assert path.exists(), "reading alone changes nothing"
    assert set(folder.read(warnings.append, move=True)) == kept
    assert len(warnings) == 2
    assert all(path.name in warning and "\n" not in warning for warning in warnings)
    assert not path.exists()
    assert path.with_name(path.name + ".unreadable").exists()


def test_a_record_of_a_newer_schema_is_refused_and_stays(folder: ResultsFolder, outcomes) -> None:
    path = find(folder, outcomes[0])
    path.write_text(path.read_text().replace('"schema_version":2', '"schema_version":99'))
    with pytest.raises(UsageError, match="schema version 99"):
        folder.read(print)
    assert path.exists()


@pytest.fixture(name="finished", scope="module")
def make_finished() -> Outcome:
    cell = plan_cells(load_suite("digits"), "embedded", "cpu")[0].cell
    quick = cell.model_copy(update={"budget": cell.budget.model_copy(update={"epochs": 1}), "seed": 9})
    return run_outcome(quick, Sources())


def test_a_failure_never_replaces_a_finished_cell(folder: ResultsFolder, finished: Outcome) -> None:
    folder.write(finished)
    folder.write(
        Outcome(finished.record.model_copy(update={"status": "oom", "result": None, "cost": None}), {})
    )
    assert folder.read(print)[finished.record.key].status == "ok"


def test_two_results_of_one_cell_are_an_error(folder: ResultsFolder, finished: Outcome) -> None:
    folder.write(finished)
    record = finished.record
    assert record.result is not None
    assert record.cost is not None
    slower = record.cost.model_copy(update={"total_seconds": 1e6})
    folder.write(Outcome(record.model_copy(update={"cost": slower}), {}))
    different = record.result.model_copy(update={"best_epoch": record.result.best_epoch + 1})
    with pytest.raises(UsageError, match=r"with a different result .* which stays"):
        folder.write(Outcome(record.model_copy(update={"result": different}), {}))
    assert folder.read(print)[record.key] == record


def test_a_result_replaces_another_only_when_asked(folder: ResultsFolder, finished: Outcome) -> None:
    folder.write(finished)
    record = finished.record
    assert record.result is not None
    other = record.model_copy(
        update={"result": record.result.model_copy(update={"weights_sha256": "0" * 64})}
    )
    assert folder.write(Outcome(other, finished.arrays), replace=True) == other
    assert folder.read(print)[record.key] == other
    failed = record.model_copy(update={"status": "oom", "result": None, "cost": None})
    assert folder.write(Outcome(failed, {}), replace=True) == other
    assert folder.read(print)[record.key] == other


def test_temporary_files_are_never_read(folder: ResultsFolder, outcomes: list[Outcome]) -> None:
    path = find(folder, outcomes[0])
    path.rename(path.with_name(f".{path.name}.abc.tmp"))
    warnings: list[str] = []
    assert len(folder.read(warnings.append)) == 2
    assert warnings == []


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("suite", "other"),
        ("variant", "jpeg"),
        ("fingerprint", "1" * 64),
        ("model", "resnet8"),
        ("device", "cuda"),
        ("deterministic", True),
    ],
)
def test_a_folder_refuses_results_of_another_kind(folder: ResultsFolder, field: str, value: str) -> None:
    with pytest.raises(UsageError, match=rf"{field} '.*', not '{value}'.*--results"):
        folder.claim(MANIFEST.model_copy(update={field: value}))


def test_a_folder_that_says_nothing_of_its_arithmetic_takes_both(tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "old")
    folder.claim(MANIFEST.model_copy(update={"deterministic": None}))
    for is_deterministic in (True, False):
        folder.claim(MANIFEST.model_copy(update={"deterministic": is_deterministic}))


def test_a_folder_without_results_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="reweightbench run"):
        ResultsFolder(tmp_path / "none").manifest()


def make_header(description: str) -> bytes:
    """The bytes of an .npy file with that header and two numbers behind it."""
    header = description.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)


def make_nested() -> bytes:
    """The bytes of an .npz file."""
    stream = io.BytesIO()
    np.savez(stream, test=np.zeros(2, np.int32))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        make_nested(),
        make_header(f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({10**15},)}}"),
        make_header(f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({2**70},)}}"),
        make_header("{'descr': '<i4', 'fortran_order': False, 'shape': (1,)}"),
        make_header("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 1)}"),
        make_header("{'descr': '<i8', 'fortran_order': False, 'shape': (1,)}"),
        make_header("{'descr': '<i4', 'fortran_order': ((("),
        make_header('"""'),
        make_header("(" * 100),
        b"",
    ],
    ids=["archive", "large", "huge", "longer", "matrix", "type", "cut", "text", "nested", "empty"],
)
def test_arrays_that_are_none_are_named_and_left_out(
    folder: ResultsFolder, outcomes: list[Outcome], content: bytes
) -> None:
    path = find(folder, outcomes[0])
    with zipfile.ZipFile(path.with_suffix(".npz"), "w") as archive:
        archive.writestr("test.npy", content)
    warnings: list[str] = []
    found = {outcome.record.key for outcome in folder.outcomes(warnings.append)}
    assert found == {outcome.record.key for outcome in outcomes[1:]}
    assert len(warnings) == 1
    assert f"the arrays of record '{path}' are unreadable" in warnings[0]
    assert "\n" not in warnings[0]


def test_records_are_read_by_and_by(folder: ResultsFolder, outcomes: list[Outcome]) -> None:
    *_, last = sorted(outcome.record.key for outcome in outcomes)
    (folder.path / "records" / f"{last}.json").write_text("damaged")
    warnings: list[str] = []
    records = folder.scan(warnings.append)
    assert next(records).key < last
    assert warnings == []
    assert last not in {record.key for record in records}
    assert len(warnings) == 1
