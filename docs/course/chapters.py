"""Run a chapter of the course: `python docs/course/chapters.py 2` prints what its code prints, and draws its figures.

A chapter is a page of Markdown whose blocks of Python are run one after the other, in one namespace. The site is built
with what they print, and with each `figure` that a block makes, below the block. Nothing that is shown is kept in the
project: numbers and figures are of the code of the day.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BLOCK = re.compile(r"^```python\n(.*?)^```\n", re.S | re.M)
MARK = "\x1e"
BEGINNING = f"""
import sys
sys.path[:0] = [{str(HERE)!r}, {str(ROOT)!r}]
import matplotlib
matplotlib.rcParams["svg.hashsalt"] = "chapter"
shown = None
"""
AFTER = """
if "figure" in globals() and figure is not shown:
    shown = figure
    figure.savefig(f"{sys.argv[1]}-{NUMBER}.svg", metadata={{"Date": None}})
print("{MARK}", end="", flush=True)
"""


class Block(NamedTuple):
    """A block of Python, what it printed, and the file of its figure."""

    code: str
    printed: str
    figure: Path | None


def chapters() -> list[Path]:
    """The pages that are chapters, in their order."""
    return sorted(HERE.glob("[0-9][0-9]-*.md"))


def run(page: Path, folder: Path, text: str | None = None) -> list[Block]:
    """The blocks of a page, run in a process of their own; figures go to `folder`. Errors: RuntimeError, with what was
    printed last."""
    codes = BLOCK.findall(page.read_text("utf-8") if text is None else text)
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    whole = BEGINNING + "".join(
        f"{code}\n{AFTER.replace('{NUMBER}', str(k)).replace('{MARK}', MARK).replace('{{', '{').replace('}}', '}')}"
        for k, code in enumerate(codes)
    )
    with tempfile.TemporaryDirectory() as place:
        script = Path(place) / f"{page.stem}.py"
        script.write_text(whole, "utf-8")
        where = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        words = [sys.executable, str(script), str(folder / page.stem)]
        done = subprocess.run(words, capture_output=True, text=True, env=where, cwd=place)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{page.name}: {done.stderr[-2000:]}")
    printed = done.stdout.split(MARK)
    figures = [folder / f"{page.stem}-{k}.svg" for k in range(len(codes))]
    return [
        Block(code, said.rstrip(), figure if figure.exists() else None)
        for code, said, figure in zip(codes, printed, figures, strict=False)
    ]


def rendered(text: str, blocks: list[Block], place: str) -> str:
    """The page with what each block gave below it; `place` is the folder of the figures as the page names it."""
    left = iter(blocks)

    def below(found: re.Match[str]) -> str:
        block = next(left)
        parts = [found[0]]
        if block.printed:
            parts.append(f"\n```text\n{block.printed}\n```\n")
        if block.figure:
            title = re.search(r"^# figure: (.*)$", block.code, re.M)
            parts.append(f"\n![{title[1] if title else 'what the block above draws'}]({place}/{block.figure.name})\n")
        return "".join(parts)

    return BLOCK.sub(below, text)


def main() -> int:
    asked = sys.argv[1:] or [page.stem for page in chapters()]
    for word in asked:
        pages = [page for page in chapters() if page.stem == word or page.stem.startswith(f"{word.zfill(2)}-")]
        if not pages:
            print(
                f"error: chapter: got {json.dumps(word)}; expected a number from 0 to {len(chapters()) - 1}",
                file=sys.stderr,
            )
            return 2
        for page in pages:
            for block in run(page, Path("plots") / "course"):
                print("\n".join(filter(None, [block.printed, f"wrote {block.figure}" if block.figure else ""])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
