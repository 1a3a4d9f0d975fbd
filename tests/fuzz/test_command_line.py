"""Whatever is drawn, a command ends with a known exit code and one line, and nothing is lost or written elsewhere."""

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, example, given, seed, settings
from hypothesis import strategies as st

from fuzz.checks import check_files, check_outcome, check_pages, list_files, read_results
from fuzz.damage import DEEP, Damage, damages
from fuzz.words import SUITE, commands, suites, to_toml
from processes import call
from reweightbench.benchmark.commands.main import COMMANDS, main
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.records.record import Record
from reweightbench.benchmark.records.timing import CONTROL, FEWEST_ROUNDS, Memory, Timing

MINUTES = float(os.environ.get("REWEIGHTBENCH_FUZZ_MINUTES", "0"))
"""How long to draw at random; 0 draws a fixed few."""

MOST_SECONDS = 90
"""What a command may take."""

MINE = """
from dataclasses import dataclass
from typing import ClassVar
from reweightbench import Method

@dataclass
class Mine(Method):
    paper: ClassVar[str] = "none"
"""


@dataclass(frozen=True)
class Case:
    """Files that are damaged, a suite's text beside them, and the commands that are called then."""

    lines: tuple[tuple[str, ...], ...]
    damages: tuple[Damage, ...] = ()
    suite: bytes = to_toml(SUITE)


CASES = st.builds(
    Case,
    st.lists(commands(), min_size=1, max_size=2).map(tuple),
    st.lists(damages(), min_size=1, max_size=3).map(tuple) | st.just(()),
    suites(),
)


class HangError(BaseException):
    """A command took longer than it may."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a suite's run, its published and its merged records, and files that are nobody's business."""
    root = tmp_path_factory.mktemp("sound")
    (root / "small.toml").write_bytes(to_toml(SUITE))
    assert call(root, "run", "small.toml", "--quiet").exit_code == 0
    _write_timing(root / "runs/small")
    assert call(root, "publish", "small.toml", "--into", "pubs").exit_code == 0
    assert call(root, "report", "small.toml").exit_code == 0
    shutil.copytree(root / "runs/small", root / "other/small", ignore=shutil.ignore_patterns("report"))
    for path in sorted((root / "other/small/records").iterdir())[:4]:
        path.unlink()
    (root / "outside/folder").mkdir(parents=True)
    for name in ("notes.md", "folder/leaderboard.md", "folder/results.csv"):
        (root / "outside" / name).write_text("[keep](notes.md)\n")
    (root / "mine.py").write_text(MINE)
    (root / "broken.py").write_bytes(b"\xff import (\n")
    (root / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    for name in ("folder.py", "folder.toml"):
        (root / name).mkdir()
    return root


def _write_timing(folder: Path) -> None:
    records = [Record.model_validate_json(path.read_bytes()) for path in (folder / "records").glob("*.json")]
    cells = {record.cell.method.name: record.cell for record in records if record.cell.seed == 0}
    cells[CONTROL] = cells["sgd"]
    rounds = [{label: 0.001 + turn / 1e6 for label in cells} for turn in range(FEWEST_ROUNDS)]
    timing = Timing(
        suite="small",
        hardware="Example CPU",
        environment=records[0].environment,
        warm_up=1,
        steps=2,
        cells=cells,
        rounds=rounds,
        memory=dict.fromkeys(cells, Memory(peak=2**29)),
    )
    (folder / "timing").mkdir()
    (folder / "timing/example-cpu.json").write_text(timing.model_dump_json())


REPORT, STATUS = ("report", "small.toml"), ("status", "small.toml")
RUN, MERGE = ("run", "small.toml", "--quiet"), ("merge", "other/small", "runs/small")
RECORDS = "runs/small/records/*.json"


@example(Case((REPORT,), (Damage("link out", "runs/small/report/leaderboard.md"),)))
@example(Case((REPORT,), (Damage("link out", "runs/small/report/tables"),)))
@example(Case((REPORT,), (Damage("pipe", "runs/small/report/tables/results.csv"),)))
@example(Case((RUN,), (Damage("link out", "runs/small/records"),)))
@example(Case((MERGE,), (Damage("link out", "runs/small/timing"),)))
@example(Case((STATUS, REPORT), (Damage("cut", RECORDS, number=100),)))
@example(Case((("publish", "small.toml", "--dry-run"),), (Damage("cut", RECORDS, number=100),)))
@example(Case((STATUS,), (Damage("set", RECORDS, number=0, value=DEEP),)))
@example(
    Case(
        (("publish", "small.toml", "--into", "new"), ("merge", "runs/small", "merged/small")),
        (Damage("claims", "runs/small/records/*.npz"),),
    )
)
@example(Case((("publish", "small.toml", "--into", "loop"), ("check", "loop/mine.py"))))
@example(Case((("run", "--dry-run", "--quiet", "--data-dir", "loop", "small.toml", "--seeds", "7"),)))
@example(Case((("publish", "small.toml", "--into", "\udcff"),)))
@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(CASES)
def test_every_command_line_ends_well(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, tried: Counter[tuple[str, int]], case: Case
) -> None:
    _try(case, sound, tmp_path_factory, tried)


@pytest.mark.skipif(not MINUTES, reason="make fuzz draws at random")
def test_many_command_lines_end_well(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, tried: Counter[tuple[str, int]]
) -> None:
    deadline = time.monotonic() + 60 * MINUTES
    while time.monotonic() < deadline:
        start = int.from_bytes(os.urandom(4))

        @seed(start)
        @settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(CASES)
        def attempt(case: Case) -> None:
            _try(case, sound, tmp_path_factory, tried)

        attempt()


def _try(
    case: Case, sound: Path, tmp_path_factory: pytest.TempPathFactory, tried: Counter[tuple[str, int]]
) -> None:
    root = tmp_path_factory.mktemp("case")
    shutil.rmtree(root)
    try:
        shutil.copytree(sound, root, symlinks=True)
        for name in ("pipe.py", "pipe.toml"):
            os.mkfifo(root / name)
        (root / "loop").symlink_to("loop")
        (root / "drawn.toml").write_bytes(case.suite)
        for damage in case.damages:
            damage.do(root)
        for line in case.lines:
            before, held = list_files(root), read_results(root)
            result = _call(root, line)
            tried[_name(line), result.exit_code] += 1
            check_outcome(result)
            check_files(root, line, before, held)
            check_pages(root, before)
    finally:
        shutil.rmtree(root)


def _name(line: tuple[str, ...]) -> str:
    name = line[0] if line and line[0] in COMMANDS else "other"
    return "dry run" if name == "run" and "--dry-run" in line else name


def _call(root: Path, line: tuple[str, ...]) -> Result:
    known = dict(METHODS.classes)
    with chdir(root), _bounded():
        result = CliRunner().invoke(main, list(line))
    for name in METHODS.classes.keys() - known.keys():
        del METHODS._classes[name]
    return result


@contextmanager
def _bounded() -> Iterator[None]:
    def stop(_: int, frame: FrameType | None) -> None:
        raise HangError

    earlier = signal.signal(signal.SIGALRM, stop)
    signal.alarm(MOST_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, earlier)
