"""Promises about a method's losses and about the logits it is evaluated with."""

import torch

from reweightbench.benchmark.conformance.rehearsal import begin
from reweightbench.benchmark.conformance.requirements import is_finite, require, require_shape
from reweightbench.benchmark.conformance.workbench import STEP_SIZE, Workbench, other_order


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


def permuting_a_batch_permutes_its_losses(label: str) -> None:
    """No example's loss depends on its place, or on how often it is asked for."""
    workbench, order = Workbench(), other_order()
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
