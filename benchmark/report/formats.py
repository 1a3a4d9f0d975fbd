"""A table of finished text, written as Markdown, CSV, LaTeX or for a terminal."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tabulate import tabulate

from reweightbench.benchmark.contracts.text import one_line

ABSENT = "–"  # noqa: RUF001
"""What stands where there is no value."""

EDGE = "†"
"""Marks a number whose learning rate lies at an end of those tried."""

MINUS = "−"  # noqa: RUF001
"""Of a negative number; a spreadsheet takes it for text, a formula begins with another sign."""

LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "_": r"\_",
    "%": r"\%",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    ABSENT: "--",
    EDGE: r"$\dagger$",
    MINUS: "$-$",
}
MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*[]|"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


@dataclass(frozen=True)
class Entry:
    """The text of one place in a table; the best of its column stands out."""

    text: str
    is_best: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of entries under columns; `name` is a file name's stem, `notes` explain what the columns hold.

    Columns named in `texts` are aligned to the left, numbers to the right. A table that is not `on_page` is only
    written to files.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    notes: Sequence[str] = ()
    texts: frozenset[str] = frozenset({"method"})
    on_page: bool = True

    @property
    def is_text(self) -> list[bool]:
        """Which columns are text."""
        return [column in self.texts for column in self.columns]


def to_markdown(table: Table, marks: Sequence[str] = (), heading: str = "#") -> str:
    """A pipe table under its title and `marks`, notes below; text cannot turn into markup."""

    def show(entry: Entry) -> str:
        text = escape_markdown(entry.text)
        return f"**{text}**" if entry.is_best else text

    parts = [f"{heading} {escape_markdown(table.title)}", *(f"**{escape_markdown(mark)}**" for mark in marks)]
    parts.append(_tabulate(table, "github", escape_markdown, show))
    return "\n\n".join([*parts, *map(escape_markdown, table.notes)]) + "\n"


def to_text(table: Table, marks: Sequence[str] = ()) -> str:
    """A table for a terminal; the best of a column has a star."""
    body = _tabulate(table, "simple", one_line, lambda entry: one_line(entry.text) + "*" * entry.is_best)
    return "\n".join([one_line(table.title), *map(one_line, marks), body, *map(one_line, table.notes)]) + "\n"


def to_latex(table: Table, marks: Sequence[str] = ()) -> str:
    """A `tabular` with the rules of the package booktabs; title and notes are comments, marks are rows."""

    def show(entry: Entry) -> str:
        text = escape_latex(entry.text)
        return rf"\textbf{{{text}}}" if entry.is_best else text

    width = len(table.columns)
    sides = "".join("l" if is_text else "r" for is_text in table.is_text)
    lines = [
        *(f"% {one_line(text)}" for text in (table.title, *table.notes)),
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        " & ".join(map(escape_latex, table.columns)) + r" \\",
        r"\midrule",
        *(" & ".join(map(show, row)) + r" \\" for row in table.rows),
        r"\bottomrule",
        *(rf"\multicolumn{{{width}}}{{l}}{{{escape_latex(mark)}}} \\" for mark in marks),
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def to_csv(table: Table, marks: Sequence[str] = ()) -> str:
    """Comma-separated values without title and notes; the marks are columns."""
    return write_csv(table.columns, [[entry.text for entry in row] for row in table.rows], marks)


def write_csv(
    columns: Sequence[str], rows: Sequence[Sequence[str | float]], marks: Sequence[str] = ()
) -> str:
    """CSV of `rows`; text that a spreadsheet would take for a formula gets a leading apostrophe.

    A mark `partial: 3 of 4 cells` is a column `partial`, so that no line is without it.
    """
    parts = [mark.partition(": ") for mark in marks]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(_defuse, [*columns, *(name for name, _, _ in parts)]))
    writer.writerows(map(_defuse, [*row, *(text for _, _, text in parts)]) for row in rows)
    return buffer.getvalue()


def share_notes(tables: Sequence[Table]) -> list[Table]:
    """The tables for one page: of neighbours with the same notes only the last one keeps them."""
    following = [*(table.notes for table in tables[1:]), None]
    return [
        replace(table, notes=()) if table.notes == notes else table
        for table, notes in zip(tables, following, strict=True)
    ]


def escape_markdown(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return one_line(text).translate(MARKDOWN)


def escape_latex(text: str) -> str:
    """Text on one line that LaTeX typesets as it is."""
    return "".join(LATEX.get(sign, sign) for sign in one_line(text))


def _defuse(value: str | float) -> str | float:
    if isinstance(value, str):
        text = one_line(value)
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return value


def _tabulate(
    table: Table,
    style: Literal["github", "simple"],
    head: Callable[[str], str],
    show: Callable[[Entry], str],
) -> str:
    sides = ["left" if is_text else "right" for is_text in table.is_text]
    return tabulate(
        [[show(entry) for entry in row] for row in table.rows],
        headers=[head(column) for column in table.columns],
        tablefmt=style,
        colalign=sides if table.rows else None,
        disable_numparse=True,
    )
