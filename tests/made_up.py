"""A made-up grid, records of plausible numbers without any training; a small cell; images; class counts."""

import hashlib
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from reweightbench.benchmark.cells.cell import Budget, Cell
from reweightbench.benchmark.cells.plan import Planned, Setting
from reweightbench.benchmark.cells.rates import Rates, Selection
from reweightbench.benchmark.cells.suite import Claim, Corruption, NamedBudget, Suite, Tuning
from reweightbench.benchmark.conformance.workbench import Workbench
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.method import Method
from reweightbench.benchmark.contracts.problem import Knowledge
from reweightbench.benchmark.contracts.registry import DATASETS, METHODS, NETWORKS
from reweightbench.benchmark.data.description import Decoded
from reweightbench.benchmark.grid.tuning import choose_rates
from reweightbench.benchmark.records.record import (
    Cost,
    Curves,
    Environment,
    Metrics,
    Realised,
    Record,
    Result,
)
from reweightbench.benchmark.records.survey import Known, know

M = TypeVar("M", bound=Method)

CLASSES = 10
TEST_PER_CLASS = 40
STATEFUL = (
    "sgd",
    "crt",  # two stages with another optimizer and a new head
    "elr",  # a tensor that grows with every step
    "meta_weight_net",  # a network and an optimizer of its own
    "mixup",  # numpy's generator
    "co_teaching",  # two networks
    "random_weights",  # the method's stream
    "meta_reweight",  # the clean set's streams
)
"""Methods that between them have every kind of state that training goes on from."""

CLEAN_SET = Corruption()
ALL_CORRUPTIONS = (
    CLEAN_SET,
    Corruption(imbalance="longtail(factor=10)"),
    Corruption(imbalance="longtail(factor=50)"),
    Corruption(noise="uniform(rate=0.2)"),
    Corruption(noise="uniform(rate=0.4)"),
    Corruption(noise="background(rate=0.4)"),
    Corruption(imbalance="longtail(factor=10)", noise="uniform(rate=0.4)"),
)
# Method: share of the damage it undoes, training time over sgd's, whether it weights explicitly.
ALL_METHODS = {
    "sgd": (0.0, 1.0, False),
    "weighted_sampler": (0.15, 1.02, False),
    "focal": (0.05, 1.05, False),
    "loss_reweight": (-0.2, 1.08, True),
    "loss_reweight(favour=easy)": (0.45, 1.09, True),
    "meta_reweight": (0.8, 2.6, True),
    "sgd_with_clean": (0.1, 1.01, False),
    "clean_only": (0.3, 0.98, False),
    "fine_tune": (0.5, 1.0, False),
    "random_weights": (-0.05, 1.03, True),
}
TUNING = Tuning(lowest=0.01, highest=1, count=5, seeds=(100, 101))
ENVIRONMENT = Environment(
    suite_version="0.1.0",
    git_commit="0123abc",
    python="3.11.7",
    torch="2.15.0",
    platform="Linux",
    processor="Example CPU",
)


@dataclass
class Grid:
    """What `write_report` takes."""

    suite: Suite
    planned: list[Planned]
    records: dict[str, Record]
    reselected: list[Planned] = field(default_factory=list)
    trials: list[Planned] = field(default_factory=list)

    def find(self, **labels: object) -> Iterator[Planned]:
        """Cells whose properties have these values."""
        return (
            planned
            for planned in self.planned
            if all(getattr(planned, name) == value for name, value in labels.items())
        )

    def change_result(self, planned: Planned, **changes: object) -> None:
        """Replace fields of the result of a cell."""
        record = self.records[planned.key]
        assert record.result
        result = record.result.model_copy(update=changes)
        self.records[planned.key] = record.model_copy(update={"result": result})

    def change_last(self, planned: Planned, **metrics: float) -> None:
        """Replace metrics of the last epoch of a cell."""
        result = self.records[planned.key].result
        assert result
        self.change_result(planned, last=result.last.model_copy(update=metrics))

    def fail(self, planned: Planned, status: str = "error", reason: str = "broken") -> None:
        """Turn a cell's record into that of a failure."""
        changes = {"status": status, "reason": reason, "result": None, "cost": None}
        self.records[planned.key] = self.records[planned.key].model_copy(update=changes)


