"""Objects that change during training as tensors and plain data, and back."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

STATEFUL = (nn.Module, torch.optim.Optimizer, torch.Generator, np.random.Generator)
"""What keeps its identity when its state changes, since others may hold it."""

PLAIN = {bool, int, float, str, type(None), Tensor, nn.Parameter}


def take_state(value: object) -> Any:
    """What a value is now: a module, an optimizer or a generator by its state, tensors and plain data as they are.

    Raises TypeError for anything else.
    """
    match value:
        case nn.Module() | torch.optim.Optimizer():
            return value.state_dict()
        case torch.Generator():
            return value.get_state()
        case np.random.Generator():
            return value.bit_generator.state
    _check_plain(value)
    return value


def put_state(value: object, state: Any) -> Any:
    """The value in an earlier state; what others may hold is changed in place."""
    match value:
        case nn.Module() | torch.optim.Optimizer():
            value.load_state_dict(state)
            return value
        case torch.Generator():
            value.set_state(state)
            return value
        case np.random.Generator():
            value.bit_generator.state = state
            return value
        case Tensor() if value.requires_grad:
            with torch.no_grad():
                return value.copy_(state)
    return state


def _check_plain(value: object) -> None:
    """Raise TypeError for what `torch.load(weights_only=True)` would refuse, or return as something else."""
    kind = type(value)
    if kind in {list, tuple}:
        items = list(value)  # type: ignore[call-overload]
    elif kind is dict:
        items = [*value.keys(), *value.values()]  # type: ignore[attr-defined]
    elif kind in PLAIN:
        return
    else:
        raise TypeError(f"a {kind.__name__} has no state that can be saved")
    for item in items:
        _check_plain(item)
