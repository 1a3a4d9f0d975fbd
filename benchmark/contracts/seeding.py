"""One random stream per purpose, so that a change in one part of a run never moves another.

The method's name enters only the `method` stream: all methods share splits, corruption, initial
weights and batch order, which makes every comparison between them a paired one.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch

T = TypeVar("T")

Purpose = Literal[
    "split",
    "imbalance",
    "noise",
    "corrupted_validation",
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


def seeded(seed: int, build: Callable[[], T]) -> T:
    """What `build` returns when torch's global stream starts at `seed`; the stream is put back."""
    with torch.random.fork_rng(devices=[]):
        # Models are built on the CPU; torch.manual_seed would seed the devices too.
        torch.default_generator.manual_seed(seed)
        return build()


class RandomState:
    """The state of torch's own stream when a step's forward pass began: what dropout drew from.

    Extra passes of a step replay it, so that they see the same dropped units and leave the stream as it was.
    """

    def __init__(self) -> None:
        self.note()

    def note(self) -> None:
        """Remember the present state."""
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None

    @contextmanager
    def replay(self) -> Iterator[None]:
        """Draw from the remembered state inside, then go on as if nothing had been drawn."""
        devices = [] if self._cuda is None else [torch.cuda.current_device()]
        with torch.random.fork_rng(devices):
            torch.set_rng_state(self._cpu)
            if self._cuda is not None:
                torch.cuda.set_rng_state(self._cuda)
            yield
