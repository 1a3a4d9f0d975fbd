"""The promises of the contract, each as a check that any method can be put to.

A check takes a method's label, makes the method anew and raises BrokenPromiseError, or whatever the method
raises itself. The shipped methods pass all of them; `reweightbench check` puts a user's own to them.
"""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from reweightbench.benchmark.conformance.rehearsal import begin, first_weights, rehearse
from reweightbench.benchmark.conformance.requirements import (
    BrokenPromiseError,
    is_finite,
    require,
    require_shape,
    require_weights,
)
from reweightbench.benchmark.conformance.short_training import (
    a_short_training_ends_well_and_repeats_exactly,
    a_training_goes_on_from_a_checkpoint,
)
from reweightbench.benchmark.conformance.snapshot import Snapshot
from reweightbench.benchmark.conformance.workbench import (
    CLEAN_EXAMPLES,
    STEP_SIZE,
    TRAINING_EXAMPLES,
    Workbench,
    build_network,
)
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.method import Family, divide_epochs
from reweightbench.benchmark.contracts.problem import Need, UndeclaredNeedError
from reweightbench.benchmark.contracts.registry import METHODS

Check = Callable[[str], None]
CHECKS: list[Check] = []
"""All checks, in the order in which a reader wants to know them; the last ones train, and take longest."""

POOLS = {
    "train": TRAINING_EXAMPLES,
    "clean": CLEAN_EXAMPLES,
    "train+clean": TRAINING_EXAMPLES + CLEAN_EXAMPLES,
}


def list_forms(name: str) -> list[str]:
    """Labels of a method: the bare name, and every other choice of each option that is a choice."""
    cls, labels = METHODS.classes[name], [name]
    hints, method = get_type_hints(cls), METHODS.create(name)
    for option in (field.name for field in fields(cls) if field.init):
        choices = {True, False} if hints[option] is bool else set()
        if get_origin(hints[option]) is Literal:
            choices = set(get_args(hints[option]))
        others = choices - {getattr(method, option)}
        labels += [f"{name}({option}={choice})" for choice in sorted(others, key=str)]
    return labels


def promise(check: Check) -> Check:
    """Add a check to the list."""
    CHECKS.append(check)
    return check


@promise
def describes_itself(label: str) -> None:
    """`paper`, `family`, `needs`, `version` and a docstring."""
    cls = type(METHODS.create(label))
    require(
        "__dataclass_fields__" in vars(cls),
        "the class is no dataclass, so its options are unknown; write @dataclass above it",
    )
    require(
        isinstance(getattr(cls, "paper", None), str) and bool(cls.paper.strip()),
        "paper is missing; name authors, year, title and equation",
    )
    require(cls.family in get_args(Family), f"family is {cls.family!r}; it is one of {get_args(Family)}")
    require(
        isinstance(cls.needs, frozenset) and cls.needs <= set(get_args(Need)),
        f"needs is {cls.needs!r}; it is a frozenset out of {', '.join(get_args(Need))}",
    )
    require(
        isinstance(cls.version, int) and cls.version >= 1, f"version is {cls.version!r}; it counts from 1"
    )
    # A dataclass without a docstring is given its signature as one.
    text = vars(cls).get("__doc__") or ""
    require(
        bool(text) and not text.startswith(f"{cls.__name__}("),
        "the class has no docstring; its first line is the idea",
    )


@promise
def is_named_by_its_label(label: str) -> None:
    """Label, options and record name the same method."""
    method = METHODS.create(label)
    spec = METHODS.spec(method)
    same = (
        METHODS.create(METHODS.label(spec)),
        METHODS.restore(Spec.model_validate_json(spec.model_dump_json())),
    )
    require(
        all(other == method for other in same),
        "a method made again from its label is another one; state is field(init=False, compare=False)",
    )


@promise
def stages_divide_the_run_and_declare_the_clean_set(label: str) -> None:
    """Shares sum to 1, pools exist, and who trains on the clean set says so."""
    method = METHODS.create(label)
    stages = method.stages()
    total = sum(stage.share for stage in stages)
    require(math.isclose(total, 1), f"the shares of the stages sum to {total:g}; let them sum to 1")
    for stage in stages:
        require(stage.share > 0, f"a stage has share {stage.share:g}; shares are positive")
        require(stage.pool in POOLS, f"a stage has pool {stage.pool!r}; pools are {', '.join(POOLS)}")
        require(
            "clean" not in stage.pool or "clean_set" in method.needs,
            "a stage trains on the clean set; declare it: needs = frozenset({'clean_set'})",
        )


@promise
def uses_only_what_it_declares(label: str) -> None:
    """No hook asks for what `needs` lacks, and the model is one network unless it says two."""
    for _ in rehearse(label):
        pass
    method = METHODS.create(label)
    size = _count_parameters(Workbench().problem(method).model) / _count_parameters(build_network())
    require(
        size < 1.5 or "two_networks" in method.needs,
        f"the model has {size:.1f} times the parameters of the suite's network; declare two_networks in needs",
    )


