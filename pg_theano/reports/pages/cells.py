"""What a notebook shows below a cell: a figure and a table, in HTML that needs no style and no script of ours.

Colours are the notebook's own but for the curves, whose tones are seen in the light and in the dark.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.reports.pages import figures
from pg_theano.reports.pages.figures import Mark
from pg_theano.reports.pages.html import text
from pg_theano.runs import curves
from pg_theano.runs import folder as runs
from pg_theano.runs.curves import Curve, Run
from pg_theano.runs.figures import shown
from pg_theano.training import display
from pg_theano.types import UserError

Found = tuple[Path, Mapping[str, Any]]
"""A run's folder, and the figures of its result."""
MOST_ROWS = 20
MOST_EVENTS_OPEN = 4
STATUS = {"budget": "budget spent"}


def of_results(found: Sequence[Found]) -> str:
    """Curves of one run, or of several beside each other, and a table of their outcomes."""
    drawn: list[Run] = []
    marks: list[Mark] = []
    missing, rows, levels = "", [], []
    for i, (folder, result) in enumerate(found):
        try:
            drawn.append(curves.read_run(folder))
            marks += marks_of(drawn[-1], i, i if len(found) > 1 else i + 1)
        except (UserError, OSError) as error:
            missing += f"<p>{text(error)}</p>"
        rows += [(i if len(found) > 1 else None, row) for row in _rows(folder, result)]
        levels += [one["threshold"] for one in (result, *_of_seeds(folder, result)) if _is(one, "threshold")][:1]
    title = ", ".join(folder.resolve().name for folder, _ in found)
    figure = figures.still(title, marks, x="env steps", y="return of an episode", levels=levels[:1])
    if figure:
        figure += f'<p style="opacity:0.75"><small>{text(_key(marks, bool(levels)))}</small></p>'
    if len(rows) == 1:
        body = table(None, list(rows[0][1].items()))
    else:
        keys = list(dict.fromkeys(key for _, row in rows for key in row))
        shown = [[row.get(key, "") for key in keys] for _, row in rows[:MOST_ROWS]]
        body = table(keys, shown, [colour for colour, _ in rows])
        body += f"<p>and {len(rows) - MOST_ROWS} more</p>" if len(rows) > MOST_ROWS else ""
    interrupted = [how_to_go_on(folder) for folder, result in found if result.get("status") == "interrupted"]
    return f"<div>{figure}{missing}{body}{''.join(interrupted)}</div>"


def _key(marks: Sequence[Mark], has_level: bool) -> str:
    """What the parts of the figure are."""
    kinds = {mark.kind for mark in marks}
    words = ["line: mean of an update's episodes" + (", over seeds" if "thin" in kinds else "")]
    words += ["thin: each seed"] if "thin" in kinds else []
    words += ["band: ± their standard deviation"] if "band" in kinds else []
    words += ["dots: greedy evaluations"] if "points" in kinds else []
    words += ["dashes: where it counts as solved"] if has_level else []
    return "; ".join(words)


def how_to_go_on(folder: Path) -> str:
    """Of a run that was interrupted: here, and in a terminal."""
    return (
        f"<p>Interrupted, and saved. To go on: <code>pg_theano.run(resume={text(repr(str(folder)))})</code>, or in a "
        f"terminal <code>{text(display.to_go_on(folder))}</code></p>"
    )


def marks_of(run: Run, colour: int, colour_of_evaluations: int) -> list[Mark]:
    """A run's return over its env steps and its evaluations; of several seeds, each thin and their mean."""
    name = "return_mean" if any("return_mean" in one for one in run.seeds) else "fitness_elites"
    every = [curve for one in run.seeds if (curve := curves.curve_of(one, "env_steps", name, "return_std"))]
    every = [figures.thinned(curve) for curve in every]
    if not every:
        return []
    if len(every) > 1:
        mean = figures.thinned(curves.over_seeds(every))
        return [*(Mark("thin", one, colour, "") for one in every[:MOST_ROWS]), Mark("line", mean, colour, "")]
    marks = [Mark("band", every[0], colour, ""), Mark("line", every[0], colour, "")]
    evaluated = curves.evaluations_of_run(run, "env_steps")
    return marks if evaluated is None else [*marks, Mark("points", evaluated, colour_of_evaluations, "")]


