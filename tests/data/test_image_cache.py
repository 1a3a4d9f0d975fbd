"""The cache of decoded images, and reading images from files."""

import hashlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from PIL import Image

from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data.image_cache import Decoded, cached, describe, digest_files, read_images


def make_decoded(seed: int = 0) -> Decoded:
    random = np.random.default_rng(seed)
    return Decoded(
        images=random.integers(0, 256, (20, 8, 6, 3), dtype=np.uint8),
        targets=np.arange(20) % 5,
        variant="tiny",
        is_test=np.arange(20) >= 15,
        groups=np.arange(20) // 2,
    )


class Counting:
    """A decoder that counts its calls."""

    def __init__(self, decoded: Decoded | None = None) -> None:
        self.calls = 0
        self._decoded = decoded or make_decoded()

    def __call__(self) -> Decoded:
        self.calls += 1
        return self._decoded


def assert_same(data: ImageData, expected: ImageData) -> None:
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(data, name), value, err_msg=name)
        assert type(getattr(data, name)) is type(value) or name == "images"


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(cache_dir=tmp_path / "cache")


def entry_of(sources: Sources) -> Path:
    (entry,) = sources.cache_dir.iterdir()
    return entry


def test_second_load_reads_what_the_first_one_decoded(sources: Sources) -> None:
    decode = Counting()
    first = cached(sources, "tiny", "digest", decode)
    second = cached(sources, "tiny", "digest", decode)
    assert decode.calls == 1
    assert_same(first, describe(make_decoded()))
    assert_same(second, first)


def test_absent_arrays_stay_absent(sources: Sources) -> None:
    decoded = Decoded(images=make_decoded().images, targets=make_decoded().targets, variant="tiny")
    for _ in range(2):
        data = cached(sources, "tiny", "digest", lambda: decoded)
        assert (data.is_test, data.groups) == (None, None)


def test_images_are_mapped_not_loaded(sources: Sources) -> None:
    data = cached(sources, "tiny", "digest", Counting())
    assert isinstance(data.images, np.memmap)
    assert not data.images.flags.writeable


@pytest.mark.parametrize(("name", "digest"), [("tiny", "other"), ("other", "digest")])
def test_other_inputs_and_other_datasets_have_their_own_entries(
    sources: Sources, name: str, digest: str
) -> None:
    cached(sources, "tiny", "digest", Counting())
    other = Counting(make_decoded(seed=1))
    data = cached(sources, name, digest, other)
    assert other.calls == 1
    assert_same(data, describe(make_decoded(seed=1)))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_header(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:10] + b"(" + content[11:])


def change_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


@pytest.mark.parametrize("damage", [truncate, empty, damage_header, change_last_byte, Path.unlink])
@pytest.mark.parametrize("file", ["images.npy", "targets.npy", "description.json"])
def test_damaged_entry_is_rebuilt(sources: Sources, file: str, damage: Callable[[Path], None]) -> None:
    cached(sources, "tiny", "digest", Counting())
    damage(entry_of(sources) / file)
    decode = Counting()
    assert_same(cached(sources, "tiny", "digest", decode), describe(make_decoded()))
    assert decode.calls == 1
    cached(sources, "tiny", "digest", decode)
    assert decode.calls == 1, "the rebuilt entry is not read"
    assert sorted(path.name for path in entry_of(sources).iterdir()) == [
        *("description.json", "groups.npy", "images.npy", "is_test.npy", "targets.npy")
    ]


def test_objects_in_an_entry_are_never_unpickled(sources: Sources, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "executed",)

    cached(sources, "tiny", "digest", Counting())
    np.save(entry_of(sources) / "targets.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    cached(sources, "tiny", "digest", Counting())
    assert not (tmp_path / "executed").exists()


def test_two_writers_of_one_entry_do_no_harm(sources: Sources) -> None:
    both_decoding = Barrier(2, timeout=30)

    def decode() -> Decoded:
        both_decoding.wait()
        return make_decoded()

    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(cached, sources, "tiny", "digest", decode) for _ in range(2)]
    for load in loads:
        assert_same(load.result(), describe(make_decoded()))
    assert entry_of(sources).name.startswith("tiny-")


def test_failed_decoding_leaves_nothing(sources: Sources) -> None:
    def decode() -> Decoded:
        raise UsageError("damaged")

    with pytest.raises(UsageError, match="damaged"):
        cached(sources, "tiny", "digest", decode)
    assert not sources.cache_dir.exists()


def test_unwritable_cache_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    sources = Sources(cache_dir=tmp_path / "file" / "cache")
    decode = Counting()
    with caplog.at_level(logging.WARNING):
        assert_same(cached(sources, "tiny", "digest", decode), describe(make_decoded()))
        cached(sources, "tiny", "digest", decode)
    assert decode.calls == 2
    assert "cannot write the cache" in caplog.text
    assert str(sources.cache_dir) in caplog.text


