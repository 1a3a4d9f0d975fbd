"""Hard examples only."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from reweightbench.benchmark.contracts.method import Family, Method, Step
from reweightbench.methods.small_loss import choose_easiest


@dataclass
class Ohem(Method):
    """Online hard example mining: the share `keep` of largest losses weighs 1 / `keep`, the rest 0: mean 1.

    Deviations: the paper mines the regions of an image, 64 of about 2,000, a pool that a batch of a
    classifier does not have; the default of `keep` has no source.
    """

    paper: ClassVar[str] = (
        "Shrivastava et al. 2016, Training Region-based Object Detectors with Online Hard Example Mining, "
        "section 4"
    )
    family: ClassVar[Family] = "loss-based"

    keep: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep is {self.keep:g}; it must be above 0 and at most 1")

    def example_weights(self, step: Step) -> Tensor:
        kept = choose_easiest(-step.losses, self.keep)
        return kept / kept.mean()
