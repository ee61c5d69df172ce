"""Pages of `pg_theano/by_hand/`: each function's docstring, its formula, and below it the lines that compute it."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

TWIN = Path(__file__).resolve().parents[1] / "pg_theano" / "by_hand"
ORDER = [
    "layers", "networks", "policies", "advantages", "optimizers", "vpg", "ppo", "convolution", "recurrence", "program"
]  # fmt: skip


def pages() -> dict[str, str]:
    """The Markdown of every page, by its name: `twin` lists those of the modules, `twin-vpg` and so on."""
    modules = [name for name in ORDER if (TWIN / f"{name}.py").exists()]
    modules += sorted({path.stem for path in TWIN.glob("[a-z]*.py")} - set(modules))
    head = ["# The twin, by hand", "", fenced(docstring(ast.parse((TWIN / "__init__.py").read_text()))), ""]
    found = {f"twin-{name}": page(name) for name in modules}
    rows = [f"- [`{name}.py`](twin-{name}.md): {title(name)}" for name in modules]
    hidden = ["", "```{toctree}", ":hidden:", "", *found, "```", ""]
    return {"twin": "\n".join([*head, *rows, *hidden])} | found


def title(name: str) -> str:
    first = docstring(ast.parse((TWIN / f"{name}.py").read_text())).partition("\n")[0]
    return re.sub(r"([<>*_`])", r"\\\1", first)


def page(name: str) -> str:
    """A module: what it says of itself, and each function and class in its order."""
    source = (TWIN / f"{name}.py").read_text("utf-8")
    tree, lines = ast.parse(source), source.splitlines()
    parts = [f"# `by_hand/{name}.py`", fenced(docstring(tree))]
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or not ast.get_docstring(node):
            continue
        last = node.end_lineno or node.lineno
        first = node.body[1].lineno if len(node.body) > 1 else last
        code = textwrap.dedent("\n".join(lines[first - 1 : last]))
        where = f"[lines {first} to {last}](#{name}-{slug(node.name)}-lines)"
        words = lines[node.lineno - 1 : node.body[0].lineno - 1]
        parts += [
            f"({name}-{slug(node.name)})=\n## `{node.name}`",
            fenced(textwrap.dedent("\n".join(words)), "python"),
            fenced(docstring(node)),
            f"Computed by {where} of `pg_theano/by_hand/{name}.py`:",
            f"({name}-{slug(node.name)}-lines)=\n```{{code-block}} python\n:lineno-start: {first}\n\n{code}\n```",
        ]
    return "\n\n".join(parts) + "\n"


def slug(name: str) -> str:
    return name.lower().replace("_", "-")


def docstring(node: ast.Module | ast.FunctionDef | ast.ClassDef) -> str:
    return ast.get_docstring(node) or ""


def fenced(content: str, kind: str = "text") -> str:
    return f"```{kind}\n{content}\n```"


def anchor(path: Path, words: str) -> str | None:
    """The page of a file of the twin, and in it the function that a link's words name."""
    if path.parent != TWIN or path.suffix != ".py" or path.stem.startswith("__"):
        return None
    name = re.fullmatch(r"`(?:\w+\.)?(\w+)`", words)
    there = name and re.search(rf"^(?:def|class) {name[1]}\b", path.read_text(), re.M)
    return f"twin-{path.stem}.md" + (f"#{path.stem}-{slug(name[1])}" if name and there else "")
