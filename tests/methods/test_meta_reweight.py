"""Meta-reweighting against known values and against the paper's own double backward pass."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.problem import Batch, Knowledge, Problem
from reweightbench.methods.meta_reweight import MetaReweight

each_gradient = pytest.mark.parametrize(
    "gradient", ["exact", "finite_difference", "last_layer", "double_backward"]
)
Losses = Callable[[Tensor, Batch], Tensor]


def cross_entropy(logits: Tensor, batch: Batch) -> Tensor:
    return F.cross_entropy(logits, batch.targets, reduction="none")


def look_ahead(model: Classifier, batch: Batch, clean: Batch, alpha: float = 0.1) -> Tensor:
    """u `(b,)` by algorithm 1 of Ren et al. 2018: the step from zero weights, differentiated twice.

    Each example's weight moves the parameters to theta' = theta - alpha * grad sum_i eps_i l_i; -u * alpha is
    the derivative of the clean loss at theta' with respect to eps, at eps = 0.
    """
    model = copy.deepcopy(model)
    names = [name for name, _ in model.named_parameters()]
    theta = list(model.parameters())
    weights = torch.zeros(len(batch.targets), dtype=theta[0].dtype, requires_grad=True)
    losses = cross_entropy(model(batch.inputs), batch)
    gradients = torch.autograd.grad((weights * losses).sum(), theta, create_graph=True)
    ahead = [value - alpha * gradient for value, gradient in zip(theta, gradients, strict=True)]
    logits = functional_call(model, dict(zip(names, ahead, strict=True)), (clean.inputs,))
    clean_loss = cross_entropy(logits, clean).mean()
    (derivative,) = torch.autograd.grad(clean_loss, weights)
    return -derivative / alpha


def rectify(alignment: Tensor) -> Tensor:
    """max(0, u) with mean 1, or all 0."""
    positive = [max(value, 0.0) for value in alignment.tolist()]
    total = sum(positive)
    return torch.tensor(
        [len(positive) * value / total if total else 0.0 for value in positive], dtype=alignment.dtype
    )


class Regression:
    """Softmax regression without bias on four examples and two clean ones, in float64."""

    def __init__(self, targets: list[int], losses: Losses = cross_entropy) -> None:
        head = nn.Linear(2, 2, bias=False, dtype=torch.float64)
        head.weight.data = torch.tensor([[0.1, -0.2], [0.3, 0.05]], dtype=torch.float64)
        self.model = Classifier(nn.Identity(), head)
        inputs = torch.tensor([[1, 0], [0, 1], [1, 1], [-1, 0.5]], dtype=torch.float64)
        self.batch = Batch(torch.arange(4), inputs, torch.tensor(targets))
        clean_inputs = torch.tensor([[1, 0.2], [-0.5, 1]], dtype=torch.float64)
        self.clean = Batch(torch.arange(4, 6), clean_inputs, torch.tensor([0, 1]))
        self._losses = losses

    def compute_weights(self, **options: Any) -> Tensor:
        """The method's weights `(4,)`."""
        method = MetaReweight(**options)
        method.prepare(
            Problem(
                size=4,
                classes=2,
                epochs=1,
                model=self.model,
                generator=torch.Generator(),
                needs=method.needs,
                knowledge=Knowledge(draw_clean=lambda _: self.clean),
                example_losses=self._losses,
            )
        )
        features = self.model.features(self.batch.inputs)
        logits = self.model.head(features).detach()
        return method.example_weights(
            Step(0, self.batch, logits, features, self._losses(logits, self.batch), 0.1)
        )


