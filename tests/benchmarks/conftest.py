"""What the benchmarks share. `pytest` runs each once on small sizes; `make bench` measures."""

from collections.abc import Callable, Mapping
from itertools import islice

import pytest
import torch

from reweightbench.benchmark.cells.cell import Budget
from reweightbench.benchmark.contracts.dataset import AugmentationName, Sources
from reweightbench.benchmark.contracts.method import Method, Stage
from reweightbench.benchmark.contracts.network import Classifier, Network
from reweightbench.benchmark.contracts.problem import Batch, Knowledge, Networks, Problem
from reweightbench.benchmark.networks.classifier import build_classifier
from reweightbench.benchmark.networks.small import Resnet20, SmallCnn
from reweightbench.benchmark.report.statistics import Median, bootstrap_median
from reweightbench.benchmark.timing.stopwatch import measure_rounds
from reweightbench.benchmark.training.examples import Examples, Inputs
from reweightbench.benchmark.training.loop import Training

RATE = 0.01
EXAMPLES, CLEAN_EXAMPLES, CLASSES = 2000, 100, 10
TIMED: dict[str, tuple[Network, int, int, AugmentationName]] = {
    "small_cnn": (SmallCnn(), 1, 8, "none"),
    "resnet20": (Resnet20(), 3, 32, "crop_flip"),
}
LINES = pytest.StashKey[list[str]]()

MakeTraining = Callable[..., Training]
Compare = Callable[..., dict[str, Median]]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LINES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash[LINES]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def is_measuring(request: pytest.FixtureRequest) -> bool:
    """Whether figures are wanted, not only that everything runs."""
    option = request.config.getoption
    return bool(option("benchmark_enable") or not option("benchmark_disable"))


@pytest.fixture
def make_training() -> MakeTraining:
    """A function that makes training runs on random images, by method and network."""
    return build_training


@pytest.fixture
def make_window() -> Callable[..., Callable[[], float]]:
    """A function that makes windows of a training run: seconds of some steps, after those of warm-up."""

    def make(training: Training, steps: int, warm_up: int) -> Callable[[], float]:
        stage = Stage()
        training.enter(stage)

        def run() -> float:
            training.run_epoch(0, stage, [RATE] * warm_up)
            return training.run_epoch(0, stage, [RATE] * steps).seconds

        return run

    return make


@pytest.fixture
def compare(request: pytest.FixtureRequest, is_measuring: bool) -> Compare:
    """A function that runs windows in paired rounds and returns, and prints, their ratios to one of them."""

    def run(windows: Mapping[str, Callable[[], float]], reference: str, count: int = 20) -> dict[str, Median]:
        rounds = list(islice(measure_rounds(windows, seed=0), count if is_measuring else 2))
        ratios = {
            label: bootstrap_median([times[label] / times[reference] for times in rounds])
            for label in windows
        }
        if not is_measuring:
            return ratios
        request.config.stash[LINES].append(f"{request.node.name}: seconds / {reference}")
        for label, ratio in ratios.items():
            line = f"  {label:45} {ratio.value:6.3f} [{ratio.low:.3f}, {ratio.high:.3f}]"
            request.config.stash[LINES].append(line)
        return ratios

    return run


def build_training(
    method: Method, network: str, memory_format: torch.memory_format = torch.contiguous_format
) -> Training:
    """A training run of the method on random images in batches of 100."""
    timed, channels, size, augmentation = TIMED[network]

    def build(number: int) -> Classifier:
        seeds = {"body_seed": 1 + 10 * number, "head_seed": 2 + 10 * number}
        return build_classifier(timed, channels=channels, classes=CLASSES, sources=Sources(), **seeds)

    model = method.build_model(Networks(build, method.needs)).to(memory_format=memory_format)
    stream = torch.Generator().manual_seed(3)
    total = EXAMPLES + CLEAN_EXAMPLES
    examples = Examples(
        images=torch.randint(256, (total, channels, size, size), generator=stream, dtype=torch.uint8),
        targets=torch.randint(CLASSES, (total,), generator=stream),
        is_mislabelled=torch.zeros(EXAMPLES, dtype=torch.bool),
    )
    statistics = torch.full((channels,), 0.5), torch.full((channels,), 0.25)
    inputs = Inputs(*statistics, augmentation, memory_format)

    def draw_clean(count: int) -> Batch:
        places = EXAMPLES + torch.randperm(CLEAN_EXAMPLES, generator=stream)[:count]
        return inputs.make_batch(examples, places, stream)

    problem = Problem(
        size=EXAMPLES,
        classes=CLASSES,
        epochs=10,
        model=model,
        generator=torch.Generator(),
        needs=method.needs,
        knowledge=Knowledge(examples.targets[:EXAMPLES], noise_rate=0.2, draw_clean=draw_clean),
        example_losses=method.example_losses,
    )
    method.prepare(problem)
    return Training(
        method=method,
        problem=problem,
        examples=examples,
        inputs=inputs,
        budget=Budget(epochs=1, learning_rate=RATE),
        streams={
            "order": torch.Generator().manual_seed(4),
            "augmentation": torch.Generator().manual_seed(5),
        },
        head_seed=6,
    )
