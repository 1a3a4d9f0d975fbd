"""Methods that break a promise of the contract, each in its own way; given to `check` as a user's own file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reweightbench import Method, Stage, Step
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.problem import Batch, Need, Problem


@dataclass
class _Remembering(Method):
    """Keeps the problem."""

    paper: ClassVar[str] = "none"

    _problem: Problem = field(init=False, repr=False, compare=False)

    def prepare(self, problem: Problem) -> None:
        self._problem = problem


@dataclass
class ReadsTheCleanSet(_Remembering):
    """Takes a clean batch without a need for it."""

    def example_weights(self, step: Step) -> Tensor:
        self._problem.clean_batch(4)
        return torch.ones_like(step.losses)


@dataclass
class ReadsTheCleanSetPrivately(_Remembering):
    """Takes a clean batch past the door that asks for the need."""

    def example_weights(self, step: Step) -> Tensor:
        self._problem.knowledge.draw_clean(4)  # type: ignore[misc]
        return torch.ones_like(step.losses)


@dataclass
class ReadsTheNoiseRate(_Remembering):
    """Knows how many targets are wrong."""

    def start_epoch(self, epoch: int) -> None:
        self.share = 1 - self._problem.noise_rate


@dataclass
class CountsTheTargets(_Remembering):
    """Knows the class counts from the targets."""

    def prepare(self, problem: Problem) -> None:
        self.counts = torch.bincount(problem.targets)


@dataclass
class TakesTwoNetworks(_Remembering):
    """Makes a second network in secret."""

    def build_model(self, network: Callable[[], Classifier]) -> Classifier:
        network()
        return network()


@dataclass
class DeclaresTooMuch(_Remembering):
    """Asks for what it does not use."""

    needs: ClassVar[frozenset[Need]] = frozenset({"noise_rate"})


@dataclass
class TrainsOnTheCleanSet(_Remembering):
    """Has a stage on clean examples without a need for them."""

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(pool="train+clean"),)


@dataclass
class MovesBuffers(_Remembering):
    """Sends the batch through the model once more, which moves batch normalisation's statistics."""

    def example_weights(self, step: Step) -> Tensor:
        with torch.no_grad():
            return self._problem.model(step.batch.inputs).softmax(1).amax(1)


@dataclass
class LeavesGradients(_Remembering):
    """Calls backward where it wants a gradient."""

    def example_weights(self, step: Step) -> Tensor:
        logits = self._problem.model.head(step.features)
        F.cross_entropy(logits, step.batch.targets).backward()
        return torch.ones_like(step.losses)


@dataclass
class ChangesTheStep(_Remembering):
    """Works in place on what it is shown."""

    def example_weights(self, step: Step) -> Tensor:
        return step.losses.sub_(step.losses.min())


@dataclass
class WeighsNegatively(_Remembering):
    """Centres its weights."""

    def example_weights(self, step: Step) -> Tensor:
        return step.losses - step.losses.mean()


@dataclass
class WeighsInfinitelyLate(_Remembering):
    """Divides by the epochs that are left."""

    def example_weights(self, step: Step) -> Tensor:
        return torch.ones_like(step.losses) / (self._problem.epochs - 1 - step.epoch)


@dataclass
class WeighsWithGradient(_Remembering):
    """Learns its weights."""

    def prepare(self, problem: Problem) -> None:
        self.scale = torch.ones((), requires_grad=True)

    def example_weights(self, step: Step) -> Tensor:
        return self.scale * torch.ones_like(step.losses)


@dataclass
class WeighsAsColumn(_Remembering):
    """Returns a column, which would broadcast against the losses."""

    def example_weights(self, step: Step) -> Tensor:
        return torch.ones_like(step.losses)[:, None]


@dataclass
class WeighsByPlace(_Remembering):
    """Prefers the first examples of a batch."""

    def example_weights(self, step: Step) -> Tensor:
        return torch.linspace(2, 0, len(step.losses))


@dataclass
class DrawsGlobally(_Remembering):
    """Draws from torch's own stream."""

    def example_weights(self, step: Step) -> Tensor:
        return torch.rand_like(step.losses)


@dataclass
class RemembersOtherRuns(_Remembering):
    """Keeps its state on the class."""

    seen: ClassVar[list[int]] = []

    def example_weights(self, step: Step) -> Tensor:
        self.seen.append(step.epoch)
        return torch.full_like(step.losses, 1 / len(self.seen))


