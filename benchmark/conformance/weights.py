"""Promises about a method's weights, of sampling and of examples, and about what its hooks leave alone."""

import torch

from reweightbench.benchmark.conformance.rehearsal import begin, first_weights, rehearse
from reweightbench.benchmark.conformance.requirements import require, require_shape, require_weights
from reweightbench.benchmark.conformance.snapshot import Snapshot
from reweightbench.benchmark.conformance.workbench import POOLS, STEP_SIZE, Workbench, other_order
from reweightbench.benchmark.contracts.method import divide_epochs


def sampling_weights_cover_the_pool(label: str) -> None:
    """None, or a finite weight of at least 0 for every example of the stage's pool."""
    method, problem = begin(label, Workbench())
    epoch = 0
    for stage, epochs in divide_epochs(method.stages(), problem.epochs):
        for _ in range(epochs):
            method.start_epoch(epoch)
            weights = method.sampling_weights(epoch)
            if weights is not None:
                require_shape(weights, (POOLS[stage.pool],), f"sampling_weights in epoch {epoch}")
                require_weights(weights, f"sampling_weights in epoch {epoch}")
                require(bool(weights.any()), f"sampling_weights are all 0 in epoch {epoch}")
            epoch += 1


def weights_are_finite_not_negative_and_without_gradient(label: str) -> None:
    """Shape `(b,)`, in every epoch."""
    for step, weights in rehearse(label):
        place = f"example_weights in epoch {step.epoch}"
        require_shape(weights, (STEP_SIZE,), place)
        require(not weights.requires_grad, f"{place} carries a gradient; detach it")
        require_weights(weights, place)


def permuting_a_batch_permutes_its_weights(label: str) -> None:
    """No example's weight depends on its place, unless weights are drawn at random."""
    straight = first_weights(label)
    if not torch.equal(straight, first_weights(label, generator_seed=1)):
        return
    order = other_order()
    require(
        torch.allclose(first_weights(label, order), straight[order], rtol=1e-4, atol=1e-5),
        "example_weights depends on the order of the batch; use step.batch.index to know an example",
    )


def equal_states_give_equal_weights(label: str) -> None:
    """Two runs of one seed are the same run."""
    require(
        torch.equal(first_weights(label), first_weights(label)),
        "two fresh methods weigh the same step differently; draw from problem.generator",
    )


def hooks_leave_the_run_as_it_is(label: str) -> None:
    """Parameters, buffers, gradients, modes, random stream and step are the training loop's, in every epoch."""

    def watch(hook: str, before: Snapshot) -> None:
        changes = list(before.differences())
        require(not changes, f"{hook} changes {', '.join(changes[:3])}")

    for _ in rehearse(label, watch=watch):
        pass
