"""Reading a suite from the package or from a user's TOML file."""

import os
import re
import tomllib
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from reweightbench.benchmark.cells.cell import Frozen, Numerics
from reweightbench.benchmark.cells.rates import Rates
from reweightbench.benchmark.cells.suite import Claim, Corruption, NamedBudget, Suite, Tuning
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import read_foreign, read_foreign_text
from reweightbench.benchmark.contracts.labels import suggest
from reweightbench.benchmark.contracts.text import show_value

MOST_BYTES, MOST_RATES_BYTES = 2**20, 2**26

MOST_PARTS = 100
"""Parts of a dotted key."""

TEXT_OR_COMMENT = re.compile(
    r""""{3}(?:\\.|.)*?(?:"{3,5}|\Z)|'{3}.*?(?:'{3,5}|\Z)|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?|#[^\n]*""",
    re.DOTALL,
)
"""What holds no keys; a text that is not closed goes as far as it may."""

SHAPE = "write tables and keys as the suites of the package have them"


def suite_names() -> list[str]:
    """Names of the suites that come with the package."""
    folder = resources.files("reweightbench.benchmark.cells") / "suites"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load_suite(name: str) -> Suite:
    """The suite of that name, or of a TOML file at that path."""
    if name.endswith(".toml"):
        path = Path(name)
        if not os.path.lexists(path):
            raise UsageError(f"no suite file '{name}'; give a TOML file or one of {', '.join(suite_names())}")
        text = read_foreign_text(path, MOST_BYTES, remedy="a suite is a TOML file in UTF-8")
    elif name in suite_names():
        text = (resources.files("reweightbench.benchmark.cells") / "suites" / f"{name}.toml").read_text()
    else:
        raise UsageError(
            f"unknown suite '{name}'{suggest(name, suite_names())}; 'reweightbench list suites' shows all, "
            "a file of your own ends in .toml"
        )
    return parse_suite(text, name).model_copy(update={"rates": read_rates(rates_path(name))})


def rates_path(name: str) -> Path:
    """Where the chosen learning rates of the suite of that name, or of a TOML file at that path, lie."""
    if name.endswith(".toml"):
        return Path(name).with_suffix(".rates.json")
    return Path(str(resources.files("reweightbench.benchmark.cells"))) / "suites" / f"{name}.rates.json"


def read_rates(path: Path) -> Rates:
    """The choices of a file; none without the file."""
    if not os.path.lexists(path):
        return Rates()
    content = read_foreign(path, MOST_RATES_BYTES)
    try:
        return Rates.model_validate_json(content)
    except ValidationError as error:
        raise UsageError(
            f"'{path}' does not hold chosen rates ({error.errors()[0]['msg']}); remove it and run "
            "'reweightbench tune' again"
        ) from None


def write_rates(path: Path, rates: Rates) -> None:
    """Write chosen rates down; equal ones give equal bytes."""
    path.write_text(rates.model_dump_json(indent=1) + "\n", encoding="utf-8")


def parse_suite(text: str, source: str) -> Suite:
    """The suite of a TOML text; raises UsageError with the dotted path of what is wrong."""
    if _has_long_key(text):
        raise UsageError(f"suite '{source}' is nested too deeply; {SHAPE}")
    try:
        content = tomllib.loads(text)
        if "rates" in content:
            raise UsageError(
                f"suite '{source}': rates: unknown key; rates are chosen by 'reweightbench tune'"
            )
        return Suite.model_validate(content)
    except RecursionError:
        raise UsageError(f"suite '{source}' is nested too deeply; {SHAPE}") from None
    except ValidationError as error:
        # A misspelled key is also a missing one; the misspelling says more.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        path = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            message = f"unknown key{suggest(str(first['loc'][-1]), _keys_beside(first['loc']))}"
        elif first["type"] not in {"missing", "value_error", "too_long", "too_short"}:
            message += f", not {show_value(first['input'])}"
        raise UsageError(f"suite '{source}': {path + ': ' if path else ''}{message}") from None
    except ValueError as error:
        # TOML's own errors, and integers of thousands of digits.
        raise UsageError(f"suite '{source}' is not TOML: {error}") from None


def _has_long_key(text: str) -> bool:
    """Whether a key has more parts than any suite's; reading one takes the square of their number."""
    keys = TEXT_OR_COMMENT.sub(lambda found: "" if found[0].startswith("#") else '""', text)
    run = 0
    for piece in keys.split("."):
        run = run + 1 if re.fullmatch(r"[\s\w\"'-]*", piece) else 0
        if run > MOST_PARTS:
            return True
    return False


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where an unknown one stands."""
    tables: dict[str, type[Frozen]] = {
        "corruptions": Corruption,
        "budgets": NamedBudget,
        "numerics": Numerics,
        "tuning": Tuning,
        "claims": Claim,
    }
    table = tables.get(str(location[0]), Suite) if len(location) > 1 else Suite
    return list(table.model_fields)
