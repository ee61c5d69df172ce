"""Every knob: its name, its default, its meaning and its bounds. Once, here.

    config = read_config("configs/cartpole.yaml", ["algorithm.discount=0.98"], seed=3)

The YAML's nesting is the classes' nesting. Unknown keys, wrong types and numbers out of range are a `UserError`
that names file, line and key.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import os
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pg_theano import yaml_lines
from pg_theano.rules import ALGORITHM_DEFAULTS, contradictions, foreign_knobs, shown
from pg_theano.types import UserError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=10**12)]
FUNCTION = r"[\w.]+:\w+"  # module:name of the user's own
NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"  # of a run, a search, and whatever is called after one
Name = Annotated[str, Field(pattern=f"^{NAME}$")]


class Section(BaseModel):
    """A part of the config: strict types, no unknown keys, never changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Environment(Section):
    id: str = Field("CartPole-v1", min_length=1, description="Gymnasium's id; `module:Id` imports the module first")
    api: Literal["gymnasium", "gym"] = Field(
        "gymnasium", description="gym: `id` is module:Class, written to the API of Gym before 0.26"
    )
    num_envs: int = Field(16, ge=1, le=65536, description="environments stepped side by side")
    engine: Literal["auto", "compiled", "gymnasium"] = Field(
        "auto", description="who steps: the compiled dynamics where they are the same task, or Gymnasium"
    )
    dynamics: str | None = Field(
        None, pattern=f"^{FUNCTION}$", description="a symbolic environment of your own instead of `id`, module:Class"
    )
    kwargs: dict[str, Any] = Field({}, description="keyword arguments of `gymnasium.make`")
    wrappers: list[str] = Field([], description="wrappers in the order applied, each `module:Class`")
    max_episode_steps: int | None = Field(
        None, ge=1, le=10**7, description="time limit in steps instead of the registered one"
    )
    workers: int = Field(
        0, ge=0, le=1024, description="processes that environments are stepped in which may die or hang; 0: in this one"
    )
    timeout: Positive | None = Field(
        120.0, description="seconds that one step or reset may take before it counts as hanging; null: for ever"
    )
    on_fault: Literal["stop", "skip", "restart"] = Field(
        "stop",
        description="workers: what follows a fault: the run's end; its episode is dropped; the worker is started again "
        "and its episodes are replayed",
    )
    max_faults: int = Field(10, ge=0, le=10**9, description="workers: faults gone on after, before the run stops")


Widths = list[Annotated[int, Field(ge=1, le=10**12)]]


class Policy(Section):
    name: str = Field(
        "dense", pattern=f"^(dense|{FUNCTION})$", description="dense layers, or module:function of your own"
    )
    name_kwargs: dict[str, Any] = Field({}, description="keyword arguments of your own policy")
    hidden: Widths = Field([8], max_length=32, description="width of each hidden layer; [] is a linear policy")
    value_hidden: Widths | None = Field(
        None, max_length=32, description="the same of the value network; null: as the policy"
    )
    shared: bool = Field(False, description="policy and value are two heads of one network (a2c, ppo)")
    activation: Literal["sigmoid", "tanh", "relu"] = Field("sigmoid", description="of the hidden layers")
    logistic: bool = Field(False, description="Discrete with two actions: one logit, π(1) = σ(z), instead of two")
    initialization: Literal["glorot", "orthogonal"] = Field(
        "glorot", description="of the weights; orthogonal: gain √2, the policy's last layer 0.01, the value's 1"
    )
    squash: bool = Field(False, description="Box: actions through tanh into the bounds, instead of clipped to them")
    log_std: Literal["state_independent", "state_dependent"] = Field(
        "state_independent", description="Box: log σ is a parameter, or an output of the network"
    )
    initial_log_std: Finite = Field(0.0, description="Box: log σ at the start, where it is a parameter")
    noise: Literal["white", "pink", "state_dependent"] = Field(
        "white",
        description="Box: independent at each step; correlated in time; or a function of the observation (gSDE)",
    )
    noise_every: Count | None = Field(
        None, description="state_dependent noise: steps until it is drawn anew; null: once an update"
    )
    act: Literal["auto", "compiled", "numpy"] = Field(
        "auto", description="who computes actions: the compiled graph, a NumPy forward pass, or the quicker of both"
    )


