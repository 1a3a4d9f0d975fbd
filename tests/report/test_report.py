"""The report as a whole: what it refuses, what its page says, and that equal records give equal bytes."""

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reweightbench.benchmark.cells.suite import Corruption
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.report.report import Report, write_report

MakeGrid = Callable[..., Any]
TINY = {"methods": ("sgd",), "corruptions": (Corruption(),), "seeds": (0,), "budgets": {"short": 1}}
LINK = re.compile(r"\]\(([^)]*)\)")


def report_on(grid: Any, folder: Path, **allow: bool) -> Report:
    return write_report(grid.suite, grid.planned, grid.records.values(), folder, **allow)


def read_page(grid: Any, folder: Path, **allow: bool) -> str:
    report_on(grid, folder, **allow)
    return (folder / "leaderboard.md").read_text()


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change_environment(grid: Any, place: int, **changes: str) -> None:
    key = grid.planned[place].key
    record = grid.records[key]
    environment = record.environment.model_copy(update=changes)
    grid.records[key] = record.model_copy(update={"environment": environment})


def test_report_writes_what_it_returns_and_links(make_grid: MakeGrid, folder: Path) -> None:
    report = report_on(make_grid(), folder)
    assert report.paths[0] == folder / "leaderboard.md"
    assert set(report.paths) == {path for path in folder.rglob("*") if path.is_file()}
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in report.paths)
    linked = {folder / target for target in LINK.findall(report.paths[0].read_text())}
    assert linked == set(report.paths[1:])
    assert {path.suffix for path in report.paths} == {".md", ".csv", ".tex", ".png", ".svg"}
    assert report.text.startswith("Leaderboard: budget short, clean set of 100\n")
    assert "meta_reweight" in report.text
    assert [title for title, _ in report.skipped] == ["Balanced accuracy against imbalance: clean set of 100"]


