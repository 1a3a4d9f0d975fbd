"""One cell from its description to its record."""

import hashlib
import time
from collections.abc import Iterator

import numpy as np
from torch import Tensor

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.records.environment import describe_environment, peak_memory
from reweightbench.benchmark.records.provenance import describe_code
from reweightbench.benchmark.records.record import Arrays, Cost, Outcome, Record
from reweightbench.benchmark.training.checkpoint import Checkpoints, Progress, resume, save
from reweightbench.benchmark.training.loop import Training
from reweightbench.benchmark.training.metrics import balanced_accuracy, compute_metrics
from reweightbench.benchmark.training.preparation import Prepared, prepare
from reweightbench.benchmark.training.result import Evaluation, Tested, make_result


def run_cell(cell: Cell, sources: Sources = Sources()) -> Record:  # noqa: B008
    """Train and evaluate one cell in this process."""
    return run_outcome(cell, sources).record


def run_outcome(cell: Cell, sources: Sources, checkpoints: Checkpoints | None = None) -> Outcome:
    """The record of a cell and its arrays; exceptions of the training are passed on.

    A cell with a checkpoint goes on from there.
    """
    started = time.perf_counter()
    data = make_cell_data(cell, load(cell.dataset, sources))
    prepared = prepare(cell, data, sources)
    # Before the training, during which files may change that this process has loaded.
    code = describe_code(cell)
    progress = _train(prepared, checkpoints, started)
    weights_sha256 = hash_tensors(prepared.model.state_dict())
    tested, arrays = _test(prepared, progress)
    result = make_result(data, progress.evaluations, weights_sha256, tested)
    cost = Cost(
        train_seconds=sum(evaluation.epoch.seconds for evaluation in progress.evaluations),
        total_seconds=progress.seconds + time.perf_counter() - started,
        peak_memory_bytes=peak_memory(cell.device),
    )
    record = Record(
        key=cell.key,
        cell=cell,
        status="ok",
        result=result,
        cost=cost,
        environment=describe_environment(),
        sources=code,
    )
    return Outcome(record, arrays)


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """The sha256 of named tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _train(prepared: Prepared, checkpoints: Checkpoints | None, started: float) -> Progress:
    """Train to the end of the budget, from a checkpoint if there is one; `started` is when this process began."""
    training, key = prepared.start(), prepared.cell.key
    progress = resume(checkpoints.path(key), training) if checkpoints else Progress()
    for evaluation in _evaluations(prepared, training):
        progress.add(evaluation, prepared.model)
        if checkpoints and checkpoints.every and training.epochs_done % checkpoints.every == 0:
            spent = progress.seconds + time.perf_counter() - started
            save(checkpoints.path(key), training, progress, spent)
    return progress


def _evaluations(prepared: Prepared, training: Training) -> Iterator[Evaluation]:
    """Each epoch that is left, evaluated on the validation parts."""
    data, device = prepared.data, prepared.cell.device
    clean, corrupted = data.split.validation, data.corrupted_validation
    ids = np.concatenate([clean, corrupted.ids])
    pixels, targets = data.pixels(ids, device), np.concatenate([data.targets(clean), corrupted.targets])
    size = len(clean)
    for epoch in training.run():
        predictions = prepared.inputs.predict(prepared.model, prepared.method, pixels).argmax(1).numpy()
        is_hit = predictions == targets
        yield Evaluation(
            epoch,
            accuracy=float(is_hit[:size].mean()),
            balanced_accuracy=balanced_accuracy(predictions[:size], targets[:size], data.classes),
            corrupted_balanced_accuracy=balanced_accuracy(predictions[size:], targets[size:], data.classes)
            if len(corrupted.ids)
            else None,
        )


def _test(prepared: Prepared, progress: Progress) -> tuple[Tested, Arrays]:
    """Metrics on the test part, and what lies beside the record: ids of the parts and the last predictions.

    The model is left as it was at one of the chosen epochs. A trial is not tested.
    """
    data, last_epoch = prepared.data, progress.evaluations[-1].epoch.number
    chosen = progress.best_epoch, progress.corrupted_best_epoch
    if prepared.cell.purpose == "trial":
        return Tested(best_epoch=chosen[0], corrupted_best_epoch=chosen[1]), {}
    parts = {"test": data.split.test, "validation": data.split.validation, "clean": data.split.clean}
    if len(data.corrupted_validation.ids):
        parts["corrupted_validation"] = data.corrupted_validation.ids
    targets = data.targets(data.split.test)
    predicted = prepared.probabilities(data.split.test)
    metrics = {last_epoch: compute_metrics(predicted, targets), None: None}
    for epoch, state in zip(chosen, (progress.best_state, progress.corrupted_best_state), strict=True):
        if epoch not in metrics:
            prepared.model.load_state_dict(state)
            metrics[epoch] = compute_metrics(prepared.probabilities(data.split.test), targets)
    tested = Tested(
        best_epoch=chosen[0],
        corrupted_best_epoch=chosen[1],
        last=metrics[last_epoch],
        best=metrics[chosen[0]],
        corrupted_best=metrics[chosen[1]],
    )
    arrays: Arrays = {name: ids.astype(np.int32) for name, ids in parts.items()}
    return tested, arrays | {"predictions": predicted.argmax(1).astype(np.int32)}