class Algorithm(Section):
    name: Literal["reinforce", "vpg", "a2c", "ppo", "npg", "trpo", "cem", "pgpe", "es", "cmaes"] = Field(
        "reinforce", description="the learner: by the gradient of a policy, or by a search of its parameters"
    )
    discount: Fraction = Field(0.99, description="γ, per step")
    signal: Literal["reward", "episode_return", "reward_to_go"] = Field(
        "reward_to_go",
        description="reinforce: what weighs log π: γᵗ·r_t; the episode's discounted return; the return from t on",
    )
    baseline: Literal["none", "running_mean", "mean_so_far", "per_timestep", "leave_one_out", "value"] = Field(
        "mean_so_far", description="what is subtracted (see the README's table); all but reinforce: value, or none"
    )
    standardize_advantages: bool = Field(
        False, description="divide advantages by their standard deviation over the minibatch, after centring"
    )
    average: Literal["steps", "episodes"] = Field(
        "steps", description="reinforce: the loss is a mean over steps (scale-free) or over episodes (unbiased)"
    )
    advantage: Literal["gae", "monte_carlo", "td", "n_step"] = Field(
        "gae", description="how advantages are estimated from rewards and values"
    )
    gae_lambda: Fraction = Field(0.95, description="λ of gae: 0 is td, 1 is monte_carlo")
    bootstrap_steps: int = Field(5, ge=1, le=10**6, description="n of n_step: rewards seen before V")
    num_steps: int | None = Field(
        None, ge=1, le=2**17, description="steps per environment and update; null plays whole episodes"
    )
    num_epochs: int = Field(10, ge=1, le=10_000, description="passes over a rollout (but for ppo: of V alone)")
    num_minibatches: int = Field(
        1,
        ge=1,
        le=100_000,
        description="gradient steps a pass; sizes may differ by one",
    )
    clip_range: Positive = Field(0.2, description="ppo: ε, how far from 1 a ratio of probabilities may go")
    value_clip_range: Positive | None = Field(None, description="ppo: the same for V, in units of the return")
    value_coefficient: NonNegative = Field(0.5, description="a2c, ppo: weight of V's mean squared error")
    entropy_coefficient: NonNegative = Field(0.0, description="weight of the entropy in the loss")
    target_kl: Positive | None = Field(
        None, description="npg, trpo: KL of one step; ppo: stop the update when KL is over 1.5 times this"
    )
    damping: NonNegative = Field(0.1, description="npg, trpo: added to the diagonal of the Fisher matrix")
    num_cg_iterations: int = Field(10, ge=1, le=1000, description="npg, trpo: of the conjugate gradient")
    num_line_search_steps: int = Field(10, ge=1, le=100, description="trpo: trials, each 0.8 of the one before")
    objective: str = Field(
        "default",
        pattern=f"^(default|{FUNCTION})$",
        description="the algorithm's own, or a function of your own, module:function",
    )
    objective_kwargs: dict[str, Any] = Field({}, description="keyword arguments of your own objective")
    population_size: int = Field(32, ge=2, le=10**6, description="cem, pgpe, es, cmaes: candidates in a generation")
    episodes_per_candidate: int = Field(
        1, ge=1, le=10_000, description="cem, pgpe, es, cmaes: episodes whose mean return is a candidate's fitness"
    )
    initial_std: Positive = Field(1.0, description="cem, pgpe, es, cmaes: spread of the first generation")
    covariance: Literal["diagonal", "full"] = Field("diagonal", description="cem: of the Gaussian over parameters")


class Exploration(Section):
    name: Literal["softmax", "epsilon_softmax", "epsilon_greedy", "epsilon_greedy_softmax"] = Field(
        "softmax", description="how an action is drawn while training; ε is schedules.exploration_rate"
    )


