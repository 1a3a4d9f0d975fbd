"""The published results belong to the suites as they are."""

from pathlib import Path

import pytest

from reweightbench.benchmark.cells.plan import plan_cells
from reweightbench.benchmark.cells.suite_file import load_suite
from reweightbench.benchmark.records.folder import ResultsFolder

FOLDERS = sorted(path.parent for path in (Path(__file__).parent.parent / "results").glob("*/manifest.json"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_cell_of_the_suite_has_its_record_and_no_other_is_there(folder: Path) -> None:
    results = ResultsFolder(folder)
    manifest = results.manifest()
    suite = load_suite(manifest.suite).model_copy(update={"model": manifest.model})
    planned = {plan.key for plan in plan_cells(suite, manifest.variant, manifest.device)}
    warnings: list[str] = []
    assert {record.key for record in results.scan(warnings.append)} == planned
    assert not warnings
