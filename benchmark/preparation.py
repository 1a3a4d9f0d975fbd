"""A cell made ready to train: its material, method, model and random streams."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from reweightbench.benchmark.cell import Cell
from reweightbench.benchmark.dataset import ImageData, Sources
from reweightbench.benchmark.material import Material, check_method, gather
from reweightbench.benchmark.method import Method
from reweightbench.benchmark.models import Classifier, build_classifier
from reweightbench.benchmark.problem import Batch, Knowledge, Networks, Problem
from reweightbench.benchmark.registry import ARCHITECTURES, METHODS
from reweightbench.benchmark.seeding import Purpose, derive_seed, make_generator
from reweightbench.benchmark.training import Examples, Inputs, Order, Training


@dataclass(frozen=True)
class Prepared:
    """A method and its model on a cell's examples, on the cell's device."""

    cell: Cell
    material: Material
    method: Method
    model: Classifier
    examples: Examples
    inputs: Inputs

    def start(self) -> Training:
        """The training run at its beginning, the method prepared for it."""
        purposes: tuple[Purpose, ...] = ("order", "augmentation", "clean_order", "clean_augmentation")
        streams = {purpose: make_generator(purpose, *self._scope) for purpose in purposes}
        streams["method"] = make_generator("method", self.cell.method.name, *self._scope)
        problem = self._problem(streams)
        self.method.prepare(problem)
        return Training(
            method=self.method,
            problem=problem,
            examples=self.examples,
            inputs=self.inputs,
            budget=self.cell.budget,
            streams=streams,
            head_seed=derive_seed("head", *self._scope, "reset"),
        )

    def probabilities(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Class probabilities `(k, c)` of the present model."""
        images = self.material.images(ids, self.cell.device)
        probabilities: NDArray[np.float64] = self.inputs.predict(self.model, self.method, images).numpy()
        return probabilities

    @property
    def _scope(self) -> tuple[str, int]:
        return self.cell.dataset.name, self.cell.seed

    def _problem(self, streams: Mapping[Purpose, torch.Generator]) -> Problem:
        """The method's view of this run, with a clean set of its own streams."""
        pool = self.examples.pool("clean")

        def draw_clean(size: int) -> Batch:
            places = Order(pool, streams["clean_order"]).take(min(size, len(pool)))
            return self.inputs.make_batch(self.examples, places, streams["clean_augmentation"])

        return Problem(
            size=len(self.examples.is_mislabelled),
            classes=self.material.classes,
            epochs=self.cell.budget.epochs,
            model=self.model,
            generator=streams["method"],
            needs=self.method.needs,
            knowledge=Knowledge(
                targets=self.examples.targets[: len(self.examples.is_mislabelled)],
                noise_rate=float(self.material.corrupted.is_mislabelled.mean()),
                draw_clean=draw_clean,
            ),
            example_losses=self.method.example_losses,
            precision=self.cell.numerics.precision,
        )


def prepare(cell: Cell, data: ImageData, sources: Sources, examples: Examples | None = None) -> Prepared:
    """The cell on its dataset's `data`; cells that differ in their method only can share `examples`.

    Sets torch's threads and arithmetic for this process. Raises UsageError where the cell cannot be run.
    """
    _set_numerics(cell)
    for path in sources.method_files:
        METHODS.add_file(path)
    material = gather(cell, data)
    method = METHODS.restore(cell.method)
    check_method(cell, method)
    return Prepared(
        cell,
        material,
        method,
        _build_model(cell, method, material, sources),
        examples or _collect_examples(cell, material),
        Inputs(
            mean=torch.tensor(data.mean, device=cell.device),
            std=torch.tensor(data.std, device=cell.device),
            augmentation=material.dataset.augmentation,
            memory_format=memory_format(cell),
            precision=cell.numerics.precision,
        ),
    )


def memory_format(cell: Cell) -> torch.memory_format:
    """Torch's object for the cell's setting."""
    is_last = cell.numerics.memory_format == "channels_last"
    return torch.channels_last if is_last else torch.contiguous_format


def _collect_examples(cell: Cell, material: Material) -> Examples:
    corrupted, clean = material.corrupted, material.split.clean
    targets = np.concatenate([corrupted.targets, material.data.targets[clean]])
    return Examples(
        images=material.images(np.concatenate([corrupted.ids, clean]), cell.device),
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
        torch.cuda.reset_peak_memory_stats()


def _build_model(cell: Cell, method: Method, material: Material, sources: Sources) -> Classifier:
    def build(number: int) -> Classifier:
        scope: list[str | int] = [cell.dataset.name, cell.seed, *([number] if number else [])]
        return build_classifier(
            ARCHITECTURES.restore(cell.model),
            channels=material.data.images.shape[-1],
            classes=material.classes,
            body_seed=derive_seed("body", *scope),
            head_seed=derive_seed("head", *scope),
            sources=sources,
        )

    model = method.build_model(Networks(build, method.needs))
    return model.to(cell.device).to(memory_format=memory_format(cell))
