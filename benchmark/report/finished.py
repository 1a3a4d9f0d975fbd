"""A finished cell as reports need it: what its record says, in a fraction of the record's memory."""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from reweightbench.benchmark.cells.catalogue import find_facts
from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.benchmark.records.record import Cost, Environment, Result
from reweightbench.benchmark.report.choices import place_of

CurveName = Literal[
    "validation_balanced_accuracy", "memorised", "weight_clean", "weight_mislabelled", "weight_auroc"
]
Curve = NDArray[np.float64]


class Figures(NamedTuple):
    """The single numbers of a record; `best_` ones are of the epoch that is best on validation.

    NaN where a run that diverged has no such number.
    """

    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    calibration_error: float
    best_accuracy: float
    best_balanced_accuracy: float
    best_macro_f1: float
    best_calibration_error: float
    validation_accuracy: float
    validation_balanced_accuracy: float
    train_seconds: float
    total_seconds: float
    peak_memory_bytes: float
    train_size: float
    validation_size: float
    smallest_class: float
    largest_class: float
    noise_share: float


@dataclass(frozen=True, slots=True)
class Finished:
    """A cell that ran to its end, or diverged.

    `recall` `(c,)` is of the last epoch, NaN for a class without a test example. `curves` `(epochs,)` has NaN
    where a value is missing, and no curve without a single value. Arrays take less memory than the record's
    lists, and Python's garbage collector does not visit them. The data that a diverged run was trained on are
    not known.
    """

    planned: Planned
    figures: Figures
    recall: NDArray[np.float64]
    curves: dict[CurveName, Curve]
    environment: Environment
    fingerprint: str | None
    targets_sha256: str | None
    is_diverged: bool = False


def condense(planned: Planned, result: Result, cost: Cost, environment: Environment) -> Finished:
    """The finished cell of a record's parts."""
    curves = {}
    for name in get_args(CurveName):
        curve = np.array(getattr(result.curves, name), dtype=np.float64)
        if not np.isnan(curve).all():
            curves[name] = curve
    return Finished(
        planned=planned,
        figures=_figures(result, cost),
        recall=np.array(result.tested.recall, dtype=np.float64),
        curves=curves,
        environment=environment,
        # Equal texts of many cells are kept once.
        fingerprint=sys.intern(result.fingerprint),
        targets_sha256=sys.intern(result.realised.targets_sha256),
    )


def score_as_chance(planned: Planned, environment: Environment, classes: int) -> Finished:
    """A cell that diverged: it knows no more than a guess among the classes does."""
    scores = ("accuracy", "balanced_accuracy")
    known = [f"{prefix}{score}" for prefix in ("", "best_", "validation_") for score in scores]
    return Finished(
        planned=planned,
        figures=Figures(**dict.fromkeys(Figures._fields, math.nan) | dict.fromkeys(known, 1 / classes)),
        recall=np.full(classes, 1 / classes),
        curves={},
        environment=environment,
        fingerprint=None,
        targets_sha256=None,
        is_diverged=True,
    )


def count_classes(finished: Iterable[Finished], planned: Sequence[Planned]) -> int:
    """Classes of the suite's dataset, from any finished cell, else from the dataset itself."""
    for cell in finished:
        return len(cell.recall)
    name = planned[0].cell.dataset.name
    facts = find_facts(DATASETS, name)
    if facts is None or not facts.class_count:
        raise UsageError(
            f"no cell on dataset '{name}' ended with a result and the dataset is not installed here, so what guessing "
            "scores is unknown; report where it is installed"
        )
    return facts.class_count


def keep_shared_seeds(finished: Sequence[Finished]) -> list[Finished]:
    """The cells of those seeds that all methods with a result in the setting have.

    Means over other seeds would favour a method that lacks the harder ones.
    """
    seeds: dict[tuple[str, int, str], dict[str, set[int]]] = {}
    for cell in finished:
        budget, clean_size, corruption, method = place_of(cell.planned)
        seeds.setdefault((budget, clean_size, corruption), {}).setdefault(method, set()).add(
            cell.planned.seed
        )
    shared = {setting: set.intersection(*methods.values()) for setting, methods in seeds.items()}
    return [cell for cell in finished if cell.planned.seed in shared[place_of(cell.planned)[:3]]]


def _figures(result: Result, cost: Cost) -> Figures:
    last, counts = result.tested, result.realised.class_counts
    best = result.best or last
    return Figures(
        accuracy=last.accuracy,
        balanced_accuracy=last.balanced_accuracy,
        macro_f1=last.macro_f1,
        calibration_error=last.calibration_error,
        best_accuracy=best.accuracy,
        best_balanced_accuracy=best.balanced_accuracy,
        best_macro_f1=best.macro_f1,
        best_calibration_error=best.calibration_error,
        validation_accuracy=result.validation_accuracy,
        validation_balanced_accuracy=result.validation_balanced_accuracy,
        train_seconds=cost.train_seconds,
        total_seconds=cost.total_seconds,
        peak_memory_bytes=cost.peak_memory_bytes,
        train_size=result.sizes["train"],
        validation_size=result.sizes["validation"],
        smallest_class=min(counts),
        largest_class=max(counts),
        noise_share=result.realised.noise_share,
    )
