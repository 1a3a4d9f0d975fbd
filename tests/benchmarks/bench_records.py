"""Large grids: ten thousand records, in single files and packed, read, checked and reported on."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_up import ALL_CORRUPTIONS, ALL_METHODS, Grid, build_grid
from reweightbench.benchmark.records import packed
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.report.findings import make_findings
from reweightbench.benchmark.report.report import write_report

SEEDS = 72
"""With 140 settings that is 10,080 records."""

PARTS = 4
MOST = 1.25 * PARTS
"""What reading `PARTS` times as many records may take of the time."""

MOST_PACKED = 1.0
"""What reading packed records may take of the time that single files take."""

LargeGrid = tuple[Grid, ResultsFolder]


def make_large_grid(path: Path, seeds: int) -> LargeGrid:
    """A grid and a folder with its records."""
    grid = build_grid(
        methods=tuple(ALL_METHODS),
        corruptions=ALL_CORRUPTIONS,
        budgets={"short": 8, "long": 30},
        seeds=tuple(range(seeds)),
    )
    (path / "records").mkdir(parents=True)
    # Not by `ResultsFolder.write`, which waits for the disk after every record.
    for key, record in grid.records.items():
        (path / "records" / f"{key}.json").write_text(record.model_dump_json())
    return grid, ResultsFolder(path)


def read(large: LargeGrid) -> None:
    """Read and check every record, and keep what a report needs."""
    grid, folder = large
    findings = make_findings(grid.suite, grid.planned, folder.scan(print))
    assert len(findings.finished) == len(grid.planned)


def reading_window(large: LargeGrid) -> Callable[[], float]:
    """Seconds of reading once."""

    def run() -> float:
        started = time.perf_counter()
        read(large)
        return time.perf_counter() - started

    return run


@pytest.fixture(scope="module", name="large")
def large_grid(is_measuring: bool, tmp_path_factory: pytest.TempPathFactory) -> LargeGrid:
    """Ten thousand records where figures are wanted, else a few hundred."""
    return make_large_grid(tmp_path_factory.mktemp("large"), SEEDS if is_measuring else PARTS)


@pytest.fixture(scope="module", name="large_packed")
def packed_grid(large: LargeGrid, tmp_path_factory: pytest.TempPathFactory) -> LargeGrid:
    """The same records, packed."""
    grid, folder = large
    path = tmp_path_factory.mktemp("packed")
    packed.write(path / "records.parquet", folder.outcomes(print))
    return grid, ResultsFolder(path)


@pytest.fixture(name="chosen", params=["large", "large_packed"])
def chosen_form(request: pytest.FixtureRequest) -> LargeGrid:
    """Either form."""
    grid: LargeGrid = request.getfixturevalue(request.param)
    return grid


def test_reading_of_ten_thousand_records(benchmark: Any, chosen: LargeGrid) -> None:
    benchmark.pedantic(read, args=(chosen,), rounds=3)


def test_report_of_ten_thousand_records(
    benchmark: Any, chosen: LargeGrid, tmp_path: Path, is_measuring: bool
) -> None:
    if not is_measuring:
        pytest.skip("the tests of reports make one like it")
    grid, folder = chosen

    def report() -> None:
        write_report(grid.suite, grid.planned, folder.scan(print), tmp_path / "report")

    benchmark.pedantic(report, rounds=1)


def test_reading_time_grows_with_the_number_of_records(
    large: LargeGrid, compare: Any, is_measuring: bool, tmp_path: Path
) -> None:
    grid, _ = large
    small = make_large_grid(tmp_path / "small", len(grid.suite.seeds) // PARTS)
    windows = {"all": reading_window(large), f"1 of {PARTS}": reading_window(small)}
    ratio = compare(windows, f"1 of {PARTS}", 5)["all"]
    assert not is_measuring or ratio.value <= MOST


def test_packed_records_are_read_as_fast_as_single_files(
    large: LargeGrid, large_packed: LargeGrid, compare: Any, is_measuring: bool
) -> None:
    windows = {"single files": reading_window(large), "packed": reading_window(large_packed)}
    ratio = compare(windows, "single files", 5)["packed"]
    assert not is_measuring or ratio.value <= MOST_PACKED
