"""Several methods on one space and one budget, over seeds: which is best here, with intervals.

Each method searches once for each seed, which seeds its candidates and its trials alike. Its score is that of its best
trial; as that is the luckiest of many, its config is also trained again on `AGAIN` seeds that no trial has seen.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.runs import places, statistics
from pg_theano.runs.curves import number
from pg_theano.runs.figures import OBJECTIVES
from pg_theano.search import plan as settings
from pg_theano.search import samplers, study, trials
from pg_theano.search.plan import Plan
from pg_theano.search.storage import Trial
from pg_theano.system import distribute, writing
from pg_theano.types import UserError

METHODS = ("cho", "bayesian", "tpe", "random")
AGAIN, UNSEEN = 3, 1_000_000  # seeds on which a best config is trained again, and what is added to them
RESAMPLES = 10_000


def compare(
    path: str,
    overrides: Sequence[str],
    *,
    seed: int | None,
    seeds: int,
    run_dir: str | None,
    page: str | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """{"methods": figures by method, "text": the table, "folder"}; writes the table to `page` too, if given."""
    plan = settings.read_plan(path, overrides, seed)
    name = f"{plan.name}-compare"
    folder = places.new_folder(name) if run_dir is None else places.exact_folder(Path(run_dir))
    found: dict[str, list[dict[str, Any]]] = {method: [] for method in METHODS}
    for number_of_seed in range(plan.config.seed, plan.config.seed + seeds):
        for method in METHODS:  # in turn: what else the machine does meets all alike
            words = [*overrides, f"search.method={method}"]
            one = settings.read_plan(path, words, number_of_seed)
            one = one._replace(name=f"{plan.name}-{method}-{number_of_seed}")
            outcome = study.new(one, folder / f"{method}-{number_of_seed}", lambda *_: None, say)
            if outcome.status == "interrupted":
                raise KeyboardInterrupt
            figures = _figures(one, outcome)
            found[method].append(figures)
            scores = f"best {number(figures['score'])}, again {number(figures['again'])}"
            took = f"{figures['trials']} trials in {figures['seconds']:.1f} s"
            say(f"{method}, seed {number_of_seed}: {scores}, {took}")
    methods = {method: _summary(figures) for method, figures in found.items()}
    text = _table(plan, path, overrides, seeds, methods)
    if page is not None:
        writing.write_atomically(Path(page), text.encode())
    return {"methods": methods, "text": text, "folder": str(folder)}


def _figures(plan: Plan, outcome: study.Outcome) -> dict[str, Any]:
    top = study.best(outcome.trials, plan.maximise)
    if top is None:
        raise UserError(f"{outcome.folder}: no trial was completed; nothing to compare")
    curve = best_so_far(outcome.trials, plan.maximise)
    return {
        "score": top.score,
        "half": curve[max(len(curve) // 2 - 1, 0)],
        "again": _again(plan, outcome.folder, top),
        "trials": len(outcome.trials),
        "seconds": outcome.seconds,
        "bookkeeping_per_trial": outcome.bookkeeping / max(len(outcome.trials), 1),
    }


def _again(plan: Plan, folder: Path, top: Trial) -> float:
    """The mean score of the best trial's parameters on seeds of which no trial knew."""
    tasks = [
        {
            "number": top.number,
            "base": plan.base,
            "params": top.params,
            "seeds": [UNSEEN + plan.config.seed * AGAIN + i],
            "path": str((folder / "again").resolve()),
            "folder": str(plan.folder),
            "objective": plan.search.objective,
            "share": 1.0,
        }
        for i in range(AGAIN)
    ]
    with distribute.opened(workers=plan.search.workers, cluster=plan.search.cluster) as workers:
        results = workers.map(trials.evaluate, tasks)
    scores = [result["score"] for result in results if result["score"] is not None]
    return float(np.mean(scores)) if scores else float("nan")


def best_so_far(found: Sequence[Trial], maximise: bool) -> list[float]:
    """The best score after each trial; NaN before the first that was completed."""
    best, curve = float("nan"), []
    for trial in found:
        if trial.state == "complete" and trial.score is not None:
            better = trial.score > best if maximise else trial.score < best
            best = trial.score if better or np.isnan(best) else best
        curve.append(best)
    return curve


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % of the means of resamples of these values, always the same draws."""
    (drawn,) = statistics.resampled([values], np.random.default_rng(0), RESAMPLES)
    low, high = statistics.interval(statistics.mean(drawn))
    return float(low), float(high)


def _summary(figures: list[dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {"searches": len(figures), "trials": [one["trials"] for one in figures]}
    for key in ("score", "half", "again", "seconds", "bookkeeping_per_trial"):
        values = [one[key] for one in figures]
        made[key] = {"mean": float(np.mean(values)), "interval": interval(values), "values": values}
    return made


def _table(plan: Plan, path: str, overrides: Sequence[str], seeds: int, methods: dict[str, dict[str, Any]]) -> str:
    order = sorted(methods, key=lambda name: (-1 if plan.maximise else 1) * methods[name]["score"]["mean"])
    command = " ".join(["python -m pg_theano.search --compare", path, *overrides, f"--seeds {seeds}"])
    better = "higher" if plan.maximise else "lower"
    names, budget = ", ".join(samplers.names(plan.axes)), plan.search.budget
    lines = [
        "# Which search wins where",
        "",
        f"{OBJECTIVES[plan.search.objective].capitalize()}, {better} is better, over {names}; "
        f"{seeds} searches a method, at most {budget.trials} trials each, batches of {plan.search.batch}, "
        f"{plan.search.workers} worker(s) on {os.cpu_count()} cores. Means, in brackets 95 % of bootstrapped means.",
        "",
        f"    {command}",
        "",
        f"| method | best trial | the best after half of the trials | the best again on {AGAIN} unseen seeds | "
        "trials | seconds | of these asking and writing, ms a trial |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in order:
        one = methods[name]
        cells = [_cell(one[key]) for key in ("score", "half", "again")]
        counts = sorted(set(one["trials"]))
        trials_shown = str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
        milliseconds = 1000 * one["bookkeeping_per_trial"]["mean"]
        cells += [trials_shown, f"{one['seconds']['mean']:.1f}", f"{milliseconds:.1f}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"Written by the command on {time.strftime('%Y-%m-%d')}.", ""]
    return "\n".join(lines)


def _cell(one: dict[str, Any]) -> str:
    low, high = one["interval"]
    return f"{number(one['mean'])} [{number(low)}, {number(high)}]"
