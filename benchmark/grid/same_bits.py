"""Proof that changed code gives the results that it gave before: a published cell run again."""

import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import reweightbench
from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.grid.fork_server import THREAD_VARIABLES
from reweightbench.benchmark.records.code_list import ENGINE, PATH, REGISTRIES
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.record import COMPARED_FIELDS, Record
from reweightbench.benchmark.records.survey import Warn

ROOT = Path(reweightbench.__file__).resolve().parents[2]
"""The checkout that this code runs from."""

PARTS = ("src", "benchmark", "methods", "datasets")

TRAIN = """
import sys
from pathlib import Path
from reweightbench import Cell, Sources, run_cell

cell = Cell.model_validate_json(sys.stdin.read())
record = run_cell(cell, Sources(data_dir=Path(sys.argv[1]), allow_subset=sys.argv[2] == "True"))
print(record.model_dump_json())
"""


def choose_records(names: Set[str], results: Path, warn: Warn) -> dict[str, Record]:
    """A published record for each of these entries of the list that has one.

    Of several it is one with noise and imbalance, if there is one, and then the shortest.
    """
    chosen: dict[str, Record] = {}
    for folder in sorted(path.parent for path in results.glob("*/manifest.json")):
        for record in ResultsFolder(folder).scan(warn):
            if record.status != "ok":
                continue
            for name in _entries(record.cell) & names:
                if name not in chosen or _rank(record) < _rank(chosen[name]):
                    chosen[name] = record
    return chosen


def find_change(record: Record, sources: Sources) -> str:
    """What the present code makes of a published cell that it made not before; empty if nothing.

    Where the record comes from another kind of machine, the code of the commit that last wrote the list says what
    the result should be on this one. Raises UsageError where either cannot be run.
    """
    assert record.result is not None
    again = _train(ROOT, record.cell, sources)
    changed = _compare(record.result.model_dump(mode="json"), again["result"])
    environment = record.environment.model_dump()
    if changed and any(environment[field] != again["environment"][field] for field in COMPARED_FIELDS):
        with _earlier_code() as root:
            changed = _compare(_train(root, record.cell, sources)["result"], again["result"])
    return f"cell {record.key} comes to another {', '.join(changed)}" if changed else ""


def _entries(cell: Cell) -> set[str]:
    """The names in the list of what takes part in a cell."""
    specs = {field: getattr(cell, field) for field in REGISTRIES}
    return {ENGINE} | {f"{field} {spec.name}" for field, spec in specs.items() if spec}


def _rank(record: Record) -> tuple[bool, bool, float]:
    seconds = record.cost.total_seconds if record.cost else 0.0
    return record.cell.noise is None, record.cell.imbalance is None, seconds


def _compare(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The fields of a result that are not as before; new ones do not count."""
    return [field for field, value in before.items() if field not in after or after[field] != value]


def _train(root: Path, cell: Cell, sources: Sources) -> dict[str, Any]:
    """The record to which the code of a checkout comes."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(cell.numerics.threads))
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, str(sources.data_dir.resolve()), str(sources.allow_subset)],
        input=cell.model_dump_json(),
        env=environment | {"PYTHONPATH": str(root / "src")},
        cwd=root / "src",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UsageError(f"cell {cell.key} cannot be run: {reason}")
    record: dict[str, Any] = json.loads(done.stdout)
    return record


@contextmanager
def _earlier_code() -> Iterator[Path]:
    """A folder with the code of the commit that last wrote the list."""
    place = PATH.resolve().relative_to(ROOT)
    commit = _git("log", "-1", "--format=%H", "--", str(place)).decode().strip()
    if not commit:
        raise UsageError(f"'{place}' is in no commit; commit it with the code that it lists")
    with tempfile.TemporaryDirectory(prefix="reweightbench-") as folder:
        with tarfile.open(fileobj=io.BytesIO(_git("archive", commit, *PARTS))) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.decode(errors="replace").strip().splitlines() or [""])[-1]
        raise UsageError(f"git {arguments[0]} fails in '{ROOT}': {reason}; run this in a checkout")
    return done.stdout
