"""What the commands do, apart from parsing their options."""

import dataclasses
import inspect
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from tqdm import tqdm

from reweightbench.benchmark.architectures import choose_weights
from reweightbench.benchmark.dataset import ImageData, Sources
from reweightbench.benchmark.errors import DataMissingError, UsageError
from reweightbench.benchmark.grid import Workers, run_cells
from reweightbench.benchmark.material import check_method, gather
from reweightbench.benchmark.measurement import time_suite
from reweightbench.benchmark.method import Method, list_needs
from reweightbench.benchmark.record import Record
from reweightbench.benchmark.registry import ARCHITECTURES, DATASETS, METHODS, Registry
from reweightbench.benchmark.results import Manifest, ResultsFolder
from reweightbench.benchmark.run import Outcome
from reweightbench.benchmark.suite import Device, Planned, Suite, load_suite, plan_cells, suite_names
from reweightbench.benchmark.table import to_text
from reweightbench.benchmark.timing import Timing, cost_alike


def describe(registry: Registry[Any]) -> Iterator[str]:
    """Lines per component: its name with the options and their defaults, and what it is."""
    for name, cls in registry.classes.items():
        fields = [field for field in dataclasses.fields(cls) if field.init]
        options = ", ".join(
            field.name if field.default is dataclasses.MISSING else f"{field.name}={field.default}"
            for field in fields
        )
        summary = (inspect.getdoc(cls) or "").splitlines()[0]
        yield f"{name}({options})" if options else name
        yield f"    {summary}"
        if issubclass(cls, Method):
            yield f"    {cls.family}; needs {list_needs(cls)}; {cls.paper}"


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


def resolve_device(name: str) -> Device:
    """`cpu` or `cuda` for what was asked; raises UsageError where there is no such device."""
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


def dry_run(suite: Suite, sources: Sources, device: Device) -> Iterator[str]:
    """Validate the suite, on its data where they are present, and say how many cells it has."""
    try:
        planned, _ = _plan(suite, sources, device)
        yield f"{suite.name}: {len(planned)} cells, every corruption can be made"
    except DataMissingError as error:
        planned = plan_cells(suite, "missing", device)
        _check_methods(planned)
        yield f"{suite.name}: {len(planned)} cells; corruptions unchecked, because data are missing: {error}"
    yield (
        f"  {len(suite.methods)} methods x {len(suite.corruptions)} corruptions x {len(suite.clean_sizes)} "
        f"clean-set sizes x {len(suite.budgets)} budgets x {len(suite.seeds)} seeds"
    )


def run(
    suite: Suite,
    folder: ResultsFolder,
    sources: Sources,
    device: Device,
    *,
    workers: Workers,
    retry_failed: bool,
    quiet: bool,
) -> int:
    """Run what has no record yet; returns how many cells of the suite have failed."""
    planned, data = _plan(suite, sources, device)
    ARCHITECTURES.create(suite.model).find_weights(sources)
    folder.claim(
        Manifest(
            suite=suite.name,
            variant=data.variant,
            fingerprint=data.fingerprint,
            model=suite.model,
            device=device,
        )
    )
    records = folder.read(_warn)
    known = {key: record for key, record in records.items() if record.status == "ok" or not retry_failed}
    todo = [plan.cell for plan in planned if plan.key not in known]
    statuses = Counter(known[plan.key].status for plan in planned if plan.key in known)
    cached = statuses.total()
    with tqdm(total=len(planned), initial=cached, desc=suite.name, unit="cell", disable=quiet) as bar:

        def show() -> None:
            failed = statuses.total() - statuses["ok"]
            bar.set_postfix(done=bar.n - cached, failed=failed, cached=cached, left=len(planned) - bar.n)

        def finish(outcome: Outcome) -> None:
            folder.write(outcome)
            statuses[outcome.record.status] += 1
            bar.update()
            show()

        show()
        run_cells(todo, sources, workers, finish)
    failed = statuses.total() - statuses["ok"]
    if failed:
        _warn(
            f"{failed} of {len(planned)} cells failed; 'reweightbench status' shows why, --retry-failed repeats them"
        )
    return failed


