"""Draw docs/rooms.svg: the rooms of the package, floor by floor, and which room imports which.

    python docs/rooms.py

Everything is read from the imports, lazy ones too; nothing is imported. A room is a sub-package, a file of the contract
(types, spec, parameters), or all commands together. The picture changes only when a room comes or goes, or when the
first import from one room to another is written or the last one is taken away.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "pg_theano"
PICTURE = HERE / "rooms.svg"

COMMANDS, NO_ROOM = "commands", "no room yet"


class Room(NamedTuple):
    floor: int
    name: str
    holds: str


HOUSE = [
    Room(10, COMMANDS, "parse, call, print; nobody imports one"),
    Room(9, "bias", "which choices bias a gradient"),
    Room(9, "reports", "screens, figures, pages, comparisons"),
    Room(8, "clinic", "why one's own policy gradient fails"),
    Room(8, "search", "search of hyper-parameters"),
    Room(8, "microscope", "how good a run's gradient is"),
    Room(7, "training", "the loop; who plays; search of parameters"),
    Room(6, "runs", "a run's folder: written, locked, read back"),
    Room(5, "policies", "a trained policy in NumPy; ONNX"),
    Room(4, "environments", "any Gymnasium environment"),
    Room(3, "compiler", "graph to machine code to cache"),
    Room(2, "course", "exercises that check themselves"),
    Room(2, "config", "every knob: declared, read, explained"),
    Room(1, "by_hand", "the twin in NumPy, derived on paper"),
    Room(1, "exact", "a task whose gradient is known"),
    Room(1, "graphs", "all mathematics, as expressions"),
    Room(1, "system", "files, locks, processes, signals"),
    Room(0, "parameters", "networks, layouts and initial values"),
    Room(0, "layers", "kinds of layers, as plain data"),
    Room(0, "spec", "what shapes a graph, as types"),
    Room(0, "types", "arrays, Program, Played"),
]
"""From the top floor down. What stands in no room of this list is drawn above the house."""
CONTRACT = ("types", "spec", "parameters")


# -- what is read


def modules_of(package: Path) -> dict[str, Path]:
    """Every module by its name; a folder with an `__init__` has the folder's name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room_of(name: str, path: Path, tree: ast.Module) -> str:
    """The room that a module stands in."""
    _, *inside = name.split(".")
    if not inside or inside[-1] == "__main__":
        return COMMANDS
    if len(inside) > 1 or path.name == "__init__.py" or inside[0] in CONTRACT:
        return inside[0]
    has_main = any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)
    return COMMANDS if has_main else NO_ROOM


