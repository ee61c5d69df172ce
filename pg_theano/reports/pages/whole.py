"""A whole page of runs, and where it is written to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pg_theano.reports.pages import configs, html, policy_section, training
from pg_theano.reports.pages.training import Trained
from pg_theano.runs import checkpoints
from pg_theano.types import UserError

MOST_POLICIES = 4
"""So many policies are played and drawn, those of the first runs."""


def checked(out: Path) -> Path:
    """Where a page can be written. Errors: `UserError`."""
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"{out}: got {out.suffix or 'no ending'}; expected a file that ends in .html; try {out}.html")
    if not out.resolve().parent.is_dir():
        raise UserError(f"{out}: no such folder; expected one that exists; try {out.name}, which is here")
    return out


def written(out: Path, content: str) -> Path:
    """`out`, which appears whole or not at all. Errors: `UserError`: it cannot be written."""
    try:
        checkpoints.write_atomically(out, content.encode())
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None
    return out


def read(folders: Sequence[Path]) -> list[Trained]:
    """Runs and sets of seeds; equal names become folders. Errors: `UserError` without a run or record."""
    found = [training.read(path) for path in folders]
    names = [one.name for one in found]
    return [
        one._replace(name=str(path)) if names.count(one.name) > 1 else one
        for one, path in zip(found, folders, strict=True)
    ]


def sections(trained: Sequence[Trained], *, play: bool) -> list[str]:
    """All that is shown of runs; `play`: the policies are played, which runs their environments."""
    parts = [training.overview(trained), training.curves_section(trained)]
    if play:
        parts.append(policy_section.section(trained[:MOST_POLICIES], [one.path for one in trained[MOST_POLICIES:]]))
    return [*parts, training.times_section(trained), configs.config_section(trained)]


def page(title: str, parts: Sequence[str]) -> str:
    return html.page(title, html.contents(parts), parts)
