"""A small problem with a real network, on which the hooks of a method can be called one by one."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from reweightbench.benchmark.contracts.method import Method, Step
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.problem import Batch, Knowledge, Need, Networks, Problem
from reweightbench.benchmark.contracts.seeding import seeded

CLASSES = 3
TRAINING_EXAMPLES = 40
CLEAN_EXAMPLES = 9
STEP_SIZE = 12
"""Examples in a step."""

POOLS = {
    "train": TRAINING_EXAMPLES,
    "clean": CLEAN_EXAMPLES,
    "train+clean": TRAINING_EXAMPLES + CLEAN_EXAMPLES,
}
"""Examples in each pool of the workbench."""


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
    """Fixed examples and a network on a device, from which problems, batches and steps are made.

    Everything but the generator of the method is a function of `seed`.
    """

    def __init__(
        self,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
        dropout: float = 0.0,
        device: str = "cpu",
    ) -> None:
        self._seed, self._dtype, self._dropout, self._device = seed, dtype, dropout, device
        stream = torch.Generator().manual_seed(seed)
        total = TRAINING_EXAMPLES + CLEAN_EXAMPLES
        self._images = torch.randn(total, 1, 8, 8, generator=stream, dtype=dtype)
        # Unequal classes, each of them present.
        self._targets = torch.cat(
            [torch.tensor([0] * 24 + [1] * 12 + [2] * 4), torch.arange(CLEAN_EXAMPLES) % CLASSES]
        )
        places = torch.randperm(TRAINING_EXAMPLES, generator=stream)
        self._targets[:TRAINING_EXAMPLES] = self._targets[places]
        self._images, self._targets = self._images.to(device), self._targets.to(device)

    def batch(self, index: Tensor) -> Batch:
        """The examples at those places."""
        index = index.to(self._device, non_blocking=True)
        return Batch(index, self._images[index], self._targets[index])

    def problem(
        self,
        method: Method,
        needs: frozenset[Need] | None = None,
        generator_seed: int = 0,
        epochs: int = 10,
        example_losses: Callable[[Tensor, Batch], Tensor] | None = None,
    ) -> Problem:
        """A fresh problem for the method, with a model in training mode."""
        clean_stream = torch.Generator().manual_seed(self._seed + 1)

        def draw_clean(size: int) -> Batch:
            order = torch.randperm(CLEAN_EXAMPLES, generator=clean_stream)
            return self.batch(TRAINING_EXAMPLES + order[:size])

        needs = method.needs if needs is None else needs
        networks = Networks(
            lambda number: seeded(self._seed + 2 + number, lambda: build_network(self._dropout)), needs
        )
        model = method.build_model(networks)
        return Problem(
            size=TRAINING_EXAMPLES,
            classes=CLASSES,
            epochs=epochs,
            model=model.to(self._device, self._dtype).train(),
            generator=torch.Generator().manual_seed(generator_seed),
            needs=needs,
            knowledge=Knowledge(
                targets=self._targets[:TRAINING_EXAMPLES].clone(), noise_rate=0.25, draw_clean=draw_clean
            ),
            example_losses=example_losses or method.example_losses,
        )

    def step(self, problem: Problem, batch: Batch | None = None, epoch: int = 0) -> Step:
        """The step that the training loop would make of a batch, by default of the first examples.

        The model's running statistics stay as they are.
        """
        batch = batch or self.batch(torch.arange(STEP_SIZE))
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


def other_order() -> Tensor:
    """A permutation `(b,)` of a step's examples."""
    return torch.randperm(STEP_SIZE, generator=torch.Generator().manual_seed(1))
