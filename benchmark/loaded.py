"""A dataset that the fork server of a grid loads once for all of its workers."""

import json
import os
from pathlib import Path

from reweightbench.benchmark.dataset import ImageData, Sources
from reweightbench.benchmark.registry import DATASETS, Spec

VARIABLE = "REWEIGHTBENCH_DATASET"

_loaded: dict[str, ImageData] = {}


def announce(dataset: Spec, sources: Sources) -> None:
    """Tell the fork servers that this process starts which dataset to load."""
    os.environ[VARIABLE] = _describe(dataset, sources)


def load_announced() -> None:
    """In the fork server: load what was announced."""
    text = os.environ.get(VARIABLE)
    if text is None:
        return
    asked = json.loads(text)
    sources = Sources(Path(asked["data_dir"]), Path(asked["cache_dir"]), asked["allow_subset"])
    _loaded[text] = DATASETS.restore(Spec.model_validate(asked["dataset"])).load(sources)


def load(dataset: Spec, sources: Sources) -> ImageData:
    """The dataset, loaded now unless the fork server has it."""
    found = _loaded.get(_describe(dataset, sources))
    return DATASETS.restore(dataset).load(sources) if found is None else found


def _describe(dataset: Spec, sources: Sources) -> str:
    return json.dumps(
        {
            "dataset": dataset.model_dump(),
            "data_dir": str(sources.data_dir.resolve()),
            "cache_dir": str(sources.cache_dir),
            "allow_subset": sources.allow_subset,
        },
        sort_keys=True,
    )
