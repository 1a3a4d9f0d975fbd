"""How faithful the cheap ways to meta-reweighting's gradient are: measures it, and writes `meta-fidelity.md`.

python docs/meta_fidelity.py measure    trains, and compares weights on the way; minutes on two CPU cores
python docs/meta_fidelity.py write      makes the page from what lies in `results/`
"""

import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, get_args, get_type_hints

import pandas as pd
import torch
from torch import Tensor

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.plan import plan_cells
from reweightbench.benchmark.cells.suite_file import load_suite
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.problem import Batch, Knowledge, Problem
from reweightbench.benchmark.contracts.registry import DATASETS, METHODS
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import load
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.survey import read_recorded
from reweightbench.benchmark.report.findings import make_findings
from reweightbench.benchmark.report.formats import ABSENT, Entry, Table, to_markdown
from reweightbench.benchmark.report.frame import make_frame
from reweightbench.benchmark.report.overhead import Overheads, make_overhead_table
from reweightbench.benchmark.report.statistics import summarise
from reweightbench.benchmark.training.preparation import prepare
from reweightbench.methods.meta_reweight import MetaReweight

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
WEIGHTS = RESULTS / "meta-fidelity" / "weights.json"
PAGE = ROOT / "docs" / "meta-fidelity.md"
GRADIENTS: tuple[str, ...] = get_args(get_type_hints(MetaReweight)["gradient"])
SIZES = (10, 20, 50, 100)
SUITES = {"digits": "meta-fidelity", "CIFAR-10": "meta-fidelity-small"}
POINTS = (0.0, 0.2, 0.5, 0.95)
"""When weights are compared, as shares of the run."""

STEPS_PER_POINT = 5

Columns = dict[str, dict[tuple[str, int], pd.Series]]
"""Per column of a table, values by seed for each gradient and size of the clean batch."""

INTRODUCTION = """# Ways to meta-reweighting's gradient

Meta-reweighting (Ren et al. 2018) weighs an example by u = <gradient of its loss, gradient of the clean loss>. The
paper finds u by looking one step ahead from zero weights and differentiating twice. Because that step starts at the
present parameters, u is a directional derivative: how fast each example's loss changes along g, the gradient of the
clean loss. `meta_reweight(gradient=...)` offers four ways to it. Costs are counted in forward passes F of a batch; a
backward pass is 2F, plain training 3F, and the clean batch is taken to be as large as the batch.

| gradient | how | cost |
|---|---|---|
| `exact` (default) | one backward pass on the clean batch for g, one forward-mode pass for u | 9F |
| `finite_difference` | the losses a small step along g, minus those of the step itself | 7F |
| `last_layer` | only the head's part of both gradients: no pass of the batch, none backwards through the body | 4F |
| `double_backward` | the paper's algorithm 1 to the letter | 13F or more |

`exact` and `double_backward` are the same number by two routes, up to rounding. `finite_difference` is limited by the
last digits of float32 losses. `last_layer` leaves most of the gradient out and is an approximation from the start.

`python docs/meta_fidelity.py write` makes this page from the records in `results/meta-fidelity*`.
"""


@dataclass
class Probe(MetaReweight):
    """Trains with exact weights; in some epochs compares what the other ways make of the same clean batches."""

    comparisons: list[dict[str, Any]] = field(init=False, default_factory=list)
    compared: Counter[int] = field(init=False, default_factory=Counter)

    def example_weights(self, step: Step) -> Tensor:
        epochs = [int(point * self._problem.epochs) for point in POINTS]
        self.compared[step.epoch] += 1
        if step.epoch in epochs and self.compared[step.epoch] <= STEPS_PER_POINT:
            self.comparisons += self._compare(step, self._problem.clean_batch(max(SIZES)))
        return super().example_weights(step)

    def _compare(self, step: Step, clean: Batch) -> Iterator[dict[str, Any]]:
        for size in SIZES:
            part = Batch(clean.index[:size], clean.inputs[:size], clean.targets[:size])
            weights = {gradient: self._weigh(step, part, gradient) for gradient in GRADIENTS}
            exact = weights["exact"]
            if not exact.any():
                continue
            for gradient, found in weights.items():
                yield {
                    "epoch": step.epoch,
                    "gradient": gradient,
                    "clean_batch_size": size,
                    "error": float((found - exact).norm() / exact.norm()),
                    "cosine": float(torch.cosine_similarity(found, exact, 0)),
                }

    def _weigh(self, step: Step, clean: Batch, gradient: str) -> Tensor:
        problem: Problem = dataclasses.replace(self._problem, knowledge=Knowledge(draw_clean=lambda _: clean))
        method = MetaReweight(gradient=gradient, clean_batch_size=len(clean.targets))  # type: ignore[arg-type]
        method.prepare(problem)
        return method.example_weights(step)


