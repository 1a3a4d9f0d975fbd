"""Objects that change during training as tensors and plain data, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


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


def put_state(value: object, state: Any, device: torch.device) -> Any:
    """The value in an earlier state, changed in place where others may hold it; new tensors are on the device."""
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
            # An optimizer may hold it.
            with torch.no_grad():
                return value.copy_(state)
    return _move(state, device)


def _check_plain(value: object) -> None:
    match value:
        case Tensor() | bool() | int() | float() | str() | None:
            return
        case list() | tuple():
            items = list(value)
        case dict():
            items = [*value.keys(), *value.values()]
        case _:
            raise TypeError(f"a {type(value).__name__} has no state that can be saved")
    for item in items:
        _check_plain(item)


def _move(state: Any, device: torch.device) -> Any:
    match state:
        case Tensor():
            return state.to(device)
        case list():
            return [_move(item, device) for item in state]
        case tuple():
            return tuple(_move(item, device) for item in state)
        case Mapping():
            return {key: _move(item, device) for key, item in state.items()}
    return state
