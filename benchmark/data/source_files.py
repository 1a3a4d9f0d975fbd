"""The files that a dataset is made from, below a folder or in zip archives, without what file managers leave."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import (
    open_foreign,
    open_foreign_zip,
    read_foreign,
    read_member,
)

Stamp = tuple[int, int, int, int]

DEEPEST = 4
"""Levels of folders that are searched."""
MOST_FILES = 500_000
LEAVINGS = frozenset(
    ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "@eadir", "lost+found")
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of at most `limit` bytes, or a `member` of a zip archive that is open.

    `stamp` changes whenever the file or the archive is written or replaced, also where its size and its time
    of modification stay the same.
    """

    path: str
    stamp: Stamp
    limit: int
    member: str | None = None
    archive: ZipFile | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}:{self.member}"

    @property
    def name(self) -> str:
        """The name without its folders."""
        return (self.member or self.path).replace("\\", "/").rpartition("/")[2]

    def read(self) -> bytes:
        """The content; raises UsageError where it is damaged, too large or no regular file."""
        if self.archive is not None and self.member is not None:
            return read_member(self.archive, self.member, self.limit)
        return read_foreign(Path(self.path), self.limit)

    def digest(self) -> str:
        """The sha256 of the content."""
        if self.archive is not None:
            return hashlib.sha256(self.read()).hexdigest()
        with open_foreign(Path(self.path), self.limit) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def make_stamp(status: os.stat_result) -> Stamp:
    """Size, time of modification, time of change (which no program can set) and number of a file."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def source_file(path: Path, limit: int) -> SourceFile:
    """The file at a path; raises UsageError where there is none."""
    try:
        return SourceFile(str(path), make_stamp(os.stat(path)), limit)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise UsageError(f"cannot read '{path}' ({reason}); get the file again") from None


def is_leaving(name: str) -> bool:
    """Whether a file or folder is what macOS, Windows or a file server leaves behind (`._a.jpg`, `Thumbs.db`)."""
    return name.startswith((".", "~$")) or name.lower() in LEAVINGS


def find_files(folder: Path, is_wanted: Callable[[str], bool], limit: int) -> list[SourceFile]:
    """The files below the folder, a few levels deep, whose names are wanted, in the order of their paths.

    Links to folders are followed. Raises UsageError where there are far too many files.
    """
    found: list[SourceFile] = []
    seen = 0
    open_folders = [(str(folder), 0)]
    while open_folders:
        place, depth = open_folders.pop()
        for entry in _entries(place):
            seen += 1
            if seen > MOST_FILES:
                raise UsageError(
                    f"'{folder}' holds more than {MOST_FILES:,} files; give the data a folder of its own"
                )
            if is_leaving(entry.name):
                continue
            if entry.is_dir():
                if depth < DEEPEST:
                    open_folders.append((entry.path, depth + 1))
            elif is_wanted(entry.name):
                found.append(SourceFile(entry.path, _stamp_of(entry), limit))
    return sorted(found, key=lambda file: file.path)


@contextmanager
def open_archives(
    archives: Iterable[SourceFile], is_wanted: Callable[[str], bool], limit: int, unpacked_limit: int
) -> Iterator[list[SourceFile]]:
    """The members of zip archives whose names are wanted, readable inside the context.

    Raises UsageError for an archive that is damaged or beyond reason, and for two members of one name.
    """
    with ExitStack() as stack:
        found: dict[tuple[str, str], SourceFile] = {}
        for packed in archives:
            archive = stack.enter_context(open_foreign_zip(Path(packed.path), packed.limit, unpacked_limit))
            for info in archive.infolist():
                parts = info.filename.replace("\\", "/").split("/")
                if info.is_dir() or any(map(is_leaving, filter(None, parts))) or not is_wanted(parts[-1]):
                    continue
                if (packed.path, info.filename) in found:
                    raise UsageError(f"'{packed.path}' holds '{info.filename}' twice; get the file again")
                found[packed.path, info.filename] = SourceFile(
                    packed.path, packed.stamp, limit, info.filename, archive
                )
        yield list(found.values())


def find_folders(
    folder: Path, depth: int, is_closed: Callable[[str], bool]
) -> Iterator[tuple[Path, list[str]]]:
    """The folder and those below it with the names of their files, nearest first, `depth` levels deep.

    Folders with a closed name are not looked into.
    """
    level = [folder] if folder.is_dir() else []
    for _ in range(depth + 1):
        below = []
        for place in level:
            entries = sorted(_entries(str(place)), key=lambda entry: entry.name)
            entries = [entry for entry in entries if not is_leaving(entry.name)]
            yield place, [entry.name for entry in entries if not entry.is_dir()]
            if not is_closed(place.name):
                below += [place / entry.name for entry in entries if entry.is_dir()]
        level = below


def list_folder(folder: Path, most: int = 6) -> str:
    """What a folder holds, for a message: its first names and how many more."""
    if not folder.is_dir():
        return "is a file, not a folder" if folder.exists() else "does not exist"
    names = sorted(entry.name + "/" * entry.is_dir() for entry in _entries(str(folder)))
    names = [name for name in names if not is_leaving(name.rstrip("/"))]
    shown = ", ".join(map(repr, names[:most]))
    return f"holds {shown or 'nothing'}" + (f" and {len(names) - most} more" if len(names) > most else "")


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise UsageError(
            f"cannot read '{folder}' ({error.strerror}); give a folder that can be read"
        ) from None


def _stamp_of(entry: os.DirEntry[str]) -> Stamp:
    """A link that leads nowhere has a stamp too: who reads it says what is wrong."""
    try:
        return make_stamp(entry.stat())
    except OSError:
        return 0, 0, 0, 0