def status(suite: Suite, path: Path) -> Iterator[str]:
    """Counts by status, then a line per failed cell."""
    planned, records = _recorded(suite, path)
    counts = Counter(records[plan.key].status if plan.key in records else "missing" for plan in planned)
    yield f"{suite.name}: {len(planned)} cells, " + ", ".join(
        f"{count} {name}" for name, count in counts.items()
    )
    for plan in planned:
        record = records.get(plan.key)
        if record is not None and record.status != "ok":
            place = f"{plan.method}, {plan.corruption}, clean set {plan.clean_size}, {plan.budget}, seed {plan.seed}"
            yield f"  {record.status}: {place}: {record.reason}"


def report(suite: Suite, path: Path, allow_partial: bool, allow_mixed: bool) -> str:
    """Write tables and plots beside the records; returns what to print."""
    # Imported here because its libraries take seconds, which starting a run would pay twice.
    from reweightbench.benchmark.report import write_report  # noqa: PLC0415

    planned, records = _recorded(suite, path)
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
    from reweightbench.benchmark.findings import Findings  # noqa: PLC0415 - late for the reason in `report`
    from reweightbench.benchmark.report import check_findings  # noqa: PLC0415

    planned, records = _recorded(suite, path)
    missing = sum(plan.key not in records or records[plan.key].status != "ok" for plan in planned)
    if missing:
        raise UsageError(
            f"{missing} of {len(planned)} cells of '{suite.name}' are not done; publish a complete run"
        )
    # Refuses what cannot be published before anything is copied.
    check_findings(Findings(suite, planned, records))
    source, published = ResultsFolder(path), ResultsFolder(target)
    published.claim(source.manifest())
    published.copy_from(source, {plan.key for plan in planned})
    return report(suite, target, allow_partial=False, allow_mixed=False)


def _plan(suite: Suite, sources: Sources, device: Device) -> tuple[list[Planned], ImageData]:
    """The cells on the data at hand; raises UsageError if a corruption of any of them cannot be made."""
    data = DATASETS.create(suite.dataset).load(sources)
    planned = plan_cells(suite, data.variant, device)
    _check_methods(planned)
    for cell in {(plan.corruption, plan.clean_size, plan.seed): plan.cell for plan in planned}.values():
        gather(cell, data)
    return planned, data


def _fitting_timings(path: Path, planned: list[Planned]) -> list[Timing]:
    """The folder's timings of the planned methods as they are now; others are named and left out."""
    cells = {plan.method: plan.cell for plan in planned}
    fitting = []
    for timing in ResultsFolder(path).timings():
        if all(cost_alike(cell, cells[label]) for label, cell in timing.cells.items() if label in cells):
            fitting.append(timing)
        else:
            _warn(
                f"the timing on '{timing.hardware}' is of other settings than the records and is left out; "
                "'reweightbench time --restart' measures anew"
            )
    return fitting


def _check_methods(planned: list[Planned]) -> None:
    """Raise UsageError where a method does not fit a budget or a size of the clean set."""
    for cell in {(plan.method, plan.clean_size, plan.budget): plan.cell for plan in planned}.values():
        check_method(cell, METHODS.restore(cell.method))


def _recorded(suite: Suite, path: Path) -> tuple[list[Planned], dict[str, Record]]:
    """The suite's cells as the folder's manifest has them, and the folder's records."""
    folder = ResultsFolder(path)
    manifest = folder.manifest()
    if manifest.suite != suite.name:
        raise UsageError(f"'{path}' holds results of suite '{manifest.suite}', not '{suite.name}'")
    # `run --weights` may have chosen another model than the suite's.
    suite = suite.model_copy(update={"model": manifest.model})
    return plan_cells(suite, manifest.variant, manifest.device), folder.read(_warn)


def _warn(message: str) -> None:
    click.echo(f"warning: {message}", err=True)
