"""Control: the clean set as ordinary training data."""

from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.contracts.method import Family, Method, Stage
from reweightbench.benchmark.contracts.problem import Need


@dataclass
class SgdWithClean(Method):
    """Plain training on the training part and the clean set together, every example weighs 1."""

    paper: ClassVar[str] = "control: clean set added to training"
    family: ClassVar[Family] = "control"
    needs: ClassVar[frozenset[Need]] = frozenset({"clean_set"})

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(pool="train+clean"),)
