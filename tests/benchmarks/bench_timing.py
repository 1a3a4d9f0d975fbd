"""Paired rounds: the same against the same, and a slowdown that is known."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Method, Stage, Step
from reweightbench.benchmark.contracts.problem import Problem
from reweightbench.benchmark.training.loop import Training
from reweightbench.methods.sgd import Sgd


@dataclass
class TwiceAsSlow(Method):
    """Takes a step of another training run within each of its own.

    Waiting would not do: on a shared machine the caches are gone after it, and the next step takes longer.
    """

    paper: ClassVar[str] = "none"

    twin: Training
    index: Tensor = field(default_factory=lambda: torch.arange(100))

    def prepare(self, problem: Problem) -> None:
        self.twin.enter(Stage())

    def example_weights(self, step: Step) -> Tensor:
        stream = torch.Generator().manual_seed(0)
        batch = self.twin.inputs.make_batch(self.twin.examples, self.index, stream)
        self.twin._take_step(batch, step.epoch, step.learning_rate)
        return super().example_weights(step)


def test_control_and_known_slowdown(
    make_training: Any, make_window: Any, compare: Any, is_measuring: bool
) -> None:
    torch.set_num_threads(1)
    steps = 8 if is_measuring else 2
    rows = {
        "sgd": Sgd(),
        "sgd (control)": Sgd(),
        "twice as slow": TwiceAsSlow(make_training(Sgd(), "small_cnn")),
    }
    windows = {
        label: make_window(make_training(method, "small_cnn"), steps, warm_up=2)
        for label, method in rows.items()
    }
    ratios = compare(windows, "sgd", 600)
    if is_measuring:
        control, slow = ratios["sgd (control)"], ratios["twice as slow"]
        assert 0.97 <= control.low <= 1 <= control.high <= 1.03
        assert 1.9 <= slow.value <= 2.1
