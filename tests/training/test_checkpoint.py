"""A training run that goes on from a checkpoint ends with the bits of one that was not interrupted."""

import hashlib
import io
import os
import signal
import subprocess
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from made_up import STATEFUL, digits_cell
from processes import call, command, wait_until
from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.method import Method
from reweightbench.benchmark.contracts.registry import METHODS, NOISES
from reweightbench.benchmark.contracts.state import take_state
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.records.folder import Manifest, ResultsFolder
from reweightbench.benchmark.records.record import Record
from reweightbench.benchmark.training.checkpoint import DIGEST_BYTES, Checkpoints, Progress, resume, save
from reweightbench.benchmark.training.preparation import Prepared, prepare
from reweightbench.benchmark.training.run import run_cell, run_outcome

EPOCHS = 5


def make_cell(label: str, epochs: int = EPOCHS) -> Cell:
    noise = NOISES.spec(NOISES.create("uniform(rate=0.3)"))
    return digits_cell(label, epochs=epochs, clean_size=40, noise=noise)


def begin(label: str) -> Prepared:
    cell = make_cell(label)
    return prepare(cell, make_cell_data(cell, load(cell.dataset, Sources())), Sources())


def end_state(prepared: Prepared) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in prepared.model.state_dict().items()}


def read(path: Path) -> Any:
    return torch.load(io.BytesIO(path.read_bytes()[DIGEST_BYTES:]), weights_only=True)


def write(path: Path, content: object) -> None:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("label", STATEFUL)
def test_goes_on_from_every_epoch_to_the_same_bits(label: str, tmp_path: Path) -> None:
    straight = begin(label)
    training = straight.start()
    paths = []
    for epoch in training.run():
        paths.append(tmp_path / f"{epoch.number}.pt")
        save(paths[-1], training, Progress(), seconds=0.0)
    expected, random_state = end_state(straight), torch.get_rng_state()
    for done, path in enumerate(paths, start=1):
        prepared = begin(label)
        training = prepared.start()
        resume(path, training)
        epochs = [epoch.number for epoch in training.run()]
        assert epochs == list(range(done, EPOCHS))
        assert_equal(end_state(prepared), expected)
        assert torch.equal(torch.get_rng_state(), random_state)


def test_the_record_is_that_of_an_undisturbed_run(tmp_path: Path) -> None:
    cell = make_cell("elr")
    expected = run_outcome(cell, Sources())
    checkpoints = Checkpoints(tmp_path, every=3)
    assert run_outcome(cell, Sources(), checkpoints).record.result == expected.record.result
    saved = read(checkpoints.path(cell.key))
    assert saved["epochs_done"] == 3
    write(checkpoints.path(cell.key), saved | {"seconds": 1000.0})
    again = run_outcome(cell, Sources(), checkpoints)
    assert again.record.result == expected.record.result
    assert (again.arrays["predictions"] == expected.arrays["predictions"]).all()
    # What was spent before the stop counts.
    assert again.record.cost is not None
    assert again.record.cost.total_seconds > 1000
    assert saved["seconds"] > sum(found["epoch"]["seconds"] for found in saved["evaluations"])


def test_torchs_own_stream_goes_on(tmp_path: Path) -> None:
    training = begin("sgd").start()
    next(training.run())
    torch.rand(5)
    save(tmp_path / "cell.pt", training, Progress(), seconds=0.0)
    expected = torch.rand(3)
    training = begin("sgd").start()
    resume(tmp_path / "cell.pt", training)
    assert torch.equal(torch.rand(3), expected)


