"""A dataset in memory, which the fork server of a grid loads once for all of its workers."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from reweightbench.benchmark.contracts.dataset import Dataset, ImageData, Sources
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.benchmark.data.soundness import check_sound

VARIABLE = "REWEIGHTBENCH_DATASET"


@dataclass(frozen=True)
class Loaded:
    """A dataset and its images."""

    dataset: Dataset
    images: ImageData


_preloaded: dict[str, Loaded] = {}


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
    _preloaded[text] = _load(Spec.model_validate(asked["dataset"]), sources)


def load(dataset: Spec, sources: Sources) -> Loaded:
    """The dataset with its images, loaded now unless the fork server has done so.

    Raises UsageError where they are not what a dataset promises.
    """
    return _preloaded.get(_describe(dataset, sources)) or _load(dataset, sources)


def _load(spec: Spec, sources: Sources) -> Loaded:
    dataset = DATASETS.restore(spec)
    images = dataset.load(sources)
    check_sound(spec.name, dataset, images)
    return Loaded(dataset, images)


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