def imported_by(name: str, path: Path, tree: ast.Module, modules: dict[str, Path]) -> Iterator[str]:
    """Every module of the package that a file imports, at its top or inside a function."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                if whole in modules:
                    yield whole
                elif base in modules:
                    yield base


def read(package: Path) -> tuple[list[Room], set[tuple[str, str]]]:
    """(the rooms that are there, from the top down; which imports which)."""
    modules = modules_of(package)
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in modules.items()}
    room = {name: room_of(name, modules[name], tree) for name, tree in trees.items()}
    edges = {
        (room[name], room[other])
        for name, tree in trees.items()
        for other in imported_by(name, modules[name], tree, modules)
        if room[name] != room[other]
    }
    there = set(room.values())
    known = {one.name for one in HOUSE}
    outside = [Room(11, name, "stands in no room of the house") for name in sorted(there - known)]
    return [*outside, *(one for one in HOUSE if one.name in there)], edges


# -- what is drawn

ROW, CELL, TOP, LEFT, GRID = 34, 32, 100, 16, 466
INK, FAINT, LINE, BAND, DOWN, UP = "#1f2328", "#59636e", "#d1d9e0", "#f3f6f9", "#1f6feb", "#cf222e"


def picture(package: Path = PACKAGE) -> str:
    """The SVG, the same for the same imports."""
    rooms, edges = read(package)
    floors = {one.name: one.floor for one in rooms}
    place = {one.name: index for index, one in enumerate(rooms)}
    right = GRID + CELL * len(rooms)
    width, height = right + 92, TOP + ROW * len(rooms) + 54
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-labelledby="title said" font-family="system-ui, sans-serif" font-size="14" fill="{INK}">',
        '<title id="title">The rooms of pg_theano, from the top floor down, and which room imports which</title>',
        f'<desc id="said">{escape(said(rooms, edges))}</desc>',
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        text(LEFT, TOP - 12, "floor", FAINT, size=12),
        text(LEFT + 48, TOP - 12, "room", FAINT, size=12),
    ]
    for row, one in enumerate(rooms):
        y, x = TOP + ROW * row, GRID + CELL * row
        if one.floor % 2 == 0:
            lines.append(f'<rect x="0" y="{y}" width="{right}" height="{ROW}" fill="{BAND}"/>')
        begins = row == 0 or rooms[row - 1].floor != one.floor
        start, thick = (0, 1) if begins else (GRID, 0.5)
        lines.append(f'<line x1="{start}" y1="{y}" x2="{right}" y2="{y}" stroke="{LINE}" stroke-width="{thick}"/>')
        if begins:
            lines.append(text(LEFT + 8, y + 22, str(one.floor) if one.floor < 11 else "?", FAINT))
        lines.append(text(LEFT + 48, y + 22, one.name, bold=True))
        lines.append(text(LEFT + 166, y + 22, one.holds, FAINT, size=12.5))
        lines.append(
            f'<text transform="translate({x + CELL / 2 + 4:g} {TOP - 10}) rotate(-45)" font-size="13">'
            f"{escape(one.name)}</text>"
        )
    bottom = TOP + ROW * len(rooms)
    for index in range(len(rooms) + 1):
        x = GRID + CELL * index
        lines.append(f'<line x1="{x}" y1="{TOP}" x2="{x}" y2="{bottom}" stroke="{LINE}" stroke-width="0.5"/>')
    lines.append(f'<line x1="0" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="{LINE}"/>')
    for index in range(len(rooms)):
        x, y = GRID + CELL * index, TOP + ROW * index
        lines.append(f'<rect x="{x + 1}" y="{y + 1}" width="{CELL - 2}" height="{ROW - 2}" fill="{LINE}"/>')
    for importer, imported in sorted(edges, key=lambda edge: (place[edge[0]], place[edge[1]])):
        x, y = GRID + CELL * place[imported] + CELL / 2, TOP + ROW * place[importer] + ROW / 2
        lines.append(dot(x, y, floors[importer] - floors[imported], f"{importer} imports {imported}"))
    x, y = LEFT + 116, bottom + 32
    legend = (1, "from below", 116), (0, "from its own floor", 158), (-1, "from above, which is wrong", 0)
    for down, words, wide in legend:
        lines.append(dot(x, y - 5, down))
        lines.append(text(x + 14, y, words, size=13))
        x += wide
    lines.append(text(LEFT, y, "a row imports", FAINT, size=13))
    return "\n".join([*lines, "</svg>", ""])


def said(rooms: list[Room], edges: set[tuple[str, str]]) -> str:
    """The same in words."""
    order = [one.name for one in rooms]
    lines = []
    for name in order:
        found = [other for other in order if (name, other) in edges]
        lines.append(f"{name}: {', '.join(found) or 'nothing'}")
    return "What each imports. " + "; ".join(lines) + "."


def dot(x: float, y: float, down: int, title: str = "") -> str:
    """An import that leads so many floors down; hollow on one floor, a square upwards."""
    inner = f"<title>{escape(title)}</title>" if title else ""
    if down < 0:
        return f'<rect x="{x - 6.5:g}" y="{y - 6.5:g}" width="13" height="13" fill="{UP}">{inner}</rect>'
    look = f'fill="{DOWN}"' if down else f'fill="#ffffff" stroke="{DOWN}" stroke-width="2"'
    return f'<circle cx="{x:g}" cy="{y:g}" r="{6.5 if down else 5.5}" {look}>{inner}</circle>'


def text(x: float, y: float, words: str, color: str = INK, *, size: float = 14, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{color}"{weight}>{escape(words)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8", newline="\n")
    print(PICTURE)
