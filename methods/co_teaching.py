"""Two networks that choose the examples for each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Step
from reweightbench.benchmark.contracts.network import Classifier, Twin
from reweightbench.benchmark.contracts.problem import Batch, Need
from reweightbench.methods.small_loss import SmallLoss, choose_easiest


@dataclass
class CoTeaching(SmallLoss):
    """Each of two networks learns from those examples of a batch on which the other has its smallest losses.

    What a network learns from is chosen as in `small_loss`. An example that k of the networks learn from
    weighs k / (2 * R), mean 1, and its loss is twice the mean of these networks' losses: so each
    minimises the mean over its own examples. Evaluation averages the probabilities of the two.

    Deviations: those of `small_loss`. The authors report each network for itself. Their program divides the
    loss by the number of examples twice; the paper does not.
    """

    paper: ClassVar[str] = (
        "Han et al. 2018, Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels, "
        "algorithm 1"
    )
    family: ClassVar[Family] = "two-network"
    needs: ClassVar[frozenset[Need]] = frozenset({"noise_rate", "two_networks"})

    def build_model(self, network: Callable[[], Classifier]) -> Classifier:
        return Twin(network(), network())

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        losses, learned = self._choose(logits, batch)
        learners = learned.sum(1)
        chosen = 2 * (learned * losses).sum(1) / learners.clamp_min(1)
        return torch.where(learners > 0, chosen, losses.sum(1))

    def example_weights(self, step: Step) -> Tensor:
        learned = self._choose(step.logits, step.batch)[1]
        return learned.mean(1) / learned.mean()

    def adjust_logits(self, logits: Tensor) -> Tensor:
        return logits.log_softmax(2).logsumexp(1)

    def _choose(self, logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The losses of both networks `(b, 2)`, and 1 where a network learns from an example, else 0."""
        targets = batch.targets[:, None].expand(-1, 2)
        losses = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
        return losses, choose_easiest(losses.detach(), self._share).flip(1)
