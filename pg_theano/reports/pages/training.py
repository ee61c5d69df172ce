"""Runs on a page: their outcome, curves and times."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.reading import to_dict
from pg_theano.reports.pages import changed, cost, figures, html
from pg_theano.reports.pages.figures import Mark
from pg_theano.runs import changes, curves, seeds
from pg_theano.runs import figures as metrics
from pg_theano.runs import folder as runs
from pg_theano.runs.changes import Change
from pg_theano.runs.curves import Run
from pg_theano.types import UserError

RETURN = {"return_mean": "Return of an episode", "fitness_elites": "Fitness: best quarter of a generation"}
METRICS = {
    "fitness_best": "Fitness: best of a generation",
    "spread": "Width of the distribution (std of a generation)",
    "length_mean": "Episode length (steps)",
    "cost": "Cost (loss of an update)",
    "policy_loss": "Loss of the policy",
    "value_loss": "Loss of the value function",
    "entropy": "Entropy of the policy (nats)",
    "kl": "KL divergence of an update (nats)",
    "approx_kl": "KL divergence of an update (nats)",
    "clip_fraction": "Share of clipped ratios",
    "gradient_norm": "Norm of the gradient",
    "step_share": "Share of the full step that was taken",
    "explained_variance": "Explained variance of the value function",
    "signal_mean": "Signal (mean over steps)",
    "advantage_mean": "Advantage (mean over steps)",
    "learning_rate": "Learning rate",
    "exploration_rate": "Exploration rate",
    "episodes_per_update": "Episodes of an update",
}
"""Columns of a record and their titles, in the order of the page; other columns follow under their own names."""
OF_SEARCHES = {"cost": "Cost (minus the mean fitness)", "gradient_norm": "Step of the distribution's mean (norm)"}
OF_GENERATIONS = {"spread", "fitness_best"}
NOT_DRAWN = {"update", "env_steps", "episodes", "seconds", "record", "length_max"}
MOST_CHARTS = 40
STATUS = {"budget": "budget spent", "solved": "solved", None: "no result yet"}
MOST_SEEDS_DRAWN = 40
MOST_ROWS = 8  # of a table that is open from the first


class Trained(NamedTuple):
    """A run, or several that differ in their seed: read from its folder, or while it goes on."""

    name: str
    path: Path
    config: dict[str, Any]
    run: Run
    results: list[dict[str, Any]]  # as `_result` makes them
    folders: list[Path]
    threshold: float | None = None  # of its environment; a result's own comes first
    changes: Sequence[Change] = ()  # of its knobs while it trained; of several, each keeps its config


def read(path: Path) -> Trained:
    """A run folder, or one of `seed-*/`. Errors: `UserError` for a folder that is neither, or has no record yet."""
    if (path / seeds.PLAN).is_file():
        config, *_ = seeds.read_plan(path)
        folders = [one for one in seeds.folders_of(path) if (one / "config.yaml").is_file() and _has_records(one)]
        if not folders:
            raise UserError(f"{path}: no records yet in any of its seeds; report again after the first update")
        facts = runs.read_run(folders[0])[1]
    else:
        config, facts = runs.read_run(path)
        folders = [path]
    columns = [curves.read_metrics(one) for one in folders]
    group = (path / seeds.PLAN).is_file()
    found = [runs.read_result(one) for one in folders]
    results = [_result(one) for one in found]
    run = Run(path.resolve().name, columns, [curves.sound(one or {}) for one in found], group)
    asked = config.solved.threshold
    threshold = curves.numbers(facts.get("task") or {}, ["threshold"]).get("threshold") if asked is None else asked
    made = () if group else changes.of(facts)
    return Trained(run.name, path, to_dict(config), run, results, folders, threshold, made)


def _has_records(folder: Path) -> bool:
    file = folder / "metrics.jsonl"
    return file.is_file() and file.stat().st_size > 0


def _result(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """The entries of a result that a page shows, if they are of the kind that a run writes."""
    if not isinstance(found, Mapping):
        return {}
    words = {k: found[k] for k in ("status", "stop_reason", "environment", "backend") if isinstance(found.get(k), str)}
    inner = {
        k: curves.numbers(found[k], list(found[k])[:20])
        for k in ("evaluation", "seconds")
        if isinstance(found.get(k), dict)
    }
    names = ("threshold", "updates", "env_steps", "episodes", "seed", "steps_per_second")
    return words | inner | curves.numbers(dict(found), names)


# -- what was trained


def overview(trained: Sequence[Trained]) -> str:
    """The answer first: for each run its task and its outcome."""
    parts = []
    for one in trained:
        title = f"<h3>{html.text(one.name)}</h3>" if len(trained) > 1 else ""
        parts.append(title + _facts(one))
    rows = [row for one in trained for row in _rows_of(one, len(trained) > 1)]
    head = ["run", "outcome", "updates", "env steps", "episodes", "return, evaluated", "training", "whole process"]
    if len(rows) > 1:
        whole = html.table(head, rows)
        parts.append(whole if len(rows) <= MOST_ROWS else html.details(f"Each of the {len(rows)} runs", whole))
    return html.section("outcome", "What was trained, and what came of it", *parts)


def _facts(one: Trained) -> str:
    config, results = one.config, [result for result in one.results if result]
    environment = config["environment"].get("dynamics") or config["environment"]["id"]
    solved = [i for i, result in enumerate(one.results) if metrics.reached(result)]
    ended = [i for i in solved if one.results[i].get("status") == "solved"]  # of who trained on, nobody knows when
    counted = len(one.run.seeds)
    looks, outcome = "", STATUS.get(results[0].get("status"), results[0].get("status")) if results else STATUS[None]
    if one.run.is_group:
        outcome = f"{len(solved)} of {counted} seeds solved"
    elif solved and not ended:
        outcome = f"{outcome}, solved"
    looks = "good" if solved and len(solved) == counted else "bad" if results and not solved and _threshold(one) else ""
    facts = [
        ("environment", environment, ""),
        ("algorithm", config["algorithm"]["name"], ""),
        ("outcome", outcome, looks),
    ]
    if ended:
        steps = [_last(one, i, "env_steps") for i in ended]
        seconds = [_last(one, i, "seconds") for i in ended]
        median = " (median)" if len(ended) > 1 else ""
        spent = f"{np.median(steps):,.0f} steps, {np.median(seconds):.2f} s of training"
        facts.append((f"solved after{median}", spent, "good"))
    judged = [result.get("evaluation") or {} for result in results]
    means = [evaluation["mean"] for evaluation in judged if evaluation.get("mean") is not None]
    if means:
        spread = f" ± {np.std(means):.3g} over seeds" if len(means) > 1 else ""
        facts.append(("greedy episodes return", f"{np.mean(means):,.4g}{spread}", looks))
    if not results:
        facts.append(("so far", _so_far(one), ""))
    if _threshold(one):
        facts.append(("solved at", f"{_threshold(one):,g}", ""))
    total = [result["seconds"]["total"] for result in results if "total" in result.get("seconds", {})]
    if total:
        facts.append(("longest seed" if len(total) > 1 else "whole process", f"{max(total):,.1f} s", ""))
    cells = "".join(
        f"<div{f' class={look}' if look else ''}><dt>{html.text(name)}</dt><dd>{html.text(value)}</dd></div>"
        for name, value, look in facts
    )
    return f'<dl class="facts">{cells}</dl>'


def _so_far(one: Trained) -> str:
    """How far a run without a result is: it goes on, or was killed."""
    updates, steps, seconds = (
        sum(_last(one, i, column) for i in range(len(one.run.seeds))) for column in ("update", "env_steps", "seconds")
    )
    told = f"{updates + len(one.run.seeds):,.0f} updates, {steps:,.0f} steps, {seconds:.2f} s of training"
    judged = [x[np.isfinite(x)] for columns in one.run.seeds if (x := columns.get("evaluation_mean")) is not None]
    last = [values[-1] for values in judged if values.size]
    return told + (f"; last greedy evaluation {np.mean(last):,.4g}" if last else "")


def _threshold(one: Trained) -> float | None:
    return next((r["threshold"] for r in one.results if r.get("threshold") is not None), one.threshold)


def _last(one: Trained, i: int, column: str) -> float:
    values = one.run.seeds[i].get(column, np.array([np.nan]))
    return float(values[-1])


def _rows_of(one: Trained, named: bool) -> list[list[Any]]:
    rows = []
    for i, (folder, result) in enumerate(zip(one.folders, one.results, strict=True)):
        judged = result.get("evaluation") or {}
        name = (f"{one.name}, {folder.name}" if named else folder.name) if one.run.is_group else one.name
        figure = "–"
        if judged.get("mean") is not None:
            figure = curves.number(judged["mean"]) + (f" ± {curves.number(judged['std'])}" if "std" in judged else "")
        total = result.get("seconds", {}).get("total")
        counts = [f"{_last(one, i, 'update') + 1:,.0f}", f"{_last(one, i, 'env_steps'):,.0f}"]
        episodes = f"{_last(one, i, 'episodes'):,.0f}"
        spent = [f"{_last(one, i, 'seconds'):.2f} s", "–" if total is None else f"{total:.1f} s"]
        rows.append([name, STATUS.get(result.get("status"), result.get("status")), *counts, episodes, figure, *spent])
    return rows


# -- curves


def curves_section(trained: Sequence[Trained]) -> str:
    """Return against env steps and against seconds of training, and every other column against env steps."""
    every = [columns for one in trained for columns in one.run.seeds]
    found = {name for columns in every for name in columns if np.isfinite(columns[name]).any()}
    large = []
    for column, title in RETURN.items():
        if column in found:
            for x, label in (("env_steps", "environment steps"), ("seconds", "seconds of training")):
                each = [_marks(one, i, x, column, len(trained) > 1, full=True) for i, one in enumerate(trained)]
                marks = [mark for one in each for mark in one]
                shown = {_threshold(one) for one, theirs in zip(trained, each, strict=True) if theirs}
                levels = sorted(level for level in shown if level is not None)
                large.append(figures.chart(f"{title}, against {label}", marks, x=label, y="return", levels=levels))
    others = found - set(METRICS) - set(RETURN) - NOT_DRAWN
    rest = sorted(name for name in others if not name.startswith(("return_", "evaluation_")))
    small = []
    for column in [*[name for name in METRICS if name in found], *rest][:MOST_CHARTS]:
        x, label = ("update", "generation") if column in OF_GENERATIONS else ("env_steps", "environment steps")
        marks = [m for i, one in enumerate(trained) for m in _marks(one, i, x, column, len(trained) > 1)]
        title = METRICS.get(column, column.replace("_", " "))
        if all(map(_searches, trained)):
            title = OF_SEARCHES.get(column, title)
        small.append(figures.chart(title, marks, x=label))
    levels = sorted({t for one in trained if (t := _threshold(one)) is not None})
    dashed = f" Dashed: solved at {', '.join(curves.number(v) for v in levels)}." if levels else ""
    band = "the band goes from the lowest seed to the highest, and a seed that has ended counts with its last value"
    words = (
        f"A line is the mean of the seeds where there are several; {band}. Of one run it is ± one standard deviation."
    )
    how = (
        "Draw over a figure to enlarge a part of it, press twice to see it whole; the names below hide what they name."
    )
    return html.section(
        "curves",
        "Learning curves",
        f'<p class="soft">{html.text(words + dashed)} <span class="only-scripted">{html.text(how)}</span></p>',
        changed.in_words([(one.name, one.changes) for one in trained if one.changes]),
        f'<div class="charts wide">{"".join(large)}</div><h3>Everything else that was recorded</h3>',
        cost.in_words([(one.name, one.run) for one in trained if not _searches(one)]) if "cost" in found else "",
        f'<div class="charts">{"".join(small)}</div>',
    )


def _searches(one: Trained) -> bool:
    return ALGORITHMS[one.config["algorithm"]["name"]].searches


def _marks(one: Trained, i: int, x: str, y: str, several: bool, *, full: bool = False) -> list[Mark]:
    """A run's line, its band, its seeds and its evaluations. Each run is one series; each part, if it is alone."""
    run, count = one.run, len(one.run.seeds)
    if not ALGORITHMS[one.config["algorithm"]["name"]].reads(f"schedules.{y}"):
        return []  # recorded for every algorithm, though this one does not read it
    mean = curves.curve_of_run(run, x, y, "return_std" if y == "return_mean" else None)
    if mean is None:
        return []
    mean = figures.thinned(mean)

    def series(name: str) -> str:
        return one.name if several else name

    marks = []
    if not np.array_equal(mean.low, mean.high):
        band = "lowest to highest seed" if run.is_group else "± std of episodes" if y == "return_mean" else "range"
        marks.append(Mark("band", mean, i, series(band)))
    if run.is_group and full and count <= MOST_SEEDS_DRAWN:
        each = [curves.curve_of(columns, x, y) for columns in run.seeds]
        marks += [Mark("thin", figures.thinned(c), i, series("each seed")) for c in each if c is not None]
    marks.append(Mark("line", mean, i, series(f"mean of {count} seeds" if run.is_group else "mean" if full else y)))
    if full and (points := curves.evaluations_of_run(run, x)) is not None:
        marks.append(Mark("points", points, i + (0 if several else 1), series("greedy evaluation")))
    if (rings := changed.rings(one.changes, run.seeds[0], x, y)) is not None:
        marks.append(Mark("rings", rings, i + (0 if several else 2), series("a knob changed")))
    return marks


# -- time


def times_section(trained: Sequence[Trained]) -> str:
    parts = []
    for one in trained:
        seconds = [result["seconds"] for result in one.results if result.get("seconds")]
        if not seconds:
            continue
        names = [name for name in dict.fromkeys(n for s in seconds for n in s) if name != "total"]
        means = [float(np.mean([s.get(name, 0.0) for s in seconds])) for name in names]
        kept = [(name, mean) for name, mean in zip(names, means, strict=True) if mean > 0.0005]
        title = one.name + (f", mean of {len(seconds)} seeds" if len(seconds) > 1 else "")
        parts.append(figures.bars(title, [n for n, _ in kept], [m for _, m in kept], " s"))
    if not parts:
        return ""
    return html.section("time", "How long each part took", f'<div class="charts">{"".join(parts)}</div>')
