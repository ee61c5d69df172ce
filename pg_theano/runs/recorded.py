"""What a run folder records of itself, held to what it must be, before anything reads it.

    facts = checked(Facts, sealed.read_json(path), path)       # types; the original, or `UserError`
    fits(spec, state, path)                                    # the arrays of a checkpoint are those of that spec

A seal says that a file is as it was written. Whoever wrote it may be a stranger, who can seal what he likes: an error
names the entry, and nothing that is built from it is made first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pg_theano import parameters
from pg_theano.config import knobs
from pg_theano.config import reading as configs
from pg_theano.policies import acting
from pg_theano.runs.checkpoints import AS_WRITTEN
from pg_theano.types import GREEDY, State, UserError

MOST_SHOWN = 40

Natural = Annotated[int, Field(ge=0, le=2**62)]
Size = Annotated[int, Field(ge=1, le=2**40)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]


def _values_of(section: type[BaseModel], knob: str) -> Any:
    """Text that is a value of this knob, and no other."""
    return Field(pattern=f"^({'|'.join(get_args(section.model_fields[knob].annotation))})$")


class Recorded(BaseModel):
    """Entries that are read; what else is there, of another version, is let be."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Action(Recorded):
    kind: Literal["discrete", "box", "multi_discrete", "multi_binary"]
    size: Natural
    choices: list[Size]
    low: list[float]
    high: list[float]


class Spec(Recorded):
    """Of a run's spec, what acting reads: `pg_theano.training.programs.spec_of`."""

    obs_size: Annotated[int, Field(ge=0, le=2**32)]
    action: Action
    squash: bool
    log_std: Annotated[str, _values_of(knobs.Policy, "log_std")]
    noise: Annotated[str, _values_of(knobs.Policy, "noise")]
    policy: str
    policy_kwargs: dict[str, Any] = {}
    policy_source: str | None = None
    logistic: bool
    num_outputs: Natural
    layout: list[Annotated[tuple[str, list[Size], Any], Field(strict=False)]]  # JSON has no tuples
    num_params: Size
    activation: Annotated[str, _values_of(knobs.Policy, "activation")]
    exploration: Annotated[str, _values_of(knobs.Exploration, "name")]
    normalize_observations: bool
    dtype: Annotated[str, _values_of(configs.Config, "dtype")]


class Tasks(Recorded):
    spaces: dict[str, dict[str, Any]] | None = None


class Facts(Recorded):
    """`run.json`. Its spec is looked at apart: one of an older version has a line of its own."""

    folder: str
    spec: dict[str, Any]
    task: Tasks = Tasks()
    sealed: list[str] = []
    versions: dict[str, str] = {}


class Evaluation(Recorded):
    mean: Number
    std: Number
    min: Number
    max: Number
    n: Natural


class Counters(Recorded):
    updates: Natural
    env_steps: Natural
    episodes: Natural
    seconds: Seconds
    best: Number | None
    best_update: Natural | None


class Checkpoint(Recorded):
    """The facts of a checkpoint that a run goes on from."""

    counters: Counters
    final: Evaluation | None
    metrics_bytes: Natural
    metrics_sha256: str | None = None
    fingerprint: dict[str, Any] = {}


class Result(Recorded):
    """`result.json`."""

    name: str
    status: str
    stop_reason: str = ""
    environment: str
    threshold: float | None = None
    seed: Natural | None = None
    updates: Natural = 0
    env_steps: Natural = 0
    episodes: Natural = 0
    steps_per_second: Number = 0.0
    seconds: dict[str, Seconds] = {}
    evaluation: Evaluation | None = None
    best_update: Natural | None = None
    versions: dict[str, str] = {}


def checked(model: type[Recorded], found: Any, path: Path, at: str = "") -> Any:
    """What was found, as it is, where the model takes it. Errors: `UserError` that names the first that it does not."""
    try:
        model.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join([*([at] if at else []), *map(str, first["loc"])])
        got = "nothing" if first["type"] == "missing" else _shown(first["input"])
        raise UserError(f"{path}: {entry}: got {got}: {first['msg'][:100]}; {AS_WRITTEN}") from None
    return found


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value)[:MOST_SHOWN]


def fits(spec: Mapping[str, Any], state: State, path: Path) -> None:
    """A policy of this spec can act by these arrays. Errors: `UserError`: another name, shape or kind of number."""
    counted = parameters.count(spec["layout"])
    if spec["num_params"] != counted:
        raise UserError(
            f"{path}: its run.json says {spec['num_params']:,} parameters, and layers of {counted:,}; {AS_WRITTEN}"
        )
    wanted = {"params": (counted,)}
    if spec["normalize_observations"]:
        wanted |= dict.fromkeys(("normalizer/mean", "normalizer/variance"), (spec["obs_size"],))
    for name, shape in wanted.items():
        array = state.get(name)
        got = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
        if array is None or array.shape != shape or array.dtype != spec["dtype"]:
            raise UserError(f"{path}: {name}: got {got}; expected {spec['dtype']} {list(shape)}, as its run.json says")
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name}: not all of it is finite; {AS_WRITTEN}")
    if spec["policy"] == "dense":
        try:
            obs = np.zeros((1, spec["obs_size"]), spec["dtype"])
            acting.numpy_act(dict(spec), with_log_prob=False)(state, obs, None, {"exploration_rate": 0.0}, GREEDY)
        except Exception as error:  # whatever follows from layers that do not belong together
            reason = " ".join(str(error).split())[:100]
            raise UserError(f"{path}: its layers do not fit together ({reason}); {AS_WRITTEN}") from None
