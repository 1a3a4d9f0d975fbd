"""How long a grid will take on this machine, before any of its cells has run."""

import math
import time
from collections.abc import Sequence

from tqdm import tqdm

from reweightbench.benchmark.dataset import ImageData, Sources
from reweightbench.benchmark.preparation import prepare
from reweightbench.benchmark.stopwatch import Stopwatch
from reweightbench.benchmark.suite import Planned
from reweightbench.benchmark.training import EVALUATION_BATCH

STEPS = 2
"""Timed steps of each method, after as many of warm-up."""


def estimate_seconds(planned: Sequence[Planned], data: ImageData, sources: Sources, quiet: bool) -> float:
    """Seconds of one worker, from some optimisation steps of each method and an evaluation.

    A cell is taken to be as large as the first one of its method.
    """
    seconds = 0.0
    plans: dict[str, list[Planned]] = {}
    for plan in planned:
        plans.setdefault(plan.method, []).append(plan)
    for alike in tqdm(plans.values(), "timing some steps", unit="method", leave=False, disable=quiet):
        prepared = prepare(alike[0].cell, data, sources)
        per_step = Stopwatch(prepared).measure(STEPS, warm_up=STEPS)
        split = prepared.material.split
        started = time.perf_counter()
        images = prepared.probabilities(split.test[:EVALUATION_BATCH])
        per_image = (time.perf_counter() - started) / len(images)
        size = len(prepared.examples.is_mislabelled)
        for budget in (plan.cell.budget for plan in alike):
            steps = budget.epochs * math.ceil(size / budget.batch_size)
            evaluated = budget.epochs * len(split.validation) + 2 * len(split.test)
            seconds += steps * per_step + evaluated * per_image
    return seconds
