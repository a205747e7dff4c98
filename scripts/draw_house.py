"""Draws the rooms of the package and who imports whom: python scripts/draw_house.py writes docs/house.svg.

A room stands below all rooms that it imports. An arrow that follows from others is left out. --print only prints it.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "gravscope"
PICTURE = REPOSITORY / "docs" / "house.svg"

Arrows = dict[str, set[str]]
# pixels: the picture, a line of modules, and what is around a box
WIDTH, LINE, GAP, EDGE = 1000, 16, 46, 10
# characters of a line in a box, and pixels of one of them in the font below
LETTERS, LETTER = 46, 7.4

STYLE = (
    "text{font:12px ui-monospace,monospace;fill:#1f2328}.room{font-weight:bold;font-size:14px}"
    "rect{fill:#f6f8fa;stroke:#57606a}path{fill:none;stroke:#57606a}marker path{fill:#57606a}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#161b22;stroke:#8b949e}"
    "path{stroke:#8b949e}marker path{fill:#8b949e}}"
)


def rooms(package: Path) -> dict[str, list[str]]:
    """The modules of each room, by name; in `actions` with their folder before them."""
    found: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        room, *rest = path.relative_to(package).with_suffix("").parts
        if room != "__init__" and rest != ["__init__"]:
            found.setdefault(room, [])
            if rest and rest[-1] != "__init__":
                found[room].append("/".join(rest))
    return found


def imported(path: Path) -> Iterator[str]:
    """The dotted names of the package that a module imports, late ones and those for type checkers included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gravscope":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("gravscope."))


def arrows_between(package: Path) -> Arrows:
    """Which rooms each room imports."""
    names = rooms(package)
    arrows: Arrows = {room: set() for room in names}
    for path in package.rglob("*.py"):
        room = path.relative_to(package).with_suffix("").parts[0]
        if room in arrows:
            arrows[room] |= {name.split(".")[1] for name in imported(path)} & names.keys() - {room}
    return arrows


def without_shortcuts(arrows: Arrows) -> Arrows:
    """The same without arrows that follow from others."""

    def beyond(room: str) -> set[str]:
        return {further for near in arrows[room] for further in (near, *beyond(near))}

    return {
        room: {to for to in near if not any(to in beyond(other) for other in near)} for room, near in arrows.items()
    }


def floors(arrows: Arrows) -> list[list[str]]:
    """The rooms floor by floor: each room below all that it imports."""

    def depth(room: str) -> int:
        return 1 + max(map(depth, arrows[room]), default=-1)

    deepest = max(map(depth, arrows))
    return [sorted(room for room in arrows if depth(room) == level) for level in range(deepest + 1)]


def lines_of(modules: list[str]) -> list[str]:
    """The names of modules in lines that fit a box, each folder beginning a line of its own."""
    folders: dict[str, list[str]] = {}
    for module in modules:
        folder, slash, name = module.rpartition("/")
        folders.setdefault(folder + slash, []).append(name)
    lines = []
    for folder, names in folders.items():
        line = folder
        for name in names:
            if len(line) + len(name) + 1 > LETTERS:
                lines.append(line)
                line = " " * 2
            line = f"{line} {name}" if line.strip() else f"{line}{name}"
        lines.append(line)
    return lines


class Box:
    """A room in the picture: where it is, and what it says."""

    def __init__(self, room: str, lines: list[str]) -> None:
        self.room, self.lines = room, lines
        self.width = max(len(room) * 9, *(len(line) * LETTER for line in ["", *lines])) + 2 * EDGE
        self.height = LINE * (len(lines) + 1) + EDGE
        self.x = self.y = 0.0

    def drawn(self) -> Iterator[str]:
        """Its elements."""
        yield f'<rect x="{self.x:.0f}" y="{self.y:.0f}" width="{self.width:.0f}" height="{self.height:.0f}" rx="4"/>'
        yield f'<text class="room" x="{self.x + EDGE:.0f}" y="{self.y + LINE:.0f}">{escape(self.room)}</text>'
        for number, line in enumerate(self.lines, 2):
            yield (
                f'<text xml:space="preserve" x="{self.x + EDGE:.0f}" y="{self.y + LINE * number:.0f}">'
                f"{escape(line)}</text>"
            )


def placed(boxes: dict[str, Box], levels: list[list[str]]) -> float:
    """Gives each box its place; the height of the picture."""
    y = float(EDGE)
    for level in levels:
        free = WIDTH - sum(boxes[room].width for room in level)
        x = gap = free / (len(level) + 1)
        for room in level:
            boxes[room].x, boxes[room].y = x, y
            x += boxes[room].width + gap
        y += max(boxes[room].height for room in level) + GAP
    return y - GAP + EDGE


def arrow(start: Box, end: Box) -> str:
    """From a room to one that it imports, which is above it."""
    x1, y1 = start.x + start.width / 2, start.y
    x2, y2 = end.x + end.width / 2, end.y + end.height
    way = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 - 30:.0f} {x2:.0f} {y2 + 30:.0f} {x2:.0f} {y2:.0f}"
    return f'<path marker-end="url(#tip)" d="{way}"/>'


def picture(package: Path) -> str:
    """The drawing as SVG."""
    arrows = without_shortcuts(arrows_between(package))
    boxes = {room: Box(room, lines_of(modules)) for room, modules in rooms(package).items()}
    height = placed(boxes, floors(arrows))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
        "<title>The rooms of gravscope: an arrow points from a room to one that it imports</title>",
        f"<style>{STYLE}</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z"/></marker>',
        *(arrow(boxes[room], boxes[to]) for room in sorted(arrows) for to in sorted(arrows[room])),
        *(element for box in boxes.values() for element in box.drawn()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    text = picture(PACKAGE)
    print(text, end="") if "--print" in sys.argv[1:] else PICTURE.write_text(text, encoding="utf-8")
