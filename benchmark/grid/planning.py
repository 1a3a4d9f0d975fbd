"""The cells of a suite on the data at hand, checked before any of them runs."""

from reweightbench.benchmark.cells.catalogue import find_requirements, look_up
from reweightbench.benchmark.cells.plan import Planned, Setting, Shard, plan_every_cell, plan_settings
from reweightbench.benchmark.cells.suite import Device, Suite
from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.method import Stage
from reweightbench.benchmark.contracts.registry import DATASETS, METHODS
from reweightbench.benchmark.data.cell_data import make_cell_data
from reweightbench.benchmark.data.preloaded import Loaded, load
from reweightbench.benchmark.grid.front_check import check_model, check_steps
from reweightbench.benchmark.grid.tuning import plan_trials
from reweightbench.benchmark.training.preparation import check_requirements


def plan_on_data(suite: Suite, sources: Sources, device: Device) -> tuple[list[Planned], Loaded]:
    """The cells of the table on the data at hand; raises UsageError if any of them cannot be run."""
    loaded = load(look_up(DATASETS, suite.dataset).spec, sources)
    planned = plan_every_cell(suite, loaded.images.variant, device)
    _check_cells(suite, planned, loaded, sources)
    return planned, loaded


def plan_trials_on_data(
    suite: Suite, sources: Sources, device: Device, shard: Shard
) -> tuple[list[Setting], Loaded]:
    """The settings of a shard for which rates are to be chosen; raises UsageError if a trial cannot be run."""
    loaded = load(look_up(DATASETS, suite.dataset).spec, sources)
    settings = [
        setting
        for setting in plan_settings(suite, loaded.images.variant, device)
        if setting.budget.rate_of(setting.method) is None
    ]
    if not settings:
        raise UsageError(f"suite '{suite.name}' gives every learning rate itself; there is nothing to tune")
    settings = sorted(settings, key=lambda setting: setting.group)[shard.number - 1 :: shard.count]
    if suite.tuning is not None:
        _check_cells(suite, plan_trials(settings, suite.tuning), loaded, sources)
    return settings, loaded


def _check_cells(suite: Suite, planned: list[Planned], loaded: Loaded, sources: Sources) -> None:
    check_methods(planned)
    check_model(suite, loaded.images)
    for plan in {(plan.corruption, plan.clean_size, plan.seed): plan for plan in planned}.values():
        _check_data(suite, plan, loaded)
    check_steps(planned, loaded.images, sources)


def check_methods(planned: list[Planned]) -> None:
    """Raise UsageError where a method does not fit a budget or a size of the clean set."""
    for plan in {(plan.method, plan.clean_size, plan.budget): plan for plan in planned}.values():
        try:
            required = find_requirements(METHODS, plan.method)
        except KeyError:
            # A user's method that cannot say what it requires fails in its own cells.
            continue
        stages = tuple(Stage(**stage) for stage in required.stages)
        try:
            check_requirements(plan.cell, stages, required.needs)
        except UsageError as error:
            raise UsageError(f"{error} (budget '{plan.budget}', clean set {plan.clean_size})") from None


def _check_data(suite: Suite, plan: Planned, loaded: Loaded) -> None:
    """Raise UsageError where a setting's parts cannot be made, or are too small for a batch."""
    place = f"dataset {suite.dataset}, corruption {plan.corruption}, clean set {plan.clean_size}, seed {plan.seed}"
    try:
        size = len(make_cell_data(plan.cell, loaded).corrupted.ids)
    except UsageError as error:
        raise UsageError(f"{error} ({place})") from None
    for budget in suite.budgets:
        if budget.batch_size > size:
            raise UsageError(
                f"budget '{budget.name}' has batch_size {budget.batch_size}, but there are {size} training examples "
                f"({place}); choose at most {size}"
            )
