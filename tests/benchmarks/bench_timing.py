"""The measurement of overhead itself: the same against the same, and a slowdown that is known."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from reweightbench.benchmark.method import Method, Stage, Step
from reweightbench.benchmark.training import Training
from reweightbench.methods.sgd import Sgd


@dataclass
class TwiceAsSlow(Method):
    """Waits in each step for as long as the step took without the waiting."""

    paper: ClassVar[str] = "none"

    end: float | None = field(init=False, default=None)
    took: float = field(init=False, default=0.0)

    def start_epoch(self, epoch: int) -> None:
        self.end = None

    def example_weights(self, step: Step) -> Tensor:
        now = time.perf_counter()
        if self.end is not None:
            self.took = now - self.end
        while time.perf_counter() < now + self.took:
            pass
        self.end = time.perf_counter()
        return super().example_weights(step)


def window(training: Training, steps: int) -> Callable[[], float]:
    """Seconds of some steps after two of warm-up."""
    stage = Stage()
    optimizer, order = training.enter(stage)

    def run() -> float:
        training.run_epoch(0, stage, optimizer, order, [0.01] * 2)
        return training.run_epoch(0, stage, optimizer, order, [0.01] * steps).seconds

    return run


def test_control_and_known_slowdown(make_training: Any, compare: Any, is_measuring: bool) -> None:
    steps = 8 if is_measuring else 2
    rows = {"sgd": Sgd(), "sgd (control)": Sgd(), "twice as slow": TwiceAsSlow()}
    windows = {label: window(make_training(method, "small_cnn"), steps) for label, method in rows.items()}
    ratios = compare(windows, "sgd", 1500)
    if is_measuring:
        control, slow = ratios["sgd (control)"], ratios["twice as slow"]
        assert 0.97 <= control.low <= 1 <= control.high <= 1.03
        assert 1.9 <= slow.value <= 2.1
