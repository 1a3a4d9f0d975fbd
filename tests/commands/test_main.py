"""Bad input gets one line that names the value and the next step, exit code 2, and loses nothing."""

import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from reweightbench.benchmark.commands.main import main

SUITE = """
name = "mini"
title = "A suite for tests"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0]
methods = ["sgd", "random_weights"]
corruptions = [{ noise = "uniform(rate=0.4)" }]

[[budgets]]
name = "one"
epochs = 1
learning_rate = 0.05
"""


@pytest.fixture(autouse=True)
def _stay_in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REWEIGHTBENCH_DATA", str(tmp_path / "data"))
    Path("mini.toml").write_text(SUITE)


def call(*arguments: str) -> Result:
    """A command in this process."""
    return CliRunner().invoke(main, arguments)


def assert_one_line(result: Result, *parts: str) -> None:
    """The call was refused in one line that holds the parts."""
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for part in parts:
        assert part in result.stderr


@pytest.mark.parametrize("kind", ["methods", "datasets", "imbalances", "noises", "models", "suites"])
def test_list_shows_every_kind(kind: str) -> None:
    result = call("list", kind)
    assert result.exit_code == 0
    known = {
        "methods": "meta_reweight",
        "datasets": "ham10000",
        "imbalances": "longtail",
        "noises": "background",
        "models": "resnet32",
        "suites": "cifar10-small",
    }
    assert known[kind] in result.stdout


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("run", "digit"), ("unknown suite 'digit'", "did you mean 'digits'", "list suites")),
        (("run", "none.toml"), ("no suite file 'none.toml'",)),
        (("run", "mini.toml", "--methods", "focla"), ("unknown method 'focla'", "did you mean 'focal'")),
        (("run", "mini.toml", "--methods", "focal(gama=1)"), ("no option 'gama'", "'gamma'")),
        (("run", "mini.toml", "--methods", "focal(gamma=x)"), ("focal(gamma=x)", "number")),
        (("run", "mini.toml", "--methods", "focal(gamma=-1)"), ("gamma is -1", "at least 0")),
        (("run", "mini.toml", "--methods", "focal(gamma"), ("'focal(gamma' is no method label",)),
        (("run", "mini.toml", "--methods", "mine.py"), ("no file",)),
        (("run", "mini.toml", "--seeds", "4-0"), ("seeds '4-0'", "0-4")),
        (("run", "mini.toml", "--seeds", "a"), ("seeds 'a'",)),
        (("run", "mini.toml", "--shard", "3/2"), ("shard '3/2'", "for example 2/5")),
        (("run", "mini.toml", "--shard", "half"), ("shard 'half'",)),
        (("run", "mini.toml", "--gpus", "0,1", "--device", "cpu"), ("--gpus 0,1", "--device cuda")),
        (("run", "mini.toml", "--per-gpu", "4"), ("--per-gpu 4", "--gpus")),
        (("run", "mini.toml", "--dry-run", "--per-gpu", "4"), ("--per-gpu 4", "--gpus")),
        (("run", "mini.toml", "--engine", "ray", "--gpus", "0"), ("--gpus 0: Ray assigns the GPUs",)),
        (
            ("run", "mini.toml", "--engine", "ray", "--per-gpu", "2", "--device", "cpu"),
            ("--per-gpu 2 is of no use",),
        ),
        (("run", "mini.toml", "--address", "h:1"), ("--address h:1 is of use with --engine ray only",)),
        (("run", "mini.toml", "--seeds", "0-999999999"), ("more than 10000",)),
        (("run", "mini.toml", "--seeds", "9" * 5000), ("neither a number",)),
        (("run", "mini.toml", "--seeds", "0", "--seeds", "a"), ("seeds '0,a'",)),
        (("run", "mini.toml", "--shard", "1/" + "9" * 5000), ("is no part of a grid",)),
        (("run", "mini.toml", "--jobs", "9" * 5000), ("--jobs", "run --help")),
        (("run", "mini.toml", "--jobs", str(10**11)), ("--jobs", "10000")),
        (("run", "mini.toml", "--timeout", "nan"), ("--timeout", "not a number")),
        (("run", "mini.toml", "--timeout", "inf"), ("--timeout", "range")),
        (("run", "mini.toml", "--memory-per-cell", "1e400"), ("--memory-per-cell", "range")),
        (("time", "mini.toml", "--minutes", "nan"), ("--minutes", "not a number")),
        (("run", "mini.toml", "--methods", "s" * 10**6), ("no method label", "1000 printable")),
        (("run", "mini.toml", "--methods", "\x1b[31mred"), (r"\x1b[31mred",)),
        (("run", "mini.toml", "--methods", "sgd", "--methods", "focla"), ("did you mean 'focal'",)),
        (("run", "\x1b[31m\nred"), (r"unknown suite '\x1b[31m red'",)),
        (("run", "x" * 10**6), ("unknown suite 'xxx", "list suites")),
        (("run", "mini.toml", "--frob\x1b[31m"), (r"\x1b[31m", "run --help")),
        (("merge", "none", "target"), ("no results in 'none'",)),
        (("prepare", "cifar100"), ("unknown dataset 'cifar100'", "did you mean 'cifar10'")),
        (("prepare", "ham10000"), ("HAM10000_metadata.csv", "CC BY-NC 4.0")),
        (("run", "ham10000-small"), ("HAM10000_metadata.csv",)),
        (("status", "mini.toml"), ("no results in 'runs/mini'", "reweightbench run")),
        (("report", "mini.toml"), ("no results in 'runs/mini'",)),
    ],
)
def test_a_mistake_gets_one_line(arguments: tuple[str, ...], parts: tuple[str, ...]) -> None:
    assert_one_line(call(*arguments), *parts)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("epochs = 1", "epoch = 1", ("budgets.0.epoch", "did you mean 'epochs'")),
        ("title", "titel", ("titel", "did you mean 'title'")),
        ("epochs = 1", "epochs = -1", ("budgets.0.epochs", "greater than 0")),
        ("learning_rate = 0.05", 'learning_rate = "fast"', ("budgets.0.learning_rate", "number")),
        ("seeds = [0]", "seeds = [0, 0]", ("seeds lists 0 twice",)),
        ("seeds = [0]", "seeds = []", ("seeds",)),
        ("uniform(rate=0.4)", "uniform(rate=1.4)", ("rate is 1.4", "[0, 1]")),
        ("uniform(rate=0.4)", "uniform(rate=-0.1)", ("rate is -0.1",)),
        ("uniform(rate=0.4)", "uniform", ("uniform", "rate")),
        ("uniform(rate=0.4)", "unifrom(rate=0.4)", ("unknown noise 'unifrom'", "did you mean 'uniform'")),
        ('{ noise = "uniform(rate=0.4)" }', '{ imbalance = "longtail(factor=5000)" }', ("class", "weaker")),
        ('{ noise = "uniform(rate=0.4)" }', '{ imbalance = "longtail(factor=0.5)" }', ("factor is 0.5",)),
        ("clean_sizes = [50]", "clean_sizes = [5000]", ("clean set of 5000", "at most")),
        ("clean_sizes = [50]", "clean_sizes = [55]", ("55", "50 or 60")),
        ("clean_sizes = [50]", "clean_sizes = [-10]", ("clean_sizes.0",)),
        ("small_cnn", "small_cn", ("unknown model 'small_cn'", "did you mean 'small_cnn'")),
        ('"digits"', '"digit"', ("unknown dataset 'digit'",)),
        ("[[budgets]]", "[[budgets", ("not TOML",)),
        ("epochs = 1", f"epochs = {10**30}", ("budgets.0.epochs", "1000000")),
        (
            "epochs = 1",
            "epochs = 1\nbatch_size = 5000",
            ("budget 'one'", "batch_size 5000", "choose at most"),
        ),
        (
            "random_weights",
            "meta_reweight(clean_batch_size=1)",
            ("meta_reweight(clean_batch_size=1)", "small_cnn"),
        ),
        ('"digits"', '"cifar10(image_size=3)"', ("image_size",)),
    ],
)
def test_a_mistake_in_a_suite_gets_one_line(old: str, new: str, parts: tuple[str, ...]) -> None:
    assert old in SUITE
    Path("mini.toml").write_text(SUITE.replace(old, new))
    assert_one_line(call("run", "mini.toml"), *parts)
    assert not Path("runs").exists()


