"""A whole page of runs, with their configs, and where it is written to."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pg_theano.config.knobs import Config
from pg_theano.config.reading import from_dict, to_dict
from pg_theano.reports import diagnosing
from pg_theano.reports.pages import gradient, html, not_learned, policy_section, training
from pg_theano.reports.pages.training import Trained
from pg_theano.runs import curves
from pg_theano.system.writing import write_atomically
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
        write_atomically(out, content.encode())
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror or error})") from None
    return out


def read(folders: Sequence[Path]) -> list[Trained]:
    """Runs and sets of seeds; equal names become folders. Errors: `UserError` without a run or record."""
    return curves.distinct([training.read(path) for path in folders], folders)


def diagnoses(trained: Sequence[Trained], *, play: bool) -> dict[Path, diagnosing.Diagnosis]:
    """Of each folder whether it learned; none of a run of an older version.

    `play`: of the seeds of a run, the policy of the first that did not learn is played (see `diagnosing.diagnose`).
    """
    found: dict[Path, diagnosing.Diagnosis] = {}
    for one in trained:
        for folder, columns, result in zip(one.folders, one.run.seeds, one.run.results, strict=True):
            failed = any(found[path].learned is False for path in one.folders if path in found)
            with contextlib.suppress(UserError):
                found[folder] = diagnosing.of_records(folder, columns, result, play=play and not failed)
    return found


def sections(
    trained: Sequence[Trained], found: Mapping[Path, diagnosing.Diagnosis] | None = None, *, play: bool
) -> list[str]:
    """All that is shown of runs; `play`: the policies are played, which runs their environments."""
    found = diagnoses(trained, play=play) if found is None else found
    parts = [training.overview(trained), not_learned.section(trained, found), training.curves_section(trained)]
    if play:
        parts.append(policy_section.section(trained[:MOST_POLICIES], [one.path for one in trained[MOST_POLICIES:]]))
    parts.append(gradient.section(trained))
    return [*parts, training.times_section(trained), config_section(trained)]


def page(title: str, parts: Sequence[str]) -> str:
    return html.page(title, html.contents(parts), parts)


# -- the knobs


def config_section(trained: Sequence[Trained]) -> str:
    """Every knob. First come those in which several runs differ, or those of one run that are not at their default."""
    flat = [flattened(one.config) for one in trained]
    names = list(dict.fromkeys(name for one in flat for name in one))
    rows = {name: [name, *[one.get(name, "–") for one in flat]] for name in names}
    head = ["knob", *[one.name for one in trained]]
    if len(trained) > 1:
        differ = [name for name in names if len(set(rows[name][1:])) > 1]
        words = f"{len(differ) or 'No'} {'knob differs' if len(differ) < 2 else 'knobs differ'}."
    else:
        algorithm = trained[0].config["algorithm"]["name"]  # which has defaults of its own
        usual = flattened(to_dict(from_dict({"algorithm": {"name": algorithm}})))
        usual["algorithm.name"] = Config().algorithm.name
        differ = [name for name in names if flat[0][name] != usual.get(name)]
        words = f"{len(differ)} {'knob is not at its' if len(differ) == 1 else 'knobs are not at their'} default."
        words = words if differ else "Every knob is at its default."
    listed = set(differ)
    own = [rows[name] for name in differ]
    first = html.table(head, own, numbers=False, marked=[True] * len(own)) if own else ""
    whole = html.table(head, list(rows.values()), numbers=False, marked=[name in listed for name in names])
    return html.section("config", "Config", f"<p>{words}</p>", first, html.details(f"Every knob ({len(names)})", whole))


def flattened(data: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """{"a": {"b": [1]}} to {"a.b": "[1]"}."""
    flat: dict[str, str] = {}
    for key, value in data.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{name}.")
        else:
            flat[name] = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return flat
