"""The site: `make docs`, which takes every warning for an error. What can be generated is, before anything is read."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
GENERATED = HERE / "generated"
sys.path[:0] = [str(ROOT), str(HERE / "course"), str(HERE)]

import chapters
import twin

from pg_theano.config import knobs, tables
from pg_theano.reports.lessons import pages
from pg_theano.search import plan
from pg_theano.system.commands import main_of, sources

project, author, copyright = "pg_theano", "the pg_theano developers", "the pg_theano developers"
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "pg_theano"
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["math.css"]  # and the font that it names
html_math_renderer = "mathml"  # drawn by browsers themselves: pages name no other host, and need no script
exclude_patterns = ["_build", "examples", "static"]
suppress_warnings = ["misc.highlighting_failure"]

TAKEN_IN = {
    "benchmarks/README.md": "speed.md",
    "benchmarks/quality.md": "quality.md",
    "benchmarks/quality-mujoco.md": "quality-mujoco.md",
    "benchmarks/ppo-defaults.md": "ppo-defaults.md",
    "benchmarks/several.md": "several.md",
    "benchmarks/masks.md": "masks.md",
    "benchmarks/packages.md": "packages.md",
    "benchmarks/scans.md": "scans.md",
    "benchmarks/reliability.md": "measured-reliability.md",
    "benchmarks/search.md": "search-methods.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages that stand elsewhere in the project, and the name that they have here."""
TUTORIAL = HERE / "tutorial.ipynb"
CHAPTERS: dict[str, str] = {}
"""The chapters of the course, with what their code gives, by the names of their pages."""


def generate(app: object) -> None:
    """Write the pages to play with, and docs/generated/: every knob, every command's help, what is taken in."""
    pages.write(Path(app.outdir) / "interactive")  # type: ignore[attr-defined]
    shutil.rmtree(GENERATED, ignore_errors=True)
    GENERATED.mkdir()
    figures = GENERATED / "course"
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(lambda page: chapters.run(page, figures), chapters.chapters()))
    for page, blocks in zip(chapters.chapters(), done, strict=True):
        CHAPTERS[f"course/{page.stem}"] = chapters.rendered(page.read_text(), blocks, "../generated/course")
    for name, page in twin.pages().items():
        (GENERATED / f"{name}.md").write_text(page)
    (GENERATED / "knobs.md").write_text(knobs_page())
    (GENERATED / "commands.md").write_text(commands_page())
    (GENERATED / "tutorial.md").write_text(notebook_page(json.loads(TUTORIAL.read_text())))
    for source, name in TAKEN_IN.items():
        if (ROOT / source).exists():
            content = (ROOT / source).read_text()
            (GENERATED / name).write_text(content)
            for picture in re.findall(r"!\[[^\]]*\]\(([^):]+\.png)\)", content):
                target = GENERATED / picture
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile((ROOT / source).parent / picture, target)


def rows(found: list[tuple[str, str, str, str]]) -> list[str]:
    def cell(text: str) -> str:
        return text.replace("|", "\\|").replace("<", "&lt;") or " "

    lines = [f"| `{key}` | {cell(kind)} | `{default or '–'}` | {cell(text)} |" for key, kind, default, text in found]
    return ["| knob | | default | |", "|---|---|---|---|", *lines, ""]


def knobs_page() -> str:
    """Every knob, from the classes that check them: there is no second list."""
    return "\n".join(
        [
            "# Every knob",
            "",
            "In YAML as nested keys, on the command line as `a.b=value`. Made from `pg_theano/config/knobs.py`.",
            "",
            *rows(tables.knobs()),
            "## A schedule",
            "",
            *rows(tables.knobs(knobs.Schedule)),
            "## A search",
            "",
            *rows(tables.knobs(plan.Search, "search.")),
            "## A range of a search's space",
            "",
            *rows(tables.knobs(plan.Range, "search.space.KNOB.")),
        ]
    )


