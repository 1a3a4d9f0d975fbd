"""Made-up grids to report on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from made_up import ALL_CORRUPTIONS, ALL_METHODS, Grid, build_grid


@pytest.fixture(scope="session")
def make_grid() -> Callable[..., Grid]:
    """A function that makes a new grid; its arguments replace axes of the small default."""
    return build_grid


@pytest.fixture(scope="session")
def full_grid() -> Grid:
    """10 methods, 7 corruptions, 2 budgets and 3 seeds; not to be changed."""
    return build_grid(
        methods=tuple(ALL_METHODS),
        corruptions=ALL_CORRUPTIONS,
        budgets={"short": 8, "long": 30},
        seeds=(0, 1, 2),
    )


@pytest.fixture(scope="session")
def tuned_grid() -> Grid:
    """Rates chosen by trials: sgd's lies at an edge, focal's differs between the selections; not to be changed."""
    return build_grid(
        methods=("sgd", "focal", "meta_reweight"),
        budgets={"short": 800},
        unit="steps",
        seeds=(0, 1, 2),
        peaks={"sgd": (30, 30), "focal": (0.03, 0.3)},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a report goes."""
    return tmp_path / "report"
