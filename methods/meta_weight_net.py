"""Meta-Weight-Net: a small network, trained on the clean set, turns an example's loss into its weight."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from reweightbench.benchmark.contracts.derivatives import change_along, mean_loss_gradient, trainable
from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.benchmark.contracts.problem import Need, Problem
from reweightbench.benchmark.contracts.seeding import seeded


@dataclass
class MetaWeightNet(Method):
    """w_i = V(l_i; phi), V = Linear(1, hidden)-ReLU-Linear(hidden, 1)-sigmoid.

    Each step moves phi down the gradient of the clean loss at theta' = theta - lr * grad(sum_i a_i l_i), and
    weighs with the new phi. Only a_i depends on phi, so that gradient is
    -lr * sum_i <grad L_clean(theta'), grad l_i(theta)> * da_i / dphi: first derivatives and one
    forward-mode pass (`gradient`: `exact`) or one forward pass (`finite_difference`) instead of a second
    backward pass.

    The authors' two programs differ, and `preset` offers both. `imbalance`: weights are scaled to mean 1
    (a_i = w_i / sum w), phi by SGD with rate 1e-5, Nesterov momentum 0.9 and weight decay 5e-4. `noise`:
    weights are V's own, in (0, 1) (a_i = w_i / b), phi by Adam with rate 1e-3 and weight decay 1e-4.

    Deviations: batch normalisation's running statistics do not move in the virtual step. As in those
    programs, that step takes the present learning rate, without momentum or weight decay.
    """

    paper: ClassVar[str] = (
        "Shu et al. 2019, Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting, algorithm 1"
    )
    family: ClassVar[Family] = "meta"
    needs: ClassVar[frozenset[Need]] = frozenset({"clean_set"})

    preset: Literal["imbalance", "noise"] = "imbalance"
    gradient: Literal["exact", "finite_difference"] = "exact"
    clean_batch_size: int = 100
    hidden: int = 100

    _problem: Problem = field(init=False, repr=False, compare=False)
    _network: nn.Module = field(init=False, repr=False, compare=False)
    _optimizer: torch.optim.Optimizer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("clean_batch_size", "hidden"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")

    def prepare(self, problem: Problem) -> None:
        self._problem = problem
        seed = int(torch.randint(2**31, (), generator=problem.generator))
        layers = seeded(seed, lambda: (nn.Linear(1, self.hidden), nn.Linear(self.hidden, 1)))
        like = next(problem.model.parameters())
        self._network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.Sigmoid()).to(like)
        phi = self._network.parameters()
        if self.preset == "imbalance":
            self._optimizer = torch.optim.SGD(phi, 1e-5, momentum=0.9, nesterov=True, weight_decay=5e-4)
        else:
            self._optimizer = torch.optim.Adam(phi, 1e-3, weight_decay=1e-4)

    def example_weights(self, step: Step) -> Tensor:
        weights = self._weigh(step.losses)
        alignment = self._align(step, weights.detach())
        self._optimizer.zero_grad()
        (-step.learning_rate * alignment * weights).mean().backward()
        self._optimizer.step()
        return self._weigh(step.losses).detach()

    def _weigh(self, losses: Tensor) -> Tensor:
        """Weights `(b,)` of losses, b * a in the docstring's terms."""
        weights: Tensor = self._network(losses[:, None])[:, 0]
        if self.preset == "noise":
            return weights
        return weights / weights.mean().clamp_min(torch.finfo(weights.dtype).tiny)

    def _align(self, step: Step, weights: Tensor) -> Tensor:
        """<grad L_clean(theta'), grad l_i(theta)> for each example, `(b,)`."""
        problem, parameters = self._problem, trainable(self._problem.model)
        gradient = mean_loss_gradient(problem, parameters, step.batch, weights)
        ahead = {name: value - step.learning_rate * gradient[name] for name, value in parameters.items()}
        direction = mean_loss_gradient(problem, ahead, problem.clean_batch(self.clean_batch_size))
        return change_along(problem, step, parameters, direction, self.gradient)
