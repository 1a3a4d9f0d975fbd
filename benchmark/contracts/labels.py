"""Labels, the one spelling of a component in suites, on the command line and in tables: `focal(gamma=1)`."""

import difflib
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise

from pydantic import BaseModel, ConfigDict

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.text import one_line

MOST = 1000
"""Characters of a label."""

LABEL = re.compile(r"([A-Za-z_]\w*)\s*(?:\((.*)\))?", re.DOTALL)


class Spec(BaseModel):
    """A component as data: name, every option, and the version of its code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, bool | int | float | str | None] = {}
    version: str = "1"


def parse_label(label: str, kind: str) -> tuple[str, dict[str, str]]:
    """The name and the options of a label; raises UsageError for what is none, `kind` being what it should name."""
    if len(label) > MOST or not label.isprintable():
        raise UsageError(
            f"'{one_line(label, 80)}' is no {kind} label: it has at most {MOST} printable characters"
        )
    match = LABEL.fullmatch(label.strip())
    if match is None:
        raise UsageError(f"'{label}' is no {kind} label; write name or name(option=value, ...)")
    name, arguments = match.groups()
    options: dict[str, str] = {}
    for part in filter(None, map(str.strip, (arguments or "").split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"'{part}' in '{label}' is no option; write option=value")
        if key.strip() in options:
            raise UsageError(f"'{label}' gives {key.strip()} twice; give it once")
        options[key.strip()] = value.strip()
    return name, options


def write_label(name: str, options: Mapping[str, object]) -> str:
    """The label of a name with these options."""
    arguments = ", ".join(f"{key}={_plain(value)}" for key, value in options.items())
    return f"{name}({arguments})" if arguments else name


def split_labels(text: str) -> list[str]:
    """Labels of a comma-separated list; commas inside parentheses belong to a label."""
    ends, depth = [-1], 0
    for match in re.finditer(r"[(),]", text):
        depth = max(0, depth + (match[0] == "(") - (match[0] == ")"))
        if match[0] == "," and not depth:
            ends.append(match.start())
    parts = (text[start + 1 : end].strip() for start, end in pairwise([*ends, len(text)]))
    return [part for part in parts if part]


def snake_case(name: str) -> str:
    """`MetaReweight` to `meta_reweight`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the closest known name, or all of them."""
    names = list(known)
    # Comparing takes the square of the length.
    name = name[:MOST]
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; it has {', '.join(names)}" if names else ""


def _plain(value: object) -> str:
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)
