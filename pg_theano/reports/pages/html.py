"""A page's frame and tables. Whatever comes from a run goes through `text`: it is shown, never interpreted."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def text(value: Any) -> str:
    """Text of anybody's, for the inside of an element or of a quoted attribute; no control characters."""
    words = str(value)
    shown = "".join(c if c.isprintable() or c in "\n\t" else "�" for c in words)
    return html.escape(shown, quote=True)


def table(
    head: Sequence[Any], rows: Sequence[Sequence[Any]], *, numbers: bool = True, marked: Sequence[bool] = ()
) -> str:
    """A table that scrolls in its own box; the first column is the heading of its row. Cells are text, escaped here."""
    columns = "".join(f'<th scope="col">{text(one)}</th>' for one in head)
    body = []
    for i, row in enumerate(rows):
        look = ' class="differs"' if i < len(marked) and marked[i] else ""
        cells = "".join(f"<td>{text(one)}</td>" for one in row[1:])
        body.append(f'<tr{look}><th scope="row">{text(row[0])}</th>{cells}</tr>')
    kind = "numbers" if numbers else "words"
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}"><thead><tr>{columns}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def section(id: str, title: str, *parts: str) -> str:
    return f'<section id="{text(id)}"><h2>{text(title)}</h2>{"".join(parts)}</section>'


def details(title: str, *parts: str) -> str:
    return f"<details><summary>{text(title)}</summary>{''.join(parts)}</details>"


def data(id: str, value: Any) -> str:
    """Data for the page's script. `<` is written so that nothing in it can end the element."""
    packed = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{text(id)}">{packed}</script>'


def image(kind: str, content: bytes) -> str:
    """The address of a picture that is in the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def page(title: str, lead: str, sections: Sequence[str], *, refresh: float | None = None) -> str:
    """The whole document. Its policy forbids every request, and every script and style but the two that stand in it.

    `refresh`: seconds after which the page loads itself again, with scripts or without.
    """
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    allowed = (
        f"default-src 'none'; img-src data:; style-src {hash_of(style)}; script-src {hash_of(script)}; base-uri 'none'"
    )
    again = f'<noscript><meta http-equiv="refresh" content="{refresh:g}"></noscript>' if refresh else ""
    live = f' data-refresh="{refresh:g}"' if refresh else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{allowed}; form-action \'none\'">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">{again}'
        f"<title>{text(title)}</title><style>{style}</style></head>"
        f"<body{live}><header><h1>{text(title)}</h1>{lead}</header><main>{''.join(sections)}</main>"
        "<footer><p>Written by <code>python -m pg_theano.report</code>. The page is whole: it asks nobody for anything."
        f'</p></footer><div id="tip" role="status" hidden></div><script>{script}</script></body></html>\n'
    )


def contents(sections: Sequence[str]) -> str:
    """Links to the sections, by the titles that they carry."""
    found = [re.match(r'<section id="([^"]*)"><h2>(.*?)</h2>', one) for one in sections]
    links = [f'<a href="#{one[1]}">{one[2]}</a>' for one in found if one]
    return f"<nav>{''.join(links)}</nav>"


def hash_of(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