class Schedule(Section):
    """k counts updates from 0. exponential_decay: initial·exp(−decay_rate·k); a negative rate grows."""

    kind: Literal["constant", "linear", "exponential_decay"] = Field("constant", description="shape over updates")
    initial: Finite = Field(description="value at update 0")
    final: Finite | None = Field(None, description="linear: value from update `over_updates` on")
    over_updates: Count | None = Field(None, description="linear: updates from initial to final")
    decay_rate: Finite | None = Field(None, description="exponential_decay: per update; negative grows")
    minimum: Finite | None = Field(None, description="never below this")
    maximum: Finite | None = Field(None, description="never above this")

    @model_validator(mode="after")
    def complete(self) -> Schedule:
        if self.kind == "linear" and (self.final is None or self.over_updates is None):
            raise ValueError(
                "got kind linear without `final` or `over_updates`; expected both; try "
                f"{{kind: linear, initial: {self.initial:g}, final: 0, over_updates: 1000}}"
            )
        if self.kind == "exponential_decay" and self.decay_rate is None:
            raise ValueError("got kind exponential_decay without `decay_rate`; expected it; try decay_rate: 0.01")
        if self.kind != "linear" and (self.final is not None or self.over_updates is not None):
            raise ValueError(
                f"got `final` or `over_updates` with kind {self.kind}; expected kind linear; try kind: linear"
            )
        if self.kind != "exponential_decay" and self.decay_rate is not None:
            raise ValueError(
                f"got `decay_rate` with kind {self.kind}; expected kind exponential_decay; try kind: exponential_decay"
            )
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(
                f"got minimum {self.minimum:g} above maximum {self.maximum:g}; expected it below; try exchanging them"
            )
        return self


class Schedules(Section):
    learning_rate: Schedule = Field(Schedule(initial=0.05), description="step size of the optimiser")
    value_learning_rate: Schedule = Field(
        Schedule(initial=0.01), description="vpg, npg, trpo: step size of the value network's optimiser"
    )
    exploration_rate: Schedule = Field(Schedule(initial=0.0), description="ε of the ε-strategies, 0 to 1")
    episodes_per_update: Schedule = Field(Schedule(initial=16), description="size of the minibatch, rounded")
    elite_fraction: Schedule = Field(Schedule(initial=0.2), description="cem: share of a generation that is kept")
    extra_std: Schedule = Field(
        Schedule(kind="exponential_decay", initial=0.3, decay_rate=0.1),
        description="cem: a standard deviation whose square is added to the elites' variance",
    )
    std_learning_rate: Schedule = Field(Schedule(initial=0.1), description="pgpe: step size of the standard deviations")

    @model_validator(mode="after")
    def in_range(self) -> Schedules:
        for name, low, high in (
            ("learning_rate", 0.0, float("inf")),
            ("value_learning_rate", 0.0, float("inf")),
            ("exploration_rate", 0.0, 1.0),
            ("episodes_per_update", 1.0, 65536.0),
            ("elite_fraction", 0.0, 1.0),
            ("extra_std", 0.0, float("inf")),
            ("std_learning_rate", 0.0, float("inf")),
        ):
            schedule = getattr(self, name)
            for key in ("initial", "final", "minimum", "maximum"):
                value = getattr(schedule, key)
                if value is not None and not low <= value <= high:
                    default = type(self).model_fields[name].default.initial
                    raise ValueError(f"{name}.{key}: got {value:g}; expected {low:g} to {high:g}; try {default:g}")
            grows = schedule.kind == "exponential_decay" and schedule.decay_rate < 0 and schedule.maximum is None
            if grows and not name.endswith("learning_rate"):
                raise ValueError(
                    f"{name}: got decay_rate {schedule.decay_rate:g}, which grows without end; expected a maximum; try "
                    f"{name}.maximum={high:g}"
                )
        return self


