"""Foreign text comes out as what a terminal can show, in one line where it must be one."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from reweightbench.benchmark.contracts.text import describe_error, one_line, printable, show_value

quick = settings(max_examples=100, deadline=None, derandomize=True)


@quick
@given(st.text(st.characters(exclude_categories=[]), max_size=60))
def test_every_text_can_be_shown(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    line.encode()
    assert one_line(line) == line
    assert all(part.isprintable() for part in printable(text).split("\n"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("left \u202eright", r"left \u202eright"),
        ("half \ud800", r"half \ud800"),
        ("two\nlines\tand\r\nmore ", "two lines and more"),
        ("no\x00thing\x9b", r"no\x00thing\x9b"),
        ("Grüße, 你好", "Grüße, 你好"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    line = one_line("begin " + "x" * 10**7 + " end", most=90)
    assert len(line) == 90
    assert line.startswith("begin xxx")
    assert line.endswith("xxx end")


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("bad\nvalue"), "ValueError: bad value"),
        (SystemExit(0), "SystemExit: 0"),
        (RuntimeError("half \ud800"), r"RuntimeError: half \ud800"),
        (MemoryError(), "MemoryError"),
        (UnreadableError(), "UnreadableError without a readable text"),
    ],
)
def test_an_error_is_one_line_whatever_it_says(error: BaseException, shown: str) -> None:
    assert describe_error(error) == shown


def test_a_value_is_shown_however_long_it_is() -> None:
    assert show_value(0.5) == "0.5"
    assert len(show_value("x" * 10**6)) == 80
    assert show_value(16**10000) == "int too long to show"
