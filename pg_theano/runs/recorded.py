"""What a run folder records of itself, held to what it must be, before anything reads it.

    facts = checked(Facts, sealed.read_json(path), path)       # types; the original, or `UserError`
    fits(spec, state, path)                                    # the arrays of a checkpoint are those of that spec

A seal says that a file is as it was written. Whoever wrote it may be a stranger, who can seal what he likes: an error
names the entry, and nothing that is built from it is made first.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pg_theano.policies.acting import nothing_remembered, numpy_act
from pg_theano.runs.checkpoints import AS_WRITTEN, WHOLE
from pg_theano.spec import Spec
from pg_theano.spec.entries import Unreadable, shown
from pg_theano.spec.reading import is_older, spec_of
from pg_theano.types import GREEDY, State, UserError

Natural = Annotated[int, Field(ge=0, le=2**62)]
Size = Annotated[int, Field(ge=1, le=2**40)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]


class Recorded(BaseModel):
    """Entries that are read; what else is there, of another version, is let be."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Tasks(Recorded):
    spaces: dict[str, dict[str, Any]] | None = None


class Changed(Recorded):
    """A change of the config: see `changes`."""

    model_config = ConfigDict(extra="forbid")

    update: Natural
    knob: Annotated[str, Field(max_length=200)]
    before: Any
    value: Any


class Facts(Recorded):
    """`run.json`. Its spec is looked at apart: one of an older version has a line of its own."""

    folder: str
    spec: dict[str, Any]
    task: Tasks = Tasks()
    sealed: list[str] = []
    versions: dict[str, str] = {}
    changes: list[Changed] = []


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
    evaluated_steps: Natural = 0
    evaluated_length: Number | None = None


class Counted(Recorded):
    """What is read of any checkpoint."""

    counters: Counters


class Checkpoint(Counted):
    """The facts of a checkpoint that a run goes on from."""

    final: Evaluation | None
    given: dict[str, Number] = {}
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
        got = "nothing" if first["type"] == "missing" else shown(first["input"])
        raise UserError.at(path, f"{entry}: got {got}: {first['msg'][:100]}", *WHOLE) from None
    return found


def spec_in(facts: Mapping[str, Any], path: Path) -> Spec:
    """The spec that run.json recorded. Errors: `UserError` that names the first entry that is not what it must be."""
    if is_older(facts["spec"]):
        raise UserError(
            "the run was made by an older version of pg_theano, whose policies this one does not read; expected one of "
            "this version; try the version that wrote it, or a new run"
        )
    try:
        return spec_of(facts["spec"])
    except Unreadable as error:
        raise UserError(f"{path}: {error}; {AS_WRITTEN}") from None


def fits(spec: Spec, state: State, path: Path) -> None:
    """A policy of this spec can act by these arrays. Errors: `UserError`: another name, shape or kind of number."""
    acting = spec.acting
    wanted: dict[str, tuple[int, ...]] = {"params": (acting.num_params,)}
    if acting.normalize_observations:
        wanted |= dict.fromkeys(("normalizer/mean", "normalizer/variance"), (acting.num_features,))
    for name, shape in wanted.items():
        array = state.get(name)
        got = "nothing" if array is None else f"{array.dtype} {list(array.shape)}"
        if array is None or array.shape != shape or array.dtype != acting.dtype:
            raise UserError(f"{path}: {name}: got {got}; expected {acting.dtype} {list(shape)}, as its run.json says")
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name}: not all of it is finite; {AS_WRITTEN}")
    if acting.in_numpy:
        try:
            obs = np.zeros((1, acting.obs_size), acting.dtype)
            memory = nothing_remembered(acting, 1)
            numpy_act(acting, with_log_prob=False)(state, obs, None, {"exploration_rate": 0.0}, GREEDY, *memory)
        except Exception as error:  # whatever follows from layers that do not belong together
            reason = " ".join(str(error).split())[:100]
            raise UserError(f"{path}: its layers do not fit together ({reason}); {AS_WRITTEN}") from None
