"""A training run written down between two epochs, to go on from there to the same bits."""

import io
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reweightbench.benchmark.environment import describe_environment
from reweightbench.benchmark.epoch import Epoch
from reweightbench.benchmark.files import write_atomically
from reweightbench.benchmark.models import Classifier
from reweightbench.benchmark.summary import Evaluation
from reweightbench.benchmark.training import Training


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

    `best_state` is the model after the epoch that was best on the validation part; `seconds` were spent on the
    run by processes before this one.
    """

    evaluations: list[Evaluation] = field(default_factory=list)
    best_state: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def best_epoch(self) -> int:
        """The epoch that was best on the validation part, the first of equals."""
        return max(self.evaluations, key=lambda found: found.balanced_accuracy).epoch.number

    def add(self, evaluation: Evaluation, model: Classifier) -> None:
        """Note an epoch and the model after it."""
        self.evaluations.append(evaluation)
        if self.best_epoch == evaluation.epoch.number:
            self.best_state = {name: value.clone() for name, value in model.state_dict().items()}


def save(path: Path, training: Training, progress: Progress, seconds: float) -> None:
    """Write down a run between two epochs, after so many seconds; raises TypeError for a state that cannot be."""
    content = {
        "environment": describe_environment().model_dump(),
        "epochs_done": training.epochs_done,
        "model": training.problem.model.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "order": training.order.rest,
        "streams": {purpose: stream.get_state() for purpose, stream in training.streams.items()},
        "torch": _random_states(training),
        "method": training.method.state_dict(),
        "evaluations": [asdict(evaluation) for evaluation in progress.evaluations],
        "best_state": progress.best_state,
        "seconds": seconds,
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def resume(path: Path, training: Training) -> Progress:
    """Bring a training run that has not begun to where it was; it stays at its beginning without a checkpoint.

    A checkpoint of another environment is left aside: it would not lead to the bits of this one.
    """
    content = _read(path)
    if content is None or content["environment"] != describe_environment().model_dump():
        return Progress()
    training.epochs_done = content["epochs_done"]
    model = training.problem.model
    training.enter(training.plan()[training.epochs_done - 1][0])
    model.load_state_dict(content["model"])
    training.optimizer.load_state_dict(content["optimizer"])
    training.order.rest = content["order"]
    training.method.load_state_dict(content["method"], training.examples.images.device)
    for purpose, stream in training.streams.items():
        stream.set_state(content["streams"][purpose])
    torch.set_rng_state(content["torch"][0])
    if len(content["torch"]) > 1:
        torch.cuda.set_rng_state(content["torch"][1])
    evaluations = [
        Evaluation(**found | {"epoch": Epoch(**found["epoch"])}) for found in content["evaluations"]
    ]
    return Progress(evaluations, content["best_state"], content["seconds"])


def _read(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, on the CPU; None without a file or of a damaged one."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
    return content


def _random_states(training: Training) -> list[Tensor]:
    """The states of torch's own streams: the processor's, and the device's if that is another."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state()] if training.examples.images.is_cuda else states
