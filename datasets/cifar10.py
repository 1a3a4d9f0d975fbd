"""CIFAR-10 from the official archive, or from a folder of re-encoded JPEG images."""

import hashlib
import io
import os
import pickle
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pooch
from numpy.typing import NDArray

from reweightbench.benchmark.contracts.dataset import AugmentationName, Dataset, ImageData, Sources
from reweightbench.benchmark.contracts.errors import DataMissingError, UsageError
from reweightbench.benchmark.contracts.foreign import open_foreign
from reweightbench.benchmark.data.description import Decoded
from reweightbench.benchmark.data.image_cache import Inputs, cached
from reweightbench.benchmark.data.image_files import LARGEST_FILE, read_images
from reweightbench.benchmark.data.source_files import (
    SourceFile,
    find_files,
    find_folders,
    list_folder,
    source_file,
)

ARCHIVE = "cifar-10-python.tar.gz"
# Browsers number a second download and unpack the outer layer.
RENAMED_ARCHIVE = r"cifar-?_?10(?!0).*\.(tar\.gz|tgz|tar)"
LARGEST_ARCHIVE = 2**28
BATCH_FOLDER = "cifar-10-batches-py"
JPEG_FOLDER = "cifar10-jpeg"
MIRROR_VARIABLE = "REWEIGHTBENCH_CIFAR10_URL"

Layout = Literal["archive", "batches", "renamed archive", "jpegs"]


