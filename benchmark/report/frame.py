"""The finished cells of a suite as a pandas frame, one row per cell."""

import math

import pandas as pd

from reweightbench.benchmark.cells.catalogue import find_facts, list_needs
from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.records.timing import REFERENCE
from reweightbench.benchmark.report.choices import place_of
from reweightbench.benchmark.report.findings import Findings
from reweightbench.benchmark.report.finished import Figures, Finished

TEST_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "calibration_error")
METRICS = (
    *TEST_METRICS,
    *(f"best_{metric}" for metric in TEST_METRICS),
    "validation_accuracy",
    "validation_balanced_accuracy",
    "train_seconds",
    "total_seconds",
    "peak_memory_bytes",
    "overhead_unpaired",
)

DESCRIBED = [
    "budget",
    "clean_size",
    "corruption",
    "method",
    "seed",
    "imbalance",
    "noise",
    "learning_rate",
    "epochs",
    "steps",
    "key",
]


def make_frame(findings: Findings) -> pd.DataFrame:
    """A row per finished cell that is compared; `budget`, `corruption` and `method` sort in the order of the plan.

    Metrics without a prefix are of the last epoch, `best_` ones of the epoch that is best on validation.
    `overhead_unpaired` is training time over that of `sgd` in the same setting and seed, wall-clock taken
    while other cells ran; NaN where that cell is not there. A row that `is_diverged` has the scores of guessing.
    `edge` is the end of the rates tried at which the chosen one lies, if it does.
    """
    reference = {
        _pairing(finished): finished.figures.train_seconds
        for finished in findings.compared
        if finished.planned.method == REFERENCE
    }
    frame = pd.DataFrame([_describe(finished.planned) for finished in findings.compared], columns=DESCRIBED)
    frame = frame.join(
        pd.DataFrame([finished.figures for finished in findings.compared], columns=Figures._fields)
    )
    frame["is_diverged"] = [finished.is_diverged for finished in findings.compared]
    frame["edge"] = [findings.edge(place_of(finished.planned)) or "" for finished in findings.compared]
    for unit in ("epochs", "steps"):
        frame[unit] = frame[unit].astype("Int64")
    seconds = [reference.get(_pairing(finished), math.nan) for finished in findings.compared]
    frame["overhead_unpaired"] = frame["train_seconds"] / pd.Series(seconds).replace(0, math.nan)
    for column, order in {
        "budget": findings.budgets,
        "corruption": findings.corruptions,
        "method": findings.methods,
    }.items():
        frame[column] = pd.Categorical(frame[column], categories=order, ordered=True)
    return frame


def describe_needs(spec: Spec) -> str:
    """What a method knows beyond the training examples; `unknown` for a method not installed here."""
    facts = find_facts(METHODS, spec.name)
    return "unknown" if facts is None else list_needs(facts.needs)


def is_control(spec: Spec) -> bool:
    """Whether the method is a control row; one that is not installed here counts as none."""
    facts = find_facts(METHODS, spec.name)
    return facts is not None and facts.family == "control"


def _describe(planned: Planned) -> tuple[object, ...]:
    """The values of `DESCRIBED`."""
    cell = planned.cell
    return (
        planned.budget,
        planned.clean_size,
        planned.corruption,
        planned.method,
        planned.seed,
        cell.imbalance.name if cell.imbalance else "none",
        cell.noise.name if cell.noise else "none",
        cell.budget.learning_rate,
        cell.budget.epochs,
        cell.budget.steps,
        planned.key,
    )


def _pairing(finished: Finished) -> tuple[str, int, str, int]:
    planned = finished.planned
    return planned.budget, planned.clean_size, planned.corruption, planned.seed
