"""What can happen to the files of a results folder: changed bytes and fields, other kinds of files, links."""

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from numpy.typing import NDArray

from reweightbench.benchmark.cells.cell import Cell

FILES = (
    "runs/small/manifest.json",
    "runs/small/records/*.json",
    "runs/small/records/*.npz",
    "runs/small/timing/*.json",
    "runs/small/report/leaderboard.md",
    "runs/small/report/tables/results.csv",
    "other/small/records/*.json",
    "pubs/small/manifest.json",
    "pubs/small/records.parquet",
    "pubs/small/timing/*.json",
    "pubs/small/report/leaderboard.md",
)
FOLDERS = (
    *(
        f"{place}/small/{folder}"
        for place in ("runs", "pubs")
        for folder in ("records", "timing", "report", "report/tables", "report/plots", "checkpoints", "")
    ),
    "runs",
    "pubs",
    "merged",
)
DEEP = "nested 5,000 deep"
VALUES = (
    *(None, True, False, -1, 0, 1, 2, 100, 0.5, -0.0, 1e300, -1e300, 1e-320, 2**31, 2**53 + 1, 2**70),
    *(float("nan"), float("inf"), float("-inf"), "", " ", "sgd", "focal(gamma=1)", "nope", "ok", "error"),
    *("cuda", "digits", "small_cnn", "x" * 20_000, "=1+1", "../../outside/notes.md", "\x1b[31mred", "a\nb"),
    *("\u202e", "\ud800", "</script>", "|", "f" * 64, "0" * 64, [], {}, [1], [[]], [[1]], [None], DEEP),
    *({"": 1}, {"sgd": 0.1}, {"name": "nope", "options": {}}, {"name": "sgd", "options": {"x": 1}}),
)


@dataclass(frozen=True)
class Damage:
    """One change: `kind` names it, `place` and `turn` the file among those that match, `number` and `value` what."""

    kind: str
    place: str
    turn: int = 0
    number: int = 0
    value: Any = None

    def do(self, root: Path) -> None:
        """Make the change below `root`, if there is such a file and it can be made there."""
        found = sorted(root.glob(self.place)) if "*" in self.place else [root / self.place]
        if found:
            CHANGES[self.kind](found[self.turn % len(found)], self, root)


def damages() -> st.SearchStrategy[Damage]:
    """Damages of all kinds."""
    turns, numbers = st.integers(0, 3), st.integers(0, 400)
    values = st.sampled_from(VALUES) | st.integers() | st.floats() | st.text(max_size=8)
    json_files = st.sampled_from([place for place in FILES if place.endswith(".json")])
    anywhere = st.sampled_from(FILES)
    return st.one_of(
        st.builds(
            Damage, st.sampled_from(["set", "set", "drop", "double"]), json_files, turns, numbers, values
        ),
        st.builds(Damage, st.sampled_from(["set", "drop"]), json_files, turns, numbers, values),
        st.builds(Damage, st.just("rekey"), st.just("runs/small/records/*.json"), turns, numbers, values),
        st.builds(
            Damage,
            st.sampled_from(["overwrite", "insert", "cut"]),
            anywhere,
            turns,
            st.integers(0, 2**20),
            st.binary(min_size=1, max_size=4),
        ),
        st.builds(Damage, st.sampled_from(KINDS_OF_FILE), anywhere, turns),
        st.builds(Damage, st.sampled_from(KINDS_OF_FOLDER), st.sampled_from(FOLDERS)),
        st.builds(
            Damage, st.sampled_from(ARRAY_CHANGES), st.just("runs/small/records/*.npz"), turns, numbers
        ),
        st.builds(
            Damage,
            st.sampled_from(["row", "column", "twice", "reverse"]),
            st.just("pubs/small/records.parquet"),
            turns,
            numbers,
            values,
        ),
    )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _change_bytes(path: Path, damage: Damage, _: Path) -> None:
    if not path.is_file():
        return
    content = path.read_bytes()
    start, new = damage.number % (len(content) + 1), damage.value or b""
    end = {"overwrite": start + len(new), "insert": start, "cut": len(content)}[damage.kind]
    path.write_bytes(content[:start] + (b"" if damage.kind == "cut" else new) + content[end:])


def _change_json(path: Path, damage: Damage, _: Path) -> None:
    if path.is_file():
        path.write_bytes(_change_text(path.read_bytes(), damage))


def _change_text(text: bytes | str, damage: Damage) -> bytes:
    """JSON with one of its values replaced, dropped or written twice; what is none stays."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text if isinstance(text, bytes) else text.encode()
    places = list(_places(content))
    if places:
        holder, key = places[damage.number % len(places)]
        if damage.kind == "drop":
            del holder[key]
        elif damage.kind == "double" and isinstance(holder, list):
            holder.append(holder[key])
        else:
            holder[key] = damage.value
    return _to_json(content)


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Each container with each of its keys; of long lists the first places only."""
    keys = list(content) if isinstance(content, dict) else range(min(3, len(content)))
    for key in keys:
        yield content, key
        if isinstance(content[key], (dict, list)):
            yield from _places(content[key])


