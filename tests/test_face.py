"""The public face of the package: complete, documented, typed, and free to import."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import reweightbench

ROOT = Path(__file__).parents[1]
PUBLIC = [name for name in reweightbench.__all__ if name != "__version__"]
HEAVY = ("torch", "pandas", "pydantic", "numpy", "click")


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_can_be_imported_and_describes_itself(name: str) -> None:
    assert (getattr(reweightbench, name).__doc__ or "").strip()
    assert name in dir(reweightbench)


def test_the_page_lists_every_name_and_no_other() -> None:
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(PUBLIC)


def test_type_checkers_see_every_name() -> None:
    text = Path(reweightbench.__file__).read_text(encoding="utf-8")
    block = text.split("if TYPE_CHECKING:\n")[1].split("\n\n")[0]
    seen = [name for line in block.splitlines() for name in line.split(" import ")[1].split(", ")]
    assert sorted(seen) == sorted(PUBLIC)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(reweightbench, "nothing")  # noqa: B009 - not an attribute that a type checker knows


def test_importing_the_package_loads_no_library() -> None:
    code = f"import sys, reweightbench; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
