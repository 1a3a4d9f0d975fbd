"""A cell made ready to train: its method, model and random streams on its data."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reweightbench.benchmark.cells.cell import Cell
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.method import Method, Stage, divide_epochs
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.problem import Batch, Knowledge, Networks, Problem
from reweightbench.benchmark.contracts.registry import METHODS, NETWORKS
from reweightbench.benchmark.contracts.seeding import Purpose, derive_seed, make_generator
from reweightbench.benchmark.data.cell_data import CellData
from reweightbench.benchmark.networks.classifier import build_classifier
from reweightbench.benchmark.training.examples import Examples, Inputs, Order
from reweightbench.benchmark.training.loop import Training


@dataclass(frozen=True)
class Prepared:
    """A method and its model on a cell's examples, on the cell's device."""

    cell: Cell
    data: CellData
    method: Method
    model: Classifier
    examples: Examples
    inputs: Inputs

    def start(self) -> Training:
        """The training run at its beginning, the method prepared for it."""
        purposes: tuple[Purpose, ...] = ("order", "augmentation", "clean_order", "clean_augmentation")
        streams = {purpose: make_generator(purpose, *self.data.scope) for purpose in purposes}
        streams["method"] = make_generator("method", self.cell.method.name, *self.data.scope)
        problem = self._problem(streams)
        self.method.prepare(problem)
        return Training(
            method=self.method,
            problem=problem,
            examples=self.examples,
            inputs=self.inputs,
            budget=self.cell.budget,
            streams=streams,
            head_seed=derive_seed("head", *self.data.scope, "reset"),
        )

    def probabilities(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Class probabilities `(k, c)` of the present model."""
        images = self.data.pixels(ids, self.cell.device)
        probabilities: NDArray[np.float64] = self.inputs.predict(self.model, self.method, images).numpy()
        return probabilities

    def _problem(self, streams: Mapping[Purpose, torch.Generator]) -> Problem:
        """The method's view of this run, with a clean set of its own streams."""
        pool = self.examples.pool("clean")

        def draw_clean(size: int) -> Batch:
            places = Order(pool, streams["clean_order"]).take(min(size, len(pool)))
            return self.inputs.make_batch(self.examples, places, streams["clean_augmentation"])

        return Problem(
            size=len(self.examples.is_mislabelled),
            classes=self.data.classes,
            epochs=self.cell.budget.epoch_count,
            model=self.model,
            generator=streams["method"],
            needs=self.method.needs,
            knowledge=Knowledge(
                targets=self.examples.targets[: len(self.examples.is_mislabelled)],
                noise_rate=float(self.data.corrupted.is_mislabelled.mean()),
                draw_clean=draw_clean,
            ),
            example_losses=self.method.example_losses,
            precision=self.cell.numerics.precision,
        )


def prepare(cell: Cell, data: CellData, sources: Sources, examples: Examples | None = None) -> Prepared:
    """The cell on its data; cells that differ in their method only can share `data` and `examples`.

    Sets torch's threads and arithmetic for this process. Raises UsageError where the cell cannot be run.
    """
    _set_numerics(cell)
    # No other: a file can change what its neighbours compute.
    if cell.method.name in sources.method_files:
        METHODS.add_file(sources.method_files[cell.method.name])
    method = METHODS.restore(cell.method)
    check_requirements(cell, method.stages(), method.needs)
    return Prepared(
        cell,
        data,
        method,
        _build_model(cell, method, data, sources),
        examples or _collect_examples(cell, data),
        Inputs(
            mean=torch.tensor(data.whole.mean, device=cell.device),
            std=torch.tensor(data.whole.std, device=cell.device),
            augmentation=data.dataset.augmentation,
            memory_format=memory_format(cell),
            precision=cell.numerics.precision,
        ),
    )


def check_requirements(cell: Cell, stages: tuple[Stage, ...], needs: Collection[str]) -> None:
    """Raise UsageError where the stages or needs of the cell's method do not fit the cell."""
    name = cell.method.name
    try:
        divide_epochs(stages, cell.budget.epoch_count)
    except UsageError as error:
        raise UsageError(f"method '{name}': {error}") from None
    if any("clean" in stage.pool for stage in stages) and "clean_set" not in needs:
        raise UsageError(f"method '{name}' trains on the clean set without 'clean_set' in its needs")
    if "clean_set" in needs and cell.clean_size == 0:
        raise UsageError(f"method '{name}' needs a clean set; leave the method or the clean size 0 out")


def memory_format(cell: Cell) -> torch.memory_format:
    """Torch's object for the cell's setting."""
    is_last = cell.numerics.memory_format == "channels_last"
    return torch.channels_last if is_last else torch.contiguous_format


def _collect_examples(cell: Cell, data: CellData) -> Examples:
    corrupted, clean = data.corrupted, data.split.clean
    targets = np.concatenate([corrupted.targets, data.targets(clean)])
    return Examples(
        images=data.pixels(np.concatenate([corrupted.ids, clean]), cell.device),
        targets=torch.from_numpy(targets).to(cell.device),
        is_mislabelled=torch.from_numpy(corrupted.is_mislabelled).to(cell.device),
    )


def _set_numerics(cell: Cell) -> None:
    torch.set_num_threads(cell.numerics.threads)
    # For what draws from torch's own stream, such as dropout; the suite's streams are all separate.
    torch.manual_seed(derive_seed("method", cell.method.name, cell.dataset.name, cell.seed))
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = not cell.numerics.deterministic
    torch.use_deterministic_algorithms(cell.numerics.deterministic)
    if cell.device == "cuda":
        # Deterministic matrix products need it; it is read once, before the first product of a process.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.cuda.reset_peak_memory_stats()


def _build_model(cell: Cell, method: Method, data: CellData, sources: Sources) -> Classifier:
    network = NETWORKS.restore(cell.model)

    def build(number: int) -> Classifier:
        scope: list[str | int] = [*data.scope, *([number] if number else [])]
        return build_classifier(
            network,
            channels=data.whole.images.shape[-1],
            classes=data.classes,
            body_seed=derive_seed("body", *scope),
            head_seed=derive_seed("head", *scope),
            sources=sources,
        )

    model = method.build_model(Networks(build, method.needs))
    return model.to(cell.device).to(memory_format=memory_format(cell))
