"""A whole number is digits within its bound, and nothing else."""

import pytest

from reweightbench.benchmark.contracts.numbers import parse_whole


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("007", 7), ("65535", 65535), ("0" * 10**5 + "12", 12), ("65536", None)]
)
def test_numbers_within_the_bound_are_read(text: str, number: int | None) -> None:
    assert parse_whole(text, 65535) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", " 1", "1_0", "²", "٣", "9" * 10**6, "nan"])
def test_everything_else_is_no_number(text: str) -> None:
    assert parse_whole(text, 10**9) is None
