"""Training on blends of two examples."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch, Problem


@dataclass(frozen=True)
class MixedBatch(Batch):
    """A batch whose inputs hold the share `share` of their own example, the rest of another's.

    `other_targets` `(b,)` are those of the others.
    """

    other_targets: Tensor
    share: float


@dataclass
class Mixup(Method):
    """Inputs s * x_i + (1 - s) * x_j and losses s * CE(y_i) + (1 - s) * CE(y_j), s from Beta(alpha, alpha).

    One s per batch, and j a permutation of it. As i and j are interchangeable, the larger share is always the
    example's own, so that predictions are compared with the nearer target. Weights stay 1.
    """

    paper: ClassVar[str] = "Zhang et al. 2018, mixup: Beyond Empirical Risk Minimization, section 2"
    family: ClassVar[Family] = "augmentation"

    alpha: float = 1.0

    _stream: np.random.Generator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"alpha is {self.alpha:g}; it must be positive")

    def prepare(self, problem: Problem) -> None:
        self._stream = np.random.default_rng(int(torch.randint(2**31, (), generator=problem.generator)))

    def augment_batch(self, batch: Batch) -> Batch:
        share = self._stream.beta(self.alpha, self.alpha)
        share = max(share, 1 - share)
        order = torch.from_numpy(self._stream.permutation(len(batch.targets)))
        order = order.to(batch.targets.device, non_blocking=True)
        inputs = torch.lerp(batch.inputs[order], batch.inputs, share)
        return MixedBatch(batch.index, inputs, batch.targets, batch.targets[order], share)

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        losses = F.cross_entropy(logits, batch.targets, reduction="none")
        if not isinstance(batch, MixedBatch):
            return losses
        others = F.cross_entropy(logits, batch.other_targets, reduction="none")
        return batch.share * losses + (1 - batch.share) * others
