"""Plain training on the corrupted examples: the reference of every comparison."""

from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.method import Method


@dataclass
class Sgd(Method):
    """Every example weighs 1."""

    paper: ClassVar[str] = "control: no reweighting"
    is_control: ClassVar[bool] = True
