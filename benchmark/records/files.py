"""Files that are whole or absent, whatever happens."""

import os
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import KINDS


def refuse_detours(paths: Iterable[Path]) -> None:
    """Raise UsageError for a path that is there and neither a folder nor a regular file.

    What is written to it would land elsewhere, or wait.
    """
    for path in paths:
        if not os.path.lexists(path):
            continue
        mode = path.lstat().st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            kind = "a link" if stat.S_ISLNK(mode) else KINDS.get(stat.S_IFMT(mode), "something else")
            raise UsageError(
                f"'{path}' is {kind}; nothing is written there, remove it and run the same again"
            )


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A stream to write a file that is whole or absent, also if the process or the machine stops midway.

    The file takes its place when the block ends; an exception in the block leaves what was there.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            # Writing and flushing do not say which file they failed on.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_atomically(path: Path, *content: bytes | memoryview) -> None:
    """Write a file so that it is whole or absent."""
    with open_atomically(path) as stream:
        for part in content:
            stream.write(part)
