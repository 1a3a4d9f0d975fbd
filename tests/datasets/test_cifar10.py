"""CIFAR-10 in its three layouts, on sets of forty images."""

import gzip
import hashlib
import http.server
import os
import pickle
import shutil
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torchvision
from numpy.typing import NDArray
from PIL import Image

from reweightbench.benchmark.contracts.dataset import Sources
from reweightbench.benchmark.contracts.errors import DataMissingError, UsageError
from reweightbench.benchmark.contracts.registry import DATASETS
from reweightbench.datasets.cifar10 import Cifar10

Images = NDArray[np.uint8]

# three training images and one test image of each class, in mixed order
TARGETS = [*np.random.default_rng(0).permutation(np.arange(30) % 10).tolist(), *range(9, -1, -1)]
BATCHES = {"data_batch_1": slice(0, 15), "data_batch_2": slice(15, 30), "test_batch": slice(30, 40)}


class TinyCifar10(Cifar10):
    """Thirty training images and ten test images."""

    part_sizes: ClassVar = {"train": 30, "test": 10}


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    (tmp_path / "data").mkdir()
    return Sources(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(1).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)


def write_jpegs(folder: Path) -> Path:
    """Images of one colour each, whose red is the target and whose green is the place in the part."""
    for index, target in enumerate(TARGETS):
        part, number = ("train", index) if index < 30 else ("test", index - 30)
        path = folder / "cifar10-jpeg" / part / Cifar10.classes[target] / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (target * 20, number * 8, 0)).save(path, quality=100, subsampling=0)
    return folder / "cifar10-jpeg"


def python2_pickle(data: Images, labels: list[int]) -> bytes:
    """A batch spelled as in the official files: byte strings of Python 2, names of numpy 1."""

    def text(value: str) -> bytes:
        return b"U" + bytes([len(value)]) + value.encode()

    rows, columns = (b"M" + struct.pack("<H", size) for size in data.shape)
    raw = data.tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text("b") + b"\x87R"
        b"(K\x01" + rows + columns + b"\x86cnumpy\ndtype\n" + text("u1") + b"K\x00K\x01\x87R"
        b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T" + struct.pack("<I", len(raw)) + raw + b"tb"
    )
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text("labels") + numbers + text("data") + array + b"u."


def make_batches(images: Images) -> dict[str, bytes]:
    rows = images.transpose(0, 3, 1, 2).reshape(40, -1)
    return {name: python2_pickle(rows[part], TARGETS[part]) for name, part in BATCHES.items()}


def write_batches(folder: Path, batches: dict[str, bytes]) -> type[Cifar10]:
    """The extracted batches and the dataset whose official files they are."""
    (folder / "cifar-10-batches-py").mkdir()
    for name, content in batches.items():
        (folder / "cifar-10-batches-py" / name).write_bytes(content)
    digests = {name: hashlib.md5(content).hexdigest() for name, content in batches.items()}
    return type("Official", (TinyCifar10,), {"batch_md5": digests})


def write_archive(folder: Path, batches: dict[str, bytes]) -> type[Cifar10]:
    """The archive of the batches and the dataset whose official archive it is."""
    dataset = write_batches(folder, batches)
    path = folder / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder / "cifar-10-batches-py", "cifar-10-batches-py")
    shutil.rmtree(folder / "cifar-10-batches-py")
    return type("Official", (dataset,), {"archive_md5": hashlib.md5(path.read_bytes()).hexdigest()})


def test_official_digests_are_those_of_torchvision() -> None:
    reference = torchvision.datasets.CIFAR10
    assert Cifar10.archive_md5 == reference.tgz_md5
    assert list(Cifar10.batch_md5.items()) == [
        tuple(entry) for entry in reference.train_list + reference.test_list
    ]
    assert Cifar10.url == reference.url


