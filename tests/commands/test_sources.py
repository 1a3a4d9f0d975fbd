"""The list of the code's digests takes new versions as they are, and nothing else without a proof."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from reweightbench.benchmark.commands.main import main
from reweightbench.benchmark.records import code_list
from reweightbench.benchmark.records.code_list import Listed, list_code, read_list, write_list


@pytest.fixture(autouse=True)
def _list_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(code_list, "PATH", tmp_path / "sources.json")
    monkeypatch.chdir(tmp_path)
    read_list.cache_clear()
    yield
    read_list.cache_clear()


def call(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    result = CliRunner().invoke(main, ["sources", *arguments])
    return result.exit_code, result.output


def test_a_new_list_holds_the_present_code() -> None:
    assert call()[0] == 1
    assert call("--write") == (0, "")
    assert call() == (0, "")
    assert read_list() == list_code()


def test_a_component_of_a_new_version_is_listed_and_a_lost_one_dropped() -> None:
    earlier = Listed(version="0", digest="a" * 64, same_bits=("b" * 64,))
    write_list(list_code() | {"method focal": earlier, "method nobodys": earlier})
    code, told = call()
    assert code == 1
    assert [line.split(":")[0] for line in told.splitlines()] == ["method focal", "method nobodys"]
    assert call("--write") == (0, "")
    assert read_list() == list_code()


@pytest.mark.parametrize(
    ("name", "field"),
    [("method focal", "version in its class"), ("engine", "engine_version in benchmark/cells/cell.py")],
)
def test_other_code_of_a_version_stays_out_without_a_published_cell(name: str, field: str) -> None:
    earlier = Listed(version="1", digest="a" * 64, same_bits=("b" * 64,))
    write_list(list_code() | {name: earlier})
    told = f"{name}: no published cell uses it; raise {field} and write again\n"
    assert call("--write") == (1, told)
    assert read_list()[name] == earlier


def test_a_damaged_list_is_one_line() -> None:
    code_list.PATH.write_text("<<<<<<< a merge\n")
    code, told = call()
    assert (code, len(told.splitlines())) == (2, 1)
    assert "sources.json' does not parse; restore it" in told


def test_the_command_is_for_those_who_change_the_package() -> None:
    assert "sources" not in CliRunner().invoke(main, ["--help"]).output