@dataclass
class LosesItsGradient(_Remembering):
    """Detaches the logits."""

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        return F.cross_entropy(logits.detach(), batch.targets, reduction="none")


@dataclass
class TakesLogarithmOfZero(_Remembering):
    """Takes the logarithm of a probability that has vanished."""

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        p = torch.exp(logits) / torch.exp(logits).sum(1, keepdim=True)
        return -p.double().float()[torch.arange(len(p)), batch.targets].log() + torch.exp(2 * logits.sum(1))


@dataclass
class SamplesTheWrongPool(_Remembering):
    """Has a sampling weight for one example only."""

    def sampling_weights(self, epoch: int) -> Tensor:
        return torch.ones(1)


@dataclass
class CannotRun(_Remembering):
    """Has a mistake."""

    def example_weights(self, step: Step) -> Tensor:
        return self.weights_of(step)  # type: ignore[attr-defined]


@dataclass
class MovesBuffersLate(_Remembering):
    """Uses the model in a weight hook after a warm-up only."""

    def example_weights(self, step: Step) -> Tensor:
        if step.epoch > 2:
            self._problem.model(step.batch.inputs)
        return torch.ones_like(step.losses)


@dataclass
class TrainsInSecret(_Remembering):
    """Takes steps of its own on the clean set."""

    needs: ClassVar[frozenset[Need]] = frozenset({"clean_set"})

    def start_epoch(self, epoch: int) -> None:
        batch = self._problem.clean_batch(9)
        parameters = list(self._problem.model.parameters())
        loss = F.cross_entropy(self._problem.model(batch.inputs), batch.targets)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.sub_(0.1 * gradient)


@dataclass
class LooksAtTheTestBatch(_Remembering):
    """Makes the classes equally frequent among the examples that are evaluated together."""

    def adjust_logits(self, logits: Tensor) -> Tensor:
        return logits - logits.log_softmax(1).logsumexp(0)


@dataclass
class MovesInTheLoss(_Remembering):
    """Keeps a running mean inside of the loss."""

    def prepare(self, problem: Problem) -> None:
        self.mean = 0.0

    def example_losses(self, logits: Tensor, batch: Batch) -> Tensor:
        losses = F.cross_entropy(logits, batch.targets, reduction="none")
        self.mean = 0.9 * self.mean + 0.1 * float(losses.detach().mean())
        return losses * (1 + self.mean)


@dataclass
class KeepsWhatCannotBeSaved(_Remembering):
    """Has state that no checkpoint can hold."""

    def prepare(self, problem: Problem) -> None:
        self.seen: set[int] = set()


@dataclass
class HidesItsState(_Remembering):
    """Weighs by what a checkpoint is not told."""

    def prepare(self, problem: Problem) -> None:
        self.steps = 0

    def end_step(self, step: Step) -> None:
        self.steps += 1

    def example_weights(self, step: Step) -> Tensor:
        return torch.full_like(step.losses, 1 + self.steps % 7)

    def state_dict(self) -> dict[str, Any]:
        return {}


class Undecorated(_Remembering):
    """Forgets to be a dataclass, so that its option is none."""

    gamma: float = 2.0


@dataclass
class BuildsTwoNetworks(_Remembering):
    """Gets at a second network without asking for it."""

    def build_model(self, network: Callable[[], Classifier]) -> Classifier:
        first = network()
        return Classifier(first.body, nn.Sequential(first.head, nn.Linear(3, 300), nn.Linear(300, 3)))


@dataclass
class CannotBeMade(_Remembering):
    """Fails with its own defaults."""

    share: float = 0.0

    def __post_init__(self) -> None:
        self.inverse = [1, 2][self.share]  # type: ignore[call-overload]


@dataclass
class MixesDevices(_Remembering):
    """Keeps a tensor on the CPU, wherever the model is."""

    def prepare(self, problem: Problem) -> None:
        self.factors = torch.ones(problem.classes)

    def example_weights(self, step: Step) -> Tensor:
        return self.factors[step.batch.targets]


@dataclass
class WeighsOnTheCpu(_Remembering):
    """Brings its weights to the CPU and leaves them there."""

    def example_weights(self, step: Step) -> Tensor:
        return torch.ones(len(step.losses))
