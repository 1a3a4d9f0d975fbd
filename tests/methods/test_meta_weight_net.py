"""Meta-Weight-Net against a virtual step that is differentiated as a whole."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.network import Classifier
from reweightbench.benchmark.contracts.problem import Batch, Knowledge, Problem
from reweightbench.methods.meta_weight_net import MetaWeightNet

each_preset = pytest.mark.parametrize("preset", ["imbalance", "noise"])


class Reference:
    """The method as the paper writes it: gradients of the clean loss through the virtual step."""

    def __init__(self, preset: str, network: nn.Module) -> None:
        self.preset = preset
        self.network = copy.deepcopy(network)
        if preset == "imbalance":
            self.optimizer: torch.optim.Optimizer = torch.optim.SGD(
                self.network.parameters(), 1e-5, momentum=0.9, nesterov=True, weight_decay=5e-4
            )
        else:
            self.optimizer = torch.optim.Adam(self.network.parameters(), 1e-3, weight_decay=1e-4)

    def coefficients(self, losses: Tensor) -> Tensor:
        """What multiplies each loss in the sum over the batch."""
        weights: Tensor = self.network(losses.detach().reshape(-1, 1)).reshape(-1)
        return weights / weights.sum() if self.preset == "imbalance" else weights / len(weights)

    def weights(self, model: Classifier, step: Step, clean: Batch) -> Tensor:
        """One step of the network, and the weights `(b,)` after it."""
        model = copy.deepcopy(model)
        theta = dict(model.named_parameters())
        losses = F.cross_entropy(model(step.batch.inputs), step.batch.targets, reduction="none")
        total = (self.coefficients(losses) * losses).sum()
        gradients = torch.autograd.grad(total, list(theta.values()), create_graph=True)
        virtual = {
            name: value - step.learning_rate * gradient
            for (name, value), gradient in zip(theta.items(), gradients, strict=True)
        }
        clean_loss = F.cross_entropy(functional_call(model, virtual, (clean.inputs,)), clean.targets)
        self.optimizer.zero_grad()
        for value, gradient in zip(
            self.network.parameters(),
            torch.autograd.grad(clean_loss, list(self.network.parameters())),
            strict=True,
        ):
            value.grad = gradient
        self.optimizer.step()
        return self.coefficients(losses).detach() * len(losses)


def start(workbench: Any, **options: Any) -> tuple[MetaWeightNet, Problem]:
    """A prepared method and its problem."""
    method = MetaWeightNet(clean_batch_size=6, **options)
    problem = workbench.problem(method)
    method.prepare(problem)
    return method, problem


@each_preset
@pytest.mark.parametrize("seed", range(3))
def test_equals_differentiating_through_the_virtual_step(preset: str, seed: int, make_workbench: Any) -> None:
    workbench = make_workbench(seed, torch.float64)
    method, problem = start(workbench, preset=preset)
    reference = Reference(preset, method._network)
    clean_batches = workbench.problem(method)
    step = workbench.step(problem)
    start_values = [value.clone() for value in method._network.parameters()]
    for _ in range(4):
        expected = reference.weights(problem.model, step, clean_batches.clean_batch(6))
        torch.testing.assert_close(method.example_weights(step), expected, rtol=1e-9, atol=1e-12)
    moves = [
        (ours - before, theirs - before)
        for ours, theirs, before in zip(
            method._network.parameters(), reference.network.parameters(), start_values, strict=True
        )
    ]
    assert all(ours.any() for ours, _ in moves)
    for ours, theirs in moves:
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-12)


@each_preset
def test_finite_difference_moves_the_network_alike(preset: str, workbench: Any) -> None:
    moves = []
    for gradient in ("exact", "finite_difference"):
        method, problem = start(workbench, preset=preset, gradient=gradient)
        before = nn.utils.parameters_to_vector(method._network.parameters()).detach().clone()
        step = workbench.step(problem)
        method.example_weights(step)
        moves.append(nn.utils.parameters_to_vector(method._network.parameters()).detach() - before)
    assert F.cosine_similarity(moves[0], moves[1], dim=0) > 0.99


def test_imbalance_weights_have_mean_one_and_noise_weights_are_the_networks(workbench: Any) -> None:
    weights = {}
    for preset in ("imbalance", "noise"):
        method, problem = start(workbench, preset=preset)
        weights[preset] = method.example_weights(workbench.step(problem))
    assert weights["imbalance"].mean().item() == pytest.approx(1, rel=1e-5)
    assert ((weights["noise"] > 0) & (weights["noise"] < 1)).all()
    assert weights["noise"].mean().item() != pytest.approx(1, rel=1e-2)


def test_helpful_losses_gain_weight() -> None:
    """Mislabelled examples have the larger losses, so the network learns to weigh them less."""
    stream = torch.Generator().manual_seed(0)
    true = torch.arange(80) % 2
    inputs = torch.randn(80, 2, generator=stream) + 2 * (2 * true[:, None] - 1)
    given = torch.where(torch.arange(80) < 12, 1 - true, true)
    head = nn.Linear(2, 2, bias=False)
    head.weight.data = torch.tensor([[-0.2, -0.2], [0.2, 0.2]])
    batch = Batch(torch.arange(40), inputs[:40], given[:40])
    clean = Batch(torch.arange(40, 80), inputs[40:], true[40:])
    method = MetaWeightNet(preset="noise")
    problem = Problem(
        size=40,
        classes=2,
        epochs=1,
        model=Classifier(nn.Identity(), head),
        generator=torch.Generator().manual_seed(0),
        needs=method.needs,
        knowledge=Knowledge(draw_clean=lambda _: clean),
        example_losses=method.example_losses,
    )
    method.prepare(problem)
    logits = problem.model(batch.inputs).detach()
    step = Step(0, batch, logits, batch.inputs, method.example_losses(logits, batch), 0.1)
    first = method.example_weights(step)
    for _ in range(200):
        last = method.example_weights(step)
    assert last[12:].mean() / last[:12].mean() > 1.1 * first[12:].mean() / first[:12].mean()


@pytest.mark.parametrize("option", ["clean_batch_size", "hidden"])
def test_impossible_sizes_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option} is 0; it must be at least 1"):
        MetaWeightNet(**{option: 0})