class Optimizer(Section):
    name: Literal["sgd", "momentum", "rmsprop", "adam"] = Field("adam", description="the update rule")
    momentum: Decay = Field(0.9, description="momentum: share of the last step that is kept")
    rmsprop_decay: Decay = Field(0.9, description="rmsprop: decay of the mean square")
    beta1: Decay = Field(0.9, description="adam: decay of the first moment")
    beta2: Decay = Field(0.999, description="adam: decay of the second moment")
    epsilon: Positive = Field(1e-8, description="rmsprop and adam: added to the root of the mean square")
    max_gradient_norm: Positive | None = Field(None, description="longest gradient allowed, by its global L2 norm")


class Normalize(Section):
    observations: bool = Field(False, description="observations by their running mean and variance")
    rewards: bool = Field(False, description="rewards by the running standard deviation of the discounted return")


class Budget(Section):
    updates: Count | None = Field(1000, description="stop after so many updates")
    env_steps: Count | None = Field(None, description="stop after so many environment steps")
    seconds: Positive | None = Field(None, description="stop after so many seconds of training")


class Solved(Section):
    stop: bool = Field(True, description="stop when solved; false trains on until the budget is spent")
    threshold: Finite | None = Field(None, description="mean evaluation return; default: the registered one")


class Evaluation(Section):
    episodes: int = Field(100, ge=1, le=100_000, description="episodes in one evaluation, each to its end")
    every_updates: Count = Field(10, description="updates between two evaluations")
    sampled: bool = Field(False, description="also evaluate the policy with sampled actions, each time")


class Distribute(Section):
    """Who plays a generation of cem, pgpe, es or cmaes. The outcome does not depend on it."""

    workers: int = Field(1, ge=1, le=4096, description="cem, pgpe, es, cmaes: processes that play a generation")
    cluster: str | None = Field(
        None, pattern=r"^(tcp|tls|ucx|ws|wss)://.+:\d+$", description="the same by a Dask cluster: tcp://host:8786"
    )
    tasks: int = Field(8, ge=1, le=10**6, description="parts that a generation is given to workers in")


class Checkpoint(Section):
    every_updates: Count | None = Field(None, description="updates between two checkpoints")
    every_seconds: Positive | None = Field(10.0, description="seconds between two checkpoints")
    keep: int = Field(2, ge=1, le=1000, description="newest checkpoints kept, beside the best")


class Config(Section):
    """All knobs of one run."""

    name: Name | None = Field(None, description="of the run; default: the config file's name, or the environment's")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="everything random follows from it")
    runs: int = Field(1, ge=1, le=10_000, description="repeat over seeds seed, seed+1, ... and summarise")
    agents_per_process: int = Field(
        1,
        ge=1,
        le=4096,
        description="seeds of `runs` (or settings of a search) trained at once; compiled environments, backend jax",
    )
    backend: Literal["jax", "numba", "c"] = Field(
        "jax", description="code generator of PyTensor; numba and c compile for one to three minutes"
    )
    dtype: Literal["float32", "float64"] = Field("float32", description="of all that is learned")
    gradients: Literal["symbolic", "by_hand"] = Field(
        "symbolic", description="derived by the graph, or on paper: the NumPy twin (vpg, ppo)"
    )
    environment: Environment = Environment()
    policy: Policy = Policy()
    algorithm: Algorithm = Algorithm()
    exploration: Exploration = Exploration()
    schedules: Schedules = Schedules()
    optimizer: Optimizer = Optimizer()
    normalize: Normalize = Normalize()
    budget: Budget = Budget()
    solved: Solved = Solved()
    evaluation: Evaluation = Evaluation()
    checkpoint: Checkpoint = Checkpoint()
    distribute: Distribute = Distribute()

    @model_validator(mode="after")
    def fits_together(self) -> Config:
        for problem in (*foreign_knobs(self), *contradictions(self)):
            raise ValueError(problem)
        return self


