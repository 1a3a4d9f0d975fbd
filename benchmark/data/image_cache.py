"""Images decoded from files and kept as `.npy`, so that only the first start pays for decoding.

An entry of the cache is a folder that appears by one rename when it is complete: a reader sees all of it or
nothing. It is named by the content of its files, and nothing in it is believed that the suite did not write.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from tqdm import tqdm

from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.contracts.foreign import open_foreign
from reweightbench.benchmark.contracts.sealed_folder import SealedFolder
from reweightbench.benchmark.data.description import Decoded, describe, fingerprint, list_fields, restore
from reweightbench.benchmark.data.source_files import SourceFile, make_stamp, source_file

# Part of every entry's name: raise it when the files in an entry or the decoding of images change.
FORMAT = 2
LARGEST_ARRAY = 2**40

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Inputs:
    """All that decoded arrays depend on: files, each under the name it has for the dataset, and `options`.

    Several files of one name are copies of one another; others are refused.
    """

    files: Sequence[tuple[str, SourceFile]]
    options: tuple[object, ...]

    def stamp(self) -> str:
        """A digest that changes with every change of a file, though it may stay the same file; reads none."""
        parts = [(name, file.path, file.member, file.stamp) for name, file in self.files]
        return _hash(repr((FORMAT, self.options, parts)))

    def content(self, dataset: str) -> str:
        """The digest of the options and of the files' content; raises UsageError where copies differ."""
        first: dict[str, tuple[str, SourceFile]] = {}
        for name, file in tqdm(
            self.files, desc=f"checking {dataset}", delay=1, unit="file", leave=False, disable=None
        ):
            digest = file.digest()
            known, other = first.setdefault(name, (digest, file))
            if known != digest:
                raise UsageError(
                    f"'{other}' and '{file}' differ, but both are '{name}'; remove the wrong one"
                )
        parts = [(name, digest) for name, (digest, _) in sorted(first.items())]
        return _hash(repr((FORMAT, self.options, parts)))

    def check_unchanged(self) -> None:
        """Raise UsageError for a file that was changed since it was found: digest and images may differ then."""
        for _, file in self.files:
            if source_file(Path(file.path), file.limit).stamp != file.stamp:
                raise UsageError(f"'{file.path}' was changed while it was read; run the command again")


def cached(sources: Sources, name: str, inputs: Inputs, decode: Callable[[], Decoded]) -> ImageData:
    """The images of the entry for `inputs`, which `decode` fills where it is absent or damaged.

    `inputs` must cover all that the arrays depend on. Images come back memory-mapped and read-only. Of several
    processes one decodes and the others wait for it. A cache that cannot be written, or that others can write
    to, costs time, not results: a warning is logged and the images stay in memory.
    """
    try:
        cache = _Cache(SealedFolder(sources.cache_dir), name)
    except OSError as error:
        logger.warning("images are decoded at every start: cannot use the cache: %s", error)
        inputs.content(name)
        return describe(decode())
    stamp = inputs.stamp()
    found = cache.find(stamp)
    if found is not None:
        return found
    with cache.lock():
        return cache.find(stamp) or cache.fill(inputs, decode)


class _Cache:
    """The entries of one dataset, each for one content of its files, and the stamps known to have that content."""

    def __init__(self, folder: SealedFolder, name: str) -> None:
        self._folder = folder
        self._name = name

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Wait until no other process decodes this dataset."""
        lock = FileLock(self._folder.path / f".{self._name}.lock")
        try:
            lock.acquire()
        except (OSError, NotImplementedError) as error:
            # Two processes that decode at once waste time, and do no harm.
            logger.info("cannot lock the cache: %s", error)
        try:
            yield
        finally:
            lock.release()

    def find(self, stamp: str) -> ImageData | None:
        """The images of files that bear the stamp, if they were decoded before."""
        known = self._folder.read(self._stamp_file(stamp), stamp)
        return None if known is None else self._read(str(known["content"]))

    def fill(self, inputs: Inputs, decode: Callable[[], Decoded]) -> ImageData:
        """The images of the inputs, decoded and written if there is no entry of the same content yet."""
        stamp, content = inputs.stamp(), inputs.content(self._name)
        data = self._read(content)
        try:
            if data is None:
                data = describe(decode())
                inputs.check_unchanged()
                self._write(content, data)
            self._folder.write(self._stamp_file(stamp), stamp, {"content": content})
        except OSError as error:
            if data is None:
                raise
            logger.warning("images are decoded at every start: cannot write the cache: %s", error)
        return self._read(content) or data

    def _entry(self, content: str) -> Path:
        return self._folder.path / f"{self._name}-{content[:16]}"

    def _stamp_file(self, stamp: str) -> Path:
        return self._folder.path / f"{self._name}-{stamp[:16]}.stamp"

    def _read(self, content: str) -> ImageData | None:
        """The entry's images, or None where it is absent, damaged or not the suite's own.

        Its description is sealed. Its arrays are as they were written, or have the fingerprint of that time.
        """
        entry = self._entry(content)
        description = self._folder.read(entry / "description.json", content)
        if description is None:
            return None
        try:
            arrays: dict[str, Any] = {}
            stamps = {}
            for name in description["arrays"]:
                arrays[name], stamps[name] = _read_array(entry / f"{name}.npy", is_mapped=name == "images")
            data = restore(**description["values"], **arrays)
        except Exception:  # noqa: BLE001  numpy raises errors of a dozen types on damaged files
            return None
        if stamps == description["arrays"]:
            return data
        if fingerprint(data) != data.fingerprint:
            return None
        with suppress(OSError):
            self._describe(entry, content, data, stamps)
        return data

    def _write(self, content: str, data: ImageData) -> None:
        """Put the entry in place of what stands there."""
        entry = self._entry(content)
        temporary = entry.with_name(f".{entry.name}-{uuid4().hex}")
        try:
            temporary.mkdir(mode=0o700)
            stamps = {
                name: _write_array(temporary / f"{name}.npy", value)
                for name, value in list_fields(data)
                if isinstance(value, np.ndarray)
            }
            self._describe(temporary, content, data, stamps)
            if entry.is_symlink() or entry.is_file():
                entry.unlink()
            elif entry.exists():
                entry.rename(temporary / "damaged")
            temporary.rename(entry)
            shutil.rmtree(entry / "damaged", ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _describe(self, entry: Path, content: str, data: ImageData, stamps: dict[str, list[int]]) -> None:
        """Write what the entry holds beside its arrays, and what their files look like."""
        values = {
            name: value for name, value in list_fields(data) if value is not None and name not in stamps
        }
        self._folder.write(entry / "description.json", content, {"values": values, "arrays": stamps})


def _write_array(path: Path, array: NDArray[Any]) -> list[int]:
    """Write an array and return the stamp of its file."""
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=False)
        file.flush()
        # A rename may reach the disk before the data does: without this, a power cut leaves zeros.
        os.fsync(file.fileno())
    return list(make_stamp(path.stat()))


def _read_array(path: Path, is_mapped: bool) -> tuple[NDArray[Any], list[int]]:
    """An array and the stamp of its file; raises UsageError or ValueError where it is damaged."""
    with open_foreign(path, LARGEST_ARRAY, links=False) as file:
        stamp = list(make_stamp(os.fstat(file.fileno())))
        if not is_mapped:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return array, stamp
        np.lib.format.read_magic(file)
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype.hasobject or is_fortran:
            raise ValueError(f"'{path}' holds an array of {dtype} that cannot be mapped")
        return np.memmap(file, dtype, "r", file.tell(), shape), stamp


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
