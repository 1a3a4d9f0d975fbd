"""A user's file is asked about in a process of its own, which may end as it likes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reweightbench.benchmark.cells.own_files import ask
from reweightbench.benchmark.contracts.errors import UsageError

METHOD = """
from dataclasses import dataclass
from typing import ClassVar
from reweightbench import Method, Stage
{first}

@dataclass
class Mine(Method):
    paper: ClassVar[str] = "none"
    power: float = 1.0

    def stages(self):
        {stages}
"""


@pytest.fixture(name="write")
def make_write(tmp_path: Path) -> Callable[..., Path]:
    def write(first: str = "", stages: str = "return (Stage(),)") -> Path:
        path = tmp_path / "mine.py"
        path.write_text(METHOD.format(first=first, stages=stages))
        return path

    return write


def test_a_file_is_described_and_leaves_this_process_alone(write: Callable[..., Path]) -> None:
    place, modules = Path.cwd(), set(sys.modules)
    found = ask(
        write("import os, torch; os.chdir('/'); print('noise'); torch.nn.functional.relu = None"),
        ["mine(power=2)"],
    )
    assert found.names == found.own == ["mine"]
    assert found.answers["method label mine(power=2)"]["label"] == "mine(power=2)"
    assert found.answers["method requirements mine"]["needs"] == []
    assert Path.cwd() == place
    assert not any("mine" in name or "user" in name for name in set(sys.modules) - modules)


def test_siblings_that_a_text_imports_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "extra.py").touch()
    (tmp_path / "unused.py").touch()
    path = write("import importlib; importlib.import_module('extra')")
    assert ask(path).siblings == ask(path, None).siblings == ["extra.py"]


def test_a_method_that_cannot_say_its_stages_is_left_to_its_cells(write: Callable[..., Path]) -> None:
    found = ask(write(stages="raise SystemExit"))
    assert found.answers["method requirements mine"] is None


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        ("import sys; sys.exit(0)", "cannot be loaded: SystemExit: 0"),
        ("import os; os._exit(0)", "its import ends the process with exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", "its import ends the process with signal 9"),
        ("while True: pass", "its import does not end within 1 seconds"),
        ("raise GeneratorExit", "cannot be loaded: GeneratorExit"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_refused(write: Callable[..., Path], first: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask(write(first), seconds=1)
    assert "mine.py'" in str(caught.value)
    assert reason in str(caught.value)


def test_what_is_no_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "folder.py").mkdir()
    for name in ("pipe.py", "folder.py", "absent.py"):
        with pytest.raises(UsageError, match="no file"):
            ask(tmp_path / name)
    (tmp_path / "huge.py").write_bytes(b"#" * 2**21)
    with pytest.raises(UsageError, match="larger than a mebibyte"):
        ask(tmp_path / "huge.py")