def test_a_method_that_needs_the_clean_set_is_refused_without_one() -> None:
    Path("mini.toml").write_text(SUITE.replace("[50]", "[0]").replace("random_weights", "clean_only"))
    assert_one_line(call("run", "mini.toml"), "clean_only", "clean set")
    assert not Path("runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine with CUDA accepts the option")
def test_cuda_is_refused_where_there_is_none() -> None:
    assert_one_line(call("run", "mini.toml", "--device", "cuda"), "CUDA", "--device cpu")


def test_dry_run_counts_cells_and_writes_nothing() -> None:
    result = call("run", "digits", "--dry-run", "--methods", "sgd,meta_reweight", "--quiet")
    assert result.exit_code == 0
    assert "120 cells" in result.stdout
    assert not Path("runs").exists()


def test_dry_run_tells_how_long_the_missing_cells_take() -> None:
    def told(results: str) -> tuple[float, str]:
        arguments = ("--dry-run", "--quiet", "--jobs", "1", "--results", results)
        result = call("run", "mini.toml", *arguments)
        match = re.search(r"about (\d+):(\d\d):(\d\d) \(h:mm:ss\) with 1 at a time", result.stdout)
        assert match is not None, result.output
        hours, minutes, seconds = map(int, match.groups())
        return 3600 * hours + 60 * minutes + seconds, result.stdout

    suite = Path("mini.toml").read_text()
    Path("mini.toml").write_text(suite.replace("epochs = 1", "epochs = 1000"))
    once, text = told("none")
    assert once > 0
    assert "record" not in text
    Path("mini.toml").write_text(suite.replace("epochs = 1", "epochs = 100000"))
    often, _ = told("none")
    assert 10 * once < often < 1000 * once
    Path("mini.toml").write_text(suite)
    assert call("run", "mini.toml", "--quiet", "--methods", "sgd").exit_code == 0
    _, text = told("runs")
    assert "1 of them have a record in 'runs/mini'" in text


