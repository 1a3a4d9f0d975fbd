"""Digests of code go by what it does: not by comments, docstrings and formatting, nor by the version of Python."""

import pytest

from reweightbench.benchmark.contracts.source_code import (
    digest_engine,
    digest_modules,
    digest_syntax,
    imported_components,
)

CODE = b'''
"""A module."""

from reweightbench.methods.focal import Focal


class Sharp(Focal):
    """Focal, sharper."""

    gamma: float = 4.0
    """How sharp."""

    def scale(self, *values, unit=1.5e-3, **more):
        """Scaled values."""
        first, *rest = [value * unit for value in values if value is not None]
        # A comment.
        return f"{first!r:>{len(rest)}} {unit=}", lambda x, /: {**more, "x": -x, b"y": ...}
'''

GOLDEN = "2e79b1b11f86db63f6d955c2c94a6f52064e5aa8b7caaad1ef61711d7240e248"


def test_digest_is_the_same_in_every_version_of_python() -> None:
    assert digest_syntax(CODE) == GOLDEN


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"""A module."""', b"# No docstring."),
        (b'    """Focal, sharper."""\n', b""),
        (b'"""How sharp."""', b'"""How sharp it is."""'),
        (b'"""Scaled values."""', b""),
        (b"# A comment.", b"# Another one."),
        (b"4.0", b"4.00"),
        (b"(self, *values, unit=1.5e-3, **more)", b"(\n        self, *values, unit=0.0015, **more,\n    )"),
        (b'b"y"', b"b'y'"),
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(old: bytes, new: bytes) -> None:
    assert old in CODE
    assert digest_syntax(CODE.replace(old, new)) == digest_syntax(CODE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"4.0", b"4.1"),
        (b"float", b"int"),
        (b"unit=1.5e-3", b"unit=None"),
        (b"is not None", b"is None"),
        (b"!r:", b"!s:"),
        (b"x, /:", b"x:"),
        (b'b"y"', b'"y"'),
        (b"{**more,", b"{"),
        (b"Focal)", b"Focal, object)"),
        (b"*rest", b"rest"),
    ],
)
def test_what_the_code_does_counts(old: bytes, new: bytes) -> None:
    assert old in CODE
    assert digest_syntax(CODE.replace(old, new)) != digest_syntax(CODE)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"from reweightbench.methods.focal import Focal", ["reweightbench.methods.focal"]),
        (b"from reweightbench.methods import focal", ["reweightbench.methods.focal"]),
        (b"import reweightbench.datasets.noise as n", ["reweightbench.datasets.noise"]),
        (b"def late():\n    import reweightbench.methods.gce", ["reweightbench.methods.gce"]),
        (b"from reweightbench.benchmark.contracts.method import Method", []),
        (b"from reweightbench import Method", []),
        (b"import reweightbench.methods.unknown", []),
        (b"this is no Python", []),
    ],
)
def test_imports_of_components_are_found(line: bytes, found: list[str]) -> None:
    assert list(imported_components(line)) == found


def test_a_component_has_the_digest_of_what_it_builds_on_too() -> None:
    chain = [f"reweightbench.methods.{name}" for name in ("ldam", "drw", "class_balanced", "focal")]
    assert digest_modules(chain[:1]) == digest_modules(chain)
    assert digest_modules(chain[1:]) != digest_modules(chain)


def test_a_component_is_no_part_of_the_engine() -> None:
    small = "reweightbench.benchmark.networks.small"
    assert digest_engine([small]) != digest_engine([])
    assert digest_engine([small, "reweightbench.methods.focal"]) == digest_engine([small])
