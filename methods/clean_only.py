"""Control: the clean set alone."""

from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.method import Method, Stage
from reweightbench.benchmark.problem import Need


@dataclass
class CleanOnly(Method):
    """Plain training on the clean set for as many steps as the others take, every example weighs 1."""

    paper: ClassVar[str] = "control: clean set alone"
    needs: ClassVar[frozenset[Need]] = frozenset({"clean_set"})
    is_control: ClassVar[bool] = True

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(pool="clean"),)
