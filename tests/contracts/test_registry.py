"""Labels of components, the errors they can hold, and methods that a user's file adds."""

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.labels import Spec, snake_case, split_labels
from reweightbench.benchmark.contracts.method import Method
from reweightbench.benchmark.contracts.registry import DATASETS, IMBALANCES, METHODS, NOISES, Registry

quick = settings(max_examples=50, deadline=None, derandomize=True)
numbers = st.floats(1e-9, 1e9)

OWN_METHOD = '''
from dataclasses import dataclass
from typing import ClassVar

from reweightbench.benchmark.contracts.method import Method


@dataclass
class {name}(Method):
    """Every example weighs the same."""

    paper: ClassVar[str] = "none"

    scale: float = 1.0
'''


@pytest.fixture
def methods() -> Registry[Method]:
    """A registry of the shipped methods to which files can be added."""
    return Registry("method", "method.Method", "reweightbench.methods")


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a user's file and returns its path."""

    def write_file(text: str, name: str = "own.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write_file


def round_trip(registry: Registry[Any], label: str) -> Any:
    """The component of a label, after the way through spec, label, JSON and back."""
    component = registry.create(label)
    spec = registry.spec(component)
    again = registry.create(registry.label(spec))
    assert again == component
    restored = registry.restore(Spec.model_validate_json(spec.model_dump_json()))
    assert restored == component
    assert registry.spec(restored) == spec
    return component


@quick
@given(numbers, st.sampled_from(["softmax", "sigmoid"]))
def test_label_round_trip_with_a_choice(gamma: float, form: str) -> None:
    component = round_trip(METHODS, f"focal(gamma={gamma!r}, form={form})")
    assert (component.gamma, component.form) == (gamma, form)


@quick
@given(st.integers(1, 10**6))
def test_label_round_trip_with_a_whole_number(size: int) -> None:
    assert round_trip(METHODS, f"meta_reweight(clean_batch_size={size})").clean_batch_size == size


@quick
@given(st.floats(1, 1e6))
def test_label_round_trip_of_an_imbalance(factor: float) -> None:
    assert round_trip(IMBALANCES, f"longtail(factor={factor!r})").factor == factor


@quick
@given(st.floats(0, 1), st.integers(0, 100))
def test_label_round_trip_of_a_noise(rate: float, target: int) -> None:
    component = round_trip(NOISES, f"background(rate={rate!r}, target={target})")
    assert (component.rate, component.target) == (rate, target)


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("focal", "focal"),
        ("focal()", "focal"),
        (" focal ( gamma = 1 ) ", "focal(gamma=1)"),
        ("focal(gamma=1.0)", "focal(gamma=1)"),
        ("focal(gamma=2)", "focal"),
        ("focal(form=sigmoid,gamma=0.5)", "focal(gamma=0.5, form=sigmoid)"),
        ("loss_reweight(temperature=1e-3)", "loss_reweight(temperature=0.001)"),
    ],
)
def test_label_has_one_spelling(label: str, shown: str) -> None:
    assert METHODS.label(METHODS.spec(METHODS.create(label))) == shown


def test_spec_holds_every_option_and_the_version() -> None:
    spec = METHODS.spec(METHODS.create("focal(gamma=1)"))
    assert spec == Spec(name="focal", options={"gamma": 1.0, "form": "softmax"}, version="1")


def test_label_of_a_method_that_is_not_installed_shows_all_options() -> None:
    spec = Spec(name="somebody_elses", options={"scale": 2.0, "kind": "a"}, version="abc")
    assert METHODS.label(spec) == "somebody_elses(scale=2, kind=a)"


