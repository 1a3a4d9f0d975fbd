"""What the commands do, apart from parsing their options."""

import dataclasses
import inspect
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from reweightbench.benchmark.architectures import choose_weights
from reweightbench.benchmark.dataset import Sources
from reweightbench.benchmark.errors import UsageError
from reweightbench.benchmark.grid import Workers
from reweightbench.benchmark.measurement import time_suite
from reweightbench.benchmark.merge import merge
from reweightbench.benchmark.method import Method, list_needs
from reweightbench.benchmark.recorded import describe_plan, read_recorded
from reweightbench.benchmark.registry import ARCHITECTURES, DATASETS, Registry
from reweightbench.benchmark.results import ResultsFolder
from reweightbench.benchmark.suite import Device, Planned, Suite, load_suite, suite_names
from reweightbench.benchmark.table import to_text
from reweightbench.benchmark.timing import Timing, cost_alike


def describe(registry: Registry[Any]) -> Iterator[str]:
    """Lines per component: its name with the options and their defaults, and what it is."""
    for name, cls in registry.classes.items():
        fields = [field for field in dataclasses.fields(cls) if field.init]
        options = ", ".join(
            field.name if field.default is dataclasses.MISSING else f"{field.name}={_show(field.default)}"
            for field in fields
        )
        summary = (inspect.getdoc(cls) or "").splitlines()[0]
        yield f"{name}({options})" if options else name
        yield f"    {summary}"
        if issubclass(cls, Method):
            yield f"    {cls.family}; needs {list_needs(cls)}; {cls.paper}"