def commands_page() -> str:
    """What each command says of itself under `-h`, without the table of knobs."""
    lines = ["# Every command", "", "Each as its own `-h` says it; knobs have [a page of their own](knobs.md).", ""]
    for name in sources():
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            main_of(name)(["-h"])
        text = re.split(r"\n(?=knobs[ (])", said.getvalue())[0].rstrip()
        lines += [f"## {name}", "", "```text", text, "```", ""]
    return "\n".join(lines)


def notebook_page(notebook: dict) -> str:
    """A notebook as it was last run, as Markdown: its text, its code, and below each what it gave."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(fenced("python", source))
        for output in cell["outputs"]:
            data = output.get("data", {})
            if "text/html" in data:
                parts.append(fenced("{raw} html", "".join(data["text/html"])))
            elif said := "".join(output.get("text") or data.get("text/plain", "")):
                parts.append(fenced("text", said.rstrip()))
    return "\n\n".join(parts) + "\n"


def fenced(kind: str, content: str) -> str:
    """A block whose fence is longer than any in it."""
    fence = "`" * (1 + max([2, *(len(one) for one in re.findall(r"`+", content))]))
    return f"{fence}{kind}\n{content}\n{fence}"


def inside(app: object, name: str, source: list[str]) -> None:
    """Links to files of the project that are no page of the site become their names."""
    source[0] = CHAPTERS.get(name, source[0])
    taken = {ROOT / origin: page for origin, page in TAKEN_IN.items() if (GENERATED / page).exists()}
    written_in = {f"generated/{page.removesuffix('.md')}": origin.parent for origin, page in taken.items()}
    written_in |= {"generated/tutorial": HERE}
    origin, page = written_in.get(name, (HERE / name).parent), (HERE / name).parent

    def link(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        path, _, anchor = target.partition("#")
        beside = (origin / path).resolve()
        if by_hand := twin.anchor(beside, text):
            return f"[{text}]({os.path.relpath(GENERATED, page)}/{by_hand})"
        if beside.parent == HERE / "interactive":
            return f'<a href="{os.path.relpath(beside, page)}">{text}</a>'
        made = (
            GENERATED / taken[beside]
            if beside in taken
            else GENERATED / "tutorial.md"
            if beside == TUTORIAL
            else beside
        )
        if made.suffix == ".md" and made.is_relative_to(HERE):
            return f"[{text}]({os.path.relpath(made, page)}{'#' + anchor if anchor else ''})"
        return text if text.startswith("`") else f"{text} (`{os.path.relpath(beside, ROOT)}`)"

    source[0] = re.sub(r"(?<!!)\[([^\]]+)\]\(((?!https?:|#)[^)\s]+)\)", link, source[0])


def math(display: str) -> tuple:
    """How an equation is written into a page: as MathML, made here."""

    def visit(translator: object, node: object) -> None:
        from docutils import nodes
        from latex2mathml.converter import convert

        formula = node.astext().replace("{aligned}", "{align*}")  # type: ignore[attr-defined]
        formula = re.sub(r"(?:\\big)?\\[lr]Vert", r"\\|", formula)  # the bars that do not grow
        found = re.sub(
            r'columnalign="(\w+)"', r'style="text-align:\1;padding-right:0.3em"', convert(formula, display=display)
        )
        found = re.sub(r"<mi>(log|exp|cos)</mi>", r'<mo lspace="0.1em" rspace="0.17em">\1</mo>', found)
        body = f'<div class="math">{found}</div>' if display == "block" else found
        translator.body.append(body)  # type: ignore[attr-defined]
        raise nodes.SkipNode

    return visit, None


def setup(app: object) -> None:
    app.add_html_math_renderer("mathml", inline_renderers=math("inline"), block_renderers=math("block"))  # type: ignore[attr-defined]
    app.connect("builder-inited", generate)  # type: ignore[attr-defined]
    app.connect("source-read", inside)  # type: ignore[attr-defined]