def make_decoded(seed: int = 0) -> Decoded:
    random = np.random.default_rng(seed)
    return Decoded(
        images=random.integers(0, 256, (20, 8, 6, 3), dtype=np.uint8),
        targets=np.arange(20) % 5,
        variant="tiny",
        is_test=np.arange(20) >= 15,
        groups=np.arange(20) // 2,
    )


def digits_cell(label: str, *, epochs: int, clean_size: int, **fields: object) -> Cell:
    """A cell that trains a method on clean digits, its seed 0; `fields` go into it too."""
    values = {
        "dataset": DATASETS.spec(DATASETS.create("digits")),
        "variant": "embedded",
        "clean_size": clean_size,
        "model": NETWORKS.spec(NETWORKS.create("small_cnn")),
        "method": METHODS.spec(METHODS.create(label)),
        "budget": Budget(epochs=epochs, learning_rate=0.05),
        "seed": 0,
    }
    return Cell.model_validate(values | fields)


def prepare_with_counts(method: M, counts: Sequence[int]) -> M:
    """The method, prepared for a problem with that many training examples of each class."""
    targets = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    problem = replace(
        Workbench().problem(method),
        size=len(targets),
        classes=len(counts),
        knowledge=Knowledge(targets=targets),
    )
    method.prepare(problem)
    return method


def build_grid(
    *,
    methods: Sequence[str] = ("sgd", "meta_reweight"),
    corruptions: Sequence[Corruption] = (CLEAN_SET, Corruption(noise="uniform(rate=0.4)")),
    budgets: dict[str, int] | None = None,
    unit: str = "epochs",
    clean_sizes: Sequence[int] = (100,),
    seeds: Sequence[int] = (0, 1),
    own_rates: dict[str, float] | None = None,
    peaks: dict[str, tuple[float, float]] | None = None,
    claims: Sequence[Claim] = (),
    **cell_fields: object,
) -> Grid:
    """A complete grid; `budgets` gives epochs or steps by name, `own_rates` the learning rates of some methods.

    With `peaks` the rates are chosen by trials: they are the best rates on clean and on corrupted validation of some
    methods, others have both at 0.1. `cell_fields` go into every cell.
    """
    rate = None if peaks is not None else 0.05
    suite = Suite(
        name="made-up",
        title="Made-up numbers",
        dataset="digits",
        model="small_cnn",
        methods=("sgd",),
        corruptions=tuple(corruptions),
        clean_sizes=tuple(clean_sizes),
        budgets=(NamedBudget(name="any", epochs=1, learning_rate=0.05),),
        seeds=tuple(seeds),
        tuning=TUNING if peaks is not None else None,
        corrupted_validation_fraction=0.1 if peaks is not None else 0,
    )
    named = [
        NamedBudget.model_validate({"name": name, unit: length, "learning_rate": rate})
        for name, length in (budgets or {"short": 4}).items()
    ]
    # Past the validation, which knows only methods that are installed: a report must not.
    suite = suite.model_copy(
        update={"methods": tuple(methods), "budgets": tuple(named), "claims": tuple(claims)}
    )
    settings = list(_settings(suite, cell_fields))
    if peaks is not None:
        return _tune(suite, settings, peaks)
    planned = [
        setting.plan((own_rates or {}).get(setting.method, 0.05), seed)
        for setting in settings
        for seed in suite.seeds
    ]
    return Grid(suite, planned, {cell.key: make_record(cell) for cell in planned})


