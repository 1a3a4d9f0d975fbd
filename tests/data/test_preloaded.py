"""A dataset that a fork server has loaded is not loaded again by its workers."""

from pathlib import Path

import numpy as np
import pytest

from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.benchmark.data import preloaded

DIGITS = DATASETS.spec(DATASETS.create("digits"))


@pytest.fixture(autouse=True)
def _start_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloaded, "_preloaded", {})
    # Set first, so that what `announce` sets is put back too.
    monkeypatch.setenv(preloaded.VARIABLE, "")
    monkeypatch.delenv(preloaded.VARIABLE)


def test_what_is_announced_is_loaded_once() -> None:
    preloaded.announce(DIGITS, Sources(data_dir=Path("somewhere")))
    preloaded.load_announced()
    first = preloaded.load(
        DIGITS, Sources(data_dir=Path("somewhere"), method_files={"mine": Path("mine.py")})
    )
    assert preloaded.load(DIGITS, Sources(data_dir=Path("somewhere"))) is first
    assert np.array_equal(first.images.images, DATASETS.create("digits").load(Sources()).images)


@pytest.mark.parametrize(
    "other",
    [
        Sources(data_dir=Path("elsewhere")),
        Sources(data_dir=Path("somewhere"), cache_dir=Path("elsewhere")),
        Sources(data_dir=Path("somewhere"), allow_subset=True),
    ],
    ids=["data", "cache", "subset"],
)
def test_other_sources_are_other_data(other: Sources) -> None:
    preloaded.announce(DIGITS, Sources(data_dir=Path("somewhere")))
    preloaded.load_announced()
    assert preloaded.load(DIGITS, other) is not preloaded.load(DIGITS, Sources(data_dir=Path("somewhere")))


def test_without_an_announcement_every_load_is_its_own() -> None:
    preloaded.load_announced()
    assert preloaded.load(DIGITS, Sources()) is not preloaded.load(DIGITS, Sources())