def test_dry_run_works_without_the_data() -> None:
    result = call("run", "cifar10", "--dry-run")
    assert result.exit_code == 0
    assert "data are missing" in result.stdout


def test_the_way_from_run_to_published_results() -> None:
    assert call("run", "mini.toml", "--quiet").exit_code == 0
    told = call("status", "mini.toml")
    assert "2 cells, 2 ok" in told.stdout
    reported = call("report", "mini.toml")
    assert reported.exit_code == 0, reported.output
    assert "random_weights" in reported.stdout
    published = call("publish", "mini.toml")
    assert published.exit_code == 0, published.output
    assert {path.name for path in Path("results/mini").iterdir()} == {
        ".records.parquet.lock",
        "manifest.json",
        "records.parquet",
        "report",
    }
    assert (
        Path("results/mini/report/leaderboard.md").read_text()
        == Path("runs/mini/report/leaderboard.md").read_text()
    )


def test_packed_records_serve_every_command_like_single_files() -> None:
    assert call("run", "mini.toml", "--quiet").exit_code == 0
    assert call("publish", "mini.toml").exit_code == 0
    packed = Path("results/mini/records.parquet")
    before = packed.read_bytes()
    assert call("run", "mini.toml", "--quiet", "--results", "results").exit_code == 0
    assert not Path("results/mini/records").exists()
    assert "2 cells, 2 ok" in call("status", "mini.toml", "--results", "results").stdout
    assert "2 of them have a record" in call("run", "mini.toml", "--dry-run", "--results", "results").stdout
    assert "equal" in call("verify", "mini.toml", "--sample", "1").stdout
    assert "2 records copied" in call("merge", "results/mini", "again/mini").stdout
    for path in Path("runs/mini/records").iterdir():
        assert Path("again/mini/records", path.name).read_bytes() == path.read_bytes()
    assert call("publish", "mini.toml", "--results", "again").exit_code == 0
    assert packed.read_bytes() == before
    packed.write_bytes(before[:-9])
    for arguments in (
        ("run", "mini.toml", "--quiet", "--results", "results"),
        ("status", "mini.toml", "--results", "results"),
        ("report", "mini.toml", "--results", "results"),
        ("publish", "mini.toml", "--results", "results", "--into", "elsewhere"),
        ("verify", "mini.toml"),
        ("merge", "results/mini", "another/mini"),
    ):
        assert_one_line(call(*arguments), "records.parquet", "remove it and run its cells")


