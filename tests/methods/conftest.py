"""A small problem with a real network, for tests that call a method's hooks directly."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reweightbench.benchmark.method import Method, Step
from reweightbench.benchmark.models import Classifier, seeded
from reweightbench.benchmark.problem import Batch, Need, Problem

CLASSES = 3
TRAINING_EXAMPLES = 40
CLEAN_EXAMPLES = 9


def build_network(dropout: float = 0.0) -> Classifier:
    """A small convolutional network with batch normalisation in both of its forms."""
    body = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 8),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(dropout),
    )
    return Classifier(body, nn.Linear(8, CLASSES))


class Workbench:
    """Fixed examples and a network, from which problems, batches and steps are made.

    Everything but the generator of the method is a function of `seed`.
    """

    clean_examples = CLEAN_EXAMPLES

    def __init__(self, seed: int = 0, dtype: torch.dtype = torch.float32, dropout: float = 0.0) -> None:
        self._seed, self._dtype, self._dropout = seed, dtype, dropout
        stream = torch.Generator().manual_seed(seed)
        total = TRAINING_EXAMPLES + CLEAN_EXAMPLES
        self._images = torch.randn(total, 1, 8, 8, generator=stream, dtype=dtype)
        # Unequal classes, each of them present.
        self._targets = torch.cat(
            [torch.tensor([0] * 24 + [1] * 12 + [2] * 4), torch.arange(CLEAN_EXAMPLES) % CLASSES]
        )
        places = torch.randperm(TRAINING_EXAMPLES, generator=stream)
        self._targets[:TRAINING_EXAMPLES] = self._targets[places]

    def batch(self, index: Tensor) -> Batch:
        """The examples at those places."""
        return Batch(index, self._images[index], self._targets[index])

    def problem(
        self,
        method: Method,
        needs: frozenset[Need] | None = None,
        generator_seed: int = 0,
        example_losses: Callable[[Tensor, Batch], Tensor] | None = None,
    ) -> Problem:
        """A fresh problem for the method, with a model in training mode."""
        clean_stream = torch.Generator().manual_seed(self._seed + 1)

        def draw_clean(size: int) -> Batch:
            order = torch.randperm(CLEAN_EXAMPLES, generator=clean_stream)
            return self.batch(TRAINING_EXAMPLES + order[:size])

        model = seeded(self._seed + 2, lambda: method.build_model(lambda: build_network(self._dropout)))
        return Problem(
            targets=self._targets[:TRAINING_EXAMPLES],
            classes=CLASSES,
            epochs=10,
            model=model.to(self._dtype).train(),
            generator=torch.Generator().manual_seed(generator_seed),
            needs=method.needs if needs is None else needs,
            realised_noise_rate=0.25,
            draw_clean=draw_clean,
            example_losses=example_losses or method.example_losses,
        )

    def step(self, problem: Problem, size: int = 12, epoch: int = 0) -> Step:
        """The step that the training loop would make of the first `size` training examples.

        The model's running statistics stay as they are.
        """
        batch = self.batch(torch.arange(size))
        torch.manual_seed(self._seed)
        problem.random_state.note()
        buffers = {name: buffer.clone() for name, buffer in problem.model.named_buffers()}
        with torch.no_grad():
            features = problem.model.features(batch.inputs)
            logits = problem.model.head(features)
            losses = problem.example_losses(logits, batch)
            for name, buffer in problem.model.named_buffers():
                buffer.copy_(buffers[name])
        return Step(epoch, batch, logits, features, losses, learning_rate=0.1)


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