def test_statistics_leave_out_the_test_part() -> None:
    decoded = make_decoded()
    data = describe(decoded)
    pixels = decoded.images[:15] / 255
    np.testing.assert_allclose(data.mean, pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(data.std, pixels.std(axis=(0, 1, 2)))


def test_statistics_of_many_chunks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 700, 300, 3), dtype=np.uint8)
    data = describe(Decoded(images=images, targets=np.zeros(5, dtype=np.int64), variant="large"))
    np.testing.assert_allclose(data.mean, images.mean(axis=(0, 1, 2)) / 255)
    np.testing.assert_allclose(data.std, images.std(axis=(0, 1, 2)) / 255)


def test_fingerprint_covers_every_array() -> None:
    base = vars(make_decoded())
    changes = {
        "images": base["images"] ^ 1,
        "targets": base["targets"] + 1,
        "is_test": ~base["is_test"],
        "groups": base["groups"] + 1,
    }
    fingerprints = [describe(Decoded(**base | {name: value})).fingerprint for name, value in changes.items()]
    assert len({describe(make_decoded()).fingerprint, *fingerprints}) == 5
    assert describe(make_decoded()).fingerprint == describe(make_decoded()).fingerprint
    assert len(fingerprints[0]) == len(hashlib.sha256().hexdigest())


def test_digest_of_files_sees_names_sizes_times_and_options(tmp_path: Path) -> None:
    def digest(*options: int) -> str:
        return digest_files(tmp_path, sorted(tmp_path.iterdir()), *options)

    file = tmp_path / "a"
    file.write_text("x")
    os.utime(file, ns=(0, 0))
    seen = [digest(), digest(32), digest(16)]
    os.utime(file, ns=(0, 1))
    seen.append(digest())
    file.write_text("xx")
    os.utime(file, ns=(0, 0))
    seen.append(digest())
    file.write_text("x")
    file = file.rename(tmp_path / "b")
    os.utime(file, ns=(0, 0))
    seen.append(digest())
    file = file.rename(tmp_path / "a")
    assert len(set(seen)) == 6
    assert digest() == seen[0]


def test_digest_does_not_depend_on_where_the_folder_is(tmp_path: Path) -> None:
    digests = []
    for folder in (tmp_path / "one", tmp_path / "another"):
        folder.mkdir()
        (folder / "a").write_text("x")
        os.utime(folder / "a", ns=(0, 0))
        digests.append(digest_files(folder, [folder / "a"]))
    assert digests[0] == digests[1]


def test_digest_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read '.*absent' \(No such file or directory\)"):
        digest_files(tmp_path, [tmp_path / "absent"])


def save(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (12, 9)) -> Path:
    Image.new("RGB", size, colour).save(path, quality=100, subsampling=0)
    return path


def test_images_come_back_in_order_whatever_their_number(tmp_path: Path) -> None:
    paths = [save(tmp_path / f"{index}.jpg", (index, 255 - index, 0)) for index in range(150)]
    images = read_images(paths, 4, "tiny")
    assert images.shape == (150, 4, 4, 3)
    np.testing.assert_allclose(images[:, 0, 0, 0].astype(int), np.arange(150), atol=2)
    np.testing.assert_allclose(images[:, 3, 3, 1].astype(int), 255 - np.arange(150), atol=2)


def test_images_are_resized_whole_and_antialiased(tmp_path: Path) -> None:
    columns = np.zeros((60, 80, 3), dtype=np.uint8)
    columns[:, ::2] = 255
    columns[:, 40:] = 0
    Image.fromarray(columns).save(tmp_path / "a.jpg", quality=100, subsampling=0)
    (image,) = read_images([tmp_path / "a.jpg"], 8, "tiny")
    np.testing.assert_allclose(image[:, :3].astype(int), 127, atol=12)
    np.testing.assert_allclose(image[:, 5:].astype(int), 0, atol=12)


def test_grey_files_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (8, 8), 100).save(tmp_path / "grey.jpg")
    assert read_images([tmp_path / "grey.jpg"], 8, "tiny").tolist() == [[[[100] * 3] * 8] * 8]


def test_check_sees_the_original_size(tmp_path: Path) -> None:
    seen = []
    path = save(tmp_path / "a.jpg", (0, 0, 0))
    read_images([path], 4, "tiny", lambda *arguments: seen.append(arguments))
    assert seen == [(path, (12, 9))]


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
        UsageError, match=r"bad\.jpg' is not a readable JPEG .*; get the file again$"
    ) as raised:
        read_images(paths, 4, "tiny")
    assert "\n" not in str(raised.value)
