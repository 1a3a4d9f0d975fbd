"""HAM10000: dermatoscopic images of pigmented skin lesions, several of which may show one lesion."""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from reweightbench.benchmark.contracts.dataset import AugmentationName, Dataset, ImageData, Sources
from reweightbench.benchmark.contracts.errors import DataMissingError, UsageError
from reweightbench.benchmark.contracts.foreign import decode_text
from reweightbench.benchmark.data.description import Decoded
from reweightbench.benchmark.data.image_cache import Inputs, cached
from reweightbench.benchmark.data.image_files import LARGEST_FILE, read_images
from reweightbench.benchmark.data.source_files import SourceFile, find_files, list_folder, open_archives

METADATA = "HAM10000_metadata.csv"
IMAGE_FOLDERS = ("HAM10000_images_part_1", "HAM10000_images_part_2")
# The Dataverse serves tab-separated text by default, and the original comma-separated file without a suffix.
METADATA_NAME = re.compile(r"HAM10000_metadata(\.(csv|tab|tsv|txt))?", re.IGNORECASE)
IMAGE_NAME = re.compile(r"(ISIC_\d+)\.jpe?g", re.IGNORECASE)
# The Dataverse packs each part; Kaggle and the Dataverse pack everything under names of their own.
ARCHIVE_NAME = re.compile(r".*(HAM10000|ISIC|archive|dataverse).*\.zip", re.IGNORECASE)
LARGEST_ARCHIVE = 16 * 2**30


class Row(NamedTuple):
    """An image as the metadata describe it."""

    image_id: str
    lesion_id: str
    dx: str


