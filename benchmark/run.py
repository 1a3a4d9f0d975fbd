"""One cell from its description to its record."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from reweightbench.benchmark.cell import Cell
from reweightbench.benchmark.checkpoint import Checkpoints, Progress, resume, save
from reweightbench.benchmark.dataset import Sources
from reweightbench.benchmark.environment import describe_environment, peak_memory
from reweightbench.benchmark.loaded import load
from reweightbench.benchmark.metrics import balanced_accuracy, compute_metrics
from reweightbench.benchmark.preparation import Prepared, prepare
from reweightbench.benchmark.record import Cost, Record
from reweightbench.benchmark.summary import Evaluation, summarise
from reweightbench.benchmark.training import Training

Arrays = dict[str, NDArray[np.int32]]


@dataclass(frozen=True)
class Outcome:
    """A record, and the ids of its split with the test predictions."""

    record: Record
    arrays: Arrays


def run_cell(cell: Cell, sources: Sources = Sources()) -> Record:  # noqa: B008
    """Train and evaluate one cell in this process."""
    return run_outcome(cell, sources).record


def run_outcome(cell: Cell, sources: Sources, checkpoints: Checkpoints | None = None) -> Outcome:
    """The record of a cell and its arrays; exceptions of the training are passed on.

    A cell with a checkpoint goes on from there.
    """
    started = time.perf_counter()
    prepared = prepare(cell, load(cell.dataset, sources), sources)
    material, model = prepared.material, prepared.model
    training = prepared.start()
    progress = resume(checkpoints.path(cell.key), training) if checkpoints else Progress()
    started -= progress.seconds
    for evaluation in _train(prepared, training):
        progress.add(evaluation, model)
        if checkpoints and checkpoints.every and training.epochs_done % checkpoints.every == 0:
            save(checkpoints.path(cell.key), training, progress, time.perf_counter() - started)
    evaluations = progress.evaluations
    weights_sha256 = hash_tensors(model.state_dict())
    test_targets = material.data.targets[material.split.test]
    predicted = prepared.probabilities(material.split.test)
    last = best = compute_metrics(predicted, test_targets)
    if progress.best_epoch != evaluations[-1].epoch.number:
        model.load_state_dict(progress.best_state)
        best = compute_metrics(prepared.probabilities(material.split.test), test_targets)
    result = summarise(material, evaluations, weights_sha256, progress.best_epoch, last=last, best=best)
    cost = Cost(
        train_seconds=sum(evaluation.epoch.seconds for evaluation in evaluations),
        total_seconds=time.perf_counter() - started,
        peak_memory_bytes=peak_memory(cell.device),
    )
    record = Record(
        key=cell.key, cell=cell, status="ok", result=result, cost=cost, environment=describe_environment()
    )
    parts = {
        "test": material.split.test,
        "validation": material.split.validation,
        "clean": material.split.clean,
    }
    arrays = {name: ids.astype(np.int32) for name, ids in parts.items()}
    return Outcome(record, arrays | {"predictions": predicted.argmax(1).astype(np.int32)})


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """The sha256 of named tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _train(prepared: Prepared, training: Training) -> Iterator[Evaluation]:
    """Train to the end of the budget, evaluating each epoch on the validation part."""
    material = prepared.material
    validation = material.split.validation
    images = material.images(validation, prepared.cell.device)
    targets = material.data.targets[validation]
    for epoch in training.run():
        predictions = prepared.inputs.predict(prepared.model, prepared.method, images).argmax(1).numpy()
        yield Evaluation(
            epoch,
            accuracy=float((predictions == targets).mean()),
            balanced_accuracy=balanced_accuracy(predictions, targets, material.classes),
        )
