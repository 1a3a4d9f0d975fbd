"""One cell from its description to its record."""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reweightbench.benchmark.cell import Cell
from reweightbench.benchmark.dataset import Sources
from reweightbench.benchmark.environment import describe_environment, peak_memory
from reweightbench.benchmark.material import Material, check_method, gather
from reweightbench.benchmark.method import Method
from reweightbench.benchmark.metrics import balanced_accuracy, compute_metrics
from reweightbench.benchmark.models import Classifier, build_classifier
from reweightbench.benchmark.problem import Batch, Problem
from reweightbench.benchmark.record import Cost, Record
from reweightbench.benchmark.registry import ARCHITECTURES, DATASETS, METHODS
from reweightbench.benchmark.seeding import derive_seed, make_generator
from reweightbench.benchmark.summary import Evaluation, summarise
from reweightbench.benchmark.training import Examples, Inputs, Order, Training

Arrays = dict[str, NDArray[np.int32]]


@dataclass(frozen=True)
class Outcome:
    """A record, and the ids of its split with the test predictions."""

    record: Record
    arrays: Arrays


def run_cell(cell: Cell, sources: Sources = Sources()) -> Record:  # noqa: B008
    """Train and evaluate one cell in this process."""
    return run_outcome(cell, sources).record


def run_outcome(cell: Cell, sources: Sources) -> Outcome:
    """The record of a cell and its arrays; exceptions of the training are passed on."""
    started = time.perf_counter()
    _set_numerics(cell)
    for path in sources.method_files:
        METHODS.add_file(path)
    material = gather(cell, DATASETS.restore(cell.dataset).load(sources))
    method = METHODS.restore(cell.method)
    check_method(cell, method)
    model = _build_model(cell, method, material, sources)
    evaluations, best_state = [], {}
    best = -1.0
    run = _Run(cell, material, method, model)
    for evaluation in run.train():
        evaluations.append(evaluation)
        if evaluation.balanced_accuracy > best:
            best = evaluation.balanced_accuracy
            best_state = {name: value.clone() for name, value in model.state_dict().items()}
    weights_sha256 = hash_tensors(model.state_dict())
    test_targets = material.data.targets[material.split.test]
    last = run.probabilities(material.split.test)
    model.load_state_dict(best_state)
    result = summarise(
        material,
        evaluations,
        weights_sha256,
        last=compute_metrics(last, test_targets),
        best=compute_metrics(run.probabilities(material.split.test), test_targets),
    )
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
    return Outcome(record, arrays | {"predictions": last.argmax(1).astype(np.int32)})


def hash_tensors(tensors: dict[str, Tensor]) -> str:
    """The sha256 of named tensors."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


class _Run:
    """A model in training on a cell's material."""

    def __init__(self, cell: Cell, material: Material, method: Method, model: Classifier) -> None:
        self._cell = cell
        self._material = material
        self._method = method
        self._model = model
        device, data = cell.device, material.data
        self._inputs = Inputs(
            mean=torch.tensor(data.mean, device=device),
            std=torch.tensor(data.std, device=device),
            augmentation=material.dataset.augmentation,
            memory_format=memory_format(cell),
            precision=cell.numerics.precision,
        )
        corrupted, clean = material.corrupted, material.split.clean
        self._examples = Examples(
            images=material.images(np.concatenate([corrupted.ids, clean]), device),
            targets=torch.from_numpy(np.concatenate([corrupted.targets, data.targets[clean]])).to(device),
            is_mislabelled=torch.from_numpy(corrupted.is_mislabelled).to(device),
        )

    def train(self) -> Iterator[Evaluation]:
        """Train to the end of the budget, evaluating each epoch on the validation part."""
        scope = self._cell.dataset.name, self._cell.seed
        problem = self._problem(*scope)
        self._method.prepare(problem)
        validation = self._material.split.validation
        images = self._material.images(validation, self._cell.device)
        targets = self._material.data.targets[validation]
        training = Training(
            method=self._method,
            problem=problem,
            examples=self._examples,
            inputs=self._inputs,
            budget=self._cell.budget,
            order_stream=make_generator("order", *scope),
            augmentation_stream=make_generator("augmentation", *scope),
            head_seed=derive_seed("head", *scope, "reset"),
        )
        for epoch in training.run():
            predictions = self._inputs.predict(self._model, self._method, images).argmax(1).numpy()
            yield Evaluation(
                epoch,
                accuracy=float((predictions == targets).mean()),
                balanced_accuracy=balanced_accuracy(predictions, targets, self._material.classes),
            )

    def probabilities(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Class probabilities `(k, c)` of the present model."""
        images = self._material.images(ids, self._cell.device)
        probabilities: NDArray[np.float64] = self._inputs.predict(self._model, self._method, images).numpy()
        return probabilities

    def _problem(self, dataset: str, seed: int) -> Problem:
        """The method's view of this run, with a clean set of its own streams."""
        order = make_generator("clean_order", dataset, seed)
        augmentation = make_generator("clean_augmentation", dataset, seed)
        pool = self._examples.pool("clean")

        def draw_clean(size: int) -> Batch:
            places = Order(pool, order).take(min(size, len(pool)))
            return self._inputs.make_batch(self._examples, places, augmentation)

        return Problem(
            targets=self._examples.targets[: len(self._examples.is_mislabelled)],
            classes=self._material.classes,
            epochs=self._cell.budget.epochs,
            model=self._model,
            generator=make_generator("method", self._cell.method.name, dataset, seed),
            needs=self._method.needs,
            realised_noise_rate=float(self._material.corrupted.is_mislabelled.mean()),
            draw_clean=draw_clean,
            example_losses=self._method.example_losses,
            precision=self._cell.numerics.precision,
        )


def memory_format(cell: Cell) -> torch.memory_format:
    """Torch's object for the cell's setting."""
    is_last = cell.numerics.memory_format == "channels_last"
    return torch.channels_last if is_last else torch.contiguous_format


def _set_numerics(cell: Cell) -> None:
    torch.set_num_threads(cell.numerics.threads)
    # For what draws from torch's own stream, such as dropout; the suite's streams are all separate.
    torch.manual_seed(derive_seed("method", cell.method.name, cell.dataset.name, cell.seed))
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = not cell.numerics.deterministic
    torch.use_deterministic_algorithms(cell.numerics.deterministic)
    if cell.device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _build_model(cell: Cell, method: Method, material: Material, sources: Sources) -> Classifier:
    scope = cell.dataset.name, cell.seed
    model = method.build_model(
        lambda: build_classifier(
            ARCHITECTURES.restore(cell.model),
            channels=material.data.images.shape[-1],
            classes=material.classes,
            body_seed=derive_seed("body", *scope),
            head_seed=derive_seed("head", *scope),
            sources=sources,
        )
    )
    return model.to(cell.device).to(memory_format=memory_format(cell))
