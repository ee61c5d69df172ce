"""Figures of runs: seconds by part, what several seeds have in common, and what a run is worth in one number."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pg_theano.config.knobs import Config
from pg_theano.system.clock import BEGAN
from pg_theano.types import Array, UserError


class Parts:
    """Seconds by part of a run. The first run of a process is counted from its beginning, later ones from theirs."""

    first = True

    def __init__(self) -> None:
        self.began = BEGAN if Parts.first else time.perf_counter()
        Parts.first = False
        self.seconds = dict.fromkeys(("import", "compile", "collect", "update", "evaluate", "checkpoint", "plot"), 0.0)

    def total(self) -> float:
        return time.perf_counter() - self.began

    @contextlib.contextmanager
    def of(self, part: str) -> Iterator[None]:
        began, compiling = time.perf_counter(), self.seconds["compile"]
        try:
            yield
        finally:  # what was compiled meanwhile is counted there
            self.seconds[part] += time.perf_counter() - began - (self.seconds["compile"] - compiling)


def of_episodes(returns: Array, lengths: Array) -> dict[str, Any]:
    """Figures of the episodes that ended in an update; null where none did."""
    ended = len(returns) > 0
    return {
        **{
            f"return_{name}": float(getattr(returns, name)()) if ended else None
            for name in ("mean", "std", "min", "max")
        },
        "length_mean": float(lengths.mean()) if ended else None,
        "length_max": int(lengths.max()) if ended else None,
    }


def summarised(name: str, environment: str, figures: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """What runs over several seeds reached: mean and spread over seeds, from the `result.json` of each."""
    evaluated = [f["evaluation"]["mean"] for f in figures if f["evaluation"]]
    steps = [f["env_steps"] for f in figures]
    return {
        "name": name,
        "status": "interrupted" if any(f["status"] == "interrupted" for f in figures) else "finished",
        "environment": environment,
        "runs": len(figures),
        "solved": sum(map(reached, figures)),
        "seeds": [f["seed"] for f in figures],
        "evaluation": {
            "mean": float(np.mean(evaluated)) if evaluated else None,
            "std": float(np.std(evaluated)) if evaluated else None,
            "of_each": evaluated,
        },
        "env_steps": {"median": float(np.median(steps)), "min": min(steps), "max": max(steps), "of_each": steps},
        "seconds": {"total": seconds},
    }


def reached(result: Mapping[str, Any]) -> bool:
    """Whether a run is solved: it stopped for that, or trained on (solved.stop=false) and is so at its end, by the mean
    of greedy episodes on seeds that no training used."""
    mean, threshold = (result.get("evaluation") or {}).get("mean"), result.get("threshold")
    if result.get("status") in ("budget", "stopped") and mean is not None and threshold is not None:
        return bool(mean >= threshold)
    return result.get("status") == "solved"


def shown(*returns: float) -> list[str]:
    """Returns with as many decimals as their size asks for: a threshold of 0.8 is not judged by 1.0."""
    size = max(map(abs, returns))
    decimals = 1 if size >= 10 or size == 0 else 2 if size >= 1 else 3
    return [f"{value:.{decimals}f}" for value in returns]


def mean_and_std(figures: Mapping[str, float], of: str = "") -> str:
    """`mean ± std`."""
    return " ± ".join(shown(figures[f"{of}mean"], figures[f"{of}std"]))


# -- what a run is worth, in one number


UNSOLVED = 2.0  # budgets that a run counts as which was not solved
OBJECTIVES = {
    "evaluation": "evaluation (return)",
    "learning_curve": "mean return while training",
    "steps_to_solve": "steps to solve",
}


def steps_to_solve(figures: Mapping[str, Any], config: Config) -> float:
    """Env steps until solved; of an unsolved run `UNSOLVED` times its budget, whatever it spent."""
    if figures["threshold"] is None:
        raise UserError(f"{figures['environment']}: has no registered threshold; set solved.threshold")
    if figures["status"] == "solved":
        return float(figures["env_steps"])
    assert config.budget.env_steps is not None  # noqa: S101 - the settings see to it
    return UNSOLVED * config.budget.env_steps


def learning_curve(records: Sequence[Mapping[str, Any]], figures: Mapping[str, Any], config: Config) -> float:
    """The area under the mean return of an update, over the budget: a mean return per env step, or per update.

        A = 1/B · Σ_k R_k·(x_{k+1} − x_k),   x in env steps where the budget has them, else in updates

    A run that was solved before its budget B was spent holds its final evaluation from there on. Updates in which no
    episode ended hold the return before.
    """
    by_steps = config.budget.env_steps is not None
    budget = float((config.budget.env_steps if by_steps else config.budget.updates) or len(records))
    area, before, held = 0.0, 0.0, None
    for i, record in enumerate(records):
        x = min(float(record["env_steps"]) if by_steps else i + 1.0, budget)
        held = record["return_mean"] if record["return_mean"] is not None else held
        if held is not None:
            area += held * (x - before)
            before = x
    if held is None:
        raise UserError("no episode ended; there is no learning curve")
    rest = figures["evaluation"]["mean"] if figures["status"] == "solved" else held
    return (area + rest * (budget - before)) / budget
