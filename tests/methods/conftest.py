"""What tests call a method's hooks on."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.conformance.workbench import CLASSES, Workbench
from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.problem import Batch


@pytest.fixture(scope="session")
def make_workbench() -> Callable[..., Workbench]:
    """Workbenches by seed and dtype."""
    return Workbench


@pytest.fixture
def workbench() -> Workbench:
    """A workbench in the precision of training."""
    return Workbench()


@pytest.fixture(scope="session")
def golden_batch() -> tuple[Tensor, Batch]:
    """Three examples whose losses are known: logits `(3, 3)` in float64 and their batch."""
    logits = torch.tensor([[2, 1, -1], [0.5, 0, 1.5], [0.2, -0.3, 0.1]], dtype=torch.float64)
    return logits, Batch(torch.arange(3), torch.zeros(3, 1, 1, 1), torch.arange(3))


@pytest.fixture(scope="session")
def step_of() -> Callable[..., Step]:
    """Steps of given losses `(b,)`, for methods that look at nothing else."""

    def make(losses: Tensor) -> Step:
        size = len(losses)
        batch = Batch(torch.arange(size), torch.zeros(size, 1, 1, 1), torch.zeros(size, dtype=torch.int64))
        logits = F.one_hot(batch.targets, CLASSES).to(losses.dtype)
        return Step(0, batch, logits, torch.zeros(size, 2), losses, learning_rate=0.1)

    return make
