"""The one training loop: every method goes through it, and it asks no method's name."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from reweightbench.benchmark.cells.cell import Budget
from reweightbench.benchmark.contracts.method import Method, Stage, Step, divide_epochs
from reweightbench.benchmark.contracts.problem import Batch, Problem
from reweightbench.benchmark.contracts.seeding import Purpose, seeded
from reweightbench.benchmark.training.epoch import Epoch, EpochStatistics
from reweightbench.benchmark.training.examples import Examples, Inputs, Order

STEP_MILESTONES = (0.5, 0.75)


@dataclass(kw_only=True)
class Training:
    """One training run; `problem.model` is trained in place.

    `streams` are all its sources of chance by purpose, of which the loop draws from `order` and `augmentation`.
    `epochs_done`, `optimizer` and `order` say how far it has come.
    """

    method: Method
    problem: Problem
    examples: Examples
    inputs: Inputs
    budget: Budget
    streams: Mapping[Purpose, torch.Generator]
    head_seed: int
    epochs_done: int = field(init=False, default=0)
    optimizer: torch.optim.Optimizer = field(init=False)
    order: Order = field(init=False)

    def run(self) -> Iterator[Epoch]:
        """Train what is left, one epoch per item; whoever iterates evaluates in between.

        Every method takes the same number of steps, whatever pool it draws from.
        """
        counts = self.budget.steps_per_epoch(len(self.examples.is_mislabelled))
        for stage, first, end in self.plan()[self.epochs_done :]:
            epoch = self.epochs_done
            if epoch == first:
                self.enter(stage)
            done, total = sum(counts[first:epoch]), sum(counts[first:end])
            rates = [learning_rate(self.budget, (done + step) / total) for step in range(counts[epoch])]
            finished = self.run_epoch(epoch, stage, rates)
            self.epochs_done += 1
            yield finished

    def plan(self) -> list[tuple[Stage, int, int]]:
        """For every epoch its stage, the stage's first epoch and the one after its last."""
        plan: list[tuple[Stage, int, int]] = []
        for stage, epochs in divide_epochs(self.method.stages(), self.budget.epoch_count):
            plan += [(stage, len(plan), len(plan) + epochs)] * epochs
        return plan

    def enter(self, stage: Stage) -> None:
        """Put the model into the stage's form, with a new optimizer for it and a new order of its pool."""
        model = self.problem.model
        if stage.reset_head:
            seeded(self.head_seed, lambda: model.head.apply(_reset))
        model.requires_grad_(stage.trainable == "all")
        model.head.requires_grad_(True)
        self.optimizer = torch.optim.SGD(
            [parameter for parameter in model.parameters() if parameter.requires_grad],
            lr=self.budget.learning_rate,
            momentum=self.budget.momentum,
            nesterov=self.budget.nesterov,
            weight_decay=self.budget.weight_decay,
        )
        self.order = Order(self.examples.pool(stage.pool), self.streams["order"])

    def run_epoch(self, number: int, stage: Stage, rates: list[float]) -> Epoch:
        """One epoch of the stage that was entered, with a step per learning rate."""
        started = time.perf_counter()
        model, size = self.problem.model, self.budget.batch_size
        model.train()
        model.body.train(stage.trainable == "all")
        self.method.start_epoch(number)
        draws = self.order.take(len(rates) * size, self.method.sampling_weights(number))
        statistics = EpochStatistics(self.examples.is_mislabelled, has_explicit_weights(self.method))
        for rate, index in zip(rates, draws.split(size), strict=True):
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            batch = self.method.augment_batch(
                self.inputs.make_batch(self.examples, index, self.streams["augmentation"])
            )
            statistics.add(batch, *self._take_step(batch, number, rate))
        if self.examples.images.is_cuda:
            torch.cuda.synchronize()
        return statistics.summary(number, time.perf_counter() - started, rates[-1])

    def _take_step(self, batch: Batch, epoch: int, rate: float) -> tuple[Tensor, Tensor, Tensor]:
        """One update that minimises mean(weights * losses); returns losses, predictions and weights."""
        self.problem.random_state.note()
        features, logits = self.inputs.forward(self.problem.model, batch.inputs)
        losses = self.method.example_losses(logits, batch)
        step = Step(epoch, batch, logits.detach(), features.detach(), losses.detach(), rate)
        weights = self.method.example_weights(step)
        if weights.shape != losses.shape:
            raise ValueError(f"{tuple(weights.shape)} weights for {tuple(losses.shape)} losses")
        if weights.requires_grad:
            raise ValueError("weights carry a gradient; detach them")
        with torch.no_grad():
            predictions = self.method.adjust_logits(step.logits).argmax(-1)
        self.optimizer.zero_grad()
        (weights * losses).mean().backward()
        self.optimizer.step()
        self.method.end_step(step)
        return step.losses, predictions, weights


def has_explicit_weights(method: Method) -> bool:
    """Whether the method defines weights of its own."""
    return type(method).example_weights is not Method.example_weights


def learning_rate(budget: Budget, progress: float) -> float:
    """The rate after the fraction `progress` of a stage; `step` divides by 10 at one half and three quarters."""
    if budget.schedule == "cosine":
        return budget.learning_rate * (1 + math.cos(math.pi * progress)) / 2
    if budget.schedule == "step":
        return budget.learning_rate * math.prod(0.1 for milestone in STEP_MILESTONES if progress >= milestone)
    return budget.learning_rate


def _reset(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        module.reset_parameters()
