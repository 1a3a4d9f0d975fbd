"""The mean absolute error, which treats all classes alike."""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch


@dataclass
class Mae(Method):
    """2 * (1 - p) with p the probability of the target: |one-hot - softmax| summed; weights stay 1."""

    paper: ClassVar[str] = (
        "Ghosh et al. 2017, Robust Loss Functions under Label Noise for Deep Neural Networks (MAE)"
    )
    family: ClassVar[Family] = "noise-robust"

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return -2 * (-F.cross_entropy(logits, batch.targets, reduction="none")).expm1()