def test_labels_make_options() -> None:
    assert DATASETS.create("cifar10") == Cifar10(image_size=32, per_class=5000)
    assert DATASETS.create("cifar10(image_size=16, per_class=500)") == Cifar10(image_size=16, per_class=500)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("image_size=64", "image_size is 64; it must be 32 or 16"),
        ("per_class=0", r"per_class is 0; it must lie in 1\.\.5000"),
        ("per_class=5001", r"per_class is 5001; it must lie in 1\.\.5000"),
    ],
)
def test_impossible_options(options: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^cifar10: {message}$"):
        DATASETS.create(f"cifar10({options})")


@pytest.mark.parametrize("write", [write_batches, write_archive])
def test_official_files(sources: Sources, images: Images, write: type) -> None:
    dataset = write(sources.data_dir, make_batches(images))
    data = dataset(per_class=3).load(sources)
    np.testing.assert_array_equal(data.images, images)
    assert data.targets.tolist() == TARGETS
    assert data.targets.dtype == np.int64
    assert data.is_test is not None
    assert data.is_test.tolist() == [False] * 30 + [True] * 10
    assert data.variant == "official"


def test_jpegs_of_all_classes_in_order_of_their_numbers(sources: Sources) -> None:
    write_jpegs(sources.data_dir)
    data = TinyCifar10(per_class=3).load(sources)
    assert data.targets.tolist() == TARGETS
    places = [*range(30), *range(10)]
    np.testing.assert_allclose(data.images[:, 5, 5, 0].astype(int), np.array(TARGETS) * 20, atol=2)
    np.testing.assert_allclose(data.images[:, 5, 5, 1].astype(int), np.array(places) * 8, atol=2)
    assert data.is_test is not None
    assert data.is_test.sum() == 10
    assert data.variant == "jpeg"


@pytest.mark.parametrize("layout", ["official", "jpeg"])
def test_per_class_keeps_the_first_of_each_class(sources: Sources, images: Images, layout: str) -> None:
    dataset: type[Cifar10] = TinyCifar10
    if layout == "official":
        dataset = write_batches(sources.data_dir, make_batches(images))
    else:
        write_jpegs(sources.data_dir)
    whole, part = dataset(per_class=3).load(sources), dataset(per_class=2).load(sources)
    seen = dict.fromkeys(range(10), 0)
    kept = []
    for index, target in enumerate(TARGETS):
        seen[target] += 1
        if seen[target] <= 2 or index >= 30:
            kept.append(index)
    assert len(kept) == 30
    np.testing.assert_array_equal(part.images, whole.images[kept])
    assert part.targets.tolist() == [TARGETS[index] for index in kept]
    assert part.is_test is not None
    assert part.is_test.tolist() == [False] * 20 + [True] * 10
    assert part.fingerprint != whole.fingerprint


def test_small_images_are_averages_rounded_half_up(sources: Sources, images: Images) -> None:
    dataset = write_batches(sources.data_dir, make_batches(images))
    small = dataset(image_size=16, per_class=3).load(sources).images
    assert small.shape == (40, 16, 16, 3)
    for row, column in [(0, 0), (3, 15), (15, 8)]:
        block = images[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].astype(float)
        np.testing.assert_array_equal(small[:, row, column], np.floor(block.mean(axis=(1, 2)) + 0.5))


def test_an_image_replaced_by_one_of_the_same_size_and_time_is_noticed(sources: Sources) -> None:
    (path,) = (write_jpegs(sources.data_dir) / "train").glob("*/00007.jpg")
    first = TinyCifar10(per_class=3).load(sources)
    status, content = path.stat(), path.read_bytes()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(UsageError, match=r"00007\.jpg' \(.* bytes\) is not a readable JPEG"):
        TinyCifar10(per_class=3).load(sources)
    path.write_bytes(content)
    assert TinyCifar10(per_class=3).load(sources).fingerprint == first.fingerprint


def unpack(folder: Path) -> None:
    with tarfile.open(folder / "cifar-10-python.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    (folder / "cifar-10-python.tar.gz").unlink()


def unpack_into_a_folder_named_like_the_archive(folder: Path) -> None:
    unpack(folder)
    (folder / "cifar-10-batches-py").rename(folder / "cifar-10-python.tar.gz")


def nest(folder: Path) -> None:
    unpack(folder)
    (folder / "cifar10" / "cifar-10-python").mkdir(parents=True)
    (folder / "cifar-10-batches-py").rename(folder / "cifar10" / "cifar-10-python" / "cifar-10-batches-py")


def rename_batches(folder: Path) -> None:
    unpack(folder)
    (folder / "cifar-10-batches-py").rename(folder / "python version")


def rename_archive(folder: Path) -> None:
    (folder / "downloads").mkdir()
    (folder / "cifar-10-python.tar.gz").rename(folder / "downloads" / "CIFAR-10-python (1).tgz")


def take_off_the_outer_layer(folder: Path) -> None:
    path = folder / "cifar-10-python.tar.gz"
    (folder / "cifar-10-python.tar").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()


def leave_traces(folder: Path) -> None:
    (folder / "._cifar-10-python.tar.gz").write_bytes(b"\0\x05\x16\x07")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "cifar10.tar").write_bytes(b"\0\x05\x16\x07")
    (folder / "Thumbs.db").touch()


@pytest.mark.parametrize(
    "change",
    [
        *(unpack, unpack_into_a_folder_named_like_the_archive, nest, rename_batches),
        *(rename_archive, take_off_the_outer_layer, leave_traces),
    ],
)
def test_every_place_and_name_of_the_official_files(
    sources: Sources, images: Images, change: Callable[[Path], None]
) -> None:
    dataset = write_archive(sources.data_dir, make_batches(images))
    before = dataset(per_class=3).load(sources)
    change(sources.data_dir)
    dataset(per_class=3).fetch(sources)
    after = dataset(per_class=3).load(sources)
    assert (after.fingerprint, after.variant) == (before.fingerprint, "official")


def test_the_data_directory_may_be_the_folder_of_batches(sources: Sources, images: Images) -> None:
    dataset = write_batches(sources.data_dir, make_batches(images))
    inner = replace(sources, data_dir=sources.data_dir / "cifar-10-batches-py")
    np.testing.assert_array_equal(dataset(per_class=3).load(inner).images, images)


def test_what_file_managers_leave_among_jpegs_is_no_image(sources: Sources) -> None:
    folder = write_jpegs(sources.data_dir)
    before = TinyCifar10(per_class=3).load(sources)
    for place in (folder, folder / "train" / "cat", folder / "test" / "frog"):
        for name in ("._00029.jpg", ".DS_Store", "Thumbs.db", "desktop.ini"):
            (place / name).write_bytes(b"\0\x05\x16\x07")
    (path,) = (folder / "train").glob("*/00007.jpg")
    path.rename(path.with_suffix(".JPG"))
    assert TinyCifar10(per_class=3).load(sources).fingerprint == before.fingerprint


def test_a_folder_in_the_archives_place_is_named(sources: Sources) -> None:
    (sources.data_dir / "cifar-10-python.tar.gz").mkdir()
    with pytest.raises(
        UsageError, match=r"cifar-10-python\.tar\.gz' is a folder without CIFAR-10; remove it"
    ):
        Cifar10().fetch(sources)
    with pytest.raises(DataMissingError, match=r"which holds 'cifar-10-python\.tar\.gz/'; run "):
        Cifar10().load(sources)


@pytest.mark.parametrize("place", ["cifar-10-python.tar.gz", "cifar-10-batches-py/test_batch"])
def test_a_pipe_is_refused_at_once(sources: Sources, images: Images, place: str) -> None:
    dataset = write_batches(sources.data_dir, make_batches(images))
    (sources.data_dir / place).unlink(missing_ok=True)
    os.mkfifo(sources.data_dir / place)
    with pytest.raises(UsageError, match=rf"{Path(place).name}' is a named pipe, not a regular file"):
        dataset(per_class=3).load(sources)


def test_an_archive_that_lacks_a_batch(sources: Sources, images: Images) -> None:
    dataset = write_archive(sources.data_dir, make_batches(images))
    take_off_the_outer_layer(sources.data_dir)
    path = sources.data_dir / "cifar-10-python.tar"
    with tarfile.open(path, "w"):
        pass
    with pytest.raises(UsageError, match="holds no 'data_batch_1'; get cifar-10-python"):
        dataset(per_class=3).load(sources)
    path.write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"cifar-10-python\.tar' is no readable archive \("):
        dataset(per_class=3).load(sources)


