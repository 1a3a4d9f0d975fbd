"""A cell's examples on its device, the order in which they are drawn, and how they become a model's inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.dataset import AugmentationName
from reweightbench.benchmark.contracts.errors import NonFiniteLossError
from reweightbench.benchmark.contracts.method import Method, PoolName
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.precision import Precision
from reweightbench.benchmark.contracts.problem import Batch
from reweightbench.benchmark.data.augmentation import augment, normalise

EVALUATION_BATCH = 500


@dataclass(frozen=True)
class Examples:
    """The training examples followed by the clean set, on the device.

    `images` `(n + m, ch, h, w)` uint8, `targets` `(n + m,)`, `is_mislabelled` `(n,)`.
    """

    images: Tensor
    targets: Tensor
    is_mislabelled: Tensor

    def pool(self, name: PoolName) -> Tensor:
        """Places of the examples in a pool."""
        training, total = len(self.is_mislabelled), len(self.targets)
        ends = {"train": (0, training), "clean": (training, total), "train+clean": (0, total)}
        return torch.arange(*ends[name])


@dataclass(frozen=True)
class Inputs:
    """How stored images become the model's inputs, and in which arithmetic the model takes them."""

    mean: Tensor
    std: Tensor
    augmentation: AugmentationName
    memory_format: torch.memory_format
    precision: Precision = "float32"

    def forward(self, model: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits as the model has them; those of mixed precision are float32 again."""
        if self.precision == "float32":
            features = model.features(images)
            return features, model.head(features)
        with torch.autocast(images.device.type, torch.bfloat16):
            features = model.features(images)
            logits = model.head(features)
        return features.float(), logits.float()

    def make_batch(self, examples: Examples, index: Tensor, generator: torch.Generator) -> Batch:
        """The examples at `index` `(b,)`, augmented from `generator`."""
        # Without waiting for the device, which has earlier steps to do.
        index = index.to(examples.images.device, non_blocking=True)
        images = augment(examples.images[index], self.augmentation, self.mean, self.std, generator)
        return Batch(index, images.contiguous(memory_format=self.memory_format), examples.targets[index])

    @torch.no_grad()
    def predict(self, model: Classifier, method: Method, images: Tensor) -> Tensor:
        """Class probabilities `(n, c)` in float64 of uint8 images, as the method evaluates them.

        Raises NonFiniteLossError where they are not finite.
        """
        model.eval()
        parts = []
        for part in images.split(EVALUATION_BATCH):
            batch = normalise(part, self.mean, self.std).contiguous(memory_format=self.memory_format)
            logits = self.forward(model, batch)[1]
            parts.append(method.adjust_logits(logits).double().softmax(-1))
        probabilities = torch.cat(parts).cpu()
        if not probabilities.isfinite().all():
            raise NonFiniteLossError("the model's outputs became non-finite")
        return probabilities


class Order:
    """An endless sequence of permutations of a pool, cut into batches of equal size.

    `rest` holds the places of the present permutation that are still to be taken.
    """

    def __init__(self, pool: Tensor, generator: torch.Generator) -> None:
        self._pool = pool
        self._generator = generator
        self.rest = torch.empty(0, dtype=torch.int64)

    def take(self, count: int, weights: Tensor | None = None) -> Tensor:
        """The next `count` places, or as many draws with replacement by `weights` over the pool."""
        if weights is not None:
            if len(weights) != len(self._pool):
                raise ValueError(f"{len(weights)} sampling weights for a pool of {len(self._pool)} examples")
            draws = torch.multinomial(weights.cpu(), count, replacement=True, generator=self._generator)
            return self._pool[draws]
        while len(self.rest) < count:
            permutation = torch.randperm(len(self._pool), generator=self._generator)
            self.rest = torch.cat([self.rest, self._pool[permutation]])
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken
