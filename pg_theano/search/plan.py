"""A search read from its file: `base`, knobs laid over it, and the section `search`."""

import copy
import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pg_theano.config import errors, tables
from pg_theano.config import reading as configs
from pg_theano.config.kinds import Section
from pg_theano.config.knobs import Config
from pg_theano.config.search_knobs import Range, Search
from pg_theano.search.axes import Axis
from pg_theano.system.yaml_lines import Document
from pg_theano.types import UserError

PLAN = "search.yaml"
"""The whole of a search, base and all, in its folder: `--resume` reads it."""
CHANGEABLE = ("search.budget.", "search.workers=", "search.cluster=")
"""What a resumed search may change: how far it goes and who works, nothing that its outcome depends on."""


class Plan(NamedTuple):
    """A search before it begins."""

    name: str
    search: Search
    axes: tuple[Axis, ...]
    base: dict[str, Any]  # the knobs of every trial, as they were written, without `name` and `runs`
    config: Config  # the same with its defaults
    folder: Path  # of the config: where the user's own modules are

    @property
    def maximise(self) -> bool:
        return self.search.objective != "steps_to_solve"

    def identity(self) -> dict[str, Any]:
        """All that the outcome depends on: two searches with the same are the same search."""
        own = self.search.model_dump(mode="json", exclude={"budget", "workers", "cluster", "storage"})
        return {**own, "base": configs.to_dict(self.config)}


class _File(Section):
    """A file of a search, but for the knobs that it lays over its base."""

    search: Search


def read_plan(path: str | os.PathLike[str], overrides: Iterable[str] = (), seed: int | None = None) -> Plan:
    """The search of a file. Errors: `UserError` with file, line and key."""
    document = configs.read_data(path, overrides, seed)
    folder = Path(path).resolve().parent
    return plan_of(document, folder)


def plan_of(document: Document, folder: Path) -> Plan:
    data, lines, name = dict(document.data), document.lines, document.name
    base_name, search = data.pop("base", None), data.pop("search", None)
    if not isinstance(search, dict):
        raise UserError(
            f"{name}: no section `search`; expected one with a `space`; try configs/search-cartpole.yaml, "
            "or pg_theano.train"
        )
    base: dict[str, Any] = {}
    if base_name is not None:
        if not isinstance(base_name, str) or Path(base_name).is_absolute() or ".." in Path(base_name).parts:
            raise UserError(
                f"{errors.where(('base',), lines, name)}: expected the name of a config file beside this "
                "one; try its name alone"
            )
        base_path = folder / base_name
        shown = Path(os.path.relpath(base_path))
        base = configs.read_data(shown).data
        if "search" in base:
            raise UserError(
                f"{errors.where(('base',), lines, name)}: {shown} is a search itself; expected a config "
                "to train; try its own base"
            )
        configs.read_config(shown)  # its errors name its own lines
    base = configs.laid_over({key: value for key, value in base.items() if key != "name"}, data)
    config = configs.from_dict(base, lines, name)
    own_name = base.pop("name", None) or "search"
    if base.pop("runs", 1) != 1:
        raise UserError(
            f"{errors.where(('runs',), lines, name)}: got several runs, and a trial is one; expected 1; "
            "try search.seeds_per_trial instead"
        )
    search = {**search, "space": flattened(search.get("space"))}
    settings = configs.validated(_File, {"search": search}, lines_of_flat(lines), name).search
    fields = {knob: one.model_dump(exclude_none=True) for knob, one in settings.space.items()}
    choices = {knob: {"choices": tuple(one.choices)} for knob, one in settings.space.items() if one.choices is not None}
    axes = tuple(Axis(knob, **given | choices.get(knob, {})) for knob, given in fields.items())
    for axis in axes:
        _check_knob(axis, base, errors.where(("search", "space", axis.name), lines_of_flat(lines), name))
    plan = Plan(own_name, settings, axes, base, config.model_copy(update={"name": None}), folder)
    _check_budget(plan, name)
    return plan


def written(plan: Plan) -> str:
    """The whole plan as YAML, from which `plan_of` makes the same again."""
    data = {"name": plan.name, **plan.base, "search": plan.search.model_dump(mode="json")}
    return yaml.safe_dump(data, sort_keys=False)


