"""One random stream per purpose, so that a change in one part of a run never moves another.

The method's name enters only the `method` stream: all methods share splits, corruption, initial
weights and batch order, which makes every comparison between them a paired one.
"""

import hashlib
from typing import Literal

import torch

Purpose = Literal[
    "split",
    "imbalance",
    "noise",
    "body",
    "head",
    "order",
    "augmentation",
    "clean_order",
    "clean_augmentation",
    "method",
]


def derive_seed(purpose: Purpose, *scope: str | int) -> int:
    """A seed in [0, 2**63) from the sha256 of the purpose and its scope (dataset, seed, ...)."""
    text = "\0".join([purpose, *map(str, scope)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def make_generator(purpose: Purpose, *scope: str | int) -> torch.Generator:
    """A CPU generator of its own for one purpose; draws are moved to the device by the caller."""
    return torch.Generator().manual_seed(derive_seed(purpose, *scope))
