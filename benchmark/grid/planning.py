"""The cells of a suite on the data at hand, checked before any of them runs."""

from reweightbench.benchmark.cells.catalogue import look_up
from reweightbench.benchmark.cells.plan import Planned, plan_cells
from reweightbench.benchmark.cells.suite import Device, Suite
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.registry import DATASETS, METHODS
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import Loaded, load
from reweightbench.benchmark.training.preparation import check_method


def plan_on_data(suite: Suite, sources: Sources, device: Device) -> tuple[list[Planned], Loaded]:
    """The cells on the data at hand; raises UsageError if a corruption of any of them cannot be made."""
    loaded = load(look_up(DATASETS, suite.dataset).spec, sources)
    planned = plan_cells(suite, loaded.images.variant, device)
    check_methods(planned)
    for cell in {(plan.corruption, plan.clean_size, plan.seed): plan.cell for plan in planned}.values():
        make_cell_data(cell, loaded)
    return planned, loaded


def check_methods(planned: list[Planned]) -> None:
    """Raise UsageError where a method does not fit a budget or a size of the clean set."""
    for cell in {(plan.method, plan.clean_size, plan.budget): plan.cell for plan in planned}.values():
        check_method(cell, METHODS.restore(cell.method))