def _settings(suite: Suite, cell_fields: dict[str, object]) -> Iterator[Setting]:
    for corruption, size, budget, method in product(
        suite.corruptions, suite.clean_sizes, suite.budgets, suite.methods
    ):
        fields = {
            "dataset": Spec(name=suite.dataset),
            "variant": "embedded",
            "imbalance": _spec(corruption.imbalance),
            "noise": _spec(corruption.noise),
            "corrupted_validation_fraction": suite.corrupted_validation_fraction,
            "model": Spec(name=suite.model),
            "clean_size": size,
            "method": _spec(method),
        }
        yield Setting(method, corruption.label, budget, size, fields | cell_fields)


def _tune(suite: Suite, settings: list[Setting], peaks: dict[str, tuple[float, float]]) -> Grid:
    """The grid at rates that made-up trials choose, and with it all that were run."""
    trials: dict[str, Planned] = {}

    def run_trials(planned: Sequence[Planned]) -> dict[str, Known]:
        trials.update({plan.key: plan for plan in planned})
        return {plan.key: know(_trial_record(plan, peaks)) for plan in planned}

    choices = choose_rates(settings, TUNING, suite.selections, 1 / CLASSES, run_trials)
    suite = suite.model_copy(update={"rates": Rates(choices=tuple(choices))})
    chosen = suite.rates.by_group()
    cells: dict[Selection, list[Planned]] = {
        selection: [
            setting.plan(chosen[setting.group, selection].learning_rate, seed)
            for setting in settings
            for seed in suite.seeds
        ]
        for selection in suite.selections
    }
    records = {plan.key: make_record(plan) for plans in cells.values() for plan in plans}
    records |= {plan.key: _trial_record(plan, peaks) for plan in trials.values()}
    return Grid(suite, cells["clean"], records, cells["corrupted"], list(trials.values()))


def _spec(label: str | None) -> Spec | None:
    if label is None:
        return None
    name, _, arguments = label.removesuffix(")").partition("(")
    options: dict[str, bool | int | float | str] = {}
    for part in filter(None, arguments.split(", ")):
        key, _, value = part.partition("=")
        options[key] = float(value) if value[0].isdigit() else value
    return Spec(name=name, options=options)


def make_record(planned: Planned) -> Record:
    """A record of plausible numbers for a cell."""
    cell = planned.cell
    is_trial = cell.purpose == "trial"
    undone, time, _ = ALL_METHODS.get(planned.method, (0.2, 1.5, False))
    noise = float(cell.noise.options["rate"]) if cell.noise else 0.0
    factor = float(cell.imbalance.options.get("factor", 2)) if cell.imbalance else 1.0
    generator = np.random.default_rng(zlib.crc32(planned.key.encode()))
    late = min(1.0, cell.budget.epoch_count / 30)
    tail = np.linspace(0, 1, CLASSES) * math.log(factor) / 8
    damage = (0.9 * noise * late + tail) * (1 - undone)
    recall = np.clip(0.97 - damage - 0.03 * (1 - late) + 0.015 * generator.standard_normal(CLASSES), 0.05, 1)
    seconds = cell.budget.epoch_count * (0.8 + 0.1 * generator.random())
    curves = _curves(planned, float(recall.mean()), noise, undone, generator)
    realised = _realised(planned, noise, factor)
    result = Result(
        fingerprint="f" * 64,
        sizes={
            "train": sum(realised.class_counts),
            "validation": 100,
            "clean": cell.clean_size,
            "test": CLASSES * TEST_PER_CLASS,
        },
        realised=realised,
        last=None if is_trial else _metrics(recall),
        best=None if is_trial else _metrics(np.clip(recall + 0.04 * noise, 0, 1)),
        best_epoch=cell.budget.epoch_count // 2,
        validation_accuracy=curves.validation_accuracy[-1],
        validation_balanced_accuracy=curves.validation_balanced_accuracy[-1],
        steps=cell.budget.epoch_count * 10,
        zero_weight_steps=0,
        weights_sha256="0" * 64,
        curves=curves,
    )
    return Record(
        key=planned.key,
        cell=cell,
        status="ok",
        result=result,
        cost=Cost(train_seconds=seconds * time, total_seconds=2 * seconds, peak_memory_bytes=10**9),
        environment=ENVIRONMENT,
    )