def test_a_partial_run_is_refused_unless_asked_for() -> None:
    assert call("run", "mini.toml", "--quiet").exit_code == 0
    Path("mini.toml").write_text(SUITE.replace("seeds = [0]", "seeds = [0, 1]"))
    assert_one_line(call("report", "mini.toml"), "2 of 4", "--allow-partial")
    assert_one_line(call("publish", "mini.toml"), "2 of 4")
    marked = call("report", "mini.toml", "--allow-partial")
    assert marked.exit_code == 0
    assert "2 of 4" in Path("runs/mini/report/leaderboard.md").read_text()


def test_a_run_with_other_weights_is_reported_as_such() -> None:
    Path("mini.toml").write_text(SUITE.replace("small_cnn", "resnet18(stem=imagenet, weights=imagenet)"))
    started = call("run", "mini.toml", "--quiet", "--weights", "none", "--methods", "sgd")
    assert started.exit_code == 0, started.output
    assert "1 cells, 1 ok" in call("status", "mini.toml", "--methods", "sgd").stdout
    assert call("report", "mini.toml", "--methods", "sgd").exit_code == 0
    assert "weights: none" in Path("runs/mini/report/leaderboard.md").read_text()


def test_a_folder_of_another_suite_is_refused() -> None:
    assert call("run", "mini.toml", "--quiet").exit_code == 0
    shutil.move("runs/mini", "runs/other")
    Path("other.toml").write_text(SUITE.replace('"mini"', '"other"'))
    for command in ("run", "report", "status"):
        assert_one_line(call(command, "other.toml"), "mini", "other")


def test_a_damaged_record_is_named_and_its_cell_runs_again() -> None:
    assert call("run", "mini.toml", "--quiet").exit_code == 0
    path = next(Path("runs/mini/records").glob("*.json"))
    path.write_text("{")
    result = call("run", "mini.toml", "--quiet")
    assert result.exit_code == 0
    assert path.name in result.stderr
    assert path.exists()


def test_a_budget_too_short_for_a_method_is_refused_before_the_first_cell() -> None:
    Path("mini.toml").write_text(SUITE.replace("random_weights", "fine_tune"))
    assert_one_line(call("run", "mini.toml", "--dry-run"), "1 epochs cannot be divided", "more epochs")


def test_a_full_disk_stops_the_run_and_keeps_what_is_finished() -> None:
    def limit_file_size() -> None:
        # Writing past the limit fails like writing to a full disk, without needing a disk to fill.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, resource.RLIM_INFINITY))

    done = subprocess.run(
        [sys.executable, "-m", "reweightbench", "run", "mini.toml", "--quiet"],
        preexec_fn=limit_file_size,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "error: " in done.stderr
    assert "mini" in done.stderr
    assert not list(Path("runs/mini/records").glob(".*.tmp"))
    assert call("run", "mini.toml", "--quiet").exit_code == 0


def test_a_users_file_is_loaded_only_where_it_is_named() -> None:
    Path("mine.py").write_text("from pathlib import Path\nPath(__file__).with_name('loaded').touch()\n")
    for words in (("list",), ("run", "mini.toml", "--dry-run", "--quiet"), ("status", "mini.toml")):
        call(*words)
        assert not Path("loaded").exists(), words
    call("check", "mine.py")
    assert Path("loaded").exists()


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m reweightbench list | head -1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_methods_that_name_nothing_are_refused() -> None:
    assert_one_line(call("run", "mini.toml", "--methods", " , "), "--methods names no method")


def test_a_suite_of_ones_own_is_not_published_under_the_name_of_the_packages() -> None:
    Path("mine.toml").write_text(SUITE.replace('"mini"', '"digits"'))
    assert_one_line(call("publish", "mine.toml"), "'mine.toml' is another suite than the package's 'digits'")
