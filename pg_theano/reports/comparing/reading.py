"""Finished runs, read and grouped by a knob; and the runs that are left out, with the reason."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config import reading as configs
from pg_theano.config import tables
from pg_theano.runs import curves, seeds
from pg_theano.runs import folder as runs
from pg_theano.types import Array, Problem, UserError

TASK = ("environment.kwargs", "environment.wrappers", "environment.max_episode_steps")
"""Knobs that make another task of the same id."""
NOT_LEARNING = (
    "name", "runs", "seed", "agents_per_process", "checkpoint.", "distribute.", "environment.workers",
    "environment.timeout", "environment.on_fault", "environment.max_faults", "environment.look", "policy.act",
)  # fmt: skip
"""Knobs that change nothing of what is learned."""
OPEN = ("environment.kwargs", "policy.name_kwargs", "algorithm.objective_kwargs")
"""Knobs whose keys are the user's own."""
STATUS = {None: "has not ended", "interrupted": "was interrupted", "failed": "failed"}


class Finished(NamedTuple):
    """A run that came to its end."""

    path: Path
    given: str  # the folder that was named: its own, or that of its set
    config: configs.Config
    knobs: dict[str, Any]  # by a.b, as in the config
    result: dict[str, Any]
    columns: dict[str, Array]  # of metrics.jsonl

    @property
    def evaluation(self) -> float:
        return self.result["evaluation"]["mean"]

    @property
    def threshold(self) -> float | None:
        return self.result.get("threshold")


class LeftOut(NamedTuple):
    """A run, or a folder, that is not compared, and why."""

    path: Path
    why: str
    failed: bool = False


Cells = dict[str, dict[str, list[Finished]]]
"""Group -> task -> its runs."""