@pytest.mark.parametrize(
    ("targets", "alignment", "shares"),
    [
        ([0, 1, 0, 1], [0.436272, 0.153297, 0.270713, 0.502416], [0.320153, 0.112495, 0.198659, 0.368692]),
        ([0, 1, 1, 1], [0.436272, 0.153297, -0.172614, 0.502416], [0.399522, 0.140384, 0, 0.460094]),
    ],
)
@each_gradient
def test_known_values(gradient: str, targets: list[int], alignment: list[float], shares: list[float]) -> None:
    regression = Regression(targets)
    reference = look_ahead(regression.model, regression.batch, regression.clean)
    assert reference.tolist() == pytest.approx(alignment, abs=5e-7)
    # The model is its head, so even that way is exact; a difference is as good as its step is short.
    tolerance = 1e-3 if gradient == "finite_difference" else 5e-7
    weights = regression.compute_weights(gradient=gradient)
    assert (weights / 4).tolist() == pytest.approx(shares, abs=tolerance)


@pytest.mark.parametrize("gradient", ["exact", "double_backward"])
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_equals_the_papers_double_backward(
    seed: int, alpha: float, gradient: str, make_workbench: Any
) -> None:
    workbench = make_workbench(seed, torch.float64)
    method = MetaReweight(gradient=gradient, clean_batch_size=6)
    problem = workbench.problem(method)
    method.prepare(problem)
    step = workbench.step(problem)
    # The clean batches of a second problem of the same workbench are the same ones.
    clean_batches = workbench.problem(method)
    for _ in range(2):
        alignment = look_ahead(problem.model, step.batch, clean_batches.clean_batch(6), alpha)
        assert (alignment > 0).any()
        assert (alignment < 0).any()
        torch.testing.assert_close(method.example_weights(step), rectify(alignment), rtol=1e-5, atol=1e-12)


def compare(
    workbench: Any, first: MetaReweight, second: MetaReweight, **settings: Any
) -> tuple[Tensor, Tensor]:
    """The first weights of two forms of the method on the same problem."""
    weights = []
    for method in (first, second):
        problem = workbench.problem(method, **settings)
        method.prepare(problem)
        weights.append(method.example_weights(workbench.step(problem)))
    return weights[0], weights[1]


@pytest.mark.parametrize("seed", range(4))
def test_finite_difference_is_close_in_training_precision(seed: int, make_workbench: Any) -> None:
    exact, difference = compare(
        make_workbench(seed),
        MetaReweight(clean_batch_size=6),
        MetaReweight(gradient="finite_difference", clean_batch_size=6),
    )
    assert exact.any()
    assert (exact - difference).norm() < 0.02 * exact.norm()


def test_finite_difference_of_coarse_losses_computes_them_again(workbench: Any) -> None:
    """A step in mixed precision has losses that are off by more than the difference."""
    method = MetaReweight(gradient="finite_difference", clean_batch_size=6)
    weights = []
    for precision in ("float32", "bfloat16"):
        problem = dataclasses.replace(workbench.problem(method), precision=precision)
        method.prepare(problem)
        step = workbench.step(problem)
        if precision == "bfloat16":
            step = dataclasses.replace(step, losses=step.losses.bfloat16().float())
            assert not torch.equal(step.losses, workbench.step(problem).losses)
        weights.append(method.example_weights(step))
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-3)


def test_last_layer_multiplies_gradients_of_the_head_one_by_one(make_workbench: Any) -> None:
    workbench = make_workbench(1, torch.float64)
    method = MetaReweight(gradient="last_layer", clean_batch_size=6)
    problem = workbench.problem(method)
    method.prepare(problem)
    step = workbench.step(problem)
    clean = workbench.problem(method).clean_batch(6)
    model = copy.deepcopy(problem.model)
    head = list(model.head.parameters())

    def gradient(features: Tensor, target: Tensor) -> Tensor:
        loss = F.cross_entropy(model.head(features), target)
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, head)])

    towards_clean = gradient(model.features(clean.inputs).detach(), clean.targets)
    alignment = torch.stack(
        [
            gradient(step.features[i : i + 1], step.batch.targets[i : i + 1]) @ towards_clean
            for i in range(len(step.losses))
        ]
    )
    assert (alignment > 0).any()
    assert (alignment < 0).any()
    torch.testing.assert_close(method.example_weights(step), rectify(alignment))


