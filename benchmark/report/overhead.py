"""What a timing says: the ratio of every method to plain training, and whether it can be trusted."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reweightbench.benchmark.contracts.text import one_line
from reweightbench.benchmark.records.timing import CONTROL, REFERENCE, Timing, file_name
from reweightbench.benchmark.report.formats import ABSENT, Entry, Table
from reweightbench.benchmark.report.statistics import Median, bootstrap_median

CONTROL_RANGE = (0.97, 1.03)
"""Where the interval of the control must lie, 1 within it, for a measurement to count as quiet."""

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Overheads:
    """The statistics of one timing."""

    timing: Timing

    @cached_property
    def ratios(self) -> dict[str, Median]:
        """Every other row's seconds over the reference's in the same round."""
        return {
            label: bootstrap_median([times[label] / times[REFERENCE] for times in self.timing.rounds])
            for label in self.timing.cells
            if label != REFERENCE
        } | {REFERENCE: Median(1.0, 1.0, 1.0)}

    @property
    def is_noisy(self) -> bool:
        """Whether the reference measured against itself strays from 1."""
        control, (low, high) = self.ratios[CONTROL], CONTROL_RANGE
        return not low <= control.low <= 1 <= control.high <= high

    @property
    def title(self) -> str:
        """The hardware, marked if the measurement is noisy."""
        hardware = one_line(self.timing.hardware)
        return f"{hardware} (noisy)" if self.is_noisy else hardware

    def show(self, label: str) -> str:
        """The ratio of a row with its interval."""
        if label not in self.ratios:
            return ABSENT
        ratio = self.ratios[label]
        return "1" if label == REFERENCE else f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"


def make_overhead_table(overheads: Overheads) -> Table:
    """Rows by ratio: seconds per step over the reference's, milliseconds and peak memory."""
    timing = overheads.timing
    cell = timing.cells[REFERENCE]
    columns = ["method", f"time / {REFERENCE}", "ms per step", "peak memory (MiB)"]
    is_cuda = cell.device == "cuda"
    rows = []
    for label in sorted(timing.cells, key=lambda label: overheads.ratios[label].value):
        memory = timing.memory[label]
        entries = [label, overheads.show(label), f"{1000 * _median_seconds(timing, label):.1f}"]
        entries.append(f"{memory.peak / MEBIBYTE:.0f}")
        if is_cuda:
            entries.append(f"{(memory.reserved or 0) / MEBIBYTE:.0f}")
        rows.append([Entry(text) for text in entries])
    return Table(
        name=f"overhead-{file_name(timing.hardware)}",
        title=f"Training-time overhead on {overheads.title}",
        columns=[*columns, "reserved (MiB)"] if is_cuda else columns,
        rows=rows,
        notes=_notes(overheads),
    )


def _median_seconds(timing: Timing, label: str) -> float:
    return float(np.median([times[label] for times in timing.rounds]))


def _notes(overheads: Overheads) -> list[str]:
    timing, (low, high) = overheads.timing, CONTROL_RANGE
    cell = timing.cells[REFERENCE]
    verdict = (
        f"Noisy: the interval of the control does not contain 1 or leaves [{low}, {high}]; measure again on "
        "a quieter machine."
        if overheads.is_noisy
        else f"The interval of the control contains 1 and lies within [{low}, {high}]."
    )
    return [
        f"Ratio of seconds per optimisation step to {REFERENCE} in the same round: median [95% bootstrap "
        f"interval] over {len(timing.rounds)} rounds, each of {timing.warm_up} warm-up and {timing.steps} timed "
        "steps per method in random order, without evaluation. What happens once an epoch counts once a window.",
        verdict,
        f"Model {cell.model.name}, batch size {cell.budget.batch_size}, clean set of {cell.clean_size}, precision "
        f"{cell.numerics.precision}, memory format {cell.numerics.memory_format}, torch "
        f"{timing.environment.torch}.",
        "Peak memory is that of torch's allocator in a fresh process; reserved is what the allocator held."
        if cell.device == "cuda"
        else "Peak memory is the resident memory of a fresh process, libraries and data included.",
    ]
