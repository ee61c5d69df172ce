"""Runs that did not learn, on a page: why, as far as their own records say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pg_theano.reports.diagnosing import Diagnosis
from pg_theano.reports.pages import html
from pg_theano.reports.pages.training import Trained

MOST_NAMED = 8  # seeds


def section(trained: Sequence[Trained], found: Mapping[Path, Diagnosis]) -> str:
    """A part for each run that did not learn; nothing where all did. Of several seeds the first one's reasons."""
    parts = []
    for one in trained:
        failed = [path for path in one.folders if path in found and found[path].learned is False]
        if failed:
            title = f"<h3>{html.text(one.name)}</h3>" if len(trained) > 1 else ""
            parts.append(title + _part(one, failed, found[failed[0]]))
    return html.section("not-learned", "Why it did not learn", *parts) if parts else ""


def _part(one: Trained, failed: Sequence[Path], first: Diagnosis) -> str:
    seeds = ""
    if one.run.is_group:
        named = ", ".join(path.name for path in failed[:MOST_NAMED]) + (", ..." if len(failed) > MOST_NAMED else "")
        seeds = f"{len(failed)} of {len(one.folders)} seeds did not: {named}. Of {failed[0].name}: "
    said = f'<p class="soft">{html.text(seeds + first.said)}</p>'
    if not first.reasons:
        words = "None of the usual reasons shows in its records. python -m pg_theano.check looks at its gradients."
        return f"{said}<p>{words}</p>"
    items = [
        f"<li><b>{html.text(one.reason[0].upper() + one.reason[1:])}</b><br>{html.text(one.sentence)}</li>"
        for one in first.reasons
    ]
    lead = "The likeliest reason first: it may have brought about what follows." if len(items) > 1 else ""
    return f'{said}<p>{lead}</p><ol class="reasons">{"".join(items)}</ol>'
