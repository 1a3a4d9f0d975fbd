"""Finding the files of a dataset below a folder and in archives."""

import zipfile
from pathlib import Path

import pytest

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.data import source_files
from reweightbench.benchmark.data.source_files import (
    find_files,
    find_folders,
    is_leaving,
    list_folder,
    open_archives,
    source_file,
)


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.mark.parametrize(
    "name",
    [
        *("._a.jpg", ".DS_Store", ".Spotlight-V100", "Thumbs.db", "thumbs.DB", "desktop.ini", "Desktop.ini"),
        *("__MACOSX", "$RECYCLE.BIN", "@eaDir", "~$table.csv"),
    ],
)
def test_what_file_managers_leave(name: str) -> None:
    assert is_leaving(name)
    assert not is_leaving(f"a{name}")


def test_files_are_found_in_order_a_few_levels_deep(tmp_path: Path) -> None:
    make(
        tmp_path,
        "b.jpg",
        "a/c.jpg",
        "a/b/c/d/e.jpg",
        "a/b/c/d/e/f.jpg",
        "a/._c.jpg",
        "__MACOSX/a/x.jpg",
        "a.txt",
    )
    found = find_files(tmp_path, lambda name: name.endswith(".jpg"), 100)
    assert [str(Path(file.path).relative_to(tmp_path)) for file in found] == [
        *("a/b/c/d/e.jpg", "a/c.jpg", "b.jpg")
    ]
    assert found[1].read() == b"a/c.jpg"
    assert found[1] == source_file(tmp_path / "a" / "c.jpg", 100)


def test_links_to_folders_are_followed_and_circles_end(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "a.jpg")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "circle").symlink_to(tmp_path / "data")
    names = {file.name for file in find_files(tmp_path / "data", lambda name: True, 100)}
    assert names == {"a.jpg"}


def test_a_link_that_leads_nowhere_is_named_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(tmp_path / "absent")
    (file,) = find_files(tmp_path, lambda name: True, 100)
    with pytest.raises(UsageError, match=r"cannot read '.*a\.jpg' \(No such file or directory\)"):
        file.read()


def test_far_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_files, "MOST_FILES", 3)
    make(tmp_path, *"abcd")
    with pytest.raises(UsageError, match="holds more than 3 files; give the data a folder of its own"):
        find_files(tmp_path, lambda name: False, 100)


def test_folders_come_nearest_first_and_closed_ones_are_not_looked_into(tmp_path: Path) -> None:
    make(tmp_path, "z", "b/y", "b/c/x", "a/closed/d/w", ".git/v")
    found = [
        (place.relative_to(tmp_path).as_posix(), names)
        for place, names in find_folders(tmp_path, 3, lambda name: name == "closed")
    ]
    assert found == [(".", ["z"]), ("a", []), ("b", ["y"]), ("a/closed", []), ("b/c", ["x"])]
    assert list(find_folders(tmp_path / "absent", 3, lambda name: False)) == []


def test_what_a_folder_holds(tmp_path: Path) -> None:
    assert list_folder(tmp_path) == "holds nothing"
    assert list_folder(tmp_path / "absent") == "does not exist"
    make(tmp_path, "b", "a/c", ".DS_Store", "x\ny")
    assert list_folder(tmp_path) == r"holds 'a/', 'b', 'x\ny'"
    assert list_folder(tmp_path, most=1) == "holds 'a/' and 2 more"
    assert list_folder(tmp_path / "b") == "is a file, not a folder"


def test_a_member_twice_in_one_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.jpg", b"2")
    packed = [source_file(path, 1000)]
    with (
        pytest.raises(UsageError, match=r"a\.zip' holds 'a\.jpg' twice; get the file again"),
        open_archives(packed, lambda name: True, 10, 1000),
    ):
        pass
