"""What holds after every command: how it ended, which files it changed, which results are still there."""

import hashlib
import os
import stat
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from click.testing import Result

from reweightbench.benchmark.contracts.errors import UsageError
from reweightbench.benchmark.records import packed
from reweightbench.benchmark.records.record import Record


def check_outcome(result: Result) -> None:
    """A known exit code, no exception, nothing a terminal would obey, and one line for what a user can mend."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in (0, 1, 2, 130), result.exit_code
    shown = result.stdout + result.stderr
    assert all(character.isprintable() or character == "\n" for character in shown), repr(shown)
    assert "Traceback" not in shown, shown
    others = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    if result.exit_code == 2:
        assert len(others) == 1, result.stderr
        assert others[0].startswith("error: "), result.stderr


def check_pages(root: Path, before: dict[str, str]) -> None:
    """No table that the command wrote holds what a terminal would obey."""
    after = list_files(root)
    for path in root.glob("*/small/report/tables/*"):
        name = str(path.relative_to(root))
        if path.suffix in (".md", ".csv", ".tex") and path.is_file() and after.get(name) != before.get(name):
            assert path.read_text(encoding="utf-8").replace("\n", "").isprintable(), path


def _writes(root: Path, line: tuple[str, ...]) -> list[Path]:
    """Folders in which a command may change files."""
    name = line[0] if line else ""
    values = dict(pairwise(line))
    results = [root / values.get("--results", "results" if name == "verify" else "runs")]
    if name in ("list", "check", "prepare", "status") or "--dry-run" in line:
        return []
    if name == "publish":
        return [root / values.get("--into", "results")]
    if name == "merge":
        return [root / line[-1]]
    return [] if name == "verify" else results


def check_files(
    root: Path, line: tuple[str, ...], before: dict[str, str], held: dict[tuple[str, str], str]
) -> None:
    """Nothing has changed where the command does not write, and no result is gone."""
    after = list_files(root)
    # A folder of results may be a link of the user's; what lies in it may not lead out.
    places = [place for path in _writes(root, line) for place in (path, path / "small")]
    allowed = [place.resolve() for place in places if _can_resolve(place)]
    for name in {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}:
        place = (root / name).parent.resolve() / Path(name).name
        # Folders on the way to one that is made are new too.
        is_way = any(path.is_relative_to(place) for path in allowed) and name not in before
        is_inside = any(place.is_relative_to(path) for path in allowed)
        assert is_way or is_inside, f"{line} changed {name}: {before.get(name)} -> {after.get(name)}"
    if not {"--replace", "--rerun-changed"} & set(line):
        lost = held.items() - read_results(root).items()
        assert not lost, f"{line} lost {[place for place, _ in lost]}"


def _can_resolve(path: Path) -> bool:
    with suppress(OSError, RuntimeError):
        path.resolve()
        return True
    return False


def list_files(root: Path) -> dict[str, str]:
    """Every file below a folder: its kind and what it holds."""
    found = {}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            status = path.lstat()
            content = ""
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                is_huge = status.st_size > 2**26
                content = "huge" if is_huge else hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(root))] = f"{stat.S_IFMT(status.st_mode):o} {content}"
    return found


def read_results(root: Path) -> dict[tuple[str, str], str]:
    """The results of the sound records by folder and key, read one by one."""
    held: dict[tuple[str, str], str] = {}
    for name in ("pubs", "runs", "other", "merged"):
        folder = root / name / "small"
        with suppress(UsageError, OSError):
            for outcome in packed.read(folder / "records.parquet", lambda _: None):
                held[name, outcome.record.key] = outcome.record.model_dump_json(include={"result"})
        with suppress(OSError):
            for path in (folder / "records").glob("*.json"):
                if path.is_file() and not path.is_symlink() and path.stat().st_size < 2**26:
                    with suppress(ValueError, UsageError):
                        record = Record.model_validate_json(path.read_bytes())
                        if record.status == "ok" and record.key == record.cell.key == path.stem:
                            held[name, record.key] = record.model_dump_json(include={"result"})
    return held
