"""The one door for files that others made: regular files of a bounded size, from where they may come."""

import io
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, Unpack

from reweightbench.benchmark.contracts.errors import UsageError

KINDS = {
    **{stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"},
    **{stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"},
}
REMEDY = "get the file again"
MOST_MEMBERS = 100_000
HIGHEST_RATIO = 200
"""Unpacked to packed size of an archive's member, from a megabyte on; images and tables stay below 50."""


class Terms(TypedDict, total=False):
    """On what terms a file is opened.

    `inside` is the folder it must lie in once links are followed (default: anywhere), `links` whether the path
    itself may be a link (default: it may), and `remedy` the end of every refusal, the user's next step.
    """

    inside: Path | None
    links: bool
    remedy: str


@contextmanager
def open_foreign(path: Path, limit: int, **terms: Unpack[Terms]) -> Iterator[io.BufferedReader]:
    """A regular file of at most `limit` bytes, open for reading; raises UsageError for anything else.

    The file is opened first and judged then, so that nothing can take its place in between. Opening never
    waits, as it would for a named pipe.
    """
    remedy, inside = terms.get("remedy", REMEDY), terms.get("inside")
    flags = sum(
        getattr(os, name, 0) for name in ("O_RDONLY", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
    )
    try:
        if not terms.get("links", True):
            if path.is_symlink():
                raise UsageError(f"'{path}' is a link, not a regular file; {remedy}")
            flags |= getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error, remedy) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = KINDS.get(stat.S_IFMT(status.st_mode), "something else")
            raise UsageError(f"'{path}' is {kind}, not a regular file; {remedy}")
        if status.st_size > limit:
            raise _too_large(path, f"{status.st_size:,}", limit, remedy)
        if inside is not None and not _lies_inside(path, inside, status):
            raise UsageError(f"'{path}' leads out of '{inside}'; put the file itself there")
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        yield file


def read_foreign(path: Path, limit: int, **terms: Unpack[Terms]) -> bytes:
    """The bytes of a file that `open_foreign` admits, at most `limit` also if it grows meanwhile."""
    remedy = terms.get("remedy", REMEDY)
    with open_foreign(path, limit, **terms) as file:
        try:
            content = file.read(limit + 1)
        except OSError as error:
            raise _unreadable(path, error, remedy) from None
    if len(content) > limit:
        raise _too_large(path, f"more than {limit:,}", limit, remedy)
    return content


def read_foreign_text(path: Path, limit: int, **terms: Unpack[Terms]) -> str:
    """The text of a UTF-8 file, with or without a byte order mark; line ends stay as they are."""
    return decode_text(read_foreign(path, limit, **terms), path, terms.get("remedy", REMEDY))


def decode_text(content: bytes, name: Path | str, remedy: str = REMEDY) -> str:
    """UTF-8 text, with or without a byte order mark; raises UsageError with the place of another byte."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"'{name}' is no UTF-8 text ({error.reason} at byte {error.start:,}); {remedy}"
        ) from None


@contextmanager
def open_foreign_zip(
    path: Path, limit: int, unpacked_limit: int, **terms: Unpack[Terms]
) -> Iterator[zipfile.ZipFile]:
    """A zip archive of at most `limit` bytes, whose members claim at most `unpacked_limit` bytes together.

    Members are to be read in place, by `read_member`. Raises UsageError for what is no archive, and for one whose
    members are encrypted, too many, packed beyond reason or named as if they lay outside of it.
    """
    remedy = terms.get("remedy", REMEDY)
    with open_foreign(path, limit, **terms) as file:
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise UsageError(f"'{path}' is no readable zip archive ({error}); {remedy}") from None
        with archive:
            archive.filename = str(path)
            fault = _find_fault(archive.infolist(), unpacked_limit)
            if fault is not None:
                raise UsageError(f"'{path}' {fault}; {remedy}")
            yield archive


def read_member(archive: zipfile.ZipFile, name: str, limit: int, remedy: str = REMEDY) -> bytes:
    """The bytes of an archive's member, at most `limit`; raises UsageError where it is larger or damaged."""
    shown = f"{archive.filename}:{name}"
    try:
        with archive.open(name) as member:
            content = member.read(limit + 1)
    except Exception as error:  # noqa: BLE001  damaged members raise errors of zlib, lzma, bz2 and zipfile
        raise UsageError(f"'{shown}' cannot be unpacked ({error}); {remedy}") from None
    if len(content) > limit:
        raise _too_large(shown, f"more than {limit:,}", limit, remedy)
    return content


def _find_fault(members: list[zipfile.ZipInfo], unpacked_limit: int) -> str | None:
    if len(members) > MOST_MEMBERS:
        return f"holds {len(members):,} members; at most {MOST_MEMBERS:,} are read"
    total = sum(member.file_size for member in members)
    if total > unpacked_limit:
        return f"unpacks to {total:,} bytes; at most {unpacked_limit:,} are read"
    for member in members:
        name = member.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or re.match("[A-Za-z]:", name):
            return f"holds '{member.filename}', a name outside of it"
        if member.flag_bits & 1:
            return f"holds '{member.filename}', which is encrypted"
        if member.file_size > 2**20 and member.file_size > HIGHEST_RATIO * member.compress_size:
            sizes = f"{member.file_size:,} bytes packed into {member.compress_size:,}"
            return f"holds '{member.filename}', {sizes}"
    return None


def _lies_inside(path: Path, folder: Path, status: os.stat_result) -> bool:
    """Whether the open file is the one that the path, its links followed, names inside the folder."""
    try:
        real = path.resolve(strict=True)
        return real.is_relative_to(folder.resolve()) and os.path.samestat(os.stat(real), status)
    except (OSError, RuntimeError):
        return False


def _unreadable(path: Path, error: OSError | ValueError, remedy: str) -> UsageError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return UsageError(f"cannot read '{path}' ({reason}); {remedy}")


def _too_large(path: Path | str, size: str, limit: int, remedy: str) -> UsageError:
    return UsageError(f"'{path}' has {size} bytes; at most {limit:,} are read; {remedy}")
