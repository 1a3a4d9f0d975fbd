"""A softmax that knows how frequent the classes are."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.problem import Batch, Need, Problem


@dataclass
class BalancedSoftmax(Method):
    """CE(z + log n): logits are trained beside the classes' counts and evaluated without; weights stay 1.

    A class without examples counts as one with a single example. The paper's Meta Sampler is left out.
    """

    paper: ClassVar[str] = (
        "Ren et al. 2020, Balanced Meta-Softmax for Long-Tailed Visual Recognition, equation 4"
    )
    family: ClassVar[Family] = "class-level"
    needs: ClassVar[frozenset[Need]] = frozenset({"class_counts"})

    _log_counts: Tensor = field(init=False, repr=False, compare=False)

    def prepare(self, problem: Problem) -> None:
        self._log_counts = problem.class_counts.clamp_min(1).double().log()

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits + self._log_counts.to(logits), batch.targets, reduction="none")