def measure() -> None:
    """Train once per suite, in its first setting, and save the comparisons."""
    sources = Sources(data_dir=Path(os.environ.get("REWEIGHTBENCH_DATA", "data")))
    found = []
    for data, name in SUITES.items():
        suite = load_suite(name)
        loaded = load(look_up(DATASETS, suite.dataset).spec, sources)
        planned = plan_cells(suite, loaded.images.variant, "cpu")
        cell = next(plan.cell for plan in planned if plan.method == "meta_reweight")
        probe = Probe()
        for epoch in (
            dataclasses.replace(prepare(cell, make_cell_data(cell, loaded), sources), method=probe)
            .start()
            .run()
        ):
            print(f"{data}: epoch {epoch.number + 1} of {cell.budget.epochs}", flush=True)
        found += [{"data": data} | comparison for comparison in probe.comparisons]
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    WEIGHTS.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n")


def write() -> str:
    """The page."""
    weights = json.loads(WEIGHTS.read_text())
    tables = [_weights_table(weights, data) for data in SUITES]
    tables += _accuracy_tables()
    tables += [
        make_overhead_table(Overheads(timing))
        for name in ("meta-fidelity-cifar10", "meta-fidelity")
        for timing in ResultsFolder(RESULTS / name).timings()
    ]
    return INTRODUCTION + "\n" + "\n".join(to_markdown(table, heading="##") for table in tables)


def _weights_table(weights: list[dict[str, Any]], data: str) -> Table:
    epochs = sorted({found["epoch"] for found in weights if found["data"] == data})
    rows = []
    for gradient in GRADIENTS[1:]:
        for size in SIZES:
            entries = [Entry(gradient), Entry(str(size))]
            for epoch in epochs:
                place = {"data": data, "gradient": gradient, "clean_batch_size": size, "epoch": epoch}
                steps = [found for found in weights if place.items() <= found.items()]
                error, cosine = (median(step[figure] for step in steps) for figure in ("error", "cosine"))
                entries.append(Entry(f"{error:.1e} / {cosine:.3f}"))
            rows.append(entries)
    return Table(
        name="weights",
        title=f"Weights against exact ones on {data}",
        columns=["gradient", "clean batch", *(f"epoch {epoch}" for epoch in epochs)],
        rows=rows,
        notes=[
            "Relative error and cosine of the weights of a batch to the exact ones for the same clean batch, median "
            f"over {STEPS_PER_POINT} steps of one training run with exact weights; epochs count from 0."
        ],
        texts=frozenset({"gradient"}),
    )


def _accuracy_tables() -> list[Table]:
    """Balanced accuracy at the last epoch, and what it gains or loses on exact weights seed by seed."""
    columns: Columns = {}
    for data, name in SUITES.items():
        frame = _read(name)
        for corruption, part in frame.groupby("corruption", observed=True):
            scores = {label: own.set_index("seed") for label, own in part.groupby("method", observed=True)}
            columns[f"{data}, {corruption}"] = {
                (gradient, size): scores[_label(gradient, size)]["balanced_accuracy"]
                for gradient in GRADIENTS
                for size in SIZES
                if _label(gradient, size) in scores
            }
    seeds = ", ".join(f"{data}: {len(load_suite(name).seeds)}" for data, name in SUITES.items())
    note = f"In percent, mean ± half-width of the 95% Student-t interval over seeds ({seeds})."
    accuracy = _pivot("Balanced accuracy", columns, GRADIENTS, ["Test set, last epoch.", note])
    differences = {
        title: {
            (gradient, size): values - column["exact", size] for (gradient, size), values in column.items()
        }
        for title, column in columns.items()
    }
    paired = "Balanced accuracy minus that of exact with the same clean batch, paired by seed."
    return [accuracy, _pivot("Gain on exact", differences, GRADIENTS[1:], [paired, note])]


def _read(name: str) -> pd.DataFrame:
    """The published records of a suite, a row each."""
    suite = load_suite(name)
    return make_frame(make_findings(suite, *read_recorded(suite, RESULTS / name, print)))


def _pivot(
    title: str,
    columns: Columns,
    gradients: Sequence[str],
    notes: list[str],
) -> Table:
    rows = [
        [Entry(gradient), Entry(str(size))]
        + [Entry(_percent(column.get((gradient, size)))) for column in columns.values()]
        for gradient in gradients
        for size in SIZES
    ]
    return Table(title, title, ["gradient", "clean batch", *columns], rows, notes, frozenset({"gradient"}))


def _label(gradient: str, size: int) -> str:
    """The method's label as tables show it."""
    return look_up(METHODS, f"meta_reweight(gradient={gradient}, clean_batch_size={size})").label


def _percent(values: pd.Series | None) -> str:
    if values is None:
        return ABSENT
    summary = summarise(values)
    return f"{100 * summary.mean:.1f} ± {100 * summary.interval:.1f}"


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        measure()
    elif sys.argv[1:] == ["write"]:
        PAGE.write_text(write(), encoding="utf-8")
    else:
        sys.exit(__doc__)
