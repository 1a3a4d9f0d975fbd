"""Reading images: resized whole, upright, and refused by name where they are damaged or beyond reason."""

import io
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data.image_files import LARGEST_FILE, read_images
from reweightbench.benchmark.data.source_files import SourceFile, source_file


def sources_of(paths: Iterable[Path]) -> list[SourceFile]:
    return [source_file(path, LARGEST_FILE) for path in paths]


def save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (12, 9)) -> Path:
    Image.new("RGB", size, colour).save(path, quality=100, subsampling=0)
    return path


def test_images_come_back_in_order_whatever_their_number(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{index}.jpg", (index, 255 - index, 0)) for index in range(150)]
    images = read_images(sources_of(paths), 4, "tiny")
    assert images.shape == (150, 4, 4, 3)
    np.testing.assert_allclose(images[:, 0, 0, 0].astype(int), np.arange(150), atol=2)
    np.testing.assert_allclose(images[:, 3, 3, 1].astype(int), 255 - np.arange(150), atol=2)


def test_images_are_resized_whole_and_antialiased(tmp_path: Path) -> None:
    columns = np.zeros((60, 80, 3), dtype=np.uint8)
    columns[:, ::2] = 255
    columns[:, 40:] = 0
    Image.fromarray(columns).save(tmp_path / "a.jpg", quality=100, subsampling=0)
    (image,) = read_images(sources_of([tmp_path / "a.jpg"]), 8, "tiny")
    np.testing.assert_allclose(image[:, :3].astype(int), 127, atol=12)
    np.testing.assert_allclose(image[:, 5:].astype(int), 0, atol=12)


def test_grey_files_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 100).save(tmp_path / "grey.jpg")
    assert read_images(sources_of([tmp_path / "grey.jpg"]), 8, "tiny").tolist() == [[[[100] * 3] * 8] * 8]


def test_check_sees_the_original_size(tmp_path: Path) -> None:
    seen = []
    path = save(tmp_path / "a.jpg", (0, 0, 0))
    read_images(sources_of([path]), 4, "tiny", lambda file, size: seen.append((file, size)))
    assert [(file.path, size) for file, size in seen] == [(str(path), (12, 9))]


def empty(path: Path) -> None:
    path.write_bytes(b"")


def write_truncated(path: Path) -> None:
    save(path, (1, 2, 3), (200, 200))
    path.write_bytes(path.read_bytes()[:700])


def write_png(path: Path) -> None:
    Image.new("RGB", (8, 8)).save(path, format="PNG")


@pytest.mark.parametrize("write", [write_truncated, write_png, empty])
def test_damaged_file_is_named(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "bad.jpg")
    paths = [save(tmp_path / "good.jpg", (0, 0, 0)), tmp_path / "bad.jpg"]
    with pytest.raises(
        UsageError, match=r"bad\.jpg' \([0-9,]+ bytes\) is not a readable JPEG .*; get the file again$"
    ) as raised:
        read_images(sources_of(paths), 4, "tiny")
    assert "\n" not in str(raised.value)


def refusal(path: Path, format: str = "JPEG") -> str:
    """The one line with which the image is refused."""
    with pytest.raises(UsageError) as raised:
        read_images(sources_of([path]), 8, "tiny", format=format)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"'{path}' (")
    assert f"({path.stat().st_size:,} bytes)" in str(raised.value)
    return str(raised.value)


def claim_size(path: Path, width: int, height: int) -> None:
    """Have the header of a JPEG claim another size."""
    content = path.read_bytes()
    place = content.index(b"\xff\xc0") + 5
    path.write_bytes(content[:place] + struct.pack(">HH", height, width) + content[place + 4 :])


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((13_000, 13_000), "has 13000x13000 pixels; at most 50,000,000 are decoded"),
        ((9_000, 9_000), "has 9000x9000 pixels"),
        ((65_000, 65_000), "(Image size (4225000000 pixels) exceeds limit"),
        ((1, 1), "has 1x1 pixels; the shorter side needs at least 8"),
        ((7, 4_000), "has 7x4000 pixels"),
    ],
)
def test_sizes_beyond_reason_are_refused_undecoded(
    tmp_path: Path, size: tuple[int, int], reason: str
) -> None:
    path = save(tmp_path / "a.jpg", (0, 0, 0))
    claim_size(path, *size)
    assert reason in refusal(path)


def test_a_file_beyond_reason_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(UsageError, match=r"a\.jpg' has 67,108,865 bytes; at most 67,108,864 are read"):
        read_images(sources_of([path]), 8, "tiny")


def test_animations_and_deep_pixels_are_refused(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "moving.png", save_all=True, append_images=[second])
    assert "is an animation of 2 pictures" in refusal(tmp_path / "moving.png", "PNG")
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert "has pixels of mode I;16; 8 bits a channel" in refusal(tmp_path / "deep.png", "PNG")


@pytest.mark.parametrize(("mode", "format"), [("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("1", "PNG")])
def test_other_kinds_of_colour_become_rgb(tmp_path: Path, mode: str, format: str) -> None:
    path = tmp_path / "image"
    Image.new("RGB", (8, 8), "white").convert(mode).save(path, format=format)
    (image,) = read_images(sources_of([path]), 8, "tiny", format=format)
    np.testing.assert_allclose(image.astype(int), 255, atol=3)


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((8, 16, 3), dtype=np.uint8)
    pixels[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the left side of the file is the top of the picture
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=100, exif=exif)
    seen = []
    (image,) = read_images(sources_of([tmp_path / "a.jpg"]), 8, "tiny", lambda _, size: seen.append(size))
    assert seen == [(8, 16)]
    assert image[:3].min() > 200
    assert image[5:].max() < 50


def test_damaged_exif_does_not_hide_the_picture(tmp_path: Path) -> None:
    content = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(content, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    (tmp_path / "a.jpg").write_bytes(content.getvalue())
    (image,) = read_images(sources_of([tmp_path / "a.jpg"]), 8, "tiny")
    assert image.min() > 250