def _realised(planned: Planned, noise: float, factor: float) -> Realised:
    counts = [int(100 * factor ** (-place / (CLASSES - 1))) for place in range(CLASSES)]
    transitions = np.diag(counts)
    for true, count in enumerate(counts):
        wrong = round(noise * count)
        transitions[true, true] -= wrong
        transitions[true, (true + 1) % CLASSES] += wrong
    place = f"{planned.corruption} {planned.clean_size} {planned.seed}"
    return Realised(
        class_counts=counts,
        noise_share=1 - transitions.trace() / transitions.sum(),
        transitions=transitions.tolist(),
        targets_sha256=hashlib.sha256(place.encode()).hexdigest(),
    )


def _trial_record(planned: Planned, peaks: dict[str, tuple[float, float]]) -> Record:
    """Scores fall with the square of the distance from the best rate, in factors of ten."""
    record = make_record(planned)
    rate, best = planned.cell.budget.learning_rate, peaks.get(planned.method, (0.1, 0.1))
    top = 0.8 + 0.1 * ALL_METHODS.get(planned.method, (0, 0, False))[0] + planned.seed / 10**5
    clean, corrupted = (max(0.1, top - 0.1 * math.log10(rate / peak) ** 2) for peak in best)
    assert record.result
    changes = {
        "validation_balanced_accuracy": clean,
        "corrupted_validation_balanced_accuracy": corrupted,
    }
    return record.model_copy(update={"result": record.result.model_copy(update=changes)})


def _metrics(recall: NDArray[np.float64]) -> Metrics:
    hits = np.round(recall * TEST_PER_CLASS).astype(int)
    confusion = np.zeros((CLASSES, CLASSES), dtype=int)
    for true, count in enumerate(hits):
        wrong = TEST_PER_CLASS - count
        confusion[true, (true + 1) % CLASSES] = wrong // 2
        confusion[true, (true + 3) % CLASSES] = wrong - wrong // 2
        confusion[true, true] = count
    recall = hits / TEST_PER_CLASS
    return Metrics(
        # Classes are of one size.
        accuracy=float(recall.mean()),
        balanced_accuracy=float(recall.mean()),
        macro_f1=float((2 * hits / (TEST_PER_CLASS + confusion.sum(0))).mean()),
        calibration_error=float(0.1 * (1 - recall.mean())),
        recall=recall.tolist(),
        confusion=confusion.tolist(),
    )


def _curves(
    planned: Planned, final: float, noise: float, undone: float, generator: np.random.Generator
) -> Curves:
    epochs = planned.cell.budget.epoch_count
    time = np.arange(1, epochs + 1)
    jitter = 0.01 * generator.standard_normal(epochs)
    validation = np.clip(
        (final + 0.5 * noise * np.exp(-time / 10)) * (1 - np.exp(-time / 2)) + jitter, 0, 1
    ).tolist()
    curves = {
        "learning_rate": [0.05] * epochs,
        "train_loss": np.exp(-time / 5).tolist(),
        "train_accuracy": validation,
        "memorised": [None] * epochs,
        "validation_accuracy": validation,
        "validation_balanced_accuracy": validation,
    }
    if noise:
        fitted = np.clip((1 - undone) * 0.7 * (1 - np.exp(-time / 12)) + jitter, 0, 1)
        curves["memorised"] = fitted.tolist()
    if ALL_METHODS.get(planned.method, (0, 0, False))[2]:
        parted = undone * (1 - np.exp(-time / 3)) * (noise > 0)
        curves["weight_clean"] = (1 + parted * 0.6).tolist()
        wrong = [None] * epochs
        curves["weight_mislabelled"] = (1 - parted * 0.9).tolist() if noise else wrong
        curves["weight_auroc"] = np.clip(0.5 + 0.45 * parted, 0, 1).tolist() if noise else wrong
    return Curves.model_validate(curves)