def with_params(base: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The base's knobs with a candidate's over them."""
    data = copy.deepcopy(dict(base))
    for knob, value in params.items():
        *sections, last = knob.split(".")
        inner = data
        for section in sections:
            inner = inner.setdefault(section, {})
        inner[last] = value
    return data


# -- the space


def flattened(space: Any) -> Any:
    """`{schedules: {learning_rate: {initial: {low: ...}}}}` as `{schedules.learning_rate.initial: {low: ...}}`.

    A file may nest or use dots; the command line nests. Where both name a knob, the later lies over the earlier.
    """
    if not isinstance(space, dict):
        return space
    flat: dict[str, Any] = {}

    def visit(value: Any, path: str) -> None:
        nests = isinstance(value, dict) and value and not set(value) & set(Range.model_fields)
        if nests and all(isinstance(inner, dict) for inner in value.values()):
            for key, inner in value.items():
                visit(inner, f"{path}.{key}")
            return
        merged = isinstance(value, dict) and isinstance(flat.get(path), dict)
        flat[path] = {**flat[path], **value} if merged else value

    for key, value in space.items():
        visit(value, key)
    return flat


def lines_of_flat(lines: Mapping[tuple, int]) -> dict[tuple, int]:
    """The lines under the key paths that a flattened space has."""
    moved = {}
    for path, line in lines.items():
        if path[:2] == ("search", "space") and len(path) > 2:
            rest = [str(part) for part in path[2:]]
            cut = next((i for i, part in enumerate(rest) if part in Range.model_fields), len(rest))
            moved[("search", "space", ".".join(rest[:cut]), *path[2 + cut :])] = line
        else:
            moved[path] = line
    return moved


def _check_knob(axis: Axis, base: dict[str, Any], where: str) -> None:
    """Refuse a knob that there is not, and a value that the knob does not take."""
    known = [key for key in tables.known_keys() if key not in ("name", "seed", "runs")]
    open_ended = axis.name.rpartition(".")[0] in (
        "environment.kwargs",
        "policy.name_kwargs",
        "algorithm.objective_kwargs",
    )
    if axis.name not in known and not open_ended:
        leaf = [key for key in known if key.endswith("." + axis.name)]
        near = leaf or difflib.get_close_matches(axis.name, known, 1, 0.5)
        hint = f"did you mean {near[0]}?" if near else "python -m pg_theano.search -h lists all"
        raise UserError(f"{where}: unknown knob; {hint}")
    kinds = {key: kind for key, kind, *_ in tables.knobs()}
    if axis.choices is None and not axis.integer and kinds.get(axis.name, "float").startswith("int"):
        raise UserError(f"{where}: takes whole numbers; expected integer: true; try adding it")
    for value in axis.choices if axis.choices is not None else (axis.value(0.0), axis.value(1.0)):
        try:
            configs.from_dict(with_params(base, {axis.name: value}), {}, "trial")
        except UserError as error:
            # What two knobs have against each other may be mended by a third of the space: such trials fail one by one.
            if ".".join(map(str, error.problem.knob)) == axis.name:
                raise UserError(error.problem._replace(where=where)) from None


def _check_budget(plan: Plan, name: str) -> None:
    budget, search = plan.config.budget, plan.search
    searched = {axis.name for axis in plan.axes}
    if search.objective == "steps_to_solve":
        if budget.env_steps is None and "budget.env_steps" not in searched:
            raise UserError(
                f"{name} search.objective: got steps_to_solve without budget.env_steps, of which an unsolved run "
                "counts twice; expected it; try budget.env_steps=200000"
            )
        if not plan.config.solved.stop:
            raise UserError(
                f"{name} search.objective: got steps_to_solve with solved.stop=false; expected runs that stop; try true"
            )
    if search.objective == "learning_curve" and budget.updates is None and budget.env_steps is None:
        raise UserError(
            f"{name} search.objective: got learning_curve without budget.updates or budget.env_steps; "
            "expected one; try budget.updates=200"
        )
    if search.pruning != "none" and (budget.updates is None and budget.env_steps is None):
        raise UserError(
            f"{name} search.pruning: got rungs of no budget; expected budget.updates or budget.env_steps; "
            "try budget.updates=200"
        )
    if search.pruning != "none" and searched & {"budget.updates", "budget.env_steps"}:
        raise UserError(
            f"{name} search.pruning: got a budget in the space, of which rungs are shares; expected it "
            "fixed; try pruning: none"
        )
