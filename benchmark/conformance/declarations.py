"""Promises about what a method says of itself: its metadata, its stages, what it needs."""

import math
from typing import get_args

from torch import nn

from reweightbench.benchmark.conformance.rehearsal import rehearse
from reweightbench.benchmark.conformance.requirements import BrokenPromiseError, require
from reweightbench.benchmark.conformance.workbench import POOLS, Workbench, build_network
from reweightbench.benchmark.contracts.labels import Spec
from reweightbench.benchmark.contracts.method import Family
from reweightbench.benchmark.contracts.problem import Need, UndeclaredNeedError
from reweightbench.benchmark.contracts.registry import METHODS


def describes_itself(label: str) -> None:
    """`paper`, `family`, `needs`, `version` and a docstring."""
    cls = type(METHODS.create(label))
    require(
        "__dataclass_fields__" in vars(cls),
        "the class is no dataclass, so its options are unknown; write @dataclass above it",
    )
    require(
        isinstance(getattr(cls, "paper", None), str) and bool(cls.paper.strip()),
        "paper is missing; name authors, year, title and equation",
    )
    require(cls.family in get_args(Family), f"family is {cls.family!r}; it is one of {get_args(Family)}")
    require(
        isinstance(cls.needs, frozenset) and cls.needs <= set(get_args(Need)),
        f"needs is {cls.needs!r}; it is a frozenset out of {', '.join(get_args(Need))}",
    )
    require(
        isinstance(cls.version, int) and cls.version >= 1, f"version is {cls.version!r}; it counts from 1"
    )
    # A dataclass without a docstring is given its signature as one.
    text = vars(cls).get("__doc__") or ""
    require(
        bool(text) and not text.startswith(f"{cls.__name__}("),
        "the class has no docstring; its first line is the idea",
    )


def is_named_by_its_label(label: str) -> None:
    """Label, options and record name the same method."""
    method = METHODS.create(label)
    spec = METHODS.spec(method)
    same = (
        METHODS.create(METHODS.label(spec)),
        METHODS.restore(Spec.model_validate_json(spec.model_dump_json())),
    )
    require(
        all(other == method for other in same),
        "a method made again from its label is another one; state is field(init=False, compare=False)",
    )


def stages_divide_the_run_and_declare_the_clean_set(label: str) -> None:
    """Shares sum to 1, pools exist, and who trains on the clean set says so."""
    method = METHODS.create(label)
    stages = method.stages()
    total = sum(stage.share for stage in stages)
    require(math.isclose(total, 1), f"the shares of the stages sum to {total:g}; let them sum to 1")
    for stage in stages:
        require(stage.share > 0, f"a stage has share {stage.share:g}; shares are positive")
        require(stage.pool in POOLS, f"a stage has pool {stage.pool!r}; pools are {', '.join(POOLS)}")
        require(
            "clean" not in stage.pool or "clean_set" in method.needs,
            "a stage trains on the clean set; declare it: needs = frozenset({'clean_set'})",
        )


def uses_only_what_it_declares(label: str) -> None:
    """No hook asks for what `needs` lacks, and the model is one network unless it says two."""
    for _ in rehearse(label):
        pass
    method = METHODS.create(label)
    size = _count_parameters(Workbench().problem(method).model) / _count_parameters(build_network())
    require(
        size < 1.5 or "two_networks" in method.needs,
        f"the model has {size:.1f} times the parameters of the suite's network; declare two_networks in needs",
    )


def uses_what_it_declares(label: str) -> None:
    """Readers see `needs` on the leaderboard: nothing stands there that the method does not use."""
    method = METHODS.create(label)
    for need in method.needs:
        if need == "clean_set" and any("clean" in stage.pool for stage in method.stages()):
            continue
        try:
            for _ in rehearse(label, method.needs - {need}):
                pass
        except UndeclaredNeedError:
            continue
        raise BrokenPromiseError(f"needs has {need!r}, which no hook uses; leave it out")


def _count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
