"""Methods that fail in each way a cell can end; given to the command line as a user's own file."""

import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from reweightbench.benchmark.contracts.method import Method, Step
from reweightbench.benchmark.contracts.problem import Problem


@dataclass
class Raises(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem: Problem) -> None:
        raise RuntimeError("this method raises")


class StubbornError(Exception):
    """Like many libraries' errors, it cannot be rebuilt from its pickled form."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} and {second}")


@dataclass
class RaisesStubbornly(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem: Problem) -> None:
        raise StubbornError("this", "that")


@dataclass
class Hangs(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem: Problem) -> None:
        time.sleep(600)


@dataclass
class Exits(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem: Problem) -> None:
        os._exit(3)


@dataclass
class KillsItself(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem: Problem) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class ExhaustsMemory(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem: Problem) -> None:
        raise MemoryError


@dataclass
class Hoards(Method):
    paper: ClassVar[str] = "none"

    def prepare(self, problem: Problem) -> None:
        self.hoard = torch.ones(2**30)


@dataclass
class ExhaustsTheCard(Method):
    """Fails as CUDA does outside of torch's allocator."""

    paper: ClassVar[str] = "none"

    def prepare(self, problem: Problem) -> None:
        raise RuntimeError("CUDA error: out of memory")


@dataclass
class BecomesNan(Method):
    paper: ClassVar[str] = "none"

    def example_weights(self, step: Step) -> Tensor:
        return torch.full_like(step.losses, torch.nan)