@dataclass
class Ham10000(Dataset):
    """10,015 images of 7,470 lesions in seven diagnoses, without an official test part.

    `images` `(n, image_size, image_size, 3)` in the order of the image ids: the whole picture of 600x450 pixels
    is resized to a square, which narrows it to three quarters and cuts nothing off. `groups` `(n,)` number the
    lesions in the order of their ids: pictures of one lesion in two parts would leak (Tschandl et al. 2018).

    Variant "full" is the complete set; "subset5000" would be 5,000 of its images, which `allow_subset` permits.
    "-160px" is appended where the smallest image is only 160 pixels high or wide.

    Looked for in the data directory and a few levels of folders below it: `HAM10000_metadata`, separated by commas
    or tabs, and `ISIC_<number>.jpg`, both also inside the zip archives of the Dataverse and of Kaggle.
    """

    image_size: int = 224

    classes: ClassVar[tuple[str, ...]] = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    license: ClassVar[str] = "CC BY-NC 4.0"
    source: ClassVar[str] = "doi:10.7910/DVN/DBW86T"
    augmentation: ClassVar[AugmentationName] = "lesion"

    sizes: ClassVar[tuple[int, ...]] = (32, 64, 128, 224)
    original_height: ClassVar[int] = 450
    image_counts: ClassVar[Mapping[str, int]] = {
        **{"akiec": 327, "bcc": 514, "bkl": 1099, "df": 115, "mel": 1113, "nv": 6705, "vasc": 142}
    }
    lesion_counts: ClassVar[Mapping[str, int]] = {
        **{"akiec": 228, "bcc": 327, "bkl": 727, "df": 73, "mel": 614, "nv": 5403, "vasc": 98}
    }

    def __post_init__(self) -> None:
        if self.image_size not in self.sizes:
            raise ValueError(
                f"image_size is {self.image_size}; it must be one of {', '.join(map(str, self.sizes))}"
            )

    def load(self, sources: Sources) -> ImageData:
        """The images; raises UsageError where the set is altered, or incomplete without `allow_subset`."""
        folder = sources.data_dir
        plain = find_files(folder, _is_of_ham10000, LARGEST_ARCHIVE) if folder.is_dir() else []
        packed = [file for file in plain if ARCHIVE_NAME.fullmatch(file.name)]
        with open_archives(packed, _is_of_ham10000, LARGEST_FILE, LARGEST_ARCHIVE) as members:
            found = [replace(file, limit=LARGEST_FILE) for file in plain if file not in packed] + members
            rows = self._read_metadata([file for file in found if METADATA_NAME.fullmatch(file.name)], folder)
            copies: dict[str, list[SourceFile]] = {}
            for file in found:
                if match := IMAGE_NAME.fullmatch(file.name):
                    copies.setdefault(match[1].upper(), []).append(file)
            absent = [row.image_id for row in rows if row.image_id not in copies]
            if absent and (len(absent) == len(rows) or not sources.allow_subset):
                raise UsageError(
                    f"{len(absent)} of the {len(rows)} images in the metadata have no file, such as {absent[0]}.jpg; "
                    f"'{folder}', which was searched, {list_folder(folder)}; put {' and '.join(IMAGE_FOLDERS)} "
                    "or their zip archives there, or pass --allow-subset"
                )
            rows = [row for row in rows if row.image_id in copies]
            is_complete = self._check_counts(rows, folder, sources.allow_subset)
            files = [(row.image_id, file) for row in rows for file in copies[row.image_id]]
            first = [copies[row.image_id][0] for row in rows]
            inputs = Inputs(files, (self.version, self.image_size, rows))
            return cached(sources, "ham10000", inputs, lambda: self._decode(rows, first, is_complete))

    def _read_metadata(self, files: Sequence[SourceFile], folder: Path) -> list[Row]:
        """The rows of the metadata; raises UsageError where there are none, or copies that differ."""
        if not files:
            raise DataMissingError(
                f"no HAM10000 in '{folder}', which {list_folder(folder)}: it cannot be downloaded unattended; put "
                f"{METADATA} and the folders {' and '.join(IMAGE_FOLDERS)} or their zip archives there or in a "
                f"folder below, from {self.source} or Kaggle (kmader/skin-cancer-mnist-ham10000); "
                f"licence {self.license}"
            )
        rows = self._read_rows(files[0])
        for other in files[1:]:
            if self._read_rows(other) != rows:
                raise UsageError(f"'{files[0]}' and '{other}' hold different rows; remove the wrong one")
        return rows

    def _read_rows(self, file: SourceFile) -> list[Row]:
        """The rows in the order of their image ids; raises UsageError where they contradict each other."""
        text = decode_text(file.read(), str(file), f"get the original from {self.source}")
        delimiter = max("\t;,", key="".join(text.splitlines()[:1]).count)
        try:
            table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
            lacking = [name for name in Row._fields if name not in (table.fieldnames or ())]
            if lacking:
                raise self._altered(file, f"has no column '{lacking[0]}'")
            rows = sorted(Row(*((line[name] or "").strip() for name in Row._fields)) for line in table)
        except csv.Error as error:
            raise self._altered(file, f"is not a readable table ({error})") from None
        diagnoses: dict[str, str] = {}
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            if following is not None and row.image_id == following.image_id:
                raise self._altered(file, f"lists image '{row.image_id}' twice")
            if not row.lesion_id:
                raise self._altered(file, f"has no lesion_id for image '{row.image_id}'")
            if row.dx not in self.classes:
                raise self._altered(file, f"gives image '{row.image_id}' the unknown dx '{row.dx}'")
            if diagnoses.setdefault(row.lesion_id, row.dx) != row.dx:
                both = f"{diagnoses[row.lesion_id]} and {row.dx}"
                raise self._altered(file, f"gives lesion '{row.lesion_id}' two diagnoses, {both}")
        return rows

    def _check_counts(self, rows: Sequence[Row], folder: Path, allow_subset: bool) -> bool:
        """Whether the set is complete; raises UsageError where it is neither that nor a permitted subset."""
        images = Counter(row.dx for row in rows)
        lesions = Counter(dx for _, dx in {(row.lesion_id, row.dx) for row in rows})
        if images == self.image_counts and lesions == self.lesion_counts:
            return True
        found, expected = _summary(images, lesions), _summary(self.image_counts, self.lesion_counts)
        if not allow_subset:
            raise UsageError(f"'{folder}' holds {found}, not {expected}; complete it, or pass --allow-subset")
        if not (images <= Counter(self.image_counts) and lesions <= Counter(self.lesion_counts)):
            raise self._altered(folder, f"holds {found}, which is no subset of {expected}")
        empty = [name for name in self.classes if not images[name]]
        if empty:
            raise UsageError(
                f"'{folder}' holds no image of '{empty[0]}' ({found}); a subset needs all classes"
            )
        return False

    def _altered(self, path: SourceFile | Path, finding: str) -> UsageError:
        return UsageError(f"'{path}' {finding}: an altered copy; get the original from {self.source}")

    def _decode(self, rows: Sequence[Row], files: Sequence[SourceFile], is_complete: bool) -> Decoded:
        shorter_sides: list[int] = []
        images = read_images(
            files, self.image_size, "ham10000", lambda file, size: shorter_sides.append(min(size))
        )
        variant = "full" if is_complete else f"subset{len(rows)}"
        if min(shorter_sides) < self.original_height:
            variant += f"-{min(shorter_sides)}px"
        _, groups = np.unique([row.lesion_id for row in rows], return_inverse=True)
        targets = np.array([self.classes.index(row.dx) for row in rows], dtype=np.int64)
        return Decoded(images=images, targets=targets, variant=variant, groups=groups.astype(np.int64))


def _is_of_ham10000(name: str) -> bool:
    return any(pattern.fullmatch(name) for pattern in (IMAGE_NAME, METADATA_NAME, ARCHIVE_NAME))


def _summary(images: Mapping[str, int], lesions: Mapping[str, int]) -> str:
    counts = ", ".join(f"{name} {images[name]}" for name in sorted(images))
    return f"{sum(images.values())} images of {sum(lesions.values())} lesions ({counts})"