@pytest.mark.parametrize("gradient", ["finite_difference", "double_backward"])
def test_every_pass_of_a_step_drops_the_same_units(gradient: str, make_workbench: Any) -> None:
    """Losses under different dropout would differ by far more than a small step changes them."""
    workbench = make_workbench(0, dropout=0.5)
    exact, other = compare(
        workbench,
        MetaReweight(clean_batch_size=6),
        MetaReweight(gradient=gradient, clean_batch_size=6),
    )
    assert exact.any()
    assert (exact - other).norm() < 0.02 * exact.norm()


def test_a_fresh_clean_batch_every_step(workbench: Any) -> None:
    method = MetaReweight(clean_batch_size=3)
    problem = workbench.problem(method)
    method.prepare(problem)
    step = workbench.step(problem)
    assert not torch.allclose(method.example_weights(step), method.example_weights(step))


def test_weights_have_mean_one(workbench: Any) -> None:
    method = MetaReweight(clean_batch_size=6)
    problem = workbench.problem(method)
    method.prepare(problem)
    assert method.example_weights(workbench.step(problem)).mean().item() == pytest.approx(1, rel=1e-5)


@each_gradient
def test_no_gradient_at_all_gives_zero_weights(gradient: str) -> None:
    regression = Regression([0, 1, 0, 1], losses=lambda logits, _: 0 * logits.sum(1))
    weights = regression.compute_weights(gradient=gradient)
    assert weights.tolist() == [0, 0, 0, 0]


@each_gradient
def test_no_helpful_example_gives_zero_weights(gradient: str) -> None:
    """Every example pulls away from the clean set: its targets are the other way round."""
    regression = Regression([1, 0, 1, 0])
    assert (look_ahead(regression.model, regression.batch, regression.clean) < 0).all()
    assert regression.compute_weights(gradient=gradient).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tiny_gradients_give_the_same_weights(dtype: torch.dtype, make_workbench: Any) -> None:
    """The products of two gradients of 1e-20 lie below the smallest normal number of float32."""
    workbench = make_workbench(0, dtype)
    weights = []
    for scale in (1.0, 1e-20):
        method = MetaReweight(clean_batch_size=6)
        problem = workbench.problem(
            method, example_losses=lambda logits, batch, s=scale: s * cross_entropy(logits, batch)
        )
        method.prepare(problem)
        weights.append(method.example_weights(workbench.step(problem)))
    assert weights[1].mean().item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-3)


@each_gradient
def test_running_statistics_and_parameters_stay(gradient: str, workbench: Any) -> None:
    method = MetaReweight(gradient=gradient, clean_batch_size=6)
    problem = workbench.problem(method)
    method.prepare(problem)
    step = workbench.step(problem)
    before = {name: value.clone() for name, value in problem.model.state_dict().items()}
    assert any("running_mean" in name for name in before)
    for _ in range(3):
        method.example_weights(step)
    assert all(torch.equal(value, before[name]) for name, value in problem.model.state_dict().items())
    assert all(value.grad is None for value in problem.model.parameters())


def test_mislabelled_examples_weigh_less() -> None:
    """On well separated classes, the right targets get all the weight."""
    stream = torch.Generator().manual_seed(0)
    regression = Regression([0, 1, 0, 1])
    true = torch.arange(40) % 2
    inputs = torch.randn(40, 2, generator=stream, dtype=torch.float64) + 4 * (2 * true[:, None] - 1)
    given = torch.where(torch.arange(40) < 12, 1 - true, true)
    regression.batch = Batch(torch.arange(40), inputs, given)
    regression.clean = Batch(torch.arange(40, 60), inputs[20:], true[20:])
    regression.model.head.weight.data.zero_()
    weights = regression.compute_weights()
    assert weights[:12].max() == 0
    assert weights[12:].min() > 0


@pytest.mark.parametrize("size", [0, -1])
def test_impossible_batch_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MetaReweight(clean_batch_size=size)
