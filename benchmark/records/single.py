"""Records as files of their own, one per cell, written so that a crash at any moment loses nothing."""

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import open_foreign_zip, read_foreign, read_member
from reweightbench.benchmark.contracts.text import one_line
from reweightbench.benchmark.records.files import write_atomically
from reweightbench.benchmark.records.record import (
    KEY,
    Arrays,
    Outcome,
    Record,
    parse_record,
)

NAME = re.compile(rf"{KEY.pattern}\.(json|npz)")

Stamp = tuple[int, int]
"""Size in bytes and time of the last change in nanoseconds, by which a file that was written anew is known."""

MOST_RECORD_BYTES = 2**26
MOST_BYTES = 2**28
"""What the arrays of a record may take when they are unpacked."""


def write(folder: Path, outcome: Outcome) -> None:
    """Write a record and its arrays in the place of any there, the record last."""
    folder.mkdir(parents=True, exist_ok=True)
    key = outcome.record.key
    if outcome.arrays:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **outcome.arrays)
        write_atomically(folder / f"{key}.npz", buffer.getvalue())
    write_atomically(folder / f"{key}.json", outcome.record.model_dump_json().encode() + b"\n")


def read(
    folder: Path,
    warn: Callable[[str], None],
    *,
    keys: Set[str] | None = None,
    with_arrays: bool = True,
    move: bool = False,
) -> Iterator[Outcome]:
    """The records of some keys, or all, by and by in the order of keys.

    A file that does not parse is named through `warn`, and moved aside if `move`. A record whose arrays do not fit
    is named and left out.
    """
    if keys is None:
        paths = [path for path in folder.glob("*.json") if NAME.fullmatch(path.name)]
    else:
        paths = [path for path in (folder / f"{key}.json" for key in keys) if path.exists()]
    for path in sorted(paths, key=lambda path: path.name):
        record = _read_record(path, warn, move)
        if record is None:
            continue
        try:
            outcome = Outcome(record, _read_arrays(path.with_suffix(".npz")) if with_arrays else {})
            outcome.check_arrays()
        except Exception as error:  # noqa: BLE001  damaged headers raise errors of numpy, its parser and tokenizer
            reason = one_line(str(error)) or type(error).__name__
            warn(f"the arrays of record '{path}' are unreadable ({reason}), and it is left out")
        else:
            yield outcome


def _read_record(path: Path, warn: Callable[[str], None], move: bool) -> Record | None:
    try:
        content = read_foreign(path, MOST_RECORD_BYTES, links=False)
    except UsageError as error:
        warn(f"{error}; the record is left out")
        return None
    try:
        return parse_record(content, path.stem, f"record '{path}'")
    except ValueError as error:
        problem = str(error)
    if not move:
        warn(f"record '{path}' is unreadable ({problem}) and left out")
        return None
    aside = path.with_suffix(".json.unreadable")
    path.replace(aside)
    warn(f"record '{path}' is unreadable ({problem}); moved to '{aside.name}', the cell will run again")
    return None


def _read_arrays(path: Path) -> Arrays:
    if not os.path.lexists(path):
        return {}
    with open_foreign_zip(path, MOST_BYTES, MOST_BYTES, links=False) as archive:
        return {
            name.removesuffix(".npy"): _parse_array(read_member(archive, name, MOST_BYTES))
            for name in archive.namelist()
        }


def _parse_array(content: bytes) -> NDArray[np.int32]:
    """The array in the bytes of an .npy file.

    The header is held against the bytes there are before it is believed: it may announce more than the memory holds.
    """
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read_header = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(stream)
    rest = content[stream.tell() :]
    if dtype != np.int32 or len(shape) != 1 or 4 * shape[0] != len(rest):
        raise ValueError(f"{dtype} of shape {shape} in {len(rest)} bytes is no list of int32")
    return np.frombuffer(rest, np.int32)


def find_stamps(folder: Path) -> dict[str, Stamp]:
    """The stamps of all records' files, by name."""
    paths = [path for path in folder.glob("*") if NAME.fullmatch(path.name)]
    return {path.name: stamp for path in paths if (stamp := _find_stamp(path))}


def _find_stamp(path: Path) -> Stamp | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def remove(folder: Path, keys: Set[str], stamps: Mapping[str, Stamp]) -> None:
    """Remove the files of these records that bear their stamps still, and the folder if nothing else is in it.

    Not what a link leads to.
    """
    if folder.is_symlink():
        return
    for key in keys:
        paths = [folder / f"{key}.{ending}" for ending in ("json", "npz")]
        if all(_find_stamp(path) == stamps.get(path.name) for path in paths):
            for path in paths:
                path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
