"""Running a sample of recorded cells again on this machine, to see whether their results can be trusted."""

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from reweightbench.benchmark.cells.plan import Planned
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.grid.local import Workers, run_cells
from reweightbench.benchmark.records.record import COMPARED_FIELDS, Arrays, Outcome, Record

WIDEST = 0.2
"""Width of an interval beyond which lying in it says nothing about a balanced accuracy."""

Verdict = Literal["equal", "within", "differs", "unknown", "failed"]


@dataclass(frozen=True)
class Verified:
    """A cell run again: what came of it, and why."""

    planned: Planned
    verdict: Verdict
    reason: str

    @property
    def is_good(self) -> bool:
        """Whether the record stands."""
        return self.verdict in {"equal", "within"}


def choose_sample(
    planned: Sequence[Planned], records: Mapping[str, Record], size: int, seed: int
) -> list[Planned]:
    """Random finished cells, of as many different methods as there are places; raises UsageError for none."""
    done = [plan for plan in planned if plan.key in records and records[plan.key].status == "ok"]
    if not done:
        raise UsageError("there is no finished cell to verify")
    random.Random(seed).shuffle(done)
    turns: Counter[str] = Counter()
    order = {}
    for plan in done:
        order[plan.key] = turns[plan.method]
        turns[plan.method] += 1
    return sorted(done, key=lambda plan: order[plan.key])[:size]


def verify(
    sample: Sequence[Planned],
    planned: Sequence[Planned],
    records: Mapping[str, Record],
    arrays: Mapping[str, Arrays],
    *,
    sources: Sources,
    workers: Workers,
    tell: Callable[[Verified], None],
) -> None:
    """Run the sample and tell how each cell compares with its record, as soon as it has ended.

    Where the environment is the same, the whole result has to be: metrics, curves and the hash of the trained
    weights. Elsewhere balanced accuracy has to lie where another seed's would. Everywhere the `arrays` that lie
    beside a record have to fit it and the data.
    """
    plans = {plan.key: plan for plan in sample}
    targets = load(sample[0].cell.dataset, sources).images.targets

    def finish(outcome: Outcome, seconds: float) -> None:
        plan = plans[outcome.record.key]
        verdict, reason = compare(plan, outcome.record, planned, records)
        if verdict != "failed":
            problem = find_misfit(arrays.get(plan.key, {}), outcome.arrays, records[plan.key], targets)
            verdict, reason = ("differs", problem) if problem else (verdict, reason)
        tell(Verified(plan, verdict, reason))

    run_cells((plan.cell for plan in sample), sources, workers, finish)


def compare(
    plan: Planned, again: Record, planned: Sequence[Planned], records: Mapping[str, Record]
) -> tuple[Verdict, str]:
    """What a cell's new record says about its old one, and why."""
    known = records[plan.key]
    if again.result is None or known.result is None:
        return "failed", f"{again.status}: {again.reason}"
    if again.result == known.result:
        return "equal", "to the last bit"
    new, old = again.result.tested.balanced_accuracy, known.result.tested.balanced_accuracy
    change = f"balanced accuracy {100 * new:.2f}, recorded {100 * old:.2f}"
    different = [
        field
        for field in COMPARED_FIELDS
        if getattr(known.environment, field) != getattr(again.environment, field)
    ]
    if not different:
        return "differs", f"{change}, in the same environment"
    scores = _scores_beside(plan, planned, records)
    if len(scores) < 2:
        return "unknown", f"{change}; other {' and '.join(different)}, and a single seed gives no interval"
    low, high = predict_interval(scores)
    if high - low > WIDEST:
        return "unknown", (
            f"{change}; other {' and '.join(different)}, and the recorded seeds lie so far apart that another one "
            f"may be anything from {100 * max(low, 0):.1f} to {100 * min(high, 1):.1f}"
        )
    place = f"{change}, another seed's lies in [{100 * low:.2f}, {100 * high:.2f}]"
    return ("within" if low <= new <= high else "differs"), f"{place}; other {' and '.join(different)}"


def find_misfit(known: Arrays, again: Arrays, record: Record, targets: NDArray[np.int64]) -> str:
    """What a record's arrays contradict: the split of the cell, or the record by the true `targets` `(n,)`.

    Empty where they fit, and where there are none.
    """
    for name in known.keys() - {"predictions"}:
        if np.any((known[name] < 0) | (known[name] >= len(targets))):
            return f"the recorded ids of the {name} part are none of the data"
        if name in again and not np.array_equal(known[name], again[name]):
            return f"the recorded ids of the {name} part are not those of this cell"
    if record.result is None or not {"test", "predictions"} <= known.keys():
        return ""
    confusion = np.zeros_like(record.result.tested.confusion)
    np.add.at(confusion, (targets[known["test"]], known["predictions"]), 1)
    if confusion.tolist() != record.result.tested.confusion:
        return "the recorded predictions do not give the recorded confusion matrix"
    return ""


def predict_interval(scores: Sequence[float]) -> tuple[float, float]:
    """Where 95% of further values lie: mean ± t * s * sqrt(1 + 1/n), of at least two scores."""
    count, mean = len(scores), float(np.mean(scores))
    quantile = float(special.stdtrit(count - 1, 0.975))
    width = quantile * float(np.std(scores, ddof=1)) * math.sqrt(1 + 1 / count)
    return mean - width, mean + width


def _scores_beside(plan: Planned, planned: Sequence[Planned], records: Mapping[str, Record]) -> list[float]:
    """Recorded balanced accuracies of all seeds in the cell's setting."""
    found = (records.get(other.key) for other in planned if _setting(other) == _setting(plan))
    return [record.result.tested.balanced_accuracy for record in found if record and record.result]


def _setting(plan: Planned) -> tuple[str, str, str, int]:
    return plan.method, plan.corruption, plan.budget, plan.clean_size
