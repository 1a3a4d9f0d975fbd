"""Margins that are larger for rare classes, with deferred re-weighting."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.problem import Batch, Problem
from reweightbench.methods.drw import Drw


class CosineHead(nn.Linear):
    """Cosines `(b, c)` between features and the class vectors, the rows of `weight`; without bias."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__(head.in_features, head.out_features, bias=False)
        self.weight.data = head.weight.data

    def forward(self, features: Tensor) -> Tensor:
        """Cosines `(b, c)` of features `(b, d)`."""
        return F.linear(F.normalize(features), F.normalize(self.weight))


@dataclass
class Ldam(Drw):
    """CE(scale * (z - m_y)): cosines z, less a margin m proportional to n^(-1/4) for the target; then `drw`.

    The largest margin is `max_margin`; it and `scale` are the authors' program's. Evaluation takes scale * z.
    `start=1` is LDAM without re-weighting.

    Deviations: those of `drw`. The class vectors start from the directions that every method's head starts
    from.
    """

    paper: ClassVar[str] = (
        "Cao et al. 2019, Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, "
        "equations 12 and 13, algorithm 1"
    )

    max_margin: float = 0.5
    scale: float = 30.0

    _margins: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_margin", "scale"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be positive")

    def build_model(self, network: Callable[[], Classifier]) -> Classifier:
        model = network()
        assert isinstance(model.head, nn.Linear)
        return Classifier(model.body, CosineHead(model.head))

    def prepare(self, problem: Problem) -> None:
        super().prepare(problem)
        counts = problem.class_counts
        # The rarest class that has examples gets the largest margin.
        margins = torch.where(counts > 0, counts.clamp_min(1).double() ** -0.25, 0)
        self._margins = self.max_margin * margins / margins.max()

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        margins = F.one_hot(batch.targets, logits.shape[1]) * self._margins.to(logits)
        return F.cross_entropy(self.scale * (logits - margins), batch.targets, reduction="none")

    def adjust_logits(self, logits: Tensor) -> Tensor:
        return self.scale * logits
