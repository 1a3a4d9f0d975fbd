"""The cache of decoded images."""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from made_up import make_decoded
from reweightbench.benchmark.contracts.dataset import ImageData, Sources
from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data.description import Decoded, describe
from reweightbench.benchmark.data.image_cache import Inputs, cached
from reweightbench.benchmark.data.source_files import source_file


class Counting:
    """A decoder that counts its calls."""

    def __init__(self, decoded: Decoded | None = None, pause: float = 0) -> None:
        self.calls = 0
        self._decoded = decoded or make_decoded()
        self._pause = pause

    def __call__(self) -> Decoded:
        self.calls += 1
        time.sleep(self._pause)
        return self._decoded


def assert_same(data: ImageData, expected: ImageData) -> None:
    for name, value in vars(expected).items():
        np.testing.assert_array_equal(getattr(data, name), value, err_msg=name)
        assert type(getattr(data, name)) is type(value) or name == "images"


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(cache_dir=tmp_path / "cache")


def entry_of(sources: Sources) -> Path:
    (entry,) = (path for path in sources.cache_dir.iterdir() if path.is_dir())
    return entry


def inputs(*options: str) -> Inputs:
    """Inputs that no file is part of."""
    return Inputs((), options)


def test_second_load_reads_what_the_first_one_decoded(sources: Sources) -> None:
    decode = Counting()
    first = cached(sources, "tiny", inputs("one"), decode)
    second = cached(sources, "tiny", inputs("one"), decode)
    assert decode.calls == 1
    assert_same(first, describe(make_decoded()))
    assert_same(second, first)


def test_absent_arrays_stay_absent(sources: Sources) -> None:
    decoded = Decoded(images=make_decoded().images, targets=make_decoded().targets, variant="tiny")
    for _ in range(2):
        data = cached(sources, "tiny", inputs("one"), lambda: decoded)
        assert (data.is_test, data.groups) == (None, None)


def test_images_are_mapped_not_loaded(sources: Sources) -> None:
    data = cached(sources, "tiny", inputs("one"), Counting())
    assert isinstance(data.images, np.memmap)
    assert not data.images.flags.writeable


@pytest.mark.parametrize(("name", "option"), [("tiny", "other"), ("other", "one")])
def test_other_inputs_and_other_datasets_have_their_own_entries(
    sources: Sources, name: str, option: str
) -> None:
    cached(sources, "tiny", inputs("one"), Counting())
    other = Counting(make_decoded(seed=1))
    data = cached(sources, name, inputs(option), other)
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
    cached(sources, "tiny", inputs("one"), Counting())
    damage(entry_of(sources) / file)
    decode = Counting()
    assert_same(cached(sources, "tiny", inputs("one"), decode), describe(make_decoded()))
    assert decode.calls == 1
    cached(sources, "tiny", inputs("one"), decode)
    assert decode.calls == 1, "the rebuilt entry is not read"
    assert sorted(path.name for path in entry_of(sources).iterdir()) == [
        *("description.json", "groups.npy", "images.npy", "is_test.npy", "targets.npy")
    ]


