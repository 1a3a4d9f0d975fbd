"""`reweightbench prepare`: data fetched and verified once."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reweightbench.benchmark.commands.console import say
from reweightbench.benchmark.commands.options import data_options
from reweightbench.benchmark.contracts.text import one_line

if TYPE_CHECKING:
    from reweightbench.benchmark.contracts.dataset import Sources


@click.command("prepare")
@click.argument("datasets", nargs=-1, required=True)
@data_options
def command(datasets: tuple[str, ...], data_dir: Path, allow_subset: bool) -> None:
    """Fetch and verify data once; afterwards everything works offline."""
    from reweightbench.benchmark.contracts.dataset import Sources

    for label in datasets:
        for line in _prepare(label, Sources(data_dir=data_dir, allow_subset=allow_subset)):
            say(line)


def _prepare(label: str, sources: "Sources") -> Iterator[str]:
    """Fetch and decode a dataset, and say what it is; raises UsageError with what is missing."""
    import numpy as np

    from reweightbench.benchmark.contracts.registry import DATASETS
    from reweightbench.benchmark.data.preloaded import load

    dataset = DATASETS.create(label)
    yield f"{one_line(label)}: licence {dataset.license}; source {dataset.source}"
    dataset.fetch(sources)
    data = load(DATASETS.spec(dataset), sources).images
    size = "x".join(map(str, data.images.shape[1:3]))
    yield f"  {len(data.targets)} images of {size} pixels, variant {data.variant}, sha256 {data.fingerprint[:16]}"
    counts = np.bincount(data.targets, minlength=len(dataset.classes))
    yield "  " + ", ".join(f"{name} {count}" for name, count in zip(dataset.classes, counts, strict=True))