@dataclass
class Cifar10(Dataset):
    """60,000 photographs of 32x32 pixels in ten classes, with the official test part of 10,000.

    `images` `(n, image_size, image_size, 3)`: training images in their original order, then the test part.
    `image_size` is 32, or 16: averages of 2x2 pixels, rounded half up. `per_class` keeps the first so many
    training images of each class in the original order; the test part is always whole.

    Looked for in the data directory and three levels of folders below it, in this order: the archive
    `cifar-10-python.tar.gz`, its unpacked batches, the archive under another name or without its outer layer
    (all variant "official"), `cifar10-jpeg/{train,test}/<class>/<number>.jpg` (variant "jpeg"; the number is
    an image's place in the original order). The environment variable REWEIGHTBENCH_CIFAR10_URL names a mirror.
    """

    image_size: int = 32
    per_class: int = 5000

    classes: ClassVar[tuple[str, ...]] = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    license: ClassVar[str] = "none stated; its author asks to be cited (Krizhevsky 2009)"
    source: ClassVar[str] = "https://www.cs.toronto.edu/~kriz/cifar.html"
    augmentation: ClassVar[AugmentationName] = "crop_flip"

    part_sizes: ClassVar[Mapping[str, int]] = {"train": 50_000, "test": 10_000}
    url: ClassVar[str] = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
    archive_md5: ClassVar[str] = "c58f30108f718f92721af3b95e74349a"
    batch_md5: ClassVar[Mapping[str, str]] = {
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    }

    def __post_init__(self) -> None:
        if self.image_size not in (32, 16):
            raise ValueError(f"image_size is {self.image_size}; it must be 32 or 16")
        largest = self.part_sizes["train"] // len(self.classes)
        if not 1 <= self.per_class <= largest:
            raise ValueError(f"per_class is {self.per_class}; it must lie in 1..{largest}")

    def load(self, sources: Sources) -> ImageData:
        """The images; raises UsageError where files are damaged or images are missing."""
        layout, place = self._find(sources.data_dir) or (None, Path())
        decode: Callable[[], Decoded]
        if layout is None:
            raise DataMissingError(
                f"no CIFAR-10 in '{sources.data_dir}', which {list_folder(sources.data_dir)}; "
                f"run 'reweightbench prepare cifar10', or put {ARCHIVE} there"
            )
        if layout == "batches":
            files = [(name, source_file(place / name, LARGEST_FILE)) for name in self.batch_md5]
            decode = partial(self._decode_folder, [file for _, file in files])
        elif layout == "jpegs":
            all_files, targets = self._list_jpegs(place)
            kept = self._kept(targets)
            files = [all_files[index] for index in kept]
            decode = partial(self._decode_jpegs, [file for _, file in files], targets[kept])
        else:
            files = [(ARCHIVE, source_file(place, LARGEST_ARCHIVE))]
            decode = partial(self._decode_archive, place)
        options = (layout == "jpegs", self.version, self.image_size, self.per_class)
        return cached(sources, "cifar10", Inputs(files, options), decode)

    def _find(self, data_dir: Path) -> tuple[Layout, Path] | None:
        """The first layout in the data directory and where it is."""
        found: dict[Layout, Path] = {}
        for place, names in find_folders(data_dir, 3, lambda name: name in {BATCH_FOLDER, JPEG_FOLDER}):
            files = [name for name in names if re.fullmatch(RENAMED_ARCHIVE, name, re.IGNORECASE)]
            if ARCHIVE in files:
                found.setdefault("archive", place / ARCHIVE)
            elif files:
                found.setdefault("renamed archive", place / files[0])
            if place.name == BATCH_FOLDER or "data_batch_1" in names:
                found.setdefault("batches", place)
            if place.name == JPEG_FOLDER:
                found.setdefault("jpegs", place)
        order: tuple[Layout, ...] = ("archive", "batches", "renamed archive", "jpegs")
        return next(((layout, found[layout]) for layout in order if layout in found), None)

    def fetch(self, sources: Sources) -> None:
        """Download the official archive, unless the data directory holds CIFAR-10 in some layout."""
        folder = sources.data_dir
        if self._find(folder):
            return
        if (folder / ARCHIVE).is_dir():
            raise UsageError(f"'{folder / ARCHIVE}' is a folder without CIFAR-10; remove it")
        url = os.environ.get(MIRROR_VARIABLE) or self.url
        try:
            pooch.retrieve(url, f"md5:{self.archive_md5}", ARCHIVE, folder, progressbar=sys.stderr.isatty())
        except (OSError, ValueError) as error:
            # pooch leaves the connection of a refused request open
            response = getattr(error, "response", None)
            if response is not None:
                response.close()
            reason = " ".join(str(error).split())
            raise UsageError(
                f"cannot download CIFAR-10 from '{url}' ({reason}); set {MIRROR_VARIABLE} to a mirror, "
                f"or without a network put {ARCHIVE} into '{folder}'"
            ) from None

    def _decode_archive(self, path: Path) -> Decoded:
        contents = {}
        with open_foreign(path, LARGEST_ARCHIVE) as file:
            if path.suffix != ".tar":
                # Without its outer layer an archive has no official digest; its batches have.
                _check_md5(str(path), hashlib.file_digest(file, _md5).hexdigest(), self.archive_md5)
                file.seek(0)
            try:
                with tarfile.open(fileobj=file) as members:
                    for member in members:
                        name = Path(member.name).name
                        if name in self.batch_md5 and member.isreg() and member.size <= LARGEST_FILE:
                            contents[name] = members.extractfile(member).read()  # type: ignore[union-attr]
            except (tarfile.TarError, OSError, EOFError) as error:
                raise UsageError(f"'{path}' is no readable archive ({error}); get {ARCHIVE} again") from None
        return self._decode_batches(contents)

    def _decode_folder(self, files: Sequence[SourceFile]) -> Decoded:
        return self._decode_batches({file.name: file.read() for file in files})

    def _decode_batches(self, contents: Mapping[str, bytes]) -> Decoded:
        """The images of the pickles, each opened only if its MD5 is the official one."""
        data, labels = [], []
        for name, expected in self.batch_md5.items():
            if name not in contents:
                raise UsageError(f"the archive of CIFAR-10 holds no '{name}'; get {ARCHIVE} again")
            _check_md5(f"{BATCH_FOLDER}/{name}", _md5(contents[name]).hexdigest(), expected)
            batch = _ArrayUnpickler(io.BytesIO(contents[name]), encoding="latin1").load()
            data.append(batch["data"])
            labels.append(batch["labels"])
        targets = np.concatenate(labels).astype(np.int64)
        kept = self._kept(targets)
        images = np.concatenate(data)[kept].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return self._decoded(np.ascontiguousarray(images), targets[kept], "official")

    def _decode_jpegs(self, files: Sequence[SourceFile], targets: NDArray[np.int64]) -> Decoded:
        return self._decoded(read_images(files, 32, "cifar10", _check_size), targets, "jpeg")

    def _decoded(self, images: NDArray[np.uint8], targets: NDArray[np.int64], variant: str) -> Decoded:
        if self.image_size == 16:
            blocks = images.reshape(-1, 16, 2, 16, 2, 3)
            images = ((blocks.sum(axis=(2, 4), dtype=np.uint16) + 2) // 4).astype(np.uint8)
        is_test = np.arange(len(images)) >= len(images) - self.part_sizes["test"]
        return Decoded(images=images, targets=targets, variant=variant, is_test=is_test)

    def _kept(self, targets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Places of the images in use among all of them."""
        train = targets[: self.part_sizes["train"]]
        first = [np.flatnonzero(train == target)[: self.per_class] for target in range(len(self.classes))]
        return np.concatenate([np.sort(np.concatenate(first)), np.arange(len(train), len(targets))])

    def _list_jpegs(self, folder: Path) -> tuple[list[tuple[str, SourceFile]], NDArray[np.int64]]:
        """All files, named by their part and number, in the original order, and their targets `(n,)`."""
        files, targets = [], []
        for part, size in self.part_sizes.items():
            found: list[tuple[str, SourceFile, int]] = []
            for target, name in enumerate(self.classes):
                place = folder / part / name
                jpegs = find_files(place, _is_jpeg, LARGEST_FILE) if place.is_dir() else []
                found += [(file.name.rpartition(".")[0], file, target) for file in jpegs]
            counts = Counter(target for _, _, target in found)
            for target, name in enumerate(self.classes):
                if counts[target] != size // len(self.classes):
                    raise UsageError(
                        f"'{folder / part / name}' holds {counts[target]} images, not {size // len(self.classes)} "
                        f"('{part}': {len(found)} of {size}); get the folder again"
                    )
            # Equally long numbers: the order of the names is the original one.
            found.sort(key=lambda entry: entry[0])
            for number, (stem, _, _) in enumerate(found):
                if stem != f"{number:05}":
                    raise UsageError(
                        f"no image of '{folder / part}' is named {number:05}.jpg; a name is an image's place "
                        "in the original order"
                    )
            files += [(f"{part}/{self.classes[target]}/{stem}", file) for stem, file, target in found]
            targets += [target for _, _, target in found]
        return files, np.array(targets, dtype=np.int64)


class _ArrayUnpickler(pickle.Unpickler):
    """Builds containers, numbers and numpy arrays; a pickle that names anything else is refused."""

    allowed: ClassVar[Mapping[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        # numpy's maker of empty arrays, under its name before numpy 2 and since
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise UsageError(
                f"a batch of CIFAR-10 holds '{module}.{name}', not only arrays; get {ARCHIVE} again"
            )
        return self.allowed[module, name]


def _md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)


def _check_md5(name: str, found: str, expected: str) -> None:
    if found != expected:
        raise UsageError(
            f"'{name}' has MD5 {found}, not {expected}; delete the archive or folder and run "
            f"'reweightbench prepare cifar10', or get the official {ARCHIVE}"
        )


def _is_jpeg(name: str) -> bool:
    return name.lower().endswith((".jpg", ".jpeg"))


def _check_size(file: SourceFile, size: tuple[int, int]) -> None:
    if size != (32, 32):
        raise UsageError(f"'{file}' has {size[0]}x{size[1]} pixels, not 32x32; get the file again")
