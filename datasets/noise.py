"""Ways of making targets wrong; each draws its new target per example."""

from dataclasses import dataclass

import torch

from reweightbench.benchmark.contracts.corruption import Noise
from reweightbench.benchmark.contracts.errors import UsageError


@dataclass
class Uniform(Noise):
    """Another class, each equally likely: the whole rate is wrong."""

    def wrong_targets(self, target: int, size: int, classes: int, generator: torch.Generator) -> list[int]:
        draws = torch.randint(classes - 1, (size,), generator=generator)
        return (draws + (draws >= target)).tolist()


@dataclass
class UniformInclusive(Noise):
    """Any class, the true one included, so that rate * (1 - 1/c) is wrong (Zhang et al. 2017).

    This is what "40% noise" means in several code bases of the field.
    """

    def wrong_targets(self, target: int, size: int, classes: int, generator: torch.Generator) -> list[int]:
        return torch.randint(classes, (size,), generator=generator).tolist()


@dataclass
class Pair(Noise):
    """The next class, y to y + 1 modulo c (Han et al. 2018)."""

    def wrong_targets(self, target: int, size: int, classes: int, generator: torch.Generator) -> list[int]:
        return [(target + 1) % classes] * size


@dataclass
class Background(Noise):
    """One class for all wrong targets; its own examples stay correct (Ren et al. 2018, section 4.2)."""

    target: int = 0

    def wrong_targets(self, target: int, size: int, classes: int, generator: torch.Generator) -> list[int]:
        if not 0 <= self.target < classes:
            raise UsageError(f"background target is {self.target}; it must be a class index below {classes}")
        return [self.target] * size
