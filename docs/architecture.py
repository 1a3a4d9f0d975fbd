"""The picture of the package's rooms and of the imports between them, and the table of what each room is for.

Run: python docs/architecture.py write
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import grimp

ROOMS = (
    "commands",
    "report",
    "conformance",
    "timing",
    "grid",
    "training",
    "data",
    "records",
    "cells",
    "networks",
    "contracts",
)
GUESTS = {"datasets": "data", "methods": "contracts"}
"""The folders beside the engine, each drawn beside a room that it imports."""

DOCS = Path(__file__).parent
PAGE, PICTURE = DOCS / "architecture.md", DOCS / "architecture.svg"
START, END = "<!-- rooms -->\n", "<!-- end of rooms -->\n"

LEFT, WIDTH, HEIGHT, GAP, TOP = 150, 640, 40, 10, 20
GUEST_WIDTH, MARGIN = 100, 20


def write_page() -> str:
    """The page with the present table."""
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    rows = [f"| [`{room}`](../benchmark/{room}) | {describe(room)} |\n" for room in ROOMS]
    return f"{before}{START}| room | what it holds |\n|---|---|\n{''.join(rows)}{END}{rest.split(END)[1]}"


def write_picture() -> str:
    """The SVG: rooms from top to bottom, and an arc for each pair of which one imports the other."""
    imports = find_imports()
    arcs = [_arc(*pair) for pair in imports if set(pair) <= set(ROOMS)]
    guests = [line for guest in GUESTS for line in _guest(guest, imports)]
    right = LEFT + WIDTH + _reach(len(ROOMS) - 1) + MARGIN
    bottom = TOP + len(ROOMS) * (HEIGHT + GAP) + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {bottom}" '
            'font-family="sans-serif" font-size="13">',
            '<rect width="100%" height="100%" fill="white"/>',
            '<defs><marker id="head" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" '
            'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L6 3 L0 6 z" fill="#446"/></marker></defs>',
            *(
                line
                for room in ROOMS
                for line in _box(room, describe(room).replace("`", ""), LEFT, _place(room), WIDTH)
            ),
            *arcs,
            *guests,
            "</svg>\n",
        ]
    )


def find_imports() -> list[tuple[str, str]]:
    """The pairs of folders of which the first imports from the second, in the order of the rooms."""
    graph = grimp.build_graph("reweightbench", cache_dir=None)
    found = {
        (_folder(importer), _folder(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    }
    folders = [*ROOMS, *GUESTS]
    pairs = [(first, second) for first in folders for second in folders if first != second]
    return [pair for pair in pairs if pair in found]


def describe(room: str) -> str:
    """The sentence of a room."""
    return (importlib.import_module(f"reweightbench.benchmark.{room}").__doc__ or "").strip()


def _folder(module: str) -> str:
    parts = [*module.split(".")[1:], "", ""]
    return parts[1] if parts[0] == "benchmark" else parts[0]


def _place(room: str) -> int:
    return TOP + ROOMS.index(room) * (HEIGHT + GAP)


def _reach(distance: int) -> float:
    """How far an arc over so many rooms stands out."""
    return 20 + 17 * distance


def _box(name: str, text: str, left: int, top: int, width: int) -> Iterator[str]:
    middle = top + HEIGHT / 2 + 4.5
    yield f'<rect x="{left}" y="{top}" width="{width}" height="{HEIGHT}" rx="5" fill="#eef3fb" stroke="#446"/>'
    yield f'<text x="{left + 10}" y="{middle}" font-weight="bold">{escape(name)}</text>'
    if text:
        yield f'<text x="{left + 122}" y="{middle}" font-size="11">{escape(text.replace("`", ""))}</text>'


def _arc(first: str, second: str) -> str:
    """From the room that imports to the one below it."""
    distance = ROOMS.index(second) - ROOMS.index(first)
    edge = LEFT + WIDTH
    turn = edge + _reach(distance)
    # Arcs leave a room in its lower half and arrive in the upper one, short ones nearest to the middle.
    share = distance / len(ROOMS) * HEIGHT / 2
    start, end = _place(first) + HEIGHT / 2 + share, _place(second) + HEIGHT / 2 - share
    return (
        f'<path d="M{edge} {start:.1f} C{turn:.1f} {start:.1f} {turn:.1f} {end:.1f} {edge + 1} {end:.1f}" '
        f'fill="none" stroke="#446" stroke-opacity="0.55" stroke-width="1.2" '
        f'marker-end="url(#head)"><title>{first} imports {second}</title></path>'
    )


def _guest(name: str, imports: list[tuple[str, str]]) -> Iterator[str]:
    top = _place(GUESTS[name])
    yield from _box(name, "", MARGIN, top, GUEST_WIDTH)
    for room in ROOMS:
        if (name, room) in imports:
            end = _place(room) + HEIGHT / 2 - (0 if room == GUESTS[name] else 10)
            yield (
                f'<path d="M{MARGIN + GUEST_WIDTH} {top + HEIGHT / 2} L{LEFT - 1} {end}" fill="none" stroke="#446" '
                f'marker-end="url(#head)"><title>{name} imports {room}</title></path>'
            )


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        sys.exit(__doc__)
    PAGE.write_text(write_page(), encoding="utf-8")
    PICTURE.write_text(write_picture(), encoding="utf-8")
