"""The promises of the contract, each as a check that any method can be put to.

A check takes a method's label, makes the method anew and raises BrokenPromiseError, or whatever the method
raises itself. The shipped methods pass all of them; `reweightbench check` puts a user's own to them.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

from reweightbench.benchmark.conformance import declarations, devices, losses, short_training, weights
from reweightbench.benchmark.contracts.registry import METHODS

Check = Callable[[str], None]

CHECKS: tuple[Check, ...] = (
    declarations.describes_itself,
    declarations.is_named_by_its_label,
    declarations.stages_divide_the_run_and_declare_the_clean_set,
    declarations.uses_only_what_it_declares,
    declarations.uses_what_it_declares,
    weights.sampling_weights_cover_the_pool,
    losses.losses_are_one_number_per_example_with_a_gradient,
    losses.losses_stay_finite_at_equal_and_extreme_logits,
    losses.permuting_a_batch_permutes_its_losses,
    weights.weights_are_finite_not_negative_and_without_gradient,
    weights.permuting_a_batch_permutes_its_weights,
    weights.equal_states_give_equal_weights,
    weights.hooks_leave_the_run_as_it_is,
    losses.evaluation_keeps_one_logit_per_class,
    devices.tensors_stay_on_the_models_device,
    short_training.a_training_goes_on_from_a_checkpoint,
    short_training.a_short_training_ends_well_and_repeats_exactly,
)
"""All checks, in the order in which a reader wants to know them; the last ones train, and take longest."""


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
