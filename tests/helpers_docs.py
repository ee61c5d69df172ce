"""What the documentation shows: its Python, its commands, and what it says is not run.

A block or a command that the tests cannot run is marked where it stands, invisibly to the reader: a comment
`not run: why`, on the line before the block or directly after the command's last backtick.
"""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
OF_THEIR_OWN = {"troubleshooting.md", "side-by-side.md"}
"""Pages that are made of what a test of their own runs."""
NOT_RUN = r"<!-- not run: ([^>]+) -->"
STANDS_FOR = {"CONFIG.yaml": "configs/cartpole.yaml", "RUN": "runs/cartpole"}


class Shown(NamedTuple):
    """A block or a command, and why it is not run, where it is not."""

    text: str
    not_run: str | None


def pages():
    return [page for page in PAGES if page.name not in OF_THEIR_OWN]


def blocks_of(page):
    """(why it is not run or "", the language, the text) of every fenced block, in its order."""
    return re.findall(rf"(?:^{NOT_RUN}\n+)?^```([^\n]*)\n(.*?)^```$", page.read_text(), re.S | re.M)


def python_of(page):
    return [Shown(text, why or None) for why, language, text in blocks_of(page) if language == "python"]


def commands_of(page):
    """Every `python -m pg_theano...` of a page that can be pasted: a line of a block, or between backticks.

    One that is cut short (`...`) is none.
    """
    found = []
    for why, language, block in blocks_of(page):
        lines = re.findall(r"^(?:[$#] )?(python -m pg_theano[^\n]*)$", block, re.M) if language != "python" else []
        found += [Shown(re.sub(r"\s+#.*", "", line), why or None) for line in lines]
    text = re.sub(r"^```[^\n]*\n.*?^```$", "", page.read_text(), flags=re.S | re.M)
    for words, why in re.findall(rf"`(python -m pg_theano[^`]*)`\]?(?:{NOT_RUN})?", text):
        found.append(Shown(" ".join(words.split()), why or None))
    return [one._replace(text=pasted(one.text)) for one in found if "…" not in pasted(one.text)]


def pasted(command):
    """As one would type it: what may be left out is left in, and names stand for something."""
    command = re.sub(r" \[knob=value \.\.\.\]", "", command).replace("...", "…")
    command = re.sub(r" \[([A-Z.a-z-]+)\]", r" \1", command)
    for name, stands_for in STANDS_FOR.items():
        command = re.sub(rf"(?<= ){re.escape(name)}(?= |$)", stands_for, command)
    return command


def words_of(command):
    """(module, its arguments)."""
    python, m, module, *arguments = shlex.split(command)
    assert (python, m) == ("python", "-m")
    return module, arguments
