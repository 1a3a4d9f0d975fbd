"""HAM10000: dermatoscopic images of pigmented skin lesions, several of which may show one lesion."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from reweightbench.benchmark.contracts.dataset import AugmentationName, Dataset, ImageData, Sources
from reweightbench.benchmark.contracts.errors import DataMissingError, UsageError
from reweightbench.benchmark.data.image_cache import Decoded, cached, digest_files, read_images

METADATA = "HAM10000_metadata.csv"
IMAGE_FOLDERS = ("HAM10000_images_part_1", "HAM10000_images_part_2")


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
        folder = self._find(sources.data_dir)
        rows = self._read_rows(folder / METADATA)
        available = {path.stem: path for name in IMAGE_FOLDERS for path in (folder / name).glob("*.jpg")}
        absent = [row.image_id for row in rows if row.image_id not in available]
        if absent and not sources.allow_subset:
            raise UsageError(
                f"{len(absent)} of the {len(rows)} images in '{folder / METADATA}' have no file, such as "
                f"{absent[0]}.jpg; put all into {' and '.join(IMAGE_FOLDERS)}, or pass --allow-subset"
            )
        rows = [row for row in rows if row.image_id in available]
        is_complete = self._check_counts(rows, folder, sources.allow_subset)
        files = [available[row.image_id] for row in rows]
        digest = digest_files(folder, [folder / METADATA, *files], self.version, self.image_size)
        return cached(sources, "ham10000", digest, lambda: self._decode(rows, files, is_complete))

    def _find(self, data_dir: Path) -> Path:
        for folder in (data_dir, data_dir / "ham10000"):
            if (folder / METADATA).is_file():
                return folder
        raise DataMissingError(
            f"no HAM10000 in '{data_dir}': it cannot be downloaded unattended; put {METADATA} and the folders "
            f"{' and '.join(IMAGE_FOLDERS)} there or in its folder 'ham10000', from {self.source} or "
            f"Kaggle (kmader/skin-cancer-mnist-ham10000); licence {self.license}"
        )

    def _read_rows(self, path: Path) -> list[Row]:
        """The rows in the order of their image ids; raises UsageError where they contradict each other."""
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                table = csv.DictReader(file)
                lacking = [name for name in Row._fields if name not in (table.fieldnames or ())]
                if lacking:
                    raise self._altered(path, f"has no column '{lacking[0]}'")
                rows = sorted(Row(*(line[name] or "" for name in Row._fields)) for line in table)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self._altered(path, f"is not a readable CSV file ({error})") from None
        diagnoses: dict[str, str] = {}
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            if following is not None and row.image_id == following.image_id:
                raise self._altered(path, f"lists image '{row.image_id}' twice")
            if not row.lesion_id:
                raise self._altered(path, f"has no lesion_id for image '{row.image_id}'")
            if row.dx not in self.classes:
                raise self._altered(path, f"gives image '{row.image_id}' the unknown dx '{row.dx}'")
            if diagnoses.setdefault(row.lesion_id, row.dx) != row.dx:
                both = f"{diagnoses[row.lesion_id]} and {row.dx}"
                raise self._altered(path, f"gives lesion '{row.lesion_id}' two diagnoses, {both}")
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

    def _altered(self, path: Path, finding: str) -> UsageError:
        return UsageError(f"'{path}' {finding}: an altered copy; get the original from {self.source}")

    def _decode(self, rows: Sequence[Row], files: Sequence[Path], is_complete: bool) -> Decoded:
        shorter_sides: list[int] = []
        images = read_images(
            files, self.image_size, "ham10000", lambda path, size: shorter_sides.append(min(size))
        )
        variant = "full" if is_complete else f"subset{len(rows)}"
        if min(shorter_sides) < self.original_height:
            variant += f"-{min(shorter_sides)}px"
        _, groups = np.unique([row.lesion_id for row in rows], return_inverse=True)
        targets = np.array([self.classes.index(row.dx) for row in rows], dtype=np.int64)
        return Decoded(images=images, targets=targets, variant=variant, groups=groups.astype(np.int64))


def _summary(images: Mapping[str, int], lesions: Mapping[str, int]) -> str:
    counts = ", ".join(f"{name} {images[name]}" for name in sorted(images))
    return f"{sum(images.values())} images of {sum(lesions.values())} lesions ({counts})"