def read(paths: Sequence[Path]) -> tuple[list[Finished], list[LeftOut]]:
    """All finished runs of run folders and sets of seeds. Errors: `UserError` for a path where nothing is."""
    found: list[Finished] = []
    left_out: list[LeftOut] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such folder; expected a run such as runs/cartpole; try one of: ls -d runs/*")
        for folder in _runs_in(path, left_out):
            try:
                found.append(_finished(folder, path))
            except _NotFinished as reason:
                left_out.append(LeftOut(folder, str(reason), failed=str(reason) == STATUS["failed"]))
            except UserError as error:
                place, got, *_ = error.problem
                left_out.append(LeftOut(folder, str(Problem("" if place == str(folder) else place, got))))
            except OSError as error:
                left_out.append(LeftOut(folder, str(error)))
    return _once(found, left_out), left_out


class _NotFinished(Exception):
    """Why a run has no score."""


def _runs_in(path: Path, left_out: list[LeftOut]) -> list[Path]:
    """The run folders of a path: itself, or those of its seeds, begun or not."""
    if (path / "config.yaml").exists():
        return [path]
    folders = seeds.folders_of(path)
    if not folders:
        what = "is a search" if (path / "search.yaml").exists() else "is no run"
        left_out.append(LeftOut(path, what))
    if (path / seeds.PLAN).exists():
        try:
            planned = seeds.read_plan(path)[0].runs
        except (UserError, OSError):
            return folders  # each has its config
        if folders and planned > len(folders):
            missing = planned - len(folders)
            have = "has" if missing == 1 else "have"
            left_out.append(LeftOut(path, f"{missing} of {planned} seeds {have} not begun"))
    return folders


def _finished(folder: Path, given: Path) -> Finished:
    config, _ = runs.read_run(folder)
    result = curves.sound(runs.result_of(folder) or {})
    status = result.get("status")
    if status in STATUS:
        raise _NotFinished(STATUS[status])
    if "mean" not in result.get("evaluation", {}) or "env_steps" not in result:
        raise _NotFinished("has no final evaluation")
    knobs = dict(flattened(configs.to_dict(config)))
    return Finished(folder, given.resolve().name, config, knobs, result, curves.read_metrics(folder))


def _once(found: Sequence[Finished], left_out: list[LeftOut]) -> list[Finished]:
    """Each run once: the same config and seed again is the same run, and no further evidence."""
    kept: dict[str, Finished] = {}
    for run in found:
        key = json.dumps([run.config.seed, learning(run)], sort_keys=True)
        if key in kept:
            left_out.append(LeftOut(run.path, f"has the config and the seed of {kept[key].path}"))
        else:
            kept[key] = run
    return list(kept.values())


def learning(run: Finished) -> dict[str, Any]:
    """The knobs of a run that change what it learns, without the seed."""
    return {key: value for key, value in run.knobs.items() if not key.startswith(NOT_LEARNING)}


def flattened(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(a.b.c, value) of nested dicts; what is open to the user's keys stays one value."""
    for key, value in data.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" not in OPEN:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# -- groups


def knobs_of(by: str) -> list[str]:
    """The knobs that `a,b` names: in full, by their end, or by a section that has a name. Errors: `UserError`."""
    return [_knob(word.strip()) for word in by.split(",")]


def _knob(word: str) -> str:
    known = [*tables.known_keys(), "run"]
    if word in ("seed", "runs") or word.startswith(("environment.id", "environment.dynamics")):
        raise UserError(
            f"--by {word}: got what is averaged over; expected a knob in which the runs differ; try --by algorithm"
        )
    if word in known or word.startswith(tuple(f"{key}." for key in OPEN)):
        return word
    ends = [key for key in known if key.endswith(f".{word}")]
    fitting = [key for key in known if key == f"{word}.name"] or ends
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UserError(f"--by {word}: got several knobs; expected one of {', '.join(fitting)}; try --by {fitting[0]}")
    leaves = {key.rpartition(".")[2]: key for key in reversed(known)} | {key: key for key in known}
    sections = {key.removesuffix(".name"): key for key in known if key.endswith(".name")}
    near = difflib.get_close_matches(word, [*leaves, *sections], 1, 0.5)
    hint = f"did you mean --by {near[0]}?" if near else "try --by algorithm, or run for a group a folder"
    raise UserError(f"--by {word}: unknown knob; {hint}")


def label(run: Finished, by: Sequence[str]) -> str:
    return ", ".join(_value(run, key) for key in by)


def _value(run: Finished, key: str) -> str:
    if key == "run":
        return run.given
    for knob in OPEN:
        if key.startswith(f"{knob}."):
            return _shown(run.knobs[knob].get(key.removeprefix(f"{knob}.")))
    if key in run.knobs:
        return _shown(run.knobs[key])
    parts = {name.rpartition(".")[2]: value for name, value in run.knobs.items() if name.startswith(f"{key}.")}
    kept = {name: value for name, value in parts.items() if value is not None and name != "kind"}
    if parts.get("kind") == "constant":
        return _shown(kept["initial"])
    return f"{parts.get('kind')} {' '.join(f'{name}={_shown(value)}' for name, value in kept.items())}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def task_of(run: Finished, by: Sequence[str]) -> str:
    """The task of a run; runs of one task have comparable scores."""
    name = run.knobs["environment.dynamics"] or run.knobs["environment.id"]
    for knob in TASK:
        if (value := run.knobs[knob]) and not any(key.startswith(knob) for key in by):
            name += f" {knob.removeprefix('environment.')}={json.dumps(value, sort_keys=True)}"
    return name


def grouped(found: Sequence[Finished], by: Sequence[str], left_out: list[LeftOut]) -> Cells:
    """Runs by group and task, without tasks that some group lacks. Errors: `UserError` for fewer than two groups."""
    cells: Cells = {}
    for run in found:
        cells.setdefault(label(run, by), {}).setdefault(task_of(run, by), []).append(run)
    if not cells:
        reasons = "; ".join(f"{one.path} {one.why}" for one in left_out[:3])
        raise UserError(f"no run to compare: {reasons}; expected finished runs; try python -m pg_theano.train runs=10")
    if len(cells) == 1:
        differing = [key for key in differences(found) if key not in by]
        advice = f"they differ in {', '.join(differing[:5])}" if differing else "they differ in nothing but their seed"
        example = differing[0] if differing else "run"
        missing = "".join(f"; {one.path} {one.why}" for one in left_out[:3])
        (name,) = cells
        raise UserError(
            f"--by {','.join(by)}: got one group, {name}; expected two or more: {advice}{missing}; "
            + (f"try --by {example}" if example not in by else "try a run that differs")
        )
    tasks = list(dict.fromkeys(task for group in cells.values() for task in group))
    common = [task for task in tasks if all(task in group for group in cells.values())]
    if not common:
        had = "; ".join(f"{name} has {', '.join(group)}" for name, group in list(cells.items())[:4])
        raise UserError(
            f"no task that every group has: {had}; expected one in common; try runs of the same environment"
        )
    for task in tasks:
        if task not in common:
            lacking = [name for name, group in cells.items() if task not in group]
            for group in cells.values():
                for run in group.get(task, []):
                    left_out.append(LeftOut(run.path, f"{', '.join(lacking)}: no run of its task, {task}"))
    return {name: {task: group[task] for task in common} for name, group in cells.items()}


def differences(found: Sequence[Finished]) -> list[str]:
    """The knobs of `learning` in which runs differ."""
    every = [learning(run) for run in found]
    return [key for key in every[0] if any(one.get(key) != every[0][key] for one in every)] if every else []