def test_another_version_is_refused() -> None:
    with pytest.raises(UsageError, match="'focal' has version 1 here, not 2"):
        METHODS.restore(Spec(name="focal", version="2"))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("focla", "unknown method 'focla'; did you mean 'focal'?; 'reweightbench list methods' shows all"),
        ("focal(gama=1)", "method 'focal' has no option 'gama'; did you mean 'gamma'?"),
        ("focal(zeal=1)", "method 'focal' has no option 'zeal'; it has gamma, form"),
        ("focal(gamma=high)", "focal(gamma=high): Input should be a valid number"),
        ("focal(gamma=)", "focal(gamma=): Input should be a valid number"),
        ("focal(form=probit)", "focal(form=probit): Input should be 'softmax' or 'sigmoid'"),
        ("focal(gamma=-1)", "focal: gamma is -1; it must be at least 0"),
        (
            "meta_reweight(clean_batch_size=1.5)",
            "meta_reweight(clean_batch_size=1.5): Input should be a valid",
        ),
        ("focal(1)", "'1' in 'focal(1)' is no option; write option=value"),
        ("focal(gamma=1", "'focal(gamma=1' is no method label; write name or name(option=value, ...)"),
        ("focal gamma=1", "'focal gamma=1' is no method label"),
        ("", "'' is no method label"),
    ],
)
def test_bad_labels_are_explained(label: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        METHODS.create(label)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_name_like_no_other_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"unknown imbalance 'x'; it has dominant, longtail, step"):
        IMBALANCES.create("x")


def test_a_required_option_is_asked_for() -> None:
    with pytest.raises(UsageError, match=r"noise 'uniform' needs rate: write uniform\(rate=...\)"):
        NOISES.create("uniform")


def test_classes_are_sorted_and_concrete() -> None:
    names = list(METHODS.classes)
    assert names == sorted(names)
    assert "sgd" in names
    assert "method" not in names
    assert all(snake_case(cls.__name__) == name for name, cls in METHODS.classes.items())
    assert "digits" in DATASETS.classes


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("sgd", ["sgd"]),
        ("sgd,focal", ["sgd", "focal"]),
        ("focal(gamma=1, form=sigmoid), sgd", ["focal(gamma=1, form=sigmoid)", "sgd"]),
        ("a(x=1,y=2),b(z=3),c", ["a(x=1,y=2)", "b(z=3)", "c"]),
        (" sgd , own/method.py ,, ", ["sgd", "own/method.py"]),
        ("", []),
    ],
)
def test_commas_inside_parentheses_belong_to_the_label(text: str, labels: list[str]) -> None:
    assert split_labels(text) == labels


@pytest.mark.parametrize(
    ("name", "expected"), [("MetaReweight", "meta_reweight"), ("Sgd", "sgd"), ("CIFAR10", "cifar10")]
)
def test_names_of_classes(name: str, expected: str) -> None:
    assert snake_case(name) == expected


def test_a_file_adds_a_method(methods: Registry[Method], write: Callable[..., Path]) -> None:
    path = write(OWN_METHOD.format(name="OwnIdea"))
    assert methods.add_file(path) == ["own_idea"]
    spec = methods.spec(methods.create("own_idea(scale=2)"))
    assert spec.version == hashlib.sha256(path.read_bytes()).hexdigest()
    assert methods.label(spec) == "own_idea(scale=2)"
    assert methods.restore(spec) == methods.create("own_idea(scale=2)")


def test_a_file_that_comes_with_the_package_is_known(methods: Registry[Method]) -> None:
    path = Path(__file__).parents[2] / "methods" / "focal.py"
    assert methods.add_file(path) == ["focal"]
    assert methods.spec(methods.create("focal")).version == "1"


def test_a_choice_may_be_a_number(methods: Registry[Method], write: Callable[..., Path]) -> None:
    text = OWN_METHOD.format(name="Numbered").replace("scale: float = 1.0", "power: Literal[1, 2] = 1")
    methods.add_file(write(text.replace("import ClassVar", "import ClassVar, Literal")))
    assert methods.create("numbered(power=2)").power == 2
    with pytest.raises(UsageError, match="power=3"):
        methods.create("numbered(power=3)")


def test_a_file_can_be_added_twice(methods: Registry[Method], write: Callable[..., Path]) -> None:
    path = write(OWN_METHOD.format(name="AddedTwice"))
    assert methods.add_file(path) == methods.add_file(path) == ["added_twice"]


def test_another_text_is_another_version(write: Callable[..., Path]) -> None:
    versions = []
    for text in ("", "# a comment\n"):
        registry = Registry("method", "method.Method", "reweightbench.methods")
        registry.add_file(write(OWN_METHOD.format(name="Versioned") + text))
        versions.append(registry.spec(registry.create("versioned")).version)
    assert versions[0] != versions[1]