def test_objects_in_an_entry_are_never_unpickled(sources: Sources, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "executed",)

    cached(sources, "tiny", inputs("one"), Counting())
    np.save(entry_of(sources) / "targets.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    cached(sources, "tiny", inputs("one"), Counting())
    assert not (tmp_path / "executed").exists()


def test_of_two_that_load_at_once_one_decodes_and_the_other_waits(sources: Sources) -> None:
    decode = Counting(pause=0.2)
    with ThreadPoolExecutor(2) as pool:
        loads = [pool.submit(cached, sources, "tiny", inputs("one"), decode) for _ in range(2)]
    for load in loads:
        assert_same(load.result(), describe(make_decoded()))
    assert decode.calls == 1


def test_failed_decoding_leaves_no_entry(sources: Sources) -> None:
    def decode() -> Decoded:
        raise UsageError("damaged")

    with pytest.raises(UsageError, match="damaged"):
        cached(sources, "tiny", inputs("one"), decode)
    assert not [path for path in sources.cache_dir.iterdir() if path.name.startswith(("tiny", ".tiny-"))]


def test_unwritable_cache_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    sources = Sources(cache_dir=tmp_path / "file" / "cache")
    decode = Counting()
    with caplog.at_level(logging.WARNING):
        assert_same(cached(sources, "tiny", inputs("one"), decode), describe(make_decoded()))
        cached(sources, "tiny", inputs("one"), decode)
    assert decode.calls == 2
    assert "cannot use the cache" in caplog.text
    assert str(sources.cache_dir) in caplog.text


def rewrite(entry: Path, **changes: object) -> None:
    """Change the description of an entry, its seal left as it was."""
    path = entry / "description.json"
    content = json.loads(path.read_text())
    content["values"] |= changes
    path.write_text(json.dumps(content))


def forge_mean(entry: Path) -> None:
    rewrite(entry, mean=[9.0, 9.0, 9.0])


def forge_targets(entry: Path) -> None:
    """Other targets, with the fingerprint that they have and the times that the file had."""
    path = entry / "targets.npy"
    status = path.stat()
    np.save(path, np.zeros(20, dtype=np.int64))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    forged = describe(Decoded(**vars(make_decoded()) | {"targets": np.zeros(20, dtype=np.int64)}))
    rewrite(entry, fingerprint=forged.fingerprint)


def forge_targets_alone(entry: Path) -> None:
    status = (entry / "targets.npy").stat()
    np.save(entry / "targets.npy", np.zeros(20, dtype=np.int64))
    os.utime(entry / "targets.npy", ns=(status.st_atime_ns, status.st_mtime_ns))


def take_from_another_cache(entry: Path) -> None:
    other = Sources(cache_dir=entry.parent.parent / "other")
    cached(other, "tiny", inputs("one"), Counting(make_decoded(seed=1)))
    shutil.rmtree(entry)
    entry_of(other).rename(entry)


def link_to_an_array(entry: Path) -> None:
    path = entry / "targets.npy"
    path.rename(entry.parent / "targets.npy")
    path.symlink_to(entry.parent / "targets.npy")


def put_a_pipe(entry: Path) -> None:
    (entry / "images.npy").unlink()
    os.mkfifo(entry / "images.npy")


def link_the_entry(entry: Path) -> None:
    entry.rename(entry.parent / "moved")
    entry.symlink_to(entry.parent / "moved")
    forge_mean(entry)


@pytest.mark.parametrize(
    "forge",
    [
        *(forge_mean, forge_targets, forge_targets_alone, take_from_another_cache),
        *(link_to_an_array, put_a_pipe, link_the_entry),
    ],
)
def test_what_the_suite_did_not_write_is_not_believed(
    sources: Sources, forge: Callable[[Path], None]
) -> None:
    cached(sources, "tiny", inputs("one"), Counting())
    forge(entry_of(sources))
    decode = Counting()
    assert_same(cached(sources, "tiny", inputs("one"), decode), describe(make_decoded()))
    assert decode.calls == 1
    cached(sources, "tiny", inputs("one"), decode)
    assert decode.calls == 1, "the rebuilt entry is not read"


def test_a_cache_that_was_copied_is_still_good(sources: Sources, tmp_path: Path) -> None:
    cached(sources, "tiny", inputs("one"), Counting())
    shutil.copytree(sources.cache_dir, tmp_path / "copy")
    (tmp_path / "copy").chmod(0o700)
    decode = Counting()
    data = cached(Sources(cache_dir=tmp_path / "copy"), "tiny", inputs("one"), decode)
    assert_same(data, describe(make_decoded()))
    assert decode.calls == 0


@pytest.mark.parametrize("rights", [0o777, 0o1777, 0o770, 0o702])
def test_a_cache_that_others_can_write_to_is_not_used(
    sources: Sources, rights: int, caplog: pytest.LogCaptureFixture
) -> None:
    cached(sources, "tiny", inputs("one"), Counting())
    sources.cache_dir.chmod(rights)
    decode = Counting()
    assert_same(cached(sources, "tiny", inputs("one"), decode), describe(make_decoded()))
    assert decode.calls == 1
    assert f"other users can write to '{sources.cache_dir}'; chmod go-w" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_cache_of_another_user_is_not_used(sources: Sources, caplog: pytest.LogCaptureFixture) -> None:
    cached(sources, "tiny", inputs("one"), Counting())
    os.chown(sources.cache_dir, 12345, 12345)
    decode = Counting()
    cached(sources, "tiny", inputs("one"), decode)
    assert decode.calls == 1
    assert "belongs to another user" in caplog.text


@pytest.mark.parametrize("spoil", [lambda path: path.chmod(0o644), truncate, Path.unlink])
def test_another_key_breaks_every_seal(sources: Sources, spoil: Callable[[Path], None]) -> None:
    cached(sources, "tiny", inputs("one"), Counting())
    spoil(sources.cache_dir / ".key")
    decode = Counting()
    assert_same(cached(sources, "tiny", inputs("one"), decode), describe(make_decoded()))
    assert decode.calls == 1


def files_of(folder: Path) -> Inputs:
    return Inputs([(path.stem, source_file(path, 100)) for path in sorted(folder.iterdir())], ())


def write_in_place(path: Path) -> None:
    path.write_text("2")


def replace_by_another(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("2")
    other.replace(path)


@pytest.mark.parametrize("change", [write_in_place, replace_by_another])
def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(
    sources: Sources, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a").write_text("1")
    status = (folder / "a").stat()
    cached(sources, "tiny", files_of(folder), Counting())
    change(folder / "a")
    os.utime(folder / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    other = Counting(make_decoded(seed=1))
    assert_same(cached(sources, "tiny", files_of(folder), other), describe(make_decoded(seed=1)))
    assert other.calls == 1


def test_a_file_that_changes_while_it_is_decoded_makes_no_entry(sources: Sources, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a").write_text("1")

    def decode() -> Decoded:
        (folder / "a").write_text("2")
        return make_decoded()

    with pytest.raises(UsageError, match="a' was changed while it was read; run the command again"):
        cached(sources, "tiny", files_of(folder), decode)
    assert not list(sources.cache_dir.glob("tiny-*"))


def test_equal_files_in_another_place_are_not_decoded_again(sources: Sources, tmp_path: Path) -> None:
    decode = Counting()
    for name in ("one", "another"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "a").write_text("1")
        cached(sources, "tiny", files_of(folder), decode)
    assert decode.calls == 1


def test_copies_of_one_file_may_not_differ(sources: Sources, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.jpg").write_text("1")
    (folder / "a.jpeg").write_text("1")
    cached(sources, "tiny", files_of(folder), Counting())
    (folder / "a.jpeg").write_text("2")
    with pytest.raises(UsageError) as raised:
        cached(sources, "tiny", files_of(folder), Counting())
    assert str(raised.value) == (
        f"'{folder / 'a.jpeg'}' and '{folder / 'a.jpg'}' differ, but both are 'a'; remove the wrong one"
    )
