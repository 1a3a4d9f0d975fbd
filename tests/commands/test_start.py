"""Commands that only read or refuse do not wait for PyTorch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CALL = """
import sys
from reweightbench.benchmark.commands.main import main

try:
    main(sys.argv[1:], prog_name="reweightbench")
finally:
    print(*(name for name in ("torch", "sklearn", "pydantic") if name in sys.modules), file=sys.stderr)
"""


def call(cache: Path, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit code and output of a command, and those libraries that it has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", CALL, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
    )
    *_, loaded = done.stderr.splitlines()
    return done.returncode, done.stdout, loaded.split()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), 0),
        (("--help",), 0),
        (("run", "--help"), 0),
        (("run", "digits", "--seed", "0"), 2),
        (("time", "digits", "--minutes", "-1"), 2),
        (("frob",), 2),
    ],
)
def test_help_and_wrong_options_load_no_library(
    arguments: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    found, _, loaded = call(tmp_path, *arguments)
    assert (found, loaded) == (code, [])


def test_reading_records_loads_pytorch_once_per_state_of_the_code(tmp_path: Path) -> None:
    arguments = ("status", "digits", "--results", str(ROOT / "results"))
    first, again = call(tmp_path, *arguments), call(tmp_path, *arguments)
    assert first[:2] == again[:2] == (0, "digits: 600 cells, 600 ok\n")
    assert ("torch" in first[2], "torch" in again[2]) == (True, False)


CALL_DAMAGED = r"""
import sys
from pathlib import Path

def call():
    # As a new process would, but for the libraries.
    for name in [name for name in sys.modules if name.startswith("reweightbench")]:
        del sys.modules[name]
    from reweightbench.benchmark.commands.main import main

    main(sys.argv[2:], prog_name="reweightbench", standalone_mode=False)

memory = Path(sys.argv[1])
for damage in (b"", b"[]", b"\xff\xfe", b'{"method label sgd": {"label": 3}}'):
    memory.write_bytes(damage)
    call()
memory.unlink()
memory.mkdir()
call()
"""


def test_a_damaged_memory_is_made_again(tmp_path: Path) -> None:
    arguments = ("status", "digits", "--results", str(ROOT / "results"))
    call(tmp_path, *arguments)
    (memory,) = (tmp_path / "reweightbench").glob("labels-*.json")
    done = subprocess.run(
        [sys.executable, "-c", CALL_DAMAGED, str(memory), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
    )
    assert (done.returncode, done.stdout) == (0, 5 * "digits: 600 cells, 600 ok\n"), done.stderr
