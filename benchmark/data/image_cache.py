"""Images decoded from files and kept as `.npy`, so that only the first start pays for decoding.

An entry of the cache is a folder that appears by one rename when it is complete: a reader sees all of it or
nothing, and of two processes that write the same entry the second discards its own.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import UsageError

# Part of every entry's name: raise it when the files in an entry or the decoding of images change.
FORMAT = 1

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What a dataset reads from its files; arrays as in `ImageData`."""

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    variant: str
    is_test: NDArray[np.bool_] | None = None
    groups: NDArray[np.int64] | None = None


def describe(decoded: Decoded) -> ImageData:
    """The images with their fingerprint and pixel statistics."""
    mean, std = _pixel_statistics(decoded.images, decoded.is_test)
    return ImageData(**vars(decoded), fingerprint=_fingerprint(decoded), mean=mean, std=std)


def digest_files(folder: Path, paths: Iterable[Path], *options: str | int) -> str:
    """The sha256 of the files' names below `folder`, sizes and modification times, and of `options`.

    Raises UsageError where a file is missing.
    """
    digest = hashlib.sha256("\0".join(map(str, options)).encode())
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            raise UsageError(f"cannot read '{path}' ({error.strerror}); get the file again") from None
        name = str(path).removeprefix(str(folder))
        digest.update(f"\n{name}\0{status.st_size}\0{status.st_mtime_ns}".encode())
    return digest.hexdigest()


def read_images(
    paths: Sequence[Path], size: int, name: str, check: Callable[[Path, tuple[int, int]], None] | None = None
) -> NDArray[np.uint8]:
    """RGB images `(n, size, size, 3)` of JPEG files, resized by antialiased bilinear interpolation.

    `check` sees each path with the original `(width, height)`. Raises UsageError naming a damaged file.
    """
    images = np.empty((len(paths), size, size, 3), dtype=np.uint8)

    def read(index: int) -> None:
        try:
            # Only the JPEG decoder: what a file claims to be must not choose among Pillow's many parsers.
            with Image.open(paths[index], formats=["JPEG"]) as image:
                if check is not None:
                    check(paths[index], image.size)
                pixels = image.convert("RGB")
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise UsageError(
                f"'{paths[index]}' is not a readable JPEG ({error}); get the file again"
            ) from None
        images[index] = np.asarray(pixels.resize((size, size), Image.Resampling.BILINEAR))

    def read_block(block: range) -> int:
        for index in block:
            read(index)
        return len(block)

    # Pillow decodes without the interpreter lock; blocks, because handing over single small images costs more
    # than decoding them. `disable=None` shows the bar on terminals only.
    blocks = [range(start, min(start + 64, len(paths))) for start in range(0, len(paths), 64)]
    bar = tqdm(desc=f"decoding {name}", total=len(paths), delay=1, unit="image", disable=None)
    with bar, ThreadPoolExecutor(2) as pool:
        for count in pool.map(read_block, blocks):
            bar.update(count)
    return images


def cached(sources: Sources, name: str, inputs_digest: str, decode: Callable[[], Decoded]) -> ImageData:
    """The images of the entry for `inputs_digest`, which `decode` fills where it is absent or damaged.

    `inputs_digest` must cover all that the arrays depend on. Images come back memory-mapped and read-only.
    A cache that cannot be written costs time, not results: a warning is logged and the images stay in memory.
    """
    digest = hashlib.sha256(f"{FORMAT}\0{inputs_digest}".encode()).hexdigest()
    entry = sources.cache_dir / f"{name}-{digest[:16]}"
    found = _read(entry)
    if found is not None:
        return found
    data = describe(decode())
    try:
        _write(entry, data)
    except OSError as error:
        logger.warning("images are decoded at every start: cannot write the cache '%s': %s", entry, error)
    return _read(entry) or data


def _read(entry: Path) -> ImageData | None:
    """The entry's content, or None where it is absent or damaged: its arrays must have its fingerprint."""
    try:
        description = json.loads((entry / "description.json").read_text())
        names = description.pop("arrays")
        arrays = {
            name: np.load(entry / f"{name}.npy", allow_pickle=False) for name in names if name != "images"
        }
        arrays["images"] = np.load(entry / "images.npy", mmap_mode="r", allow_pickle=False)
        mean, std = tuple(description.pop("mean")), tuple(description.pop("std"))
        data = ImageData(mean=mean, std=std, **arrays, **description)
        return data if data.fingerprint == _fingerprint(data) else None
    except Exception:  # noqa: BLE001  json and np.load raise errors of a dozen types on damaged files
        return None


def _write(entry: Path, data: ImageData) -> None:
    """Put the entry in place, unless another process has done so meanwhile."""
    temporary = entry.with_name(f".{entry.name}-{uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
        values = vars(data)
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        for name, array in arrays.items():
            with (temporary / f"{name}.npy").open("wb") as file:
                np.save(file, array, allow_pickle=False)
                file.flush()
                # A rename may reach the disk before the data does: without this, a power cut leaves zeros.
                os.fsync(file.fileno())
        description = {
            name: value for name, value in values.items() if value is not None and name not in arrays
        }
        (temporary / "description.json").write_text(json.dumps(description | {"arrays": list(arrays)}))
        _put(temporary, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _put(temporary: Path, entry: Path) -> None:
    """Rename `temporary` to `entry`; a readable entry that stands there stays, a damaged one goes."""
    try:
        temporary.rename(entry)
    except OSError:
        if _read(entry) is not None:
            return
        if entry.exists():
            entry.rename(temporary / "damaged")
        temporary.rename(entry)
        shutil.rmtree(entry / "damaged", ignore_errors=True)


def _fingerprint(decoded: Decoded | ImageData) -> str:
    """The sha256 of all arrays with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, array in sorted(vars(decoded).items()):
        if isinstance(array, np.ndarray):
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _pixel_statistics(
    images: NDArray[np.uint8], is_test: NDArray[np.bool_] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation `(ch,)` of pixels in [0, 1] outside the official test part.

    From histograms: exact sums whatever the chunks, and no float copy of all images.
    """
    ids = np.arange(len(images)) if is_test is None else np.flatnonzero(~is_test)
    counts = np.zeros((images.shape[-1], 256), dtype=np.int64)
    # Chunks of about a megabyte stay in the processor's cache, which is three times as fast as large ones.
    step = max(1, 2**20 // images[0].size)
    for start in range(0, len(ids), step):
        pixels = images[ids[start : start + step]].reshape(-1, len(counts))
        for channel, values in enumerate(pixels.T):
            counts[channel] += np.bincount(values, minlength=256)
    levels = np.arange(256) / 255
    mean = counts @ levels / counts.sum(axis=1)
    variance = (counts * (levels - mean[:, None]) ** 2).sum(axis=1) / counts.sum(axis=1)
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())