def test_official_files_go_before_jpegs(sources: Sources, images: Images) -> None:
    write_jpegs(sources.data_dir)
    dataset = write_batches(sources.data_dir, make_batches(images))
    assert dataset(per_class=3).load(sources).variant == "official"


def test_missing_data_says_what_to_do(sources: Sources) -> None:
    message = (
        f"no CIFAR-10 in '{sources.data_dir}', which holds nothing; run 'reweightbench prepare cifar10', "
        "or put cifar-10-python.tar.gz there"
    )
    with pytest.raises(DataMissingError) as raised:
        Cifar10().load(sources)
    assert str(raised.value) == message


def test_other_archive_is_refused_unopened(sources: Sources) -> None:
    (sources.data_dir / "cifar-10-python.tar.gz").write_bytes(b"no archive")
    found = hashlib.md5(b"no archive").hexdigest()
    with pytest.raises(
        UsageError, match=rf"tar\.gz' has MD5 {found}, not c58f30108f.*; delete the archive or folder and run"
    ):
        Cifar10().load(sources)


def test_other_batch_is_refused_unopened(sources: Sources, images: Images) -> None:
    dataset = write_batches(sources.data_dir, make_batches(images))
    (sources.data_dir / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"no pickle")
    found = hashlib.md5(b"no pickle").hexdigest()
    with pytest.raises(UsageError, match=f"'cifar-10-batches-py/data_batch_2' has MD5 {found}, not "):
        dataset(per_class=3).load(sources)


