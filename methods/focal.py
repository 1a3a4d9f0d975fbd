"""The focal loss, which weighs examples by how wrong the model is about them."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch


@dataclass
class Focal(Method):
    """(1 - p)^gamma * CE with p the probability of the target; the weights stay 1.

    `form="softmax"` takes p from the softmax. `form="sigmoid"` is the original of object detection: one
    binary focal loss per class, summed, without alpha.
    """

    paper: ClassVar[str] = "Lin et al. 2017, Focal Loss for Dense Object Detection, equation 4"
    family: ClassVar[Family] = "loss-based"

    gamma: float = 2.0
    form: Literal["softmax", "sigmoid"] = "softmax"

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise ValueError(f"gamma is {self.gamma:g}; it must be at least 0")

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        if self.form == "softmax":
            log_p = -F.cross_entropy(logits, batch.targets, reduction="none")
            return -((-log_p.expm1()) ** self.gamma) * log_p
        signs = 2 * F.one_hot(batch.targets, logits.shape[1]) - 1
        log_p = F.logsigmoid(logits * signs)
        return -(((-log_p.expm1()) ** self.gamma) * log_p).sum(1)