def test_begins_anew_in_another_environment_or_with_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "cell.pt"
    training = begin("sgd").start()
    list(islice(training.run(), 2))
    save(path, training, Progress(), seconds=0.0)
    content = path.read_bytes()
    other = []
    for field in ("torch", "code"):
        saved = read(path)
        saved["environment"][field] = "0.1"
        write(tmp_path / "other.pt", saved)
        other.append((tmp_path / "other.pt").read_bytes())
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    for damaged in (*other, bytes(flipped), content[: len(content) // 2], b"", b"no checkpoint"):
        path.write_bytes(damaged)
        training = begin("sgd").start()
        assert resume(path, training) == Progress()
        assert training.epochs_done == 0
    path.write_bytes(content)
    resume(path, training)
    assert training.epochs_done == 2


def test_a_checkpoint_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    cell = make_cell("sgd", epochs=2)
    (tmp_path / "file").touch()
    outcome = run_outcome(cell, Sources(), Checkpoints(tmp_path / "file", every=1))
    assert outcome.record.status == "ok"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@dataclass
class MadeLate(Method):
    """Has a module that `prepare` does not make."""

    paper: ClassVar[str] = "none"

    def start_epoch(self, epoch: int) -> None:
        self.module = nn.Linear(1, 1)


def test_a_module_made_after_prepare_is_an_error_and_not_a_dictionary() -> None:
    method = MadeLate()
    method.start_epoch(0)
    with pytest.raises(TypeError, match="module is not made by prepare"):
        MadeLate().load_state_dict(method.state_dict())


@pytest.mark.parametrize(
    "value",
    [{1}, np.float64(1), np.ones(2), Counter("a"), OrderedDict(), [{"a": deque()}]],
    ids=repr,
)
def test_what_would_come_back_as_something_else_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no state that can be saved"):
        take_state(value)


def test_checkpoints_go_when_the_record_is_there(tmp_path: Path) -> None:
    cell = make_cell("sgd", epochs=1)
    folder = ResultsFolder(tmp_path / "results")
    folder.claim(Manifest(suite="s", variant="v", fingerprint="f", model="m", device="cpu"))
    outcome = run_outcome(cell, Sources(), Checkpoints(folder.checkpoints, every=1))
    half_written = folder.checkpoints / f".{cell.key}.pt.0.tmp"
    others = folder.checkpoints / f"{'0' * 64}.pt"
    for path in (half_written, others):
        path.touch()
    failed = outcome.record.model_copy(
        update={"status": "crashed", "reason": "killed", "result": None, "cost": None}
    )
    folder.write(type(outcome)(failed, {}))
    assert len(list(folder.checkpoints.iterdir())) == 3
    folder.write(outcome)
    assert list(folder.checkpoints.iterdir()) == [others]
    # Another runner of the same cell may write one more.
    half_written.touch()
    assert folder.write(outcome) == outcome.record
    assert list(folder.checkpoints.iterdir()) == [others]


EPOCHS_OF_LONG = 40
STOPPED = 30

SUITE = f"""
name = "long"
title = "One long cell"
dataset = "digits"
model = "small_cnn"
clean_sizes = [50]
seeds = [0]
methods = ["sgd"]
corruptions = [{{}}]

[[budgets]]
name = "long"
epochs = {EPOCHS_OF_LONG}
learning_rate = 0.05
"""

NOTED = f"""
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from reweightbench.benchmark.contracts.method import Method

HERE = Path(__file__).parent

@dataclass
class Noted(Method):
    paper: ClassVar[str] = "none"

    def start_epoch(self, epoch):
        with (HERE / "epochs").open("a") as stream:
            stream.write(f"{{epoch}}\\n")
        while epoch == {STOPPED} and not (HERE / "go").exists():
            time.sleep(0.05)
"""
"""Plain training that writes down which epochs it sees, and waits for `go` in one of them."""


def test_a_killed_cell_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text(SUITE)
    (tmp_path / "noted.py").write_text(NOTED)
    arguments = ["run", "long.toml", "--methods", "noted.py", "--quiet"]
    noted = tmp_path / "epochs"

    def seen() -> list[int]:
        return [int(line) for line in noted.read_text().split()] if noted.exists() else []

    runner = subprocess.Popen(
        command(*arguments, "--checkpoint-every", 7), cwd=tmp_path, start_new_session=True
    )
    wait_until(lambda: STOPPED in seen())
    os.killpg(runner.pid, signal.SIGKILL)
    runner.wait()
    (tmp_path / "go").touch()
    assert call(tmp_path, *arguments).exit_code == 0
    # The last multiple of 7.
    assert seen() == [*range(STOPPED + 1), *range(28, EPOCHS_OF_LONG)]
    assert not list((tmp_path / "runs/long/checkpoints").iterdir())
    (path,) = (tmp_path / "runs/long/records").glob("*.json")
    record = Record.model_validate_json(path.read_bytes())
    # What the method does beyond plain training changes no result.
    plain = record.cell.model_copy(update={"method": METHODS.spec(METHODS.create("sgd"))})
    assert record.result == run_cell(plain).result