@promise
def uses_what_it_declares(label: str) -> None:
    """Readers see `needs` on the leaderboard: nothing stands there that the method does not use."""
    method = METHODS.create(label)
    for need in method.needs:
        if need == "clean_set" and any("clean" in stage.pool for stage in method.stages()):
            continue
        try:
            for _ in rehearse(label, method.needs - {need}):
                pass
        except UndeclaredNeedError:
            continue
        raise BrokenPromiseError(f"needs has {need!r}, which no hook uses; leave it out")


@promise
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


@promise
def losses_are_one_number_per_example_with_a_gradient(label: str) -> None:
    """Shape `(b,)`, differentiable in the parameters."""
    workbench = Workbench()
    method, problem = begin(label, workbench)
    batch = method.augment_batch(workbench.batch(torch.arange(STEP_SIZE)))
    losses = method.example_losses(problem.model(batch.inputs), batch)
    require_shape(losses, (STEP_SIZE,), "example_losses")
    require(losses.requires_grad, "example_losses has no gradient; do not detach the logits")
    gradients = torch.autograd.grad(losses.sum(), list(problem.model.parameters()), allow_unused=True)
    known = [gradient for gradient in gradients if gradient is not None]
    require(all(map(is_finite, known)), "the gradient of example_losses is not finite")
    require(any(gradient.any() for gradient in known), "the gradient of example_losses is 0 everywhere")


@promise
def losses_stay_finite_at_equal_and_extreme_logits(label: str) -> None:
    """At logits of 0 and of +-50, with their gradients."""
    for size in (0.0, 50.0):
        workbench = Workbench()
        method, problem = begin(label, workbench)
        batch = workbench.batch(torch.arange(STEP_SIZE))
        shape = problem.model(batch.inputs).shape
        signs = torch.randint(2, shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
        logits = (size * signs).float().requires_grad_()
        losses = method.example_losses(logits, batch)
        (gradient,) = torch.autograd.grad(losses.sum(), logits)
        place = f"at logits of size {size:g}; work with log_softmax, or bound what goes into a logarithm"
        require(is_finite(losses), f"example_losses is not finite {place}")
        require(is_finite(gradient), f"the gradient of example_losses is not finite {place}")


@promise
def permuting_a_batch_permutes_its_losses(label: str) -> None:
    """No example's loss depends on its place, or on how often it is asked for."""
    workbench, order = Workbench(), _order()
    found = []
    for index in (torch.arange(STEP_SIZE), order):
        method, problem = begin(label, workbench)
        batch = workbench.batch(index)
        found.append(method.example_losses(problem.model.eval()(batch.inputs), batch).detach())
        again = method.example_losses(problem.model(batch.inputs), batch)
        require(
            torch.equal(found[-1], again.detach()),
            "example_losses differs at a second call; change state in example_weights or end_step",
        )
    require(
        torch.allclose(found[1], found[0][order], rtol=1e-4, atol=1e-5),
        "example_losses depends on the order of the batch; use batch.index to know an example",
    )


@promise
def weights_are_finite_not_negative_and_without_gradient(label: str) -> None:
    """Shape `(b,)`, in every epoch."""
    for step, weights in rehearse(label):
        place = f"example_weights in epoch {step.epoch}"
        require_shape(weights, (STEP_SIZE,), place)
        require(not weights.requires_grad, f"{place} carries a gradient; detach it")
        require_weights(weights, place)


@promise
def permuting_a_batch_permutes_its_weights(label: str) -> None:
    """No example's weight depends on its place, unless weights are drawn at random."""
    straight = first_weights(label)
    if not torch.equal(straight, first_weights(label, generator_seed=1)):
        return
    order = _order()
    require(
        torch.allclose(first_weights(label, order), straight[order], rtol=1e-4, atol=1e-5),
        "example_weights depends on the order of the batch; use step.batch.index to know an example",
    )


@promise
def equal_states_give_equal_weights(label: str) -> None:
    """Two runs of one seed are the same run."""
    require(
        torch.equal(first_weights(label), first_weights(label)),
        "two fresh methods weigh the same step differently; draw from problem.generator",
    )


@promise
def hooks_leave_the_run_as_it_is(label: str) -> None:
    """Parameters, buffers, gradients, modes, random stream and step are the training loop's, in every epoch."""

    def watch(hook: str, before: Snapshot) -> None:
        changes = list(before.differences())
        require(not changes, f"{hook} changes {', '.join(changes[:3])}")

    for _ in rehearse(label, watch=watch):
        pass


@promise
def evaluation_keeps_one_logit_per_class(label: str) -> None:
    """`adjust_logits` returns finite `(b, c)`, each example's for itself."""
    workbench = Workbench()
    method, problem = begin(label, workbench)
    with torch.no_grad():
        given = problem.model(workbench.batch(torch.arange(STEP_SIZE)).inputs)
        logits, part = method.adjust_logits(given), method.adjust_logits(given[:5])
    require_shape(logits, (STEP_SIZE, problem.classes), "adjust_logits")
    require(is_finite(logits), "adjust_logits is not finite")
    require(
        torch.allclose(part, logits[:5], rtol=1e-4, atol=1e-5),
        "adjust_logits of an example depends on the examples beside it, which at evaluation are test examples",
    )


def _order() -> Tensor:
    return torch.randperm(STEP_SIZE, generator=torch.Generator().manual_seed(1))


def _count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


CHECKS += [a_training_goes_on_from_a_checkpoint, a_short_training_ends_well_and_repeats_exactly]