def _show(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe_suites() -> Iterator[str]:
    """A line per suite that comes with the package."""
    for name in suite_names():
        yield f"{name:18} {load_suite(name).title}"


def prepare(label: str, sources: Sources) -> Iterator[str]:
    """Fetch and decode a dataset, and say what it is; raises UsageError with what is missing."""
    dataset = DATASETS.create(label)
    yield f"{label}: licence {dataset.license}; source {dataset.source}"
    dataset.fetch(sources)
    data = dataset.load(sources)
    size = "x".join(map(str, data.images.shape[1:3]))
    yield f"  {len(data.targets)} images of {size} pixels, variant {data.variant}, sha256 {data.fingerprint[:16]}"
    counts = np.bincount(data.targets, minlength=len(dataset.classes))
    yield "  " + ", ".join(f"{name} {count}" for name, count in zip(dataset.classes, counts, strict=True))


def resolve_device(name: str, engine: str = "local") -> Device:
    """`cpu` or `cuda` for what was asked; raises UsageError where there is no such device.

    The nodes of a cluster may have GPUs where the driver has none.
    """
    if name == "cuda" and engine == "ray":
        return "cuda"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device is available to torch; use --device cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def with_weights(suite: Suite, sources: Sources, weights: str | None) -> tuple[Suite, Sources]:
    """The suite and sources for `--weights`."""
    if weights is None:
        return suite, sources
    architecture = choose_weights(ARCHITECTURES.create(suite.model), weights)
    label = ARCHITECTURES.label(ARCHITECTURES.spec(architecture))
    path = None if weights == "none" else Path(weights).resolve()
    return suite.model_copy(update={"model": label}), dataclasses.replace(sources, weights=path)


def report(suite: Suite, path: Path, allow_partial: bool, allow_mixed: bool) -> str:
    """Write tables and plots beside the records; returns what to print."""
    # Imported here because its libraries take seconds, which starting a run would pay twice.
    from reweightbench.benchmark.report import write_report  # noqa: PLC0415

    planned, records = read_recorded(suite, path, warn)
    written = write_report(
        suite,
        planned,
        records,
        path / "report",
        timings=_fitting_timings(path, planned),
        allow_partial=allow_partial,
        allow_mixed=allow_mixed,
    )
    return written.text


def measure_time(
    suite: Suite,
    folder: ResultsFolder,
    sources: Sources,
    device: Device,
    *,
    minutes: float,
    steps: int | None,
    restart: bool,
    quiet: bool,
) -> tuple[str, bool]:
    """Measure the suite's training-time overhead; returns what to print and whether it is noisy."""
    from reweightbench.benchmark.overhead import Overheads, make_overhead_table  # noqa: PLC0415 - as in `report`

    data = DATASETS.create(suite.dataset).load(sources)
    timing = time_suite(
        suite, folder, data, sources, device, minutes=minutes, steps=steps, restart=restart, quiet=quiet
    )
    overheads = Overheads(timing)
    return to_text(make_overhead_table(overheads)), overheads.is_noisy


def merge_folders(sources: Sequence[Path], target: Path) -> str:
    """Bring records of several folders together; returns what to print."""
    copied = merge([ResultsFolder(path) for path in sources], ResultsFolder(target), warn)
    return f"{copied} records copied to '{target}'"


def verify(suite: Suite, path: Path, sources: Sources, *, size: int, seed: int, jobs: int) -> bool:
    """Run a sample of recorded cells again, print a line for each, and say whether all records stand."""
    from reweightbench.benchmark.verification import Verified, choose_sample, verify  # noqa: PLC0415 - as in `report`

    planned, recorded = read_recorded(suite, path, warn)
    records = {record.key: record for record in recorded}
    found: list[Verified] = []

    def tell(verified: Verified) -> None:
        found.append(verified)
        click.echo(f"{verified.verdict:8} {describe_plan(verified.planned)}: {verified.reason}")

    sample = choose_sample(planned, records, size, seed)
    verify(sample, planned, records, sources, Workers(jobs=jobs, threads=suite.numerics.threads), tell=tell)
    return all(verified.is_good for verified in found)


def check(path: Path) -> Iterator[tuple[str, bool]]:
    """A line per promise of each method in the file, with what breaks it, and whether it is kept."""
    from reweightbench.benchmark.check import check_file  # noqa: PLC0415 - late for the reason in `report`

    for label, verdicts in groupby(check_file(path), key=lambda verdict: verdict.label):
        yield label, True
        reasons: list[str] = []
        kept = count = 0
        for verdict in verdicts:
            # What breaks one promise often breaks the next; it is said once.
            again = verdict.reason in reasons
            reason = f": {'as above' if again else verdict.reason}" if verdict.reason else ""
            yield f"  {'ok  ' if verdict.is_kept else 'FAIL'}  {verdict.promise}{reason}", verdict.is_kept
            reasons.append(verdict.reason)
            kept, count = kept + verdict.is_kept, count + 1
        yield f"  {kept} of {count} promises kept", True


def publish(suite: Suite, path: Path, target: Path) -> str:
    """Copy the suite's records to `target` and write the report there."""
    from reweightbench.benchmark.findings import make_findings  # noqa: PLC0415 - late for the reason in `report`
    from reweightbench.benchmark.report import check_findings  # noqa: PLC0415

    planned, records = read_recorded(suite, path, warn)
    findings = make_findings(suite, planned, records)
    if findings.absent:
        raise UsageError(
            f"{len(findings.absent)} of {len(planned)} cells of '{suite.name}' are not done; publish a complete run"
        )
    # Refuses what cannot be published before anything is copied.
    check_findings(findings)
    source, published = ResultsFolder(path), ResultsFolder(target)
    published.claim(source.manifest())
    published.copy_from(source, {plan.key for plan in planned})
    return report(suite, target, allow_partial=False, allow_mixed=False)


def _fitting_timings(path: Path, planned: list[Planned]) -> list[Timing]:
    """The folder's timings of the planned methods as they are now; others are named and left out."""
    cells = {plan.method: plan.cell for plan in planned}
    fitting = []
    for timing in ResultsFolder(path).timings():
        if all(cost_alike(cell, cells[label]) for label, cell in timing.cells.items() if label in cells):
            fitting.append(timing)
        else:
            warn(
                f"the timing on '{timing.hardware}' is of other settings than the records and is left out; "
                "'reweightbench time --restart' measures anew"
            )
    return fitting


def warn(message: str) -> None:
    click.echo(f"warning: {message}", err=True)