def with_defaults(data: dict[str, Any]) -> dict[str, Any]:
    """The knobs of a file over the defaults of the algorithm that it names."""
    section = data.get("algorithm")
    name = section.get("name") if isinstance(section, dict) else None
    return laid_over(_copied(ALGORITHM_DEFAULTS.get(name, {}) if isinstance(name, str) else {}), data)


def laid_over(under: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(under.get(key), dict)
        under[key] = laid_over(under[key], value) if both else value
    return under


def read_config(
    path: str | os.PathLike[str] | None = None, overrides: Iterable[str] = (), seed: int | None = None
) -> Config:
    """The config of a file (or the defaults), with `a.b=value` overrides in turn and a seed on top."""
    document = read_data(path, overrides, seed)
    return from_dict(document.data, document.lines, document.name)


def read_data(
    path: str | os.PathLike[str] | None = None, overrides: Iterable[str] = (), seed: int | None = None
) -> yaml_lines.Document:
    """What the file and the overrides say, as plain data that nobody has checked yet."""
    document = yaml_lines.Document({}, {}, "defaults") if path is None else yaml_lines.read_file(path)
    document = _laid_over(document.data, document.lines, document.name, overrides, seed)
    if path is not None and "name" not in document.data:
        document.data["name"] = re.sub(r"[^A-Za-z0-9._-]", "-", Path(path).stem).lstrip("._-")[:64] or None
    return document


def _laid_over(
    below: Any, lines_below: Mapping[tuple, int], name: str, overrides: Iterable[str], seed: int | None
) -> yaml_lines.Document:
    """Plain data with `knob=value` words and a seed over it."""
    data, lines = _copied(below), dict(lines_below)
    for override in overrides:
        _override(data, lines, override)
    if seed is not None:
        data["seed"] = seed
        lines[("seed",)] = 0
    return yaml_lines.Document(data, lines, name)


def from_dict(data: Mapping[str, Any], lines: Mapping[tuple, int] | None = None, name: str = "config") -> Config:
    """The config of plain nested dicts; what is missing keeps its default."""
    return validated(Config, with_defaults(_copied(data)), lines or {}, name)


Model = typing.TypeVar("Model", bound="Section")


def validated(model: type[Model], data: dict[str, Any], lines: Mapping[tuple, int], name: str) -> Model:
    """Plain nested dicts as this model. Errors: `UserError` with file, line and key of the first thing wrong."""
    try:
        return model.model_validate(_whole_numbers(model, data))
    except ValidationError as error:
        raise UserError(_explain(error, lines, name, model)) from None


class Resolved(NamedTuple):
    """A config, and where it comes from."""

    config: Config
    folder: Path  # where the modules that it names are looked for
    lines: Mapping[tuple, int] = {}
    name: str = "config"

    @contextlib.contextmanager
    def placed(self) -> Iterator[None]:
        """An error about a knob that shows only now, with the task at hand, gets the file and the line as well."""
        try:
            yield
        except UserError as error:
            key = re.match(r"([a-z_]+(?:\.[a-z_0-9]+)*): ", str(error))
            path = tuple(key[1].split(".")) if key else ()
            if not any(path[:length] in self.lines for length in range(1, len(path) + 1)):
                raise
            place = where(path, self.lines, self.name)
            raise UserError(f"{place}: {str(error).partition(': ')[2]}") from error


def resolved(
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None,
    overrides: Iterable[str] = (),
    seed: int | None = None,
    folder: Path | None = None,
) -> Resolved:
    """The config of a file, of plain data, or of nothing: the defaults.

    Overrides and seed lie over any of them. Modules that it names are looked for beside the file; for all else in
    `folder`, or the current one.
    """
    overrides = list(overrides)
    if isinstance(config, Config) and not overrides and seed is None:
        return Resolved(config, folder or Path.cwd())
    if isinstance(config, Config | Mapping):
        document = _laid_over(to_dict(config) if isinstance(config, Config) else config, {}, "config", overrides, seed)
    else:
        document = read_data(config, overrides, seed)
        if config is not None:
            folder = Path(config).resolve().parent
    found = from_dict(document.data, document.lines, document.name)
    return Resolved(found, folder or Path.cwd(), document.lines, document.name)


def to_dict(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json")


def knobs(model: type[BaseModel] = Config, prefix: str = "") -> list[tuple[str, str, str, str]]:
    """Rows (key, type, default, meaning) of every knob, for help texts and the documentation."""
    rows = []
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        if inner is Schedule:
            value = field.get_default(call_default_factory=True)
            rows.append((f"{prefix}{name}", "schedule", _shown_schedule(value), field.description or ""))
        elif inner is not None:
            rows += knobs(inner, f"{prefix}{name}.")
        else:
            default = "" if field.is_required() else shown(field.get_default(call_default_factory=True))
            rows.append((f"{prefix}{name}", _type_name(field.annotation), default, field.description or ""))
    return rows


def table(rows: list[tuple[str, str, str, str]]) -> list[str]:
    """Rows of `knobs` as the lines of a help text."""
    width = max(len(key) + len(default) for key, _, default, _ in rows) + 3
    return [
        f"  {f'{key} = {default}':<{width}}  {meaning}{f' ({kind})' if '|' in kind else ''}"
        for key, kind, default, meaning in rows
    ]


def help_text() -> str:
    """The table of knobs as every command's `-h` prints it."""
    lines = ["knobs (YAML keys, or a.b=value on the command line) and their defaults:", *table(knobs())]
    lines += ["", "a schedule is {kind, initial, ...}:"]
    lines += table(knobs(Schedule))
    return "\n".join(lines)


# -- reading


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _override(data: dict[str, Any], lines: dict[tuple, int], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UserError(f"{override}: got no `=`; expected knob=value, such as algorithm.discount=0.98")
    path = tuple(key.strip().split("."))
    inner = data
    for part in path[:-1]:
        inner = inner.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UserError(f"{override}: {part} is not a section; nothing can be set inside it")
    inner[path[-1]] = yaml_lines.read_value(text, override)
    lines[path] = 0  # line 0: the command line
    for length in range(1, len(path)):
        lines.setdefault(path[:length], 0)


def _whole_numbers(model: type[BaseModel], data: Any) -> Any:
    """1e6 for a count, and 1 for a real number, are what the writer meant; 1.5 for a count is left to fail."""
    if not isinstance(data, dict):
        return data
    for key, value in data.items():
        field = model.model_fields.get(key)
        if field is None:
            continue
        inner = _section(field.annotation)
        if inner is not None:
            data[key] = _whole_numbers(inner, value)
        elif isinstance(value, float) and value.is_integer() and "int" in _type_name(field.annotation):
            data[key] = int(value)
    return data


def _explain(error: ValidationError, lines: Mapping[tuple, int], name: str, model: type[Section]) -> str:
    """One line: file:line key: what was got; what is expected."""
    errors = error.errors()
    # A misspelt key is the cause where another key is missing.
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    path = tuple(first["loc"])
    message = first["msg"]
    kind = first["type"]
    if first["type"] == "value_error":  # from a validator above: says itself what is wrong
        message = message.removeprefix("Value error, ")
        extra = re.match(r"([a-z_]+(?:\.[a-z_]+)?): ", message)
        if extra:
            path += tuple(extra[1].split("."))
            message = message[extra.end() :]
        return f"{where(path, lines, name)}: {message}"
    if kind == "extra_forbidden":
        known = known_keys(model) + _sections(model)
        owner = _model_at(path[:-1], model)
        if owner is not None:  # inside a mapping whose keys are the user's own
            known += [
                key for part in owner.model_fields if (key := ".".join([*map(str, path[:-1]), part])) not in known
            ]
        wanted = ".".join(map(str, path))
        siblings = [key for key in known if key.rpartition(".")[0] == wanted.rpartition(".")[0]]
        near = difflib.get_close_matches(wanted, siblings, 1, 0.5) or difflib.get_close_matches(wanted, known, 1, 0.5)
        leaf = [key for key in known if key.rpartition(".")[2] == str(path[-1])]
        guess = next(iter(near or leaf), None)
        hint = f"did you mean {guess}?" if guess else f"known here: {', '.join(siblings[:12])}"
        return f"{where(path, lines, name)}: unknown knob; {hint}"
    if kind == "missing":
        return f"{where(path, lines, name)}: missing; it has no default"
    got = first["input"]
    text = shown(got) if not isinstance(got, (dict, list)) else ("a mapping" if isinstance(got, dict) else "a list")
    expected, advice = _expected(first, path, model), _advice(first, path, model)
    return f"{where(path, lines, name)}: got {text}; expected {expected}" + (f"; try {advice}" if advice else "")


def known_keys(model: type[BaseModel] = Config) -> list[str]:
    """Every key that can be set, the parts of schedules too."""
    rows = knobs(model)
    parts = [f"{key}.{part}" for key, kind, *_ in rows if kind == "schedule" for part in Schedule.model_fields]
    return [key for key, *_ in rows] + parts


def where(path: tuple, lines: Mapping[tuple, int], name: str) -> str:
    key = ".".join(map(str, path))
    for length in range(len(path), 0, -1):
        line = lines.get(path[:length])
        if line is not None:
            return f"{name}:{line} {key}" if line else f"command line {key}"
    return f"{name} {key}" if key else name


def _expected(error: Any, path: tuple, model: type[Section]) -> str:
    limits = error.get("ctx") or {}
    kind = error["type"]
    field = _field(path, model)
    annotation = field.annotation if field is not None else None
    if isinstance(path[-1], int) and typing.get_args(annotation):  # an item of a list
        (annotation,) = typing.get_args(annotation)
    bounds = _annotated_bounds(annotation)
    for item in getattr(field, "metadata", ()) if not isinstance(path[-1], int) else ():
        bounds |= {name: getattr(item, name) for name in ("ge", "gt", "le", "lt") if hasattr(item, name)}
    bounds |= {name: limits[name] for name in ("ge", "gt", "le", "lt") if name in limits}
    whole = annotation is not None and "int" in _type_name(annotation)
    noun = "a whole number" if whole else "a number"
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number") or (
        kind in ("int_type", "float_type", "int_from_float", "int_parsing")
    ):
        written = {name: f"{limit}" if isinstance(limit, int) else f"{limit:g}" for name, limit in bounds.items()}
        low = f" from {written['ge']}" if "ge" in bounds else f" above {written['gt']}" if "gt" in bounds else ""
        high = f" to {written['le']}" if "le" in bounds else f" below {written['lt']}" if "lt" in bounds else ""
        finite = not (low or high or whole)
        return f"{'a finite number' if finite else noun}{low}{high}"
    if kind == "literal_error":
        return "one of " + limits["expected"].replace("'", "").replace(" or ", ", ")
    if kind == "string_pattern_mismatch" and FUNCTION in limits["pattern"]:
        word = re.match(r"\^\((\w+)\|", limits["pattern"])
        return (f"{word[1]}, or " if word else "") + "module:name, such as my_file:my_name"
    if kind == "string_pattern_mismatch" and "tcp" in limits["pattern"]:
        return "the address of a Dask scheduler"
    if kind == "string_pattern_mismatch":
        return "letters, digits, '.', '_' or '-', at most 64, beginning with a letter or digit"
    if kind == "model_type":
        return "a mapping of knobs"
    names = {
        "bool_type": "true or false",
        "string_type": "text",
        "list_type": "a list",
        "dict_type": "a mapping",
    }
    return names.get(kind, error["msg"])


WORDS = {"yes": True, "on": True, "y": True, "no": False, "off": False, "n": False}


def _advice(error: Any, path: tuple, model: type[Section]) -> str:
    """What to try instead: what was probably meant, else the default."""
    got, kind, field = error["input"], error["type"], _field(path, model)
    if kind == "bool_type" and str(got).lower() in WORDS:
        return shown(WORDS[str(got).lower()])
    if kind == "literal_error" and (near := difflib.get_close_matches(str(got), typing.get_args(field.annotation), 1)):
        return near[0]
    if kind == "model_type" and isinstance(got, (int, float)) and path[0] == "schedules":
        return f"{{initial: {shown(got)}}}"
    if kind == "model_type" and path == ("environment",):
        return f"{{id: {got}}}"
    if kind == "list_type" and isinstance(got, (int, str)):
        return f"[{got}]"
    if kind == "string_pattern_mismatch" and "tcp" in error["ctx"]["pattern"]:
        return "tcp://host:8786"
    if kind == "string_pattern_mismatch" and path == ("name",):
        return re.sub(r"[^A-Za-z0-9._-]+", "-", str(got)).strip("._-")[:64] or "mine"
    if path[0] == "schedules" and path[-1] == "initial":
        field = Schedules.model_fields.get(path[1])
        return shown(field.default.initial) if field is not None and isinstance(field.default, Schedule) else ""
    if field is None or field.is_required():
        return ""
    default = field.get_default(call_default_factory=True)
    if isinstance(path[-1], int) and isinstance(default, list):
        default = default[0] if default else None
    return "" if isinstance(default, (Section, dict)) or default in ([], "") else shown(default)


def _field(path: tuple, root: type[Section]) -> Any:
    """The field that a path leads to; of an item of a list, the list's."""
    model: Any = root
    field = None
    for index, part in enumerate(path):
        if model is None or part not in model.model_fields:
            return field if isinstance(part, int) else None
        field = model.model_fields[part]
        model = _section(field.annotation)
        of_values = _section_of_values(field.annotation)
        if of_values is not None and index + 2 < len(path):
            return _field(path[index + 2 :], of_values)
    return field


def _model_at(path: tuple, root: type[Section]) -> type[Section] | None:
    """The model of the section that a path leads to."""
    model: Any = root
    parts = iter(path)
    for part in parts:
        field = model.model_fields.get(part) if model is not None else None
        annotation = getattr(field, "annotation", None)
        model = _section(annotation)
        if (of_values := _section_of_values(annotation)) is not None and next(parts, None) is not None:
            model = of_values
    return model


def _section_of_values(annotation: Any) -> type[Section] | None:
    """Range of `dict[str, Range]`."""
    arguments = typing.get_args(annotation)
    return _section(arguments[1]) if typing.get_origin(annotation) is dict else None


def _annotated_bounds(annotation: Any) -> dict[str, float]:
    """The bounds of an Annotated number somewhere inside a type such as `list[Annotated[int, Field(ge=1)]]`."""
    bounds: dict[str, float] = {}
    for item in getattr(annotation, "__metadata__", ()):
        for inner in getattr(item, "metadata", ()):
            bounds |= {name: getattr(inner, name) for name in ("ge", "gt", "le", "lt") if hasattr(inner, name)}
    for argument in typing.get_args(annotation):
        bounds |= _annotated_bounds(argument)
    return bounds


def _sections(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    names = []
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        if inner is not None:
            names += [f"{prefix}{name}", *_sections(inner, f"{prefix}{name}.")]
    return [name for name in names if not name.startswith("schedules.") or name.count(".") <= 1]


def _section(annotation: Any) -> type[Section] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _type_name(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return "|".join(map(str, typing.get_args(annotation)))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type_name(part) for part in typing.get_args(annotation) if part is not type(None))
    if origin is Annotated:
        return _type_name(typing.get_args(annotation)[0])
    return getattr(annotation, "__name__", str(annotation))


def _shown_schedule(schedule: Schedule) -> str:
    given = schedule.model_dump(exclude_none=True, exclude_defaults=False)
    return (
        "{"
        + ", ".join(f"{key}: {value:g}" if key != "kind" else f"kind: {value}" for key, value in given.items())
        + "}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m pg_theano.config --schema`. Imported by name, as the schema is made of this module."""
    return importlib.import_module("pg_theano.schema").main(argv)


if __name__ == "__main__":
    sys.exit(main())
