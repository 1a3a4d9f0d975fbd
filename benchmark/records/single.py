"""Records as files of their own, one per cell, written so that a crash at any moment loses nothing."""

import io
import math
import os
import re
from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import open_foreign_zip, read_foreign, read_member
from reweightbench.benchmark.records.files import write_atomically
from reweightbench.benchmark.records.record import (
    KEY,
    Arrays,
    Outcome,
    Record,
    parse_record,
)

NAME = re.compile(rf"{KEY.pattern}\.(json|npz)")

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
        except (ValueError, EOFError, UsageError) as error:
            warn(f"the arrays of record '{path}' are unreadable ({error}), and it is left out")
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


def _parse_array(content: bytes) -> NDArray[Any]:
    """The array of a file; raises ValueError for one that is larger or smaller than its header claims.

    numpy takes the memory for what a header claims before it reads.
    """
    stream = io.BytesIO(content)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("an array is of another format than 1.0")
    try:
        shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # noqa: BLE001 - a damaged header raises errors of ast and tokenize too
        raise ValueError(f"an array has no readable header: {error}") from None
    held = len(content) - stream.tell()
    if not kind.hasobject and math.prod(shape) * kind.itemsize != held:
        raise ValueError(f"an array claims the shape {shape} of {kind}, and holds {held:,} bytes")
    array: NDArray[Any] = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def remove(folder: Path, keys: Set[str]) -> None:
    """Remove the files of these records, and the folder if there is nothing else in it."""
    for key in keys:
        for ending in ("json", "npz"):
            (folder / f"{key}.{ending}").unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
