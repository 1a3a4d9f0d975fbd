"""What every method promises, checked on all methods that the registry finds and on each of their forms."""

from typing import get_args

import pytest

from reweightbench.benchmark.conformance.promises import CHECKS, Check, list_forms
from reweightbench.benchmark.contracts.method import Family
from reweightbench.benchmark.contracts.registry import METHODS

FORMS = [label for name in METHODS.classes for label in list_forms(name)]


@pytest.mark.parametrize("label", FORMS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_keeps_its_promise(check: Check, label: str) -> None:
    check(label)


@pytest.mark.parametrize("name", METHODS.classes)
def test_label_of_the_defaults_is_the_bare_name(name: str) -> None:
    assert METHODS.label(METHODS.spec(METHODS.create(name))) == name


def test_shipped_methods_have_a_family_and_no_family_is_empty() -> None:
    assert {cls.family for cls in METHODS.classes.values()} == set(get_args(Family)) - {"own"}