def _to_json(content: Any) -> bytes:
    text = json.dumps(content, default=repr)
    return text.replace(json.dumps(DEEP), "[" * 5000 + "]" * 5000).encode()


def _rekey(path: Path, damage: Damage, _: Path) -> None:
    """Another cell, described soundly: its key is its own."""
    if not path.is_file():
        return
    try:
        content = json.loads(path.read_bytes())
        holder, key = list(_places(content["cell"]))[damage.number % len(list(_places(content["cell"])))]
        holder[key] = damage.value
        content["key"] = Cell.model_validate(content["cell"]).key
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    path.with_name(f"{content['key']}.json").write_bytes(_to_json(content))


def _make(path: Path, damage: Damage, root: Path) -> None:
    """Another kind of file in a file's place, or none."""
    if not path.parent.is_dir():
        return
    if damage.kind == "again" and path.is_file():
        shutil.copy(path, path.with_name("e" * 64 + path.suffix))
    if damage.kind == "renamed" and path.exists():
        path.rename(path.with_name("d" * 64 + path.suffix))
    if damage.kind in MAKERS:
        _remove(path)
        MAKERS[damage.kind](path, root)


def _make_huge(path: Path, _: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(5 * 2**30)


MAKERS: dict[str, Callable[[Path, Path], object]] = {
    "deleted": lambda path, _: None,
    "folder": lambda path, _: path.mkdir(),
    "pipe": lambda path, _: os.mkfifo(path),
    "file": lambda path, _: path.write_bytes(b"{}"),
    "empty": lambda path, _: path.touch(),
    "huge": _make_huge,
    "link out": lambda path, root: path.symlink_to(
        root / "outside" / ("notes.md" if path.suffix else "folder")
    ),
    "link to records": lambda path, root: path.symlink_to(root / "other/small/records"),
    "link to device": lambda path, _: path.symlink_to("/dev/zero"),
    "link to itself": lambda path, _: path.symlink_to(path),
    "link to nothing": lambda path, root: path.symlink_to(root / "outside/absent"),
}


def _change_arrays(path: Path, damage: Damage, _: Path) -> None:
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except Exception:  # noqa: BLE001 - whatever an earlier damage made of it
        return
    name = sorted(arrays)[damage.number % len(arrays)]
    if damage.kind == "swapped":
        arrays = dict(zip(arrays, reversed(list(arrays.values())), strict=True))
    elif damage.kind == "strange":
        arrays["../../outside/notes.md"] = arrays[name]
    elif damage.kind in ARRAYS:
        arrays[name] = ARRAYS[damage.kind](arrays[name])
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            content = buffer.getvalue()
            if damage.kind == "claims":
                # A length beyond reason; the header keeps its own.
                content = content.replace(b",), }" + 12 * b" ", 12 * b"9" + b",), }")
            archive.writestr(f"{name}.npy", content)


ARRAYS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "floats": lambda array: array.astype(float),
    "square": lambda array: array[None],
    "scalar": lambda array: np.array(3, np.int32),
    "none": lambda array: array[:0],
    "negative": np.negative,
    "shifted": lambda array: np.roll(array, 1),
    "objects": lambda array: np.array([{}], dtype=object),
}


def _change_packed(path: Path, damage: Damage, _: Path) -> None:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError):
        return
    if damage.kind == "column":
        table = table.drop_columns([table.column_names[damage.number % table.num_columns]])
    elif damage.kind in ("twice", "reverse"):
        rows = list(range(table.num_rows))
        table = table.take(rows[::-1] if damage.kind == "reverse" else [*rows, *rows])
    else:
        texts = table["record"].to_pylist()
        turn = damage.turn % len(texts)
        texts[turn] = _change_text(texts[turn], damage).decode()
        place = table.column_names.index("record")
        table = table.set_column(place, table.schema.field(place), [texts])
    pq.write_table(table, path)


KINDS_OF_FILE = (
    *("deleted", "renamed", "again", "folder", "pipe", "empty", "huge"),
    *("link out", "link to device", "link to itself", "link to nothing"),
)
KINDS_OF_FOLDER = (
    *("deleted", "file", "folder", "pipe"),
    *("link out", "link to records", "link to itself", "link to nothing"),
)
ARRAY_CHANGES = (*ARRAYS, "swapped", "strange", "claims")
CHANGES: dict[str, Callable[[Path, Damage, Path], None]] = {
    **dict.fromkeys((*KINDS_OF_FILE, *KINDS_OF_FOLDER), _make),
    **dict.fromkeys(ARRAY_CHANGES, _change_arrays),
    **dict.fromkeys(("overwrite", "insert", "cut"), _change_bytes),
    **dict.fromkeys(("set", "drop", "double"), _change_json),
    **dict.fromkeys(("row", "column", "twice", "reverse"), _change_packed),
    "rekey": _rekey,
}
