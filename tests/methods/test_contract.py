"""What every method promises, checked on all methods that the registry finds and on each of their forms."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import torch
from torch import Tensor

from reweightbench.benchmark.cell import Budget, Cell
from reweightbench.benchmark.method import Method, Step
from reweightbench.benchmark.problem import Batch, Need, Problem, UndeclaredNeedError
from reweightbench.benchmark.registry import ARCHITECTURES, DATASETS, IMBALANCES, METHODS, NOISES, Spec
from reweightbench.benchmark.run import run_cell
from reweightbench.benchmark.training import divide_epochs

ALL_NEEDS: frozenset[Need] = frozenset(get_args(Need))
POOLS = ("train", "clean", "train+clean")
READ: dict[Need, Callable[[Problem], object]] = {
    "clean_set": lambda problem: problem.clean_batch(3),
    "noise_rate": lambda problem: problem.noise_rate,
    "class_counts": lambda problem: problem.class_counts,
}


def list_forms() -> list[str]:
    """Labels of all methods, with every other choice of each option that is a choice."""
    labels = list(METHODS.classes)
    for name, cls in METHODS.classes.items():
        for option, hint in get_type_hints(cls).items():
            if get_origin(hint) is Literal:
                others = set(get_args(hint)) - {getattr(cls(), option)}
                labels += [f"{name}({option}={choice})" for choice in sorted(others, key=str)]
    return labels


each_method = pytest.mark.parametrize("name", METHODS.classes)
each_form = pytest.mark.parametrize("label", list_forms())


def prepare(label: str, workbench: Any, **settings: Any) -> tuple[Method, Problem]:
    """A fresh method at the start of its first epoch, and its problem."""
    method = METHODS.create(label)
    problem = workbench.problem(method, **settings)
    method.prepare(problem)
    method.start_epoch(0)
    return method, problem


def compute_weights(label: str, workbench: Any, **settings: Any) -> Tensor:
    """The first weights of a fresh method."""
    method, problem = prepare(label, workbench, **settings)
    return method.example_weights(workbench.step(problem))


def permute(step: Step, order: Tensor) -> Step:
    """The step with its examples in another order."""
    batch = Batch(*(getattr(step.batch, field.name)[order] for field in dataclasses.fields(Batch)))
    return dataclasses.replace(
        step, batch=batch, logits=step.logits[order], features=step.features[order], losses=step.losses[order]
    )


@each_method
def test_describes_itself(name: str) -> None:
    cls = METHODS.classes[name]
    assert cls.paper.strip()
    assert isinstance(cls.needs, frozenset)
    assert cls.needs <= ALL_NEEDS
    assert isinstance(cls.is_control, bool)
    assert cls.version >= 1
    # A dataclass without a docstring is given its signature as one.
    assert not inspect.getdoc(cls).startswith(f"{cls.__name__}(")
    assert "__doc__" in vars(cls)


@each_form
def test_label_and_spec_name_the_same_method(label: str) -> None:
    method = METHODS.create(label)
    spec = METHODS.spec(method)
    assert METHODS.create(METHODS.label(spec)) == method
    assert METHODS.restore(Spec.model_validate_json(spec.model_dump_json())) == method
    assert METHODS.spec(METHODS.restore(spec)) == spec


@each_method
def test_label_of_the_defaults_is_the_bare_name(name: str) -> None:
    assert METHODS.label(METHODS.spec(METHODS.create(name))) == name


@each_form
def test_losses_are_one_number_per_example(label: str, workbench: Any) -> None:
    method, problem = prepare(label, workbench)
    batch = workbench.batch(torch.arange(12))
    losses = method.example_losses(problem.model(batch.inputs), batch)
    assert losses.shape == (12,)
    gradients = torch.autograd.grad(losses.sum(), list(problem.model.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)


@each_form
@pytest.mark.parametrize("size", [0.0, 50.0])
def test_losses_stay_finite_at_equal_and_extreme_logits(label: str, size: float, workbench: Any) -> None:
    method, problem = prepare(label, workbench)
    batch = workbench.batch(torch.arange(12))
    shape = problem.model(batch.inputs).shape
    signs = torch.randint(2, shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    logits = (size * signs).float().requires_grad_()
    losses = method.example_losses(logits, batch)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert losses.isfinite().all()
    assert gradient.isfinite().all()


@each_form
def test_permuting_a_batch_permutes_its_losses(label: str, workbench: Any) -> None:
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    straight, permuted = [], []
    for losses, index in ((straight, torch.arange(12)), (permuted, torch.arange(12)[order])):
        method, problem = prepare(label, workbench)
        logits = problem.model.eval()(workbench.batch(index).inputs)
        losses.append(method.example_losses(logits, workbench.batch(index)).detach())
    torch.testing.assert_close(permuted[0], straight[0][order])


@each_form
def test_permuting_a_batch_permutes_its_weights(label: str, workbench: Any) -> None:
    straight = compute_weights(label, workbench)
    if not torch.equal(straight, compute_weights(label, workbench, generator_seed=1)):
        pytest.skip("the weights depend on the method's random stream")
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    method, problem = prepare(label, workbench)
    permuted = method.example_weights(permute(workbench.step(problem), order))
    torch.testing.assert_close(permuted, straight[order], rtol=1e-4, atol=1e-5)


@each_form
def test_equal_states_give_equal_weights(label: str, workbench: Any) -> None:
    assert torch.equal(compute_weights(label, workbench), compute_weights(label, workbench))


@each_form
def test_weights_are_finite_not_negative_and_without_gradient(label: str, workbench: Any) -> None:
    weights = compute_weights(label, workbench)
    assert weights.shape == (12,)
    assert weights.isfinite().all()
    assert (weights >= 0).all()
    assert not weights.requires_grad


@each_form
def test_weights_leave_the_run_as_it_is(label: str, workbench: Any) -> None:
    method, problem = prepare(label, workbench)
    step = workbench.step(problem)
    model = problem.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given = [value.clone() for value in (step.losses, step.logits, step.features, step.batch.inputs)]
    random_state = torch.get_rng_state()
    method.example_weights(step)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert all(value.grad is None and value.requires_grad for value in model.parameters())
    now = (step.losses, step.logits, step.features, step.batch.inputs)
    assert all(map(torch.equal, now, given))


@each_form
def test_sampling_weights_cover_the_pool(label: str, workbench: Any) -> None:
    method, problem = prepare(label, workbench)
    training, clean = len(problem.targets), workbench.clean_examples
    sizes = {"train": training, "clean": clean, "train+clean": training + clean}
    epoch = 0
    for stage, epochs in divide_epochs(method.stages(), problem.epochs):
        for _ in range(epochs):
            method.start_epoch(epoch)
            weights = method.sampling_weights(epoch)
            if weights is not None:
                assert weights.shape == (sizes[stage.pool],)
                assert weights.isfinite().all()
                assert (weights >= 0).all()
                assert weights.any()
            epoch += 1


@each_form
def test_stages_divide_the_run_and_declare_the_clean_set(label: str) -> None:
    method = METHODS.create(label)
    stages = method.stages()
    assert math.isclose(sum(stage.share for stage in stages), 1)
    assert all(stage.share > 0 and stage.pool in POOLS for stage in stages)
    if any("clean" in stage.pool for stage in stages):
        assert "clean_set" in method.needs


@each_method
@pytest.mark.parametrize("need", sorted(ALL_NEEDS))
def test_what_is_not_declared_cannot_be_read(name: str, need: Need, workbench: Any) -> None:
    method = METHODS.create(name)
    problem = workbench.problem(method)
    if need in method.needs:
        READ[need](problem)
    else:
        with pytest.raises(UndeclaredNeedError, match=need):
            READ[need](problem)


@pytest.mark.parametrize(
    ("name", "need"), [(name, need) for name, cls in METHODS.classes.items() for need in sorted(cls.needs)]
)
def test_what_is_declared_is_used(name: str, need: Need, workbench: Any) -> None:
    method = METHODS.create(name)
    if need == "clean_set" and any("clean" in stage.pool for stage in method.stages()):
        return
    problem = workbench.problem(method, needs=method.needs - {need})

    def use_every_hook() -> None:
        method.prepare(problem)
        for epoch in range(problem.epochs):
            method.start_epoch(epoch)
            method.sampling_weights(epoch)
            method.example_weights(workbench.step(problem, epoch=epoch))

    with pytest.raises(UndeclaredNeedError, match=need):
        use_every_hook()


@each_form
def test_evaluation_keeps_one_logit_per_class(label: str, workbench: Any) -> None:
    method, problem = prepare(label, workbench)
    logits = method.adjust_logits(problem.model(workbench.batch(torch.arange(12)).inputs))
    assert logits.shape == (12, problem.classes)
    assert logits.isfinite().all()


@each_form
def test_a_short_training_ends_well_and_repeats_exactly(label: str) -> None:
    dataset = DATASETS.create("digits")
    cell = Cell(
        dataset=DATASETS.spec(dataset),
        variant="embedded",
        imbalance=IMBALANCES.spec(IMBALANCES.create("longtail(factor=2)")),
        noise=NOISES.spec(NOISES.create("uniform(rate=0.3)")),
        clean_size=50,
        model=ARCHITECTURES.spec(ARCHITECTURES.create("small_cnn")),
        method=METHODS.spec(METHODS.create(label)),
        budget=Budget(epochs=5, learning_rate=0.05),
        seed=3,
    )
    first, second = run_cell(cell), run_cell(cell)
    assert first.status == "ok"
    assert first.key == cell.key
    assert first.result == second.result
    assert first.result.weights_sha256 == second.result.weights_sha256
    assert first.result.steps == 5 * math.ceil(first.result.sizes["train"] / 100)
    assert all(map(math.isfinite, first.result.curves.train_loss))
    # Ten classes: better than any constant answer, after five epochs on a third of wrong targets.
    assert first.result.last.balanced_accuracy > 0.15
