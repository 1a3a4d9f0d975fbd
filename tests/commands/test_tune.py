"""From trials to chosen rates, a table at these rates, and both published, through the command line."""

import json
from pathlib import Path

import pytest

from processes import call
from reweightbench.benchmark.cells.rates import Rates
from reweightbench.benchmark.records.folder import ResultsFolder

SUITE = """
name = "tuned"
title = "Two methods that are one without noise"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0, 1]
methods = ["sgd", "small_loss"]
corruptions = [{}]
corrupted_validation_fraction = 0.1

[[budgets]]
name = "short"
steps = 8
batch_size = 50

[tuning]
lowest = 0.01
highest = 1.0
count = 3
seeds = [100]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the suite tuned and run."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "tuned.toml").write_text(SUITE)
    refused = call(folder, "run", "tuned.toml", "--quiet")
    assert refused.exit_code == 2
    assert "no learning rate has been chosen for sgd, none, clean set 50, short" in refused.stderr
    for command in ("tune", "run"):
        done = call(folder, command, "tuned.toml", "--quiet")
        assert done.exit_code == 0, done.stderr
    return folder


def test_trials_never_see_the_test_part(place: Path) -> None:
    records = list(ResultsFolder(place / "runs" / "tuned").outcomes(pytest.fail))
    trials = [outcome for outcome in records if outcome.record.cell.purpose == "trial"]
    assert len(trials) >= 6
    for outcome in trials:
        assert outcome.record.result is not None
        assert outcome.record.result.last is None
        assert outcome.arrays == {}
    assert {outcome.record.cell.seed for outcome in trials} == {100}


def test_twins_get_one_rate_and_differ_by_exactly_nothing(place: Path) -> None:
    """Without noise small_loss is sgd."""
    rates = Rates.model_validate_json((place / "runs/tuned/rates.json").read_bytes())
    chosen = {(choice.method, choice.selection): choice.learning_rate for choice in rates.choices}
    scores: dict[str, dict[int, str]] = {}
    for record in ResultsFolder(place / "runs" / "tuned").scan(pytest.fail):
        cell = record.cell
        if cell.purpose == "table" and cell.budget.learning_rate == chosen[cell.method.name, "clean"]:
            assert record.result is not None
            scores.setdefault(cell.method.name, {})[cell.seed] = record.result.weights_sha256
    for selection in ("clean", "corrupted"):
        assert chosen["sgd", selection] == chosen["small_loss", selection]
    assert scores["sgd"] == scores["small_loss"]


def test_what_is_chosen_is_run_once(place: Path) -> None:
    for command in ("tune", "run"):
        before = sorted((place / "runs/tuned/records").iterdir())
        assert call(place, command, "tuned.toml", "--quiet").exit_code == 0
        assert sorted((place / "runs/tuned/records").iterdir()) == before


def test_status_counts_trials_and_cells(place: Path) -> None:
    trials, cells = call(place, "status", "tuned.toml").stdout.splitlines()
    assert trials.startswith("tuned: ")
    assert trials.endswith(" ok")
    assert " trials recorded" in trials
    assert cells.startswith("tuned: ")
    assert " missing" not in cells


def test_rates_and_trials_are_published_with_the_table(place: Path) -> None:
    done = call(place, "publish", "tuned.toml")
    assert done.exit_code == 0, done.stderr
    published, source = ResultsFolder(place / "results/tuned"), ResultsFolder(place / "runs/tuned")
    assert published.read(pytest.fail) == source.read(pytest.fail)
    assert json.loads((place / "tuned.rates.json").read_text()) == json.loads(
        (place / "runs/tuned/rates.json").read_text()
    )
    page = (place / "results/tuned/report/leaderboard.md").read_text(encoding="utf-8")
    assert "choices are bracketed" in page
    # A fresh folder needs no trials: the chosen rates lie beside the suite.
    fresh = call(place, "run", "tuned.toml", "--results", "fresh", "--dry-run", "--quiet")
    assert fresh.exit_code == 0, fresh.stderr
    (place / "tuned.rates.json").unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tuned.toml", "--seeds", "0"), "tune takes its seeds from the suite's table [tuning]"),
        (("meta-fidelity",), "says nothing of tuning"),
    ],
)
def test_what_cannot_be_tuned_is_refused(place: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = call(place, "tune", *arguments)
    assert refused.exit_code == 2
    assert message in refused.stderr


def test_a_dry_run_counts_trials_and_writes_nothing(place: Path) -> None:
    told = call(place, "tune", "tuned.toml", "--dry-run", "--results", "nowhere", "--quiet")
    assert told.exit_code == 0, told.stderr
    assert told.stdout.startswith("tuned: 6 trials")
    assert not (place / "nowhere").exists()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"choices": [{}]}', b"\xff"])
def test_a_damaged_file_of_rates_is_one_line(place: Path, content: bytes) -> None:
    path = place / "tuned.rates.json"
    path.write_bytes(content)
    refused = call(place, "run", "tuned.toml", "--dry-run")
    path.unlink()
    assert refused.exit_code == 2
    assert len(refused.stderr.splitlines()) == 1
