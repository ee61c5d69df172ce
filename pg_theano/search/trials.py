"""One trial of a search: a run for each seed. The workers call this."""

import contextlib
import errno
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.compiler import program
from pg_theano.config import reading as configs
from pg_theano.config.knobs import Config
from pg_theano.runs import folder as runs
from pg_theano.runs import records
from pg_theano.runs.figures import learning_curve, steps_to_solve
from pg_theano.search.plan import with_params
from pg_theano.system import locks, opening
from pg_theano.training import run as training
from pg_theano.types import UserError

FREE_AFTER = 60.0  # seconds at most that a run of a killed search, which its worker still ends, is waited for

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS) if hasattr(errno, "EDQUOT") else (errno.ENOSPC, errno.EROFS)


def evaluate(task: Mapping[str, Any]) -> dict[str, Any]:
    """Run one candidate up to a share of its budget.

    `task` is plain data: number, base and params (knobs), seeds, path (of the trial), folder (of the user's modules),
    objective, share (of the budget; 1 is all of it), force (of resumed runs, see `training.run.How`). The result too:
    number, score (the mean over seeds), scores, ended (no run would go on), seconds, env_steps; where it failed, score
    is None and reason says why, and no_room whether it was for want of a place to write to.
    """
    began = time.perf_counter()
    program.keep()
    made: dict[str, Any] = {"number": task["number"], "score": None, "scores": [], "ended": True, "env_steps": 0}
    try:
        for seed in task["seeds"]:
            data = with_params(task["base"], task["params"])
            whole = configs.from_dict(data | {"seed": seed}, {}, f"trial {task['number']}")
            config = whole if task["share"] >= 1 else _shortened(whole, task["share"])
            path = opening.own_folder(Path(task["path"]) / f"seed-{seed}")
            force = bool(task.get("force"))
            figures = _figures(config, path, Path(task["folder"]), force)
            made["scores"].append(_score(task["objective"], figures, whole, path))
            made["env_steps"] += figures["env_steps"]
            made["ended"] &= figures["status"] == "solved" or task["share"] >= 1
        made["score"] = float(np.mean(made["scores"]))
    except Exception as error:  # what a user's environment or a library raises ends this trial, not the search
        said = " ".join(str(error).split())
        made["reason"] = said if isinstance(error, UserError) else f"{type(error).__name__}: {said}"
        made["no_room"] = _is_no_room(error)
    return made | {"seconds": time.perf_counter() - began}


def _is_no_room(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised after, is of a disk that is full or cannot be written."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        error = error.__cause__ or error.__context__
    return False


def evaluate_group(tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Run several candidates, those of them that share a graph at once, up to `agents_per_process` runs together.

    What cannot run together, or fails, or was begun before, does so alone, in `evaluate`.
    """
    program.keep()
    together: list[tuple[Config, Path]] = []
    for task in tasks:
        with contextlib.suppress(UserError):  # which `evaluate` finds too, and records
            data = with_params(task["base"], task["params"])
            for seed in task["seeds"]:
                config = configs.from_dict(data | {"seed": seed})
                path = opening.own_folder(Path(task["path"]) / f"seed-{seed}")
                if task["share"] >= 1 and config.agents_per_process > 1 and not path.exists():
                    path.mkdir(parents=True)
                    together.append((config, path))
    if len(together) > 1:
        figures = training.train_group(together, Path(tasks[0]["folder"]))
        if any(one is None or one["status"] == "interrupted" for one in figures):
            raise KeyboardInterrupt
    return [evaluate(task) for task in tasks]


def _shortened(config: Config, share: float) -> Config:
    """The config whose budget is a share of this one's."""
    limits = {
        name: max(1, math.ceil(share * limit))
        for name, limit in (("updates", config.budget.updates), ("env_steps", config.budget.env_steps))
        if limit is not None
    }
    return config.model_copy(update={"budget": config.budget.model_copy(update=limits)})


def _figures(config: Config, path: Path, folder: Path, force: bool) -> dict[str, Any]:
    """The result of a run. A finished one is read, one that was begun goes on, any other is trained now."""
    if path.exists():
        _await_free(path)
    done = runs.read_result(path)
    if done is not None and _finished(done, config):
        return done
    if (path / "config.yaml").exists():
        limits = config.budget.model_dump(exclude_none=True)
        overrides = [f"budget.{name}={limit}" for name, limit in limits.items()]
        if config.distribute.cluster is not None:  # which the user chose, and no file does
            overrides.append(f"distribute.cluster={config.distribute.cluster}")
        figures = training.resume(path, overrides, training.How(force=force)).figures
    else:
        shutil.rmtree(path, ignore_errors=True)  # begun by a process that was killed before its config was written
        figures = training.run(config, run_dir=path, folder_of_config=folder).figures
    if figures["status"] == "interrupted":
        raise KeyboardInterrupt
    return figures


def _finished(done: Mapping[str, Any], config: Config) -> bool:
    if done["status"] != "budget":
        return done["status"] == "solved"
    budget = config.budget
    spent = ((done["updates"], budget.updates), (done["env_steps"], budget.env_steps))
    return any(limit is not None and count >= limit for count, limit in spent)


def _await_free(path: Path) -> None:
    """Wait until no other process writes the run. Errors: `UserError` that names a process which does not end."""
    until = time.monotonic() + FREE_AFTER
    while True:
        try:
            locks.unlocked(locks.locked(path))
            return
        except UserError:
            if time.monotonic() > until:
                raise
        time.sleep(0.05)


# -- objectives


def _score(objective: str, figures: Mapping[str, Any], config: Config, path: Path) -> float:
    """The score of one run. Errors: `UserError` where it is not finite."""
    if objective == "steps_to_solve":
        score = steps_to_solve(figures, config)
    elif objective == "learning_curve":
        score = learning_curve(records.read(path / "metrics.jsonl"), figures, config)
    else:
        score = figures["evaluation"]["mean"]
    if not math.isfinite(score):
        raise UserError(f"{path}: its {objective} is {score}; expected a finite number")
    return float(score)
