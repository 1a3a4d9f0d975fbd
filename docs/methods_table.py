"""The table of methods in the README, made from the registry and the published timing.

Run: python docs/methods_table.py write
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from reweightbench.benchmark.cells.catalogue import list_needs
from reweightbench.benchmark.contracts.method import Family, Method
from reweightbench.benchmark.contracts.registry import METHODS
from reweightbench.benchmark.records.folder import ResultsFolder
from reweightbench.benchmark.records.timing import REFERENCE
from reweightbench.benchmark.report.formats import ABSENT
from reweightbench.benchmark.report.overhead import Overheads

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
HEAD = ["method", "family", "idea", "paper", "needs", f"time / {REFERENCE}"]
START, END = "<!-- methods -->\n", "<!-- end of methods -->\n"


def write() -> str:
    """The README with the present table."""
    before, rest = README.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    lines = [HEAD, ["---"] * len(HEAD), *_rows()]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{before}{START}{table}{END}{after}"


def shipped() -> dict[str, type[Method]]:
    """The methods of this package by family and name; a user's own are left out."""
    families = get_args(Family)
    classes = [
        (name, cls)
        for name, cls in METHODS.classes.items()
        if cls.__module__.startswith("reweightbench.methods.")
    ]
    return dict(sorted(classes, key=lambda item: (families.index(item[1].family), item[0])))


def _rows() -> Iterator[list[str]]:
    timings = ResultsFolder(ROOT / "results" / "digits-all").timings()
    times = {} if not timings else Overheads(timings[0]).ratios
    for name, cls in shipped().items():
        yield [
            f"[`{name}`](methods/{name}.py)",
            f"[{cls.family}](docs/methods/{cls.family}.md)",
            _escape((inspect.getdoc(cls) or "").splitlines()[0]),
            _escape(cls.paper),
            list_needs(cls.needs),
            f"{times[name].value:.2f}" if name in times else ABSENT,
        ]


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    if sys.argv[1:] == ["write"]:
        README.write_text(write(), encoding="utf-8")
    else:
        sys.exit(__doc__)
