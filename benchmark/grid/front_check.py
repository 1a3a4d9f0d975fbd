"""One small step of every form of a suite's cells: what cannot run is known before the first of them."""

import hashlib
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np
import torch

from reweightbench.benchmark.cells.catalogue import has_passed, note_passed
from reweightbench.benchmark.cells.cell import Cell, canonical_json
from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.cells.suite import Suite
from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import CallError, NonFiniteLossError, UsageError
from reweightbench.benchmark.contracts.method import divide_epochs
from reweightbench.benchmark.contracts.network import Network
from reweightbench.benchmark.contracts.registry import DATASETS, NETWORKS
from reweightbench.benchmark.contracts.text import describe_error
from reweightbench.benchmark.data.cell_data import CellData
from reweightbench.benchmark.data.corruption import Corrupted
from reweightbench.benchmark.data.splits import Split
from reweightbench.benchmark.grid.local import run_alone
from reweightbench.benchmark.training.preparation import prepare

STEP_SIZE = 2
"""Examples of a step: with one, batch normalisation would fail that does not with a batch."""

TRAINING_EXAMPLES = 8
"""Made-up training examples at least; every class has one."""

SECONDS = 20.0
"""How long steps are tried; what is not known by then shows in the cells, or the next time."""

HANGING_SECONDS = 120.0
"""When a step is taken to hang, the libraries' start included."""

SIZES = (8, 16, 24, 28, 32, 48, 64, 96, 128, 224)
"""Heights and widths that a model is tried at to say which it takes."""

Shape = tuple[int, ...]
"""Height, width and channels of an image."""


def check_model(suite: Suite, images: ImageData) -> None:
    """Raise UsageError where the suite's model does not take images of their size."""
    shape = images.images.shape[1:]
    network = NETWORKS.create(suite.model)
    if _takes(network, shape):
        return
    taken = [f"{size}x{size}" for size in SIZES if _takes(network, (size, size, shape[2]))]
    fitting = [name for name in NETWORKS.classes if _takes_by_name(name, shape)]
    raise UsageError(
        f"model {suite.model} does not take the images of dataset {suite.dataset}, {shape[0]}x{shape[1]} pixels with "
        f"{shape[2]} channels; it takes {', '.join(taken) or 'none of the usual sizes'}; "
        f"models that take them: {', '.join(fitting) or 'none'}"
    )


def check_steps(planned: Iterable[Planned], images: ImageData, sources: Sources) -> None:
    """Raise UsageError where a step of a method of the package fails on examples like those at hand.

    Every method is tried with every size of the clean set, and every budget with a method. What has passed is
    remembered as long as the code stays the same. A user's method shows in its own cells what it does.
    """
    shape = images.images.shape[1:]
    plans = [plan for plan in planned if plan.cell.method.name not in sources.method_files]
    forms = {(plan.method, plan.clean_size): plan for plan in reversed(plans)}
    budgets = {plan.budget: plan for plan in reversed(plans)}
    waiting = [
        plan for plan in (*forms.values(), *budgets.values()) if not has_passed(_name(plan.cell, shape))
    ]
    if not waiting:
        return
    cells = [_make_small(plan.cell) for plan in waiting]
    failures: list[str] = []
    with suppress(CallError):
        failures = run_alone(
            try_steps, cells, shape, SECONDS, threads=cells[0].numerics.threads, seconds=HANGING_SECONDS
        )
    for plan, failure in zip(waiting, failures, strict=False):
        if failure:
            raise UsageError(
                f"method {plan.method} cannot train model {NETWORKS.label(plan.cell.model)} on dataset "
                f"{plan.cell.dataset.name} (clean set {plan.clean_size}, budget '{plan.budget}'): {failure}; "
                "change or leave out the method, the model or the budget"
            )
        note_passed(_name(plan.cell, shape))


def try_steps(cells: Sequence[Cell], shape: Shape, seconds: float) -> list[str]:
    """How a step of each cell fails on made-up images of that shape; an empty text if it does not.

    Ends with the cell that it is at when the seconds are over.
    """
    end = time.monotonic() + seconds
    found = []
    for cell in cells:
        if time.monotonic() > end:
            break
        found.append(_try_step(cell, shape))
    return found


def _try_step(cell: Cell, shape: Shape) -> str:
    try:
        prepared = prepare(cell, _make_up(cell, shape), Sources())
        training, epoch = prepared.start(), 0
        for stage, epochs in divide_epochs(prepared.method.stages(), cell.budget.epoch_count):
            training.enter(stage)
            training.run_epoch(epoch, stage, [cell.budget.learning_rate])
            epoch += epochs
        prepared.probabilities(prepared.data.split.test)
    except (NonFiniteLossError, MemoryError):
        # Real examples and another machine may do better.
        return ""
    except BaseException as error:  # noqa: BLE001 - whatever stops a step is the finding
        return describe_error(error)
    return ""


def _make_up(cell: Cell, shape: Shape) -> CellData:
    """Random images of every class to train on, with a wrong target, and a few for the other parts."""
    dataset = DATASETS.restore(cell.dataset)
    classes = len(dataset.classes)
    size = max(classes, TRAINING_EXAMPLES)
    ids = np.arange(size + 2 * STEP_SIZE)
    train, rest = np.split(ids, [size])
    clean, test = rest[: min(cell.clean_size, STEP_SIZE)], rest[STEP_SIZE:]
    targets = ids % classes
    given = targets[train].copy()
    given[0] = (given[0] + 1) % classes
    whole = ImageData(
        images=np.random.default_rng(0).integers(0, 256, (len(ids), *shape), dtype=np.uint8),
        targets=targets,
        variant=cell.variant,
        fingerprint="",
        mean=(0.5,) * shape[2],
        std=(0.25,) * shape[2],
    )
    return CellData(
        dataset,
        whole,
        Split(test=test, validation=test, clean=clean, train=train),
        Corrupted(train, given, targets[train]),
        Corrupted(train[:0], given[:0], given[:0]),
        (cell.dataset.name, cell.seed),
    )


def _make_small(cell: Cell) -> Cell:
    """The cell on the CPU, in the arithmetic that is quick there, with a model from scratch and a small batch."""
    budget = cell.budget.model_copy(update={"batch_size": STEP_SIZE})
    numerics = cell.numerics.model_copy(update={"precision": "float32"})
    scratch = {"weights": "none"} if "weights" in cell.model.options else {}
    model = cell.model.model_copy(update={"options": cell.model.options | scratch})
    return cell.model_copy(update={"budget": budget, "model": model, "numerics": numerics, "device": "cpu"})


def _name(cell: Cell, shape: Shape) -> str:
    """What tells the form of a cell from others; not what only moves its examples."""
    form = cell.model_copy(update={"imbalance": None, "noise": None, "seed": 0, "variant": ""})
    return hashlib.sha256(f"{canonical_json(form)} {shape}".encode()).hexdigest()


def _takes(network: Network, shape: Shape) -> bool:
    """Whether the network makes features of two images of the shape; nothing is computed for that."""
    try:
        with torch.device("meta"):
            body, width = network.build_body(shape[2])
            return tuple(body(torch.empty(2, shape[2], *shape[:2])).shape) == (2, width)
    except (RuntimeError, ValueError):
        return False


def _takes_by_name(name: str, shape: Shape) -> bool:
    try:
        return _takes(NETWORKS.create(name), shape)
    except UsageError:
        return False