def test_missing_cells_are_refused_and_named(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(seeds=tuple(range(8)))
    for cell in grid.find(method="meta_reweight", corruption="none"):
        del grid.records[cell.key]
    grid.fail(next(grid.find(method="sgd", corruption="uniform(rate=0.4)", seed=5)), "timeout")
    with pytest.raises(UsageError) as caught:
        report_on(grid, folder)
    message = str(caught.value)
    assert "9 of 32 cells" in message
    assert "meta_reweight / none / clean 100 / short / seed 0 (missing)" in message
    assert message.count("(missing)") == 5
    assert "and 4 more" in message
    assert "--allow-partial" in message
    assert "\n" not in message
    assert not folder.exists()


def test_failed_cell_is_named_with_its_status(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid()
    grid.fail(grid.planned[-1], "oom")
    with pytest.raises(UsageError, match=r"seed 1 \(oom\)"):
        report_on(grid, folder)


def test_partial_report_says_so_everywhere(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(**TINY | {"methods": ("sgd", "focal")})
    grid.fail(grid.planned[1], "error", "boom | <script>alert(1)</script>")
    report = report_on(grid, folder, allow_partial=True)
    for path in report.paths:
        if path.suffix in (".md", ".tex"):
            assert "partial: 1 of 2 cells" in path.read_text(), path.name
        if path.suffix == ".csv":
            header, *lines = path.read_text().splitlines()
            assert header.endswith("partial"), path.name
            assert all(line.endswith("1 of 2 cells") for line in lines), path.name
    assert report.text.startswith("partial: 1 of 2 cells\n")
    page = report.paths[0].read_text()
    assert "<script>" not in page
    assert "boom \\| &lt;script&gt;" in page


def test_complete_report_says_nothing_of_partial(make_grid: MakeGrid, folder: Path) -> None:
    assert "partial" not in read_page(make_grid(**TINY), folder)


def test_long_list_of_missing_cells_is_cut_on_the_page(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(**TINY | {"seeds": tuple(range(31))})
    for cell in grid.planned[1:]:
        grid.fail(cell, "crashed")
    page = read_page(grid, folder, allow_partial=True)
    assert page.count("crashed") == 20
    assert "10 more in tables/missing-cells.csv." in page
    assert (folder / "tables" / "missing-cells.csv").read_text().count("crashed") == 30


def test_nothing_finished_is_refused(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(**TINY)
    grid.records.clear()
    with pytest.raises(UsageError, match="no finished cell of 1; run it first"):
        report_on(grid, folder, allow_partial=True)


def test_a_run_of_which_all_cells_failed_is_not_taken_for_none(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(**TINY)
    for planned in grid.planned:
        grid.fail(planned, "error")
    with pytest.raises(UsageError, match=r"\(error\).*--retry-failed"):
        report_on(grid, folder, allow_partial=True)


@pytest.mark.parametrize(
    "name", ["", "leaderboard.md", "tables", "tables/results.csv", "plots", "plots/x.png"]
)
def test_nothing_is_written_or_deleted_through_a_link(
    make_grid: MakeGrid, folder: Path, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "notes.md").write_text("mine")
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(elsewhere / "notes.md" if place.suffix else elsewhere)
    with pytest.raises(UsageError, match=f"'{place}' is a link"):
        report_on(make_grid(**TINY), folder)
    assert [path.read_text() for path in elsewhere.iterdir()] == ["mine"]


@pytest.mark.parametrize("field", ["torch", "platform", "processor", "gpu"])
def test_mixed_environments_are_refused(make_grid: MakeGrid, folder: Path, field: str) -> None:
    grid = make_grid()
    change_environment(grid, 2, **{field: "Other_1"})
    with pytest.raises(UsageError, match=f"{field} .*Other_1") as caught:
        report_on(grid, folder)
    assert "--allow-mixed" in str(caught.value)


def test_mixed_environments_are_marked_where_allowed(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(**TINY | {"seeds": (0, 1)})
    change_environment(grid, 1, torch="2.14.0")
    report = report_on(grid, folder, allow_mixed=True)
    for path in report.paths:
        if path.suffix in (".md", ".tex"):
            assert "mixed environments: torch 2.14.0 and 2.15.0" in path.read_text(), path.name


def test_commits_may_differ(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(**TINY | {"seeds": (0, 1)})
    change_environment(grid, 1, git_commit="fedcba9", python="3.12.1")
    page = read_page(grid, folder)
    assert "git commit 0123abc and fedcba9" in page
    assert "mixed" not in page


@pytest.mark.parametrize("data", ["fingerprint", "targets"])
def test_other_data_are_refused(make_grid: MakeGrid, folder: Path, data: str) -> None:
    grid = make_grid()
    cell = next(grid.find(method="meta_reweight", corruption="uniform(rate=0.4)", seed=1))
    realised = grid.records[cell.key].result.realised
    if data == "fingerprint":
        grid.change_result(cell, fingerprint="0" * 64)
    else:
        grid.change_result(cell, realised=realised.model_copy(update={"targets_sha256": "other"}))
    with pytest.raises(UsageError, match=f"record {cell.key} .*meta_reweight.* other data"):
        report_on(grid, folder, allow_partial=True, allow_mixed=True)


def test_equal_records_give_equal_bytes_in_another_process(make_grid: MakeGrid, tmp_path: Path) -> None:
    grid = make_grid(
        corruptions=(Corruption(), Corruption(imbalance="step(factor=4)"), Corruption(noise="pair(rate=0.2)"))
    )
    report_on(grid, tmp_path / "here")
    turned = dict(reversed(grid.records.items()))
    (tmp_path / "grid.pickle").write_bytes(pickle.dumps((grid.suite, grid.planned, list(turned.values()))))
    script = (
        "import pickle, pathlib, sys; from reweightbench.benchmark.report.report import write_report; "
        "folder = pathlib.Path(sys.argv[1]); "
        "write_report(*pickle.loads((folder / 'grid.pickle').read_bytes()), folder / 'there')"
    )
    environment = os.environ | {"PYTHONHASHSEED": "4", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment, timeout=300)
    here, there = read_files(tmp_path / "here"), read_files(tmp_path / "there")
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []


def test_earlier_files_are_deleted_but_no_others(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(**TINY | {"methods": ("sgd", "focal")})
    partial = dict(grid.records)
    del partial[grid.planned[1].key]
    write_report(grid.suite, grid.planned, partial.values(), folder, allow_partial=True)
    stale = folder / "tables" / "missing-cells.md"
    own = [folder / "plots" / "mine.png", folder / "tables" / "mine.csv", folder / "mine.md"]
    for path in own:
        path.write_text("mine")
    assert stale.exists()
    report = report_on(grid, folder)
    assert not stale.exists()
    assert [path.read_text() for path in own] == ["mine"] * 3
    assert set(report.paths) == {path for path in folder.rglob("*") if path.is_file()} - set(own)


@pytest.mark.parametrize(
    ("variant", "is_comparable"), [("official", True), ("jpeg", False), ("subset-500", False)]
)
def test_variant_is_said(make_grid: MakeGrid, folder: Path, variant: str, is_comparable: bool) -> None:
    page = read_page(make_grid(**TINY, variant=variant), folder)
    assert f"variant {variant}" in page
    assert ("not comparable digit for digit with published numbers" not in page) == is_comparable


def test_page_says_what_was_run(make_grid: MakeGrid, folder: Path) -> None:
    grid = make_grid(
        **TINY | {"methods": ("sgd", "focal")},
        own_rates={"focal": 0.2},
        model=Spec(name="net", options={"weights": "none"}),
    )
    page = read_page(grid, folder)
    assert page.startswith("# Made-up numbers\n")
    assert "- Model: net, weights: none\n" in page
    assert "- Cells: 2 finished of 2 (methods: 2, corruption settings: 1" in page
    assert "- Seeds: 0; a published table takes at least 5\n" in page
    assert "suite version 0.1.0, torch 2.15.0, platform Linux, processor Example CPU" in page
    (budget,) = re.findall(r"\| short .*", page)
    assert [entry.strip() for entry in budget.strip("|").split("|")] == [
        "short",
        "1",
        "100",
        "0.05 (sgd); 0.2 (focal)",
        "cosine",
        "0.9",
        "0.0005",
    ]


def test_methods_that_are_not_installed_are_reported(make_grid: MakeGrid, folder: Path) -> None:
    page = read_page(make_grid(**TINY | {"methods": ("sgd", "users_own(x=1)")}), folder)
    row = re.findall(r"\|[^|]*\| users_own\(x=1\).*", page)[0]
    assert row.strip("|").split("|")[-1].strip() == "unknown"
