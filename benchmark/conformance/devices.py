"""A promise about devices, tried on a pretended one: two devices in one operation are found without a GPU."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reweightbench.benchmark.conformance.rehearsal import rehearse
from reweightbench.benchmark.conformance.requirements import BrokenPromiseError, require
from reweightbench.benchmark.conformance.workbench import Workbench

PRETENDED = "meta"
"""Torch's device whose tensors have no values; `PretendedDevice` lets it pass for a GPU."""

MOVES = {torch.ops.aten._to_copy, torch.ops.aten.copy_}


class MixedDevicesError(RuntimeError):
    """An operation on tensors of two devices, which a GPU refuses or waits for."""


class PretendedDevice(TorchDispatchMode):
    """Inside, `meta` is a device like a GPU: its tensors do not mix with the CPU's, numbers excepted.

    What waits for a device is noted by name in `waits`: a value that is read, which is 1 here, and a copy that
    does not say `non_blocking`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in tensors if tensor.is_meta]
        operation = function.overloadpacket
        if operation in MOVES:
            return self._move(function, args, kwargs)
        if there and any(not tensor.is_meta and tensor.dim() for tensor in tensors):
            raise MixedDevicesError(f"{operation} takes tensors of the model's device and of the CPU")
        if there and operation is torch.ops.aten._local_scalar_dense:
            self.waits.append(str(operation))
            return torch.ones((), dtype=there[0].dtype).item()
        if there and operation is torch.ops.aten.bincount:
            self.waits.append(str(operation))
            length = args[2] if len(args) > 2 else kwargs.get("minlength", 0)
            return torch.empty(length, dtype=torch.int64, device=PRETENDED)
        return function(*args, **kwargs)

    def _move(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A copy; one from the pretended device, where there is nothing, is of ones."""
        is_copy = function.overloadpacket is torch.ops.aten.copy_
        source = args[1] if is_copy else args[0]
        device = args[0].device if is_copy else torch.device(kwargs.get("device") or source.device)
        is_leaving = source.is_meta and device.type != PRETENDED
        is_arriving = device.type == PRETENDED and not source.is_meta
        is_non_blocking = any(args[2:]) or kwargs.get("non_blocking", False)
        if is_leaving or (is_arriving and not is_non_blocking):
            self.waits.append(str(function.overloadpacket))
        if is_leaving:
            ones = torch.ones(source.shape, dtype=kwargs.get("dtype") or source.dtype)
            return args[0].copy_(ones) if is_copy else ones
        return function(*args, **kwargs)


def tensors_stay_on_the_models_device(label: str) -> None:
    """No hook mixes tensors of the model's device with the CPU's, as a GPU would refuse."""
    try:
        with PretendedDevice():
            for step, weights in rehearse(label, workbench=Workbench(device=PRETENDED)):
                require(
                    weights.device == step.losses.device,
                    "example_weights is not on the device of step.losses; move it there",
                )
    except MixedDevicesError as error:
        raise BrokenPromiseError(
            f"{error}; make tensors where they are needed, as in torch.zeros(c, device=step.losses.device)"
        ) from error
    except NotImplementedError:
        # What depends on values cannot be tried without any.
        return