def test_a_method_of_another_version_of_the_file_is_refused(
    methods: Registry[Method], write: Callable[..., Path]
) -> None:
    methods.add_file(write(OWN_METHOD.format(name="Changed")))
    with pytest.raises(UsageError, match="'changed' has version"):
        methods.restore(Spec(name="changed", version="0" * 64))


def test_a_file_may_postpone_its_annotations(methods: Registry[Method], write: Callable[..., Path]) -> None:
    """Their types are then looked up in the module's names."""
    path = write("from __future__ import annotations\n" + OWN_METHOD.format(name="Postponed"))
    assert methods.add_file(path) == ["postponed"]
    assert methods.create("postponed(scale=3)").scale == 3.0


@pytest.mark.parametrize("name", ["Sgd", "OwnTwin"])
def test_two_methods_of_one_name_are_refused(
    name: str, methods: Registry[Method], write: Callable[..., Path]
) -> None:
    other = "sgd.py"
    if name not in {cls.__name__ for cls in methods.classes.values()}:
        methods.add_file(write(OWN_METHOD.format(name=name), "first.py"))
        other = "first.py"
    path = write(OWN_METHOD.format(name=name) + "\n# a second file\n", "second.py")
    with pytest.raises(UsageError, match=f"two methods are named .*{other}.*second.py.*rename one"):
        methods.add_file(path)


def test_a_refused_file_leaves_the_registry_as_it_was(
    methods: Registry[Method], write: Callable[..., Path]
) -> None:
    before = methods.classes
    text = OWN_METHOD.format(name="AlphaFirst") + OWN_METHOD.format(name="Sgd")
    with pytest.raises(UsageError, match="two methods are named 'sgd'"):
        methods.add_file(write(text))
    assert methods.classes == before


def test_an_import_error_of_a_file_is_named(methods: Registry[Method], write: Callable[..., Path]) -> None:
    path = write("import a_library_that_nobody_has\n" + OWN_METHOD.format(name="Incomplete"))
    for _ in range(2):
        with pytest.raises(UsageError, match=r"own.py' cannot be loaded: .*a_library_that_nobody_has"):
            methods.add_file(path)


def test_an_import_error_of_a_package_is_passed_on_at_every_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "half_broken_methods"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a_good.py").write_text(OWN_METHOD.format(name="Good"))
    (package / "b_broken.py").write_text("import a_library_that_nobody_has\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("method", "method.Method", "half_broken_methods")
    for _ in range(2):
        with pytest.raises(ImportError, match="a_library_that_nobody_has"):
            _ = registry.classes


def test_a_file_without_a_method_is_refused(methods: Registry[Method], write: Callable[..., Path]) -> None:
    text = "from reweightbench.methods.sgd import Sgd\n\nclass Unrelated:\n    pass\n"
    with pytest.raises(UsageError, match="defines no method; derive a class from Method"):
        methods.add_file(write(text))


def test_a_private_class_is_no_method(methods: Registry[Method], write: Callable[..., Path]) -> None:
    path = write(OWN_METHOD.format(name="_Shared") + "\n\n@dataclass\nclass Public(_Shared):\n    pass\n")
    assert methods.add_file(path) == ["public"]


def test_a_missing_file_is_refused(methods: Registry[Method], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file '.*absent.py'; give the path of a Python file"):
        methods.add_file(tmp_path / "absent.py")


def test_a_file_of_another_kind_is_refused(methods: Registry[Method], write: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match=r"its name must end in .py"):
        methods.add_file(write("paper", "method.txt"))


@pytest.mark.parametrize(
    "label",
    [
        "focal(gamma=inf)",
        "loss_reweight(temperature=inf)",
        "focal(gamma=nan)",
    ],
)
def test_numbers_that_are_not_finite_are_refused(label: str) -> None:
    """A record could not hold them."""
    with pytest.raises(UsageError):
        METHODS.create(label)


def test_an_option_is_given_once() -> None:
    with pytest.raises(UsageError, match="gamma"):
        METHODS.create("focal(gamma=1, gamma=3)")


def test_options_of_the_wrong_kind_are_refused() -> None:
    with pytest.raises(UsageError, match="focal"):
        METHODS.build("focal", {"gamma": "a lot"})
    assert math.isclose(METHODS.build("focal", {"gamma": 3}).gamma, 3.0)
