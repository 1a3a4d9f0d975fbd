"""Plain training on the corrupted examples: the reference of every comparison."""

from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.contracts.method import Family, Method


@dataclass
class Sgd(Method):
    """Every example weighs 1."""

    paper: ClassVar[str] = "control: no reweighting"
    family: ClassVar[Family] = "control"
