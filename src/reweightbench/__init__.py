"""Benchmark of example reweighting under label noise and class imbalance.

What a method's or a dataset's file, a script or a notebook needs is imported from here: docs/api.md lists it.
A name is loaded when it is first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reweightbench.benchmark.cells.cell import Budget, Cell, Numerics
    from reweightbench.benchmark.cells.plan import Planned, plan_cells
    from reweightbench.benchmark.cells.suite import Suite
    from reweightbench.benchmark.cells.suite_file import load_suite
    from reweightbench.benchmark.contracts.corruption import Imbalance, Noise
    from reweightbench.benchmark.contracts.dataset import Dataset, ImageData, Sources
    from reweightbench.benchmark.contracts.errors import UsageError
    from reweightbench.benchmark.contracts.method import Method, Stage, Step
    from reweightbench.benchmark.contracts.network import Classifier, Network, Twin
    from reweightbench.benchmark.contracts.problem import Batch, Problem
    from reweightbench.benchmark.data.description import Decoded, describe
    from reweightbench.benchmark.grid.local import Workers, run_cells
    from reweightbench.benchmark.records.record import Outcome, Record
    from reweightbench.benchmark.records.table import load_records
    from reweightbench.benchmark.training.run import run_cell

__version__ = "0.2.0"

__all__ = [
    "Batch",
    "Budget",
    "Cell",
    "Classifier",
    "Dataset",
    "Decoded",
    "ImageData",
    "Imbalance",
    "Method",
    "Network",
    "Noise",
    "Numerics",
    "Outcome",
    "Planned",
    "Problem",
    "Record",
    "Sources",
    "Stage",
    "Step",
    "Suite",
    "Twin",
    "UsageError",
    "Workers",
    "__version__",
    "describe",
    "load_records",
    "load_suite",
    "plan_cells",
    "run_cell",
    "run_cells",
]

_MODULES = {
    "cells.cell": ("Budget", "Cell", "Numerics"),
    "cells.plan": ("Planned", "plan_cells"),
    "cells.suite": ("Suite",),
    "cells.suite_file": ("load_suite",),
    "contracts.corruption": ("Imbalance", "Noise"),
    "contracts.dataset": ("Dataset", "ImageData", "Sources"),
    "contracts.errors": ("UsageError",),
    "contracts.method": ("Method", "Stage", "Step"),
    "contracts.network": ("Classifier", "Network", "Twin"),
    "contracts.problem": ("Batch", "Problem"),
    "data.description": ("Decoded", "describe"),
    "grid.local": ("Workers", "run_cells"),
    "records.record": ("Outcome", "Record"),
    "records.table": ("load_records",),
    "training.run": ("run_cell",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.benchmark.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
