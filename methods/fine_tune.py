"""Control: plain training, then fine-tuning on the clean set."""

from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.contracts.method import Family, Method, Stage
from reweightbench.benchmark.contracts.problem import Need


@dataclass
class FineTune(Method):
    """The last `clean_share` of the epochs trains on the clean set; every example weighs 1."""

    paper: ClassVar[str] = "control: clean set for fine-tuning"
    family: ClassVar[Family] = "control"
    needs: ClassVar[frozenset[Need]] = frozenset({"clean_set"})

    clean_share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.clean_share < 1:
            raise ValueError(f"clean_share is {self.clean_share:g}; it must lie between 0 and 1")

    def stages(self) -> tuple[Stage, ...]:
        return (Stage(share=1 - self.clean_share), Stage(share=self.clean_share, pool="clean"))
