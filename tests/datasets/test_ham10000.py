"""HAM10000 in the Kaggle layout, on sets of twenty images."""

import dataclasses
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import DataMissingError, UsageError
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.datasets.ham10000 import Ham10000

Row = tuple[str, str, str]

# lesion, image and diagnosis; lesions with several images have their ids in another order than the images
ROWS: list[Row] = [
    *((f"HAM_{9 - index % 5}", f"ISIC_{index:02}", "nv") for index in range(8)),
    *((f"HAM_{19 - index}", f"ISIC_{index:02}", "mel") for index in range(8, 10)),
    *((f"HAM_{2 * index}", f"ISIC_{index}", name) for index, name in enumerate(["akiec", "bcc", "bkl"], 10)),
    *((f"HAM_3{index % 2}", f"ISIC_{index}", ["df", "vasc"][index % 2]) for index in range(13, 20)),
]


class TinyHam10000(Ham10000):
    """Twenty images of twelve lesions, 45 pixels high."""

    original_height = 45
    image_counts: ClassVar = dict(akiec=1, bcc=1, bkl=1, df=3, mel=2, nv=8, vasc=4)
    lesion_counts: ClassVar = dict(akiec=1, bcc=1, bkl=1, df=1, mel=2, nv=5, vasc=1)


def write(folder: Path, rows: list[Row], size: tuple[int, int] = (60, 45)) -> Path:
    """Images of one colour each, whose red is ten times the number in their id."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{lesion},{image},{dx},histo,45.0,male,back" for lesion, image, dx in reversed(rows)]
    header = "lesion_id,image_id,dx,dx_type,age,sex,localization"
    (folder / "HAM10000_metadata.csv").write_text("\n".join([header, *lines, ""]))
    for index, (_, image, _) in enumerate(rows):
        path = folder / f"HAM10000_images_part_{index % 2 + 1}" / f"{image}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", size, (int(image[-2:]) * 10, 100, 0)).save(path, quality=100, subsampling=0)
    return folder


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture
def subset_sources(tmp_path: Path) -> Sources:
    return Sources(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache", allow_subset=True)


def load(sources: Sources) -> ImageData:
    return TinyHam10000(image_size=32).load(sources)


def refusal(sources: Sources) -> str:
    """The one line that refuses the data."""
    with pytest.raises(UsageError) as raised:
        load(sources)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_shipped_counts_are_those_of_the_publication() -> None:
    assert sum(Ham10000.image_counts.values()) == 10_015
    assert sum(Ham10000.lesion_counts.values()) == 7_470
    assert tuple(sorted(Ham10000.image_counts)) == tuple(sorted(Ham10000.lesion_counts)) == Ham10000.classes


def test_labels_make_options() -> None:
    assert DATASETS.create("ham10000") == Ham10000(image_size=224)
    assert DATASETS.create("ham10000(image_size=64)") == Ham10000(image_size=64)
    with pytest.raises(UsageError, match=r"^ham10000: image_size is 65; it must be one of 32, 64, 128, 224$"):
        DATASETS.create("ham10000(image_size=65)")


@pytest.mark.parametrize("place", [".", "ham10000"])
def test_complete_set(sources: Sources, place: str) -> None:
    write(sources.data_dir / place, ROWS)
    data = load(sources)
    assert data.images.shape == (20, 32, 32, 3)
    np.testing.assert_allclose(data.images[:, 16, 16, 0].astype(int), np.arange(20) * 10, atol=2)
    names = [Ham10000.classes[target] for target in data.targets]
    assert names == [dx for _, _, dx in ROWS]
    assert data.targets.dtype == np.int64
    assert (data.variant, data.is_test) == ("full", None)


def test_groups_number_the_lesions_in_the_order_of_their_ids(sources: Sources) -> None:
    write(sources.data_dir, ROWS)
    groups = load(sources).groups
    lesions = sorted({lesion for lesion, _, _ in ROWS})
    assert groups is not None
    assert groups.dtype == np.int64
    assert groups.tolist() == [lesions.index(lesion) for lesion, _, _ in ROWS]


def test_the_whole_picture_becomes_a_square(sources: Sources) -> None:
    folder = write(sources.data_dir, ROWS)
    picture = np.zeros((45, 60, 3), dtype=np.uint8)
    picture[:, :6] = 255
    Image.fromarray(picture).save(
        folder / "HAM10000_images_part_1" / "ISIC_00.jpg", quality=100, subsampling=0
    )
    row = load(sources).images[0, 16, :, 0].astype(int)
    np.testing.assert_allclose(row[:2], 255, atol=8)
    np.testing.assert_allclose(row[5:], 0, atol=8)


def test_an_image_replaced_by_one_of_the_same_size_and_time_is_noticed(sources: Sources) -> None:
    path = write(sources.data_dir, ROWS) / "HAM10000_images_part_1" / "ISIC_00.jpg"
    first = load(sources)
    status, content = path.stat(), path.read_bytes()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "ISIC_00.jpg' (" in refusal(sources)
    path.write_bytes(content)
    assert load(sources).fingerprint == first.fingerprint


def test_other_sizes_and_other_metadata_are_not_taken_from_the_cache(sources: Sources) -> None:
    path = write(sources.data_dir, ROWS) / "HAM10000_metadata.csv"
    first = load(sources)
    assert TinyHam10000(image_size=64).load(sources).images.shape == (20, 64, 64, 3)
    exchanged = path.read_text().replace("bcc", "?").replace("bkl", "bcc").replace("?", "bkl")
    path.write_text(exchanged)
    os.utime(path, ns=(0, 0))
    assert load(sources).targets[[11, 12]].tolist() == first.targets[[12, 11]].tolist() == [2, 1]


def test_missing_data_says_what_where_from_and_the_licence(sources: Sources) -> None:
    with pytest.raises(DataMissingError) as raised:
        Ham10000().load(sources)
    assert str(raised.value) == (
        f"no HAM10000 in '{sources.data_dir}', which does not exist: it cannot be downloaded unattended; put "
        "HAM10000_metadata.csv and the folders HAM10000_images_part_1 and HAM10000_images_part_2 or their zip "
        "archives there or in a folder below, from doi:10.7910/DVN/DBW86T or Kaggle "
        "(kmader/skin-cancer-mnist-ham10000); licence CC BY-NC 4.0"
    )


def test_fetch_downloads_nothing(sources: Sources) -> None:
    Ham10000().fetch(sources)
    assert not sources.data_dir.exists()


def test_subset_is_refused_with_its_counts(sources: Sources) -> None:
    folder = write(sources.data_dir, ROWS[1:])
    assert refusal(sources) == (
        f"'{folder}' holds 19 images of 12 lesions "
        "(akiec 1, bcc 1, bkl 1, df 3, mel 2, nv 7, vasc 4), "
        "not 20 images of 12 lesions (akiec 1, bcc 1, bkl 1, df 3, mel 2, nv 8, vasc 4); "
        "complete it, or pass --allow-subset"
    )


def test_permitted_subset_has_its_size_in_the_variant(subset_sources: Sources) -> None:
    write(subset_sources.data_dir, ROWS[1:])
    assert load(subset_sources).variant == "subset19"


def test_small_originals_show_in_the_variant(sources: Sources, subset_sources: Sources) -> None:
    write(sources.data_dir, ROWS, size=(40, 40))
    assert load(sources).variant == "full-40px"
    shutil.rmtree(sources.data_dir)
    write(sources.data_dir, ROWS[1:], size=(40, 36))
    assert load(subset_sources).variant == "subset19-36px"


def test_rows_without_image(sources: Sources, subset_sources: Sources) -> None:
    folder = write(sources.data_dir, ROWS)
    for name in ("part_1/ISIC_04.jpg", "part_2/ISIC_07.jpg"):
        (folder / f"HAM10000_images_{name}").unlink()
    assert refusal(sources) == (
        f"2 of the 20 images in the metadata have no file, such as ISIC_04.jpg; '{folder}', which was searched, "
        "holds 'HAM10000_images_part_1/', 'HAM10000_images_part_2/', 'HAM10000_metadata.csv'; put "
        "HAM10000_images_part_1 and HAM10000_images_part_2 or their zip archives there, or pass --allow-subset"
    )
    data = load(subset_sources)
    assert data.variant == "subset18"
    red = [int(image[-2:]) * 10 for _, image, _ in ROWS if image not in {"ISIC_04", "ISIC_07"}]
    np.testing.assert_allclose(data.images[:, 16, 16, 0].astype(int), red, atol=2)


def test_subset_without_a_class(subset_sources: Sources) -> None:
    folder = write(subset_sources.data_dir, [row for row in ROWS if row[2] not in {"bcc", "df"}])
    message = refusal(subset_sources)
    assert message.startswith(f"'{folder}' holds no image of 'bcc' (16 images of 10 lesions (")
    assert message.endswith("a subset needs all classes")


def replace(image: str, lesion: str | None = None, dx: str | None = None) -> list[Row]:
    """The rows with another lesion or diagnosis for one image."""
    return [
        (old[0] if lesion is None else lesion, old[1], old[2] if dx is None else dx)
        if old[1] == image
        else old
        for old in ROWS
    ]


@pytest.mark.parametrize(
    ("rows", "finding"),
    [
        ([*ROWS, ROWS[3]], "lists image 'ISIC_03' twice"),
        (replace("ISIC_03", lesion=""), "has no lesion_id for image 'ISIC_03'"),
        (replace("ISIC_03", dx="naevus"), "gives image 'ISIC_03' the unknown dx 'naevus'"),
        (replace("ISIC_05", dx="mel"), "gives lesion 'HAM_9' two diagnoses, nv and mel"),
    ],
)
def test_altered_copies_are_refused_even_as_subsets(
    sources: Sources, subset_sources: Sources, rows: list[Row], finding: str
) -> None:
    path = write(sources.data_dir, rows) / "HAM10000_metadata.csv"
    expected = f"'{path}' {finding}: an altered copy; get the original from doi:10.7910/DVN/DBW86T"
    assert refusal(sources) == expected
    assert refusal(subset_sources) == expected


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([*ROWS, ("HAM_11", "ISIC_20", "mel")], id="oversampled"),
        pytest.param(replace("ISIC_05", lesion="HAM_X"), id="lesions of their own"),
    ],
)
def test_more_than_the_original_is_no_subset(subset_sources: Sources, rows: list[Row]) -> None:
    write(subset_sources.data_dir, rows)
    assert "which is no subset of 20 images of 12 lesions" in refusal(subset_sources)


def remove_column(path: Path) -> None:
    path.write_text(path.read_text().replace("lesion_id", "lesion"))


def write_binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("damage", "finding"),
    [(remove_column, "has no column 'lesion_id'"), (write_binary, "is no UTF-8 text (")],
)
def test_damaged_metadata(sources: Sources, damage: Callable[[Path], None], finding: str) -> None:
    path = write(sources.data_dir, ROWS) / "HAM10000_metadata.csv"
    damage(path)
    assert refusal(sources).startswith(f"'{path}' {finding}")


def test_corrupt_image_is_named(sources: Sources) -> None:
    path = write(sources.data_dir, ROWS) / "HAM10000_images_part_1" / "ISIC_04.jpg"
    path.write_bytes(path.read_bytes()[:300])
    assert refusal(sources).startswith(f"'{path}' (300 bytes) is not a readable JPEG (")


def test_missing_image_folder_names_both(sources: Sources) -> None:
    folder = write(sources.data_dir, ROWS)
    shutil.rmtree(folder / "HAM10000_images_part_1")
    assert refusal(sources).startswith("10 of the 20 images in ")


def change_metadata(folder: Path, name: str, change: Callable[[str], str]) -> None:
    path = folder / "HAM10000_metadata.csv"
    text = change(path.read_text())
    path.unlink()
    (folder / name).write_bytes(text.encode())


def quote(text: str) -> str:
    """Texts quoted and numbers not, separated by tabs, as the Dataverse serves tables."""
    lines = [line.split(",") for line in text.splitlines()]
    return "\n".join(
        "\t".join(cell if cell[0].isdigit() else f'"{cell}"' for cell in cells) for cells in lines
    )


METADATA = [
    ("HAM10000_metadata.csv", lambda text: text.replace("\n", "\r\n")),
    ("HAM10000_metadata.csv", lambda text: "\ufeff" + text),
    ("HAM10000_metadata.csv", lambda text: text.replace(",", "\t")),
    ("HAM10000_metadata.csv", lambda text: text.replace(",", ";")),
    ("HAM10000_metadata", lambda text: text),
    ("HAM10000_metadata", lambda text: text.replace(",", "\t")),
    ("HAM10000_metadata.tab", lambda text: text.replace(",", "\t")),
    ("HAM10000_metadata.tab", quote),
    ("ham10000_metadata.TAB", lambda text: quote(text).replace("\n", "\r\n")),
]


@pytest.mark.parametrize(("name", "change"), METADATA)
def test_metadata_in_every_form_are_the_same_data(
    sources: Sources, name: str, change: Callable[[str], str]
) -> None:
    folder = write(sources.data_dir, ROWS)
    before = load(sources)
    change_metadata(folder, name, change)
    after = load(sources)
    assert (after.fingerprint, after.variant) == (before.fingerprint, before.variant)


PARTS = ("HAM10000_images_part_1", "HAM10000_images_part_2")


def move_into(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        for path in (folder / part).iterdir():
            path.rename(target / path.name)
        (folder / part).rmdir()


def move_into_one_folder(folder: Path) -> None:
    move_into(folder, folder / "images")


def move_beside_the_metadata(folder: Path) -> None:
    move_into(folder, folder)


def nest(folder: Path) -> None:
    for part in PARTS:
        (folder / part).rename(folder / "part")
        (folder / part).mkdir()
        (folder / "part").rename(folder / part / part)
    (folder / "ham10000" / "archive").mkdir(parents=True)
    for path in list(folder.iterdir()):
        if path.name != "ham10000":
            path.rename(folder / "ham10000" / "archive" / path.name)


def rename_images(folder: Path) -> None:
    for number, path in enumerate(sorted(folder.glob("*/*.jpg"))):
        path.rename(path.with_suffix([".JPG", ".jpeg", ".JPEG"][number % 3]))


def pack(folder: Path, name: str, members: list[Path], inside: str = "") -> None:
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path in members:
            archive.write(path, f"{inside}{path.name}")


def pack_parts(folder: Path) -> None:
    for part in PARTS:
        pack(folder, f"{part}.zip", sorted((folder / part).iterdir()))
        shutil.rmtree(folder / part)


def pack_parts_on_a_mac(folder: Path) -> None:
    for part in PARTS:
        pack(folder, f"{part}.zip", sorted((folder / part).iterdir()), f"{part}/")
        with zipfile.ZipFile(folder / f"{part}.zip", "a") as archive:
            archive.writestr(f"__MACOSX/{part}/._ISIC_00.jpg", b"\0\x05\x16\x07")
            archive.writestr(f"__MACOSX/{part}/ISIC_00.jpg", b"\0\x05\x16\x07")
            archive.writestr(f"{part}/.DS_Store", b"")
        shutil.rmtree(folder / part)


def pack_everything(folder: Path) -> None:
    with zipfile.ZipFile(folder / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*.*")):
            if path.suffix != ".zip":
                archive.write(path, path.relative_to(folder))
                # Kaggle's archive holds the images a second time.
                archive.write(path, f"{path.parent.name.lower()}/{path.name}")
    for part in PARTS:
        shutil.rmtree(folder / part)
    (folder / "HAM10000_metadata.csv").unlink()


def keep_the_archives(folder: Path) -> None:
    pack(folder, "HAM10000_images_part_1.zip", sorted((folder / PARTS[0]).iterdir()))


def leave_traces(folder: Path) -> None:
    for place in (folder, folder / PARTS[0]):
        for name in ("._ISIC_00.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "._HAM10000_metadata.csv"):
            (place / name).write_bytes(b"\0\x05\x16\x07")
    (folder / "__MACOSX" / PARTS[0]).mkdir(parents=True)
    (folder / "__MACOSX" / PARTS[0] / "ISIC_00.jpg").write_bytes(b"\0\x05\x16\x07")


@pytest.mark.parametrize(
    "change",
    [
        *(move_into_one_folder, move_beside_the_metadata, nest, rename_images),
        *(pack_parts, pack_parts_on_a_mac, pack_everything, keep_the_archives, leave_traces),
    ],
)
def test_images_in_every_layout_are_the_same_data(
    sources: Sources, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = write(sources.data_dir, ROWS)
    before = load(sources)
    change(folder)
    after = TinyHam10000(image_size=32).load(dataclasses.replace(sources, cache_dir=tmp_path / "new"))
    for name in ("images", "targets", "groups", "fingerprint", "variant", "mean", "std", "is_test"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name), err_msg=name)


@pytest.mark.parametrize("is_packed", [False, True])
def test_one_id_in_two_places_with_other_bytes_is_refused(sources: Sources, is_packed: bool) -> None:
    folder = write(sources.data_dir, ROWS)
    original = folder / PARTS[0] / "ISIC_00.jpg"
    other = folder / PARTS[1] / "ISIC_00.jpg"
    Image.new("RGB", (60, 45), "white").save(other)
    shown = str(other)
    if is_packed:
        pack(folder, "HAM10000_images_part_2.zip", [other])
        other.unlink()
        shown = f"{folder / 'HAM10000_images_part_2.zip'}:ISIC_00.jpg"
    message = refusal(sources)
    assert f"'{original}' and '{shown}' differ" in message
    assert "both are 'ISIC_00'" in message


def test_metadata_that_contradict_each_other_are_refused(sources: Sources) -> None:
    folder = write(sources.data_dir, ROWS)
    text = (folder / "HAM10000_metadata.csv").read_text()
    (folder / "HAM10000_metadata.tab").write_text(text.replace(",", "\t"))
    assert load(sources).variant == "full"
    (folder / "HAM10000_metadata.tab").write_text(text.replace(",", "\t").replace("HAM_9", "HAM_5"))
    assert refusal(sources) == (
        f"'{folder / 'HAM10000_metadata.csv'}' and '{folder / 'HAM10000_metadata.tab'}' hold different rows; "
        "remove the wrong one"
    )


def test_a_packed_image_that_is_damaged_is_named(sources: Sources) -> None:
    folder = write(sources.data_dir, ROWS)
    pack_parts(folder)
    path = folder / f"{PARTS[0]}.zip"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    assert refusal(sources).startswith(f"'{path}:ISIC_00.jpg' cannot be unpacked (")


def test_without_any_image_the_message_says_what_is_there(sources: Sources, subset_sources: Sources) -> None:
    folder = write(sources.data_dir, ROWS)
    for part in PARTS:
        shutil.rmtree(folder / part)
    (folder / "images.rar").touch()
    for given in (sources, subset_sources):
        assert "'HAM10000_metadata.csv', 'images.rar'; put" in refusal(given)