def test_missing_batch_is_named(sources: Sources, images: Images) -> None:
    dataset = write_batches(sources.data_dir, make_batches(images))
    (sources.data_dir / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(UsageError, match=r"cannot read '.*test_batch' \(No such file or directory\)"):
        dataset(per_class=3).load(sources)


def test_pickle_with_code_is_refused(sources: Sources, images: Images, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, (f"open({str(tmp_path / 'executed')!r}, 'w')",)

    batches = make_batches(images) | {"data_batch_1": pickle.dumps({"data": Evil()}, protocol=2)}
    dataset = write_batches(sources.data_dir, batches)
    with pytest.raises(UsageError, match=r"holds '(__builtin__|builtins)\.eval', not only arrays"):
        dataset(per_class=3).load(sources)
    assert not (tmp_path / "executed").exists()


def test_missing_image_is_counted(sources: Sources) -> None:
    folder = write_jpegs(sources.data_dir)
    next((folder / "train" / "cat").iterdir()).unlink()
    with pytest.raises(UsageError, match=r"cat' holds 2 images, not 3 \('train': 29 of 30\); get the folder"):
        TinyCifar10(per_class=3).load(sources)


def test_missing_test_part_is_counted(sources: Sources) -> None:
    shutil.rmtree(write_jpegs(sources.data_dir) / "test")
    with pytest.raises(UsageError, match=r"airplane' holds 0 images, not 1 \('test': 0 of 10\)"):
        TinyCifar10(per_class=3).load(sources)


@pytest.mark.parametrize("name", ["00030.jpg", "7.jpg", "frog.jpg"])
def test_misnamed_image_breaks_the_order(sources: Sources, name: str) -> None:
    (path,) = (write_jpegs(sources.data_dir) / "train").glob("*/00007.jpg")
    path.rename(path.with_name(name))
    with pytest.raises(UsageError, match=r"no image of '.*train' is named 00007\.jpg"):
        TinyCifar10(per_class=3).load(sources)


def test_image_of_another_size_is_named(sources: Sources) -> None:
    (path,) = (write_jpegs(sources.data_dir) / "train").glob("*/00007.jpg")
    Image.new("RGB", (64, 48)).save(path)
    with pytest.raises(UsageError, match=r"00007\.jpg' has 64x48 pixels, not 32x32"):
        TinyCifar10(per_class=3).load(sources)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder and the address under which a server of this machine offers its files."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=folder)  # type: ignore[arg-type]

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_fetch_downloads_from_the_mirror_once(
    sources: Sources, images: Images, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    dataset = write_archive(folder, make_batches(images))
    monkeypatch.setenv("REWEIGHTBENCH_CIFAR10_URL", f"{address}/cifar-10-python.tar.gz")
    sources = replace(sources, data_dir=sources.data_dir / "new")
    dataset(per_class=3).fetch(sources)
    np.testing.assert_array_equal(dataset(per_class=3).load(sources).images, images)
    monkeypatch.setenv("REWEIGHTBENCH_CIFAR10_URL", f"{address}/nothing-here")
    dataset(per_class=3).fetch(sources)


@pytest.mark.parametrize("layout", ["cifar10-jpeg", "cifar-10-batches-py"])
def test_fetch_leaves_other_layouts_alone(
    sources: Sources, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REWEIGHTBENCH_CIFAR10_URL", "http://127.0.0.1:1/nothing-here")
    (sources.data_dir / layout).mkdir()
    Cifar10().fetch(sources)
    assert [path.name for path in sources.data_dir.iterdir()] == [layout]


@pytest.mark.parametrize("reason", ["404", "MD5", "unreachable"])
def test_failed_download_says_what_to_do_offline(
    sources: Sources, served: tuple[Path, str], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    if reason == "MD5":
        (folder / "archive").write_bytes(b"another file")
    url = "http://127.0.0.1:1/archive" if reason == "unreachable" else f"{address}/archive"
    monkeypatch.setenv("REWEIGHTBENCH_CIFAR10_URL", url)
    with pytest.raises(UsageError) as raised:
        Cifar10().fetch(sources)
    message = str(raised.value)
    assert message.startswith(f"cannot download CIFAR-10 from '{url}' (")
    assert {"unreachable": "refused"}.get(reason, reason) in message
    assert message.endswith(
        "); set REWEIGHTBENCH_CIFAR10_URL to a mirror, "
        f"or without a network put cifar-10-python.tar.gz into '{sources.data_dir}'"
    )
    assert "\n" not in message
    assert list(sources.data_dir.iterdir()) == []
