"""A training run written down between two epochs, to go on from there to the same bits."""

import hashlib
import io
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.source_code import digest_package
from reweightbench.benchmark.records.environment import describe_environment
from reweightbench.benchmark.records.files import write_atomically
from reweightbench.benchmark.training.epoch import Epoch
from reweightbench.benchmark.training.loop import Training
from reweightbench.benchmark.training.result import Evaluation

State = dict[str, Tensor]

DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True)
class Checkpoints:
    """The folder with the latest checkpoint of each cell, written after every `every` epochs, None for never."""

    folder: Path
    every: int | None = None

    def path(self, key: str) -> Path:
        """The file of the cell with that key."""
        return self.folder / f"{key}.pt"


@dataclass
class Progress:
    """What a training run has shown so far.

    `best_state` is the model after the epoch that was best on the validation part, `corrupted_best_state` the
    one on the corrupted validation part; `seconds` were spent on the run by processes before this one.
    """

    evaluations: list[Evaluation] = field(default_factory=list)
    best_state: State = field(default_factory=dict)
    corrupted_best_state: State = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def best_epoch(self) -> int:
        """The epoch that was best on the validation part, the first of equals."""
        return max(self.evaluations, key=lambda found: found.balanced_accuracy).epoch.number

    @property
    def corrupted_best_epoch(self) -> int | None:
        """The epoch that was best on the corrupted validation part; None without one."""
        scores = [found.corrupted_balanced_accuracy for found in self.evaluations]
        known = [score for score in scores if score is not None]
        return self.evaluations[scores.index(max(known))].epoch.number if known else None

    def add(self, evaluation: Evaluation, model: Classifier) -> None:
        """Note an epoch and the model after it."""
        self.evaluations.append(evaluation)
        number = evaluation.epoch.number
        if number not in (self.best_epoch, self.corrupted_best_epoch):
            return
        state = {name: value.clone() for name, value in model.state_dict().items()}
        if number == self.best_epoch:
            self.best_state = state
        if number == self.corrupted_best_epoch:
            self.corrupted_best_state = state


def save(path: Path, training: Training, progress: Progress, seconds: float) -> None:
    """Write down a run between two epochs, after so many seconds.

    Where the file cannot be written the training goes on without it. Raises TypeError for a method's state
    that cannot be saved.
    """
    content = {
        "environment": _describe_environment(),
        "epochs_done": training.epochs_done,
        "model": training.problem.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "order": training.order.rest,
        "streams": {purpose: stream.get_state() for purpose, stream in training.streams.items()},
        "torch": _random_states(training),
        "method": training.method.state_dict(),
        "evaluations": [asdict(evaluation) for evaluation in progress.evaluations],
        "best_state": progress.best_state,
        "corrupted_best_state": progress.corrupted_best_state,
        "seconds": seconds,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(buffer.getbuffer()).digest(), buffer.getbuffer())


def resume(path: Path, training: Training) -> Progress:
    """Bring a training run that has not begun to where it was; it stays at its beginning without a checkpoint.

    One that is damaged, or comes from other code or another environment, is left aside: it would not lead to
    the bits of this one.
    """
    content = _read(path)
    if content is None or content["environment"] != _describe_environment():
        return Progress()
    training.epochs_done = content["epochs_done"]
    model = training.problem.model
    training.enter(training.plan()[training.epochs_done - 1][0])
    model.load_state_dict(content["model"])
    training.optimizer.load_state_dict(content["optimizer"])
    training.order.rest = content["order"]
    training.method.load_state_dict(content["method"])
    for purpose, stream in training.streams.items():
        stream.set_state(content["streams"][purpose])
    torch.set_rng_state(content["torch"][0])
    if len(content["torch"]) > 1:
        torch.cuda.set_rng_state(content["torch"][1])
    evaluations = [
        Evaluation(**found | {"epoch": Epoch(**found["epoch"])}) for found in content["evaluations"]
    ]
    return Progress(evaluations, content["best_state"], content["corrupted_best_state"], content["seconds"])


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, each tensor on its device; None without a file or of a damaged one."""
    try:
        with path.open("rb") as stream:
            digest, data = stream.read(DIGEST_BYTES), stream.read()
    except OSError:
        return None
    if hashlib.sha256(data).digest() != digest:
        return None
    try:
        content: dict[str, Any] = torch.load(io.BytesIO(data), weights_only=True)
    except RuntimeError:
        # Its device is not here.
        return None
    return content


def _describe_environment() -> dict[str, Any]:
    """What the bits of a run depend on beside its cell; a checkout that is being edited has no version."""
    return describe_environment().model_dump() | {"code": digest_package()}


def _random_states(training: Training) -> list[Tensor]:
    """The states of torch's own streams: the processor's, and the device's if that is another."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state()] if training.examples.images.is_cuda else states
