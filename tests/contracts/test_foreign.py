"""Files that others made: what is opened, and the one line for everything else."""

import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import (
    open_foreign_zip,
    read_foreign,
    read_foreign_text,
    read_member,
)


def refusal(call: Callable[[], object]) -> str:
    """The one line with which the call is refused."""
    with pytest.raises(UsageError) as raised:
        call()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_regular_file_up_to_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_foreign(path, 5) == b"12345"
    assert refusal(lambda: read_foreign(path, 4)) == (
        f"'{path}' has 5 bytes; at most 4 are read; get the file again"
    )


def make_socket(path: Path) -> None:
    # A socket's path may have a hundred characters only.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "is a named pipe, not a regular file"),
        (Path.mkdir, "is a folder, not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a regular file"),
        (make_socket, "cannot read "),
        (lambda path: path.symlink_to(path), "cannot read "),
        (lambda path: None, "(No such file or directory); try"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "file"
    make(path)
    message = refusal(lambda: read_foreign(path, 100, remedy="try another"))
    assert str(path) in message
    assert reason in message
    assert message.endswith("; try another")


def test_a_path_that_no_system_can_open() -> None:
    assert "null" in refusal(lambda: read_foreign(Path("a\0b"), 100))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs a file that claims no size")
def test_a_file_larger_than_it_says() -> None:
    assert "has more than 10 bytes" in refusal(lambda: read_foreign(Path("/proc/self/status"), 10))


def test_links_are_followed_only_where_they_may_lead(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "outside").write_text("outside")
    (folder / "inside").write_text("inside")
    (folder / "out").symlink_to("../outside")
    (folder / "in").symlink_to("inside")
    (folder / "up").symlink_to("..")
    assert read_foreign(folder / "out", 10) == b"outside"
    assert read_foreign(folder / "in", 10, inside=folder) == b"inside"
    assert read_foreign(folder / "deep" / ".." / "inside", 10, inside=folder) == b"inside"
    for path in (folder / "out", folder / "up" / "outside", folder / ".." / "outside"):
        assert f"leads out of '{folder}'" in refusal(lambda path=path: read_foreign(path, 10, inside=folder))
    assert "in' is a link" in refusal(lambda: read_foreign(folder / "in", 10, links=False))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_text_with_and_without_a_byte_order_mark(tmp_path: Path, mark: bytes) -> None:
    path = tmp_path / "text"
    path.write_bytes(mark + "ä\r\nb".encode())
    assert read_foreign_text(path, 100) == "ä\r\nb"


@pytest.mark.parametrize("content", [b"ab\xff", "ä".encode("latin-1"), "text".encode("utf-16")])
def test_other_text_is_refused_with_its_place(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text"
    path.write_bytes(content)
    message = refusal(lambda: read_foreign_text(path, 100))
    assert f"'{path}' is no UTF-8 text (" in message
    assert "at byte " in message


def pack(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_members_are_read_in_place(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"folder/file": b"12345"})
    with open_foreign_zip(path, 1000, 1000) as archive:
        assert read_member(archive, "folder/file", 5) == b"12345"
        assert f"'{path}:folder/file' has more than 4 bytes" in refusal(
            lambda: read_member(archive, "folder/file", 4)
        )
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("../file", b"1", "holds '../file', a name outside of it"),
        ("/etc/file", b"1", "a name outside of it"),
        ("C:\\file", b"1", "a name outside of it"),
        ("a\\..\\..\\file", b"1", "a name outside of it"),
        ("zeros", bytes(2**21), "holds 'zeros', 2,097,152 bytes packed into "),
        ("large", os.urandom(3 * 2**20), "unpacks to 3,145,728 bytes; at most 3,000,000 are read"),
    ],
)
def test_archives_beyond_reason_are_refused(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    path = pack(tmp_path / "a.zip", {name: content})

    def read() -> None:
        with open_foreign_zip(path, 10**7, 3_000_000):
            pass

    message = refusal(read)
    assert str(path) in message
    assert reason in message


def test_a_damaged_archive_and_a_damaged_member(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"file": os.urandom(1000)})
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(content)
    with open_foreign_zip(path, 10_000, 10_000) as archive:
        assert "a.zip:file' cannot be unpacked (" in refusal(lambda: read_member(archive, "file", 10_000))
    path.write_bytes(content[:-30])

    def read() -> None:
        with open_foreign_zip(path, 10_000, 10_000):
            pass

    assert "is no readable zip archive (" in refusal(read)
