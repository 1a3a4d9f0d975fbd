"""Generated pages say what the committed records say."""

import importlib.util
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"


def load(name: str) -> Any:
    """A script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_on_meta_reweighting_is_current() -> None:
    assert load("meta_fidelity").write() == (DOCS / "meta-fidelity.md").read_text(encoding="utf-8")
