"""What is remembered between processes is what the suite wrote, for the code and the PyTorch that it wrote it for."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RECALL = """
import os, sys
from pathlib import Path
from pydantic import BaseModel
from reweightbench.benchmark.cells.memory import Memory

class Answer(BaseModel):
    text: str

def work_out():
    print("worked out")
    return Answer(text="true")

os.umask(0o002)
print(Memory(Path(sys.argv[1])).recall("question", Answer, work_out).text)
"""


def recall(folder: Path, *first: Path) -> list[str]:
    """What a new process prints that asks the memory of a folder; `first` are folders of its own modules."""
    path = os.pathsep.join([*map(str, first), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", RECALL, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": path},
    )
    return done.stdout.split("\n")[:-1]


@pytest.fixture(name="folder")
def make_folder(tmp_path: Path) -> Path:
    """A folder with a memory that holds the answer."""
    folder = tmp_path / "cache"
    assert recall(folder) == ["worked out", "true"]
    return folder


def memory_in(folder: Path) -> Path:
    (memory,) = folder.glob("labels-*.json")
    return memory


def edit(memory: Path) -> None:
    memory.write_text(memory.read_text().replace("true", "false"))


def remove_seal(memory: Path) -> None:
    content = json.loads(memory.read_text())
    del content["seal"]
    memory.write_text(json.dumps(content))


def nest(memory: Path) -> None:
    memory.write_text("[" * 100_000)


def enlarge(memory: Path) -> None:
    memory.write_bytes(memory.read_bytes() + b" " * 2**20)


def link(memory: Path) -> None:
    memory.replace(memory.with_name("elsewhere"))
    memory.symlink_to("elsewhere")


def replace_key(memory: Path) -> None:
    key = memory.with_name(".key")
    key.write_bytes(bytes(32))


def open_folder(memory: Path) -> None:
    memory.parent.chmod(0o777)


def test_a_new_process_remembers_in_a_folder_of_this_user_alone(folder: Path) -> None:
    assert recall(folder) == ["true"]
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("spoil", [edit, remove_seal, nest, enlarge, link, replace_key, open_folder])
def test_what_the_suite_did_not_write_is_forgotten(spoil: Callable[[Path], None], folder: Path) -> None:
    spoil(memory_in(folder))
    assert recall(folder) == ["worked out", "true"]


def test_another_pytorch_is_asked_again(folder: Path, tmp_path: Path) -> None:
    metadata = tmp_path / "other" / "torch-0.1.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.1\n")
    assert recall(folder, tmp_path / "other") == ["worked out", "true"]


def test_a_folder_that_cannot_be_made_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for _ in range(2):
        assert recall(tmp_path / "file" / "cache") == ["worked out", "true"]
