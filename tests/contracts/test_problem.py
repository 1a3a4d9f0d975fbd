"""What a problem tells a method: what the method declares, and nothing else."""

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch

from reweightbench.benchmark.conformance.workbench import Workbench, build_network
from reweightbench.benchmark.contracts.problem import Knowledge, Need, Networks, Problem, UndeclaredNeedError
from reweightbench.methods.sgd import Sgd

ALL_NEEDS: frozenset[Need] = frozenset(get_args(Need))
READ: dict[Need, Callable[[Problem], Any]] = {
    "clean_set": lambda problem: problem.clean_batch(3),
    "noise_rate": lambda problem: problem.noise_rate,
    "class_counts": lambda problem: problem.class_counts,
}


def make_problem(*needs: Need) -> Problem:
    return Workbench().problem(Sgd(), needs=frozenset(needs))


@pytest.mark.parametrize("need", READ)
def test_what_is_declared_can_be_read(need: Need) -> None:
    READ[need](make_problem(need))


@pytest.mark.parametrize("need", READ)
def test_what_is_not_declared_cannot_be_read(need: Need) -> None:
    problem = make_problem(*(ALL_NEEDS - {need}))
    with pytest.raises(
        UndeclaredNeedError, match=rf"the method uses '{need}'; declare it: needs = frozenset"
    ):
        READ[need](problem)


def test_the_targets_tell_the_class_counts() -> None:
    problem = make_problem("class_counts")
    assert torch.equal(torch.bincount(problem.targets, minlength=3), problem.class_counts)
    with pytest.raises(UndeclaredNeedError, match="class_counts"):
        _ = make_problem("clean_set", "noise_rate").targets


def test_nothing_undeclared_is_there_at_all() -> None:
    assert make_problem().knowledge == Knowledge()
    told = make_problem("noise_rate").knowledge
    assert told == Knowledge(noise_rate=0.25)


def test_a_changed_problem_tells_no_more() -> None:
    problem = make_problem("noise_rate")
    changed = dataclasses.replace(problem, knowledge=Knowledge(torch.arange(3), 0.5, lambda size: None))
    assert changed.knowledge == Knowledge(noise_rate=0.5)


def test_networks_differ_in_their_initial_weights() -> None:
    networks = Networks(lambda number: Workbench(seed=number).problem(Sgd()).model, ALL_NEEDS)
    first, second = networks(), networks()
    assert not torch.equal(first.head.weight, second.head.weight)


def test_a_second_network_is_declared() -> None:
    networks = Networks(lambda number: build_network(), ALL_NEEDS - {"two_networks"})
    networks()
    with pytest.raises(UndeclaredNeedError, match="two_networks"):
        networks()