def table(head: Sequence[str] | None, rows: Sequence[Sequence[Any]], colours: Sequence[int | None] = ()) -> str:
    """Cells are text, escaped here; `colours` are those of the rows' curves."""
    left = 'style="text-align:left;padding:2px 12px 2px 0"'
    first = f"<tr>{''.join(f'<th {left}>{text(one)}</th>' for one in head)}</tr>" if head else ""
    body = []
    for i, row in enumerate(rows):
        colour = colours[i] if i < len(colours) else None
        tone = "" if colour is None else figures.TONES[colour % figures.COLOURS]
        dot = f'<span style="color:{tone}">&#9632;</span> ' if tone else ""
        cells = "".join(f"<td {left}>{text(one)}</td>" for one in row[1:])
        body.append(f"<tr><th {left}>{dot}{text(row[0])}</th>{cells}</tr>")
    return f'<table style="color:inherit">{first}{"".join(body)}</table>'


def _of_seeds(folder: Path, result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The results of a set of seeds; empty for one run."""
    return [runs.read_result(folder / f"seed-{seed}") or {} for seed in result.get("seeds", [])]


def _rows(folder: Path, result: Mapping[str, Any]) -> list[dict[str, str]]:
    """The main figures of a run, a row for each seed."""
    name = folder.resolve().name
    each = zip(result.get("seeds", []), _of_seeds(folder, result), strict=True)
    return [
        {"run": f"{name}, seed {seed}", **_facts(one), "run folder": str(folder / f"seed-{seed}")} for seed, one in each
    ] or [{"run": name, **_facts(result), "run folder": str(folder)}]


def _facts(result: Mapping[str, Any]) -> dict[str, str]:
    status = result.get("status")
    after = [
        f"{result[k]:,.0f} {unit}" for k, unit in (("updates", "updates"), ("env_steps", "env steps")) if _is(result, k)
    ]
    reached = f"{STATUS.get(str(status), str(status))} after {', '.join(after)}" if after else str(status)
    evaluation = result.get("evaluation") or {}
    judged = "none"
    if _is(evaluation, "mean"):
        mean, *std = shown(evaluation["mean"], *([evaluation["std"]] if _is(evaluation, "std") else []))
        episodes = f" ({evaluation['n']:.0f} greedy episodes)" if _is(evaluation, "n") else ""
        judged = f"{' ± '.join([mean, *std])}{episodes}"
    seconds = result.get("seconds") or {}
    whole = seconds.get("total")
    trained = sum(seconds.get(part) or 0.0 for part in ("collect", "update"))
    facts = {"environment": str(result.get("environment", "")), "outcome": reached, "evaluation": judged}
    if isinstance(whole, int | float):
        facts["seconds"] = f"{whole:.2f}" + (f", of which training {trained:.2f}" if trained else "")
    return facts


def _is(found: Mapping[str, Any], key: str) -> bool:
    return isinstance(found.get(key), int | float)


# -- while it trains


def of_progress(
    title: str,
    rows: Sequence[tuple[str, str]],
    lines: Sequence[tuple[Sequence[float], Sequence[float]]],
    events: Sequence[str],
) -> str:
    """The picture of a run that goes on: its return so far, figures, and its last messages.

    `lines`: (env steps, returns) of each of the runs that go on side by side.
    """
    marks = []
    for steps, returns in lines:
        x, y = np.array(steps, np.float64), np.array(returns, np.float64)
        if x.size > 1:
            curve = figures.thinned(Curve(x, y, y, y))
            marks.append(Mark("line" if len(lines) == 1 else "thin", curve, 0, ""))
    figure = figures.still(title, marks, x="env steps", y="return of an episode")
    said = f"<pre>{text(chr(10).join(events[-MOST_EVENTS_OPEN:]))}</pre>" if events else ""
    shown = table(None, [(name, value.replace("   ", " · ")) for name, value in rows]) if rows else ""
    return f"<div><p><b>{text(title)}</b></p>{figure}{shown}{said}</div>"


def of_end(outcome: Sequence[str], events: Sequence[str], folded: int, more: str = "") -> str:
    """The end of the progress: the outcome, warnings, and all other messages, folded up."""
    kept = [one for one in events if one.startswith(("warning", "question"))]
    lead = f"<p>{'<br>'.join(text(one) for one in [*outcome, *kept])}</p>"
    left_out = f"({folded} lines before these are left out)\n" if folded else ""
    said = f"<details><summary>What it said</summary><pre>{text(left_out + chr(10).join(events))}</pre></details>"
    return f"<div>{lead}{more}{said if events else ''}</div>"
