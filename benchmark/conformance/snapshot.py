"""What the training loop owns, remembered, to see whether a method's hook has changed it."""

from collections.abc import Iterator
from dataclasses import fields

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Step
from reweightbench.benchmark.contracts.network import Classifier


class Snapshot:
    """A model, torch's random stream and a step at one moment."""

    def __init__(self, model: Classifier, step: Step | None = None) -> None:
        self._model, self._step = model, step
        self._state = {name: value.clone() for name, value in model.state_dict().items()}
        self._tensors = {name: value.clone() for name, value in _tensors(step)} if step else {}
        self._modes = {name: module.training for name, module in model.named_modules()}
        self._random_state = torch.get_rng_state()

    def differences(self) -> Iterator[str]:
        """What has changed since, in words, with the way to do without."""
        yield from self._model_differences()
        for name, tensor in _tensors(self._step) if self._step else ():
            if not _equal(tensor, self._tensors[name]):
                yield f"the step's {name} in place (work on a copy)"
        if not torch.equal(torch.get_rng_state(), self._random_state):
            yield "torch's random stream (draw from problem.generator)"

    def _model_differences(self) -> Iterator[str]:
        parameters = dict(self._model.named_parameters())
        if self._model.state_dict().keys() != self._state.keys():
            yield "which parameters and buffers the model has (build_model says that)"
            return
        for name, value in self._model.state_dict().items():
            if not _equal(value, self._state[name]):
                kind = "parameter" if name in parameters else "buffer"
                yield f"the model's {kind} {name} (problem.losses_at leaves the model alone)"
        for name, parameter in parameters.items():
            if parameter.grad is not None:
                yield f"the gradient of {name} (torch.autograd.grad returns one instead)"
            if not parameter.requires_grad:
                yield f"whether {name} is trained (a Stage says that)"
        for name, module in self._model.named_modules():
            if module.training != self._modes[name]:
                yield f"the mode of the model's {name or 'whole'} (model.train and model.eval are the loop's)"


def _equal(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)


def _tensors(step: Step) -> Iterator[tuple[str, Tensor]]:
    for holder in (step, step.batch):
        for field in fields(holder):
            value = getattr(holder, field.name)
            if isinstance(value, Tensor):
                yield field.name, value
