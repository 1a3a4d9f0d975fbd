"""Control: the clean set alone."""

from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.contracts.method import Family, Method, Stage
from reweightbench.benchmark.contracts.problem import Need


@dataclass
class CleanOnly(Method):
    """Plain training on the clean set for as many steps as the others take, every example weighs 1."""

    paper: ClassVar[str] = "control: clean set alone"
    family: ClassVar[Family] = "control"
    needs: ClassVar[frozenset[Need]] = frozenset({"clean_set"})

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(pool="clean"),)
