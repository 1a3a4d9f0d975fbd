"""What checks of the contract are made of."""

from torch import Tensor


class BrokenPromiseError(Exception):
    """A method does not keep a promise of the contract; the message says which one and what to do."""


def require(is_kept: bool, message: str) -> None:
    if not is_kept:
        raise BrokenPromiseError(message)


def require_shape(values: Tensor, shape: tuple[int, ...], name: str) -> None:
    require(values.shape == shape, f"{name} has shape {tuple(values.shape)}, not {shape}")


def require_weights(weights: Tensor, name: str) -> None:
    require(is_finite(weights), f"{name} has weights that are not finite")
    lowest = float(weights.min())
    require(lowest >= 0, f"{name} has a weight of {lowest:g}; weights are at least 0")


def is_finite(values: Tensor) -> bool:
    return bool(values.isfinite().all())
