"""What shapes a graph, as types: how a policy acts, how it learns, which compiled environment it plays.

    spec = specs.spec_of(config, task, environment)
    spec.acting.activation, spec.learning.num_steps, spec.engine
    spec.plain()                  # for run.json, a policy's file and the compile cache; `Spec.of_plain` reads it

What is missing here (rates, discounts, schedules) is an input of the graph. The names of the entries in a file stand in
this module alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, ClassVar, Literal, NamedTuple, get_args, get_origin, get_type_hints

from pg_theano import layers as kinds
from pg_theano import parameters
from pg_theano.layers import LAYERS, Activation, Image, Layer, Layout, Placed, kind_of, layout_of, memory
from pg_theano.parameters import LOG_STD, Network
from pg_theano.types import NUM_UNIFORMS, ActionSpace

Dtype = Literal["float32", "float64"]
LogStd = Literal["state_independent", "state_dependent"]
Noise = Literal["white", "pink", "state_dependent"]
Exploration = Literal["softmax", "epsilon_softmax", "epsilon_greedy", "epsilon_greedy_softmax"]
Signal = Literal["reward", "episode_return", "reward_to_go"]
Baseline = Literal["none", "running_mean", "mean_so_far", "per_timestep", "leave_one_out", "value"]
Average = Literal["steps", "episodes"]
Advantage = Literal["gae", "monte_carlo", "td", "n_step"]
Optimizer = Literal["sgd", "momentum", "rmsprop", "adam"]


@dataclass(frozen=True, slots=True)
class Own:
    """A function of the user's, module:name, and the fingerprint of its sources."""

    name: str
    kwargs: Mapping[str, Any]
    source: str | None


@dataclass(frozen=True, slots=True)
class Acting:
    """What a policy is and how it acts. `own` is the user's network; None where it is of layers of ours.

    A row of `obs_size` numbers ends with `mask_size` that say which choices are allowed (1) now; networks see the rest.
    """

    obs_size: int
    action: ActionSpace
    layout: Layout
    network: Network
    activation: Activation  # of layers that name none
    exploration: Exploration = "softmax"
    squash: bool = False
    log_std: LogStd = "state_independent"
    noise: Noise = "white"
    logistic: bool = False
    normalize_observations: bool = False
    dtype: Dtype = "float32"
    pixels: bool = False  # observations are bytes, 0 to 255
    own: Own | None = None
    mask_size: int = 0

    @property
    def num_features(self) -> int:
        """How many numbers of a row are seen by networks and normalisers."""
        return self.obs_size - self.mask_size

    @property
    def num_outputs(self) -> int:
        """K, how many numbers the policy network gives."""
        return parameters.num_outputs(self.action, self.log_std, self.logistic)

    @property
    def num_params(self) -> int:
        """D, how many numbers are learned."""
        return parameters.count(self.layout)

    @property
    def num_value_params(self) -> int:
        """How many of them are the value network's alone. They come last."""
        return parameters.count([entry for entry in self.layout if parameters.is_value(entry[0])])

    def memory_of(self, part: Literal["shared", "policy", "value"]) -> int:
        """How many numbers a part of the network remembers."""
        return sum(map(memory, getattr(self.network, part)))

    @property
    def memory_size(self) -> int:
        """M, how many numbers the policy and its value network remember: of shared, policy and value layers."""
        return self.memory_of("shared") + self.memory_of("policy") + self.memory_of("value")

    def path(self, head: Literal["policy", "value"]) -> list[Placed]:
        """The layers from the observation to a head."""
        placed = self.network.placed(self.num_features)
        return placed["shared"] + placed[head]

    def sizes(self, part: Literal["shared", "policy", "value"]) -> list[tuple[int, int]]:
        """(how many numbers it is given, how many it gives) of each layer; of the user's own, each of its matrices."""
        if part == "policy" and self.own:
            return [
                (shape[0], shape[1]) for name, shape, *_ in self.layout if name[:7] == "policy/" and len(shape) == 2
            ]
        placed = self.network.placed(self.num_features)[part]
        return [(math.prod(one.inputs), math.prod(one.layer.output(one.inputs))) for one in placed]

    @property
    def widths(self) -> list[int]:
        """How many numbers each layer is given."""
        return [given for part in ("shared", "policy", "value") for given, _ in self.sizes(part)]

    @property
    def obs_dtype(self) -> str:
        """Of the observations that functions are given."""
        return "uint8" if self.pixels else self.dtype

    @property
    def sees_pixels(self) -> bool:
        """Whether observations are bytes, and all that reads them begins with a layer that takes those."""
        first = [part[0] for part in ([self.network.shared] if self.network.shared else self.network[1:]) if part]
        plain = self.pixels and self.own is None and not (self.normalize_observations or self.memory_size)
        return plain and bool(first) and all(isinstance(one, Image) for one in first)

    @property
    def is_dense(self) -> bool:
        """Whether all of its layers are dense, those that are hidden with the one activation."""
        return self.network == parameters.dense_network(self.layout, self.activation, self.own is not None)

    @property
    def own_layers(self) -> list[kinds.Own]:
        """The layers of the user's own."""
        return [layer for layer in kinds.every(sum(self.network, ())) if isinstance(layer, kinds.Own)]

    @property
    def in_numpy(self) -> bool:
        """Whether NumPy can act by it: nothing of it is the user's own."""
        return self.own is None and not self.own_layers

    @property
    def noise_kind(self) -> tuple[Literal["uniform", "normal"], int]:
        """What one action is drawn from: "uniform" in [0, 1) or standard "normal", and how many numbers U."""
        if self.action.kind == "discrete":
            return "uniform", NUM_UNIFORMS[self.exploration]
        if self.action.kind != "box":
            return "uniform", self.action.size
        if self.noise == "state_dependent":
            return "normal", next(math.prod(shape) for name, shape, *_ in self.layout if name == LOG_STD)
        return "normal", self.action.size

    def plain(self) -> dict[str, Any]:
        """What a file says of a policy of ours. Its network follows from layout and activation where it is dense."""
        named = {part: [_plain_layer(layer) for layer in layers] for part, layers in self.network._asdict().items()}
        names = ("squash", "log_std", "noise", "logistic", "activation", "exploration", "num_outputs")
        masked = {"mask_size": self.mask_size} if self.mask_size else {}
        pixels = {"pixels": True} if self.pixels else {}
        return (
            ({} if self.is_dense else {"network": named})
            | masked
            | pixels
            | {
                "obs_size": self.obs_size,
                "action": self.action._asdict(),
                **{name: getattr(self, name) for name in (*names, "normalize_observations", "dtype")},
                "layout": [[name, list(shape), how] for name, shape, how in self.layout],
            }
        )

    @classmethod
    def of_plain(cls, data: Mapping[str, Any], at: str = "") -> Acting:
        """Reads what a file says `at` some entry of it. Raises `Unreadable` for the first that it cannot be."""
        take, own = _Entries(data, at), None
        obs_size = take("obs_size", _whole(0, 2**32))
        action = _action(take("action", _object_of("Action")), f"{at}action.")
        squash, log_std, noise = take("squash", _flag), take("log_std", _word(LogStd)), take("noise", _word(Noise))
        if take("policy", _text, "dense") != "dense":
            own = _own(take, "policy")
        logistic = take("logistic", _flag, False)  # runs of before there was one do not say
        take("num_outputs", _whole(0, 2**62), 0)
        layout: Layout = [(name, tuple(shape), how) for name, shape, how in take("layout", _list_of(_array))]
        stated = take("num_params", _whole(1, 2**40), parameters.count(layout))
        if stated != parameters.count(layout):
            raise Unreadable(f"its run.json says {stated:,} parameters, and layers of {parameters.count(layout):,}")
        activation = take("activation", _word(Activation))
        network = take("network", _network, None) or parameters.dense_network(layout, activation, own is not None)
        masked = take("mask_size", _mask_of(action, obs_size), 0)
        _check_layout(network, layout, obs_size - masked, own)
        return cls(
            obs_size=obs_size,
            action=action,
            layout=layout,
            network=network,
            activation=activation,
            exploration=take("exploration", _word(Exploration)),
            squash=squash,
            log_std=log_std,
            noise=noise,
            logistic=logistic,
            normalize_observations=take("normalize_observations", _flag),
            dtype=take("dtype", _word(Dtype)),
            pixels=take("pixels", _flag, False),
            own=own,
            mask_size=masked,
        )


class Passes(NamedTuple):
    """How often a rollout is gone through, and in how many minibatches each time."""

    num_epochs: int
    num_minibatches: int

    @property
    def gradient_steps(self) -> int:
        return self.num_epochs * self.num_minibatches


@dataclass(frozen=True, slots=True)
class Learning:
    """What is learned from a rollout, and how. `objective` is the user's; None for the algorithm's own.

    The fields are those of all algorithms, side by side as in a run's file. What an algorithm does not read stands at
    its default, so that it compiles nothing anew.
    """

    algorithm: str
    optimizer: Optimizer = "sgd"
    clips_gradient: bool = False
    normalize_rewards: bool = False
    standardize_advantages: bool = False
    signal: Signal = "reward_to_go"
    baseline: Baseline = "none"
    average: Average = "steps"
    advantage: Advantage | None = None  # of a value network
    bootstrap_steps: int | None = None  # of n_step
    num_steps: int | None = None  # T of stretches; None where whole episodes are played
    sequence_length: int | None = None  # L of the minibatches of a policy that remembers; None: T
    passes: Passes | None = None  # of the algorithms that learn in minibatches
    clips_value: bool = False
    uses_target_kl: bool = False
    uses_entropy: bool = False
    num_cg_iterations: int | None = None
    num_line_search_steps: int | None = None
    shared: bool = False  # one trunk for policy and values
    time_limit: int | None = None
    max_steps: int = 2**17  # of an episode: the time limit, or the longest that is played without one
    objective: Own | None = None
    takes: tuple[str, ...] = ()  # of the algorithm's declaration, and in no run's file: fields of a rollout,
    optimizers: tuple[str, ...] = ()  # entries of State that are an optimiser's,
    knobs: tuple[str, ...] = ()  # and inputs of the graph; see `config/declared.py`

    @classmethod
    def of_plain(cls, data: Mapping[str, Any], at: str = "") -> Learning:
        """Reads what a file says; what a run of before does not say is as it was then."""
        take = _Entries(data, at)
        held = {name: take(name, holds, cls.__dataclass_fields__[name].default) for name, holds in _OF_LEARNING.items()}
        objective = take("objective", _or_none(_text), None) and _own(take, "objective")
        epochs, batches = (take(name, _COUNT, None) for name in ("num_epochs", "num_minibatches"))
        passes = None if epochs is None or batches is None else Passes(epochs, batches)
        return cls(algorithm=take("algorithm", _text), objective=objective, passes=passes, **held)


@dataclass(frozen=True, slots=True)
class Engine:
    """A compiled environment: the class of its dynamics, its sources' fingerprint, how many steps a call plays."""

    dynamics: str
    source: str | None
    chunk: int
    step_by_step: bool = False  # learned from one time step after the other, which is quicker for many episodes
    observe: tuple[int, ...] | None = None  # the features that are seen; None: all


class Spec(NamedTuple):
    """All that shapes the graphs of a program. `engine` is None on Gymnasium."""

    acting: Acting
    learning: Learning
    engine: Engine | None = None

    @property
    def dtype(self) -> Dtype:
        return self.acting.dtype

    @property
    def widths(self) -> list[int]:
        return self.acting.widths

    @property
    def module(self) -> str:
        """The module of graphs/ that makes its graphs."""
        return f"algorithms.{self.learning.algorithm}"

    @property
    def num_sequences(self) -> int:
        """K, how many sequences a row of a rollout is cut into, each learned from as one."""
        steps, length = self.learning.num_steps, self.learning.sequence_length
        return steps // length if steps and length else 1

    @property
    def about(self) -> str:
        """The program in a few words, as the list of the cache shows it."""
        dynamics, learning = self.engine.dynamics if self.engine else "", self.learning
        words = [learning.algorithm, dynamics, self.acting.exploration, learning.signal, learning.baseline]
        words += [learning.optimizer, self.dtype]
        return " ".join([*(word.rpartition(".")[2] for word in words if word), f"{self.acting.num_params} parameters"])

    def plain(self) -> dict[str, Any]:
        """The entries of a run's file."""
        acting, learning, engine = self
        own, objective, passes = acting.own or Own("dense", {}, None), learning.objective, learning.passes
        return {
            "algorithm": learning.algorithm,
            **acting.plain(),
            "policy": own.name,
            "policy_kwargs": own.kwargs,
            "policy_source": own.source,
            "objective": objective.name if objective else None,
            "objective_kwargs": objective.kwargs if objective else {},
            "objective_source": objective.source if objective else None,
            "num_params": acting.num_params,
            "num_value_params": acting.num_value_params,
            **{name: getattr(learning, name) for name in _OF_LEARNING},
            "num_epochs": passes.num_epochs if passes else None,
            "num_minibatches": passes.num_minibatches if passes else None,
            "dynamics": engine.dynamics if engine else None,
            "dynamics_source": engine.source if engine else None,
            "chunk": engine.chunk if engine else None,
            "step_by_step": engine is not None and engine.step_by_step,
            **({"observe": [*engine.observe]} if engine and engine.observe else {}),
        }

    def shaping(self) -> dict[str, Any]:
        """All that a graph depends on; where parameters start is no part of it: another start compiles nothing."""
        learning = self.learning
        declared = {"takes": learning.takes, "optimizers": learning.optimizers, "knobs": learning.knobs}
        return self.plain() | declared | {"layout": [[name, list(shape)] for name, shape, *_ in self.acting.layout]}

    @classmethod
    def of_plain(cls, data: Mapping[str, Any]) -> Spec:
        """Reads a run's file. Raises `Unreadable` for the first entry that is not what it must be."""
        at, engine = "spec.", None
        acting, learning, take = Acting.of_plain(data, at), Learning.of_plain(data, at), _Entries(data, at)
        dynamics = take("dynamics", _or_none(_text), None)
        if dynamics is not None:
            source = take("dynamics_source", _or_none(_text), None)
            seen = take("observe", _or_none(_list_of(_whole(0, 2**32))), None)
            by_step = take("step_by_step", _flag, False)
            engine = Engine(dynamics, source, take("chunk", _whole(1, 2**40)), by_step, seen and tuple(seen))
        return cls(acting, learning, engine)


@dataclass(frozen=True, slots=True)
class Stepped:
    """A compiled environment by itself, to be stepped from outside: what shapes its graphs."""

    dynamics: str
    source: str | None
    dtype: str
    widths: ClassVar[Sequence[int]] = ()

    @property
    def about(self) -> str:
        return f"program {self.dynamics.rpartition('.')[2]} {self.dtype}"

    def shaping(self) -> dict[str, Any]:
        return {"dynamics": self.dynamics, "dynamics_source": self.source, "dtype": self.dtype}


@dataclass(frozen=True, slots=True)
class Gaussian:
    """A Gaussian over `num_params` parameters that is moved by its gradient (PGPE): what shapes its graphs."""

    num_params: int
    optimizer: str
    dtype: str
    widths: ClassVar[Sequence[int]] = ()

    @property
    def about(self) -> str:
        return f"pgpe {self.optimizer} {self.dtype} {self.num_params} parameters"

    def shaping(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def is_older(data: Mapping[str, Any]) -> bool:
    """Whether a run's file is of before there were other actions than discrete ones."""
    return "action" not in data


def names_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """The functions that a run's file names, of a user or ours, unchecked: policy, objective, dynamics."""
    return {part: data.get(part) for part in ("policy", "objective", "dynamics", "network")}


# -- entries of a file, each held to what it must be


class Unreadable(ValueError):
    """An entry of plain data that is not what it must be: `entry: got this: why not`."""


Holds = Callable[[Any, str], Any]
REQUIRED = object()
MOST_SHOWN = 40


class _Entries:
    """Plain data, of which an entry is taken where it is what it must be."""

    def __init__(self, data: Mapping[str, Any], at: str = ""):
        self.data, self.at = data, at

    def __call__(self, name: str, holds: Holds, default: Any = REQUIRED) -> Any:
        if name in self.data:
            return holds(self.data[name], self.at + name)
        if default is REQUIRED:
            raise Unreadable(f"{self.at}{name}: got nothing: Field required")
        return default


def shown(value: Any) -> str:
    """A value of a file, short, for a line that says what is wrong with it."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value)[:MOST_SHOWN]


def _held(right: bool, value: Any, entry: str, why: str) -> Any:
    if not right:
        raise Unreadable(f"{entry}: got {shown(value)}: {why[:100]}")
    return value


def _text(value: Any, entry: str) -> Any:
    return _held(isinstance(value, str), value, entry, "Input should be a valid string")


def _flag(value: Any, entry: str) -> Any:
    return _held(isinstance(value, bool), value, entry, "Input should be a valid boolean")


def _number(value: Any, entry: str) -> Any:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return _held(real, value, entry, "Input should be a valid number")


def _whole(least: int, most: int) -> Holds:
    def holds(value: Any, entry: str) -> Any:
        _held(isinstance(value, int) and not isinstance(value, bool), value, entry, "Input should be a valid integer")
        _held(value >= least, value, entry, f"Input should be greater than or equal to {least}")
        return _held(value <= most, value, entry, f"Input should be less than or equal to {most}")

    return holds


def _word(words: Any) -> Holds:
    pattern = f"^({'|'.join(get_args(words))})$"

    def holds(value: Any, entry: str) -> Any:
        _text(value, entry)
        return _held(value in get_args(words), value, entry, f"String should match pattern '{pattern}'")

    return holds


def _or_none(holds: Holds) -> Holds:
    return lambda value, entry: None if value is None else holds(value, entry)


def _list_of(holds: Holds) -> Holds:
    def holds_all(value: Any, entry: str) -> Any:
        _held(isinstance(value, list), value, entry, "Input should be a valid list")
        return [holds(one, f"{entry}.{place}") for place, one in enumerate(value)]

    return holds_all


def _object_of(what: str) -> Holds:
    why = f"Input should be a valid dictionary{' or instance of ' + what if what else ''}"
    return lambda value, entry: _held(isinstance(value, dict), value, entry, why)


def _array(value: Any, entry: str) -> Any:
    """An entry of a layout; runs of before layouts had initialisers have pairs."""
    _held(isinstance(value, list | tuple), value, entry, "Input should be a valid tuple")
    _held(2 <= len(value) <= 3, value, entry, f"Tuple should have 3 items, not {len(value)}")
    name, shape, *how = value
    return _text(name, f"{entry}.0"), _list_of(_whole(1, 2**40))(shape, f"{entry}.1"), how[0] if how else None


def _network(value: Any, entry: str) -> Any:
    _object_of("Network")(value, entry)
    take = _Entries(value, f"{entry}.")
    return Network(*(tuple(take(part, _list_of(_layer), [])) for part in Network._fields))


def _layer(value: Any, entry: str) -> Any:
    """[kind, its fields], each held to the type that its class declares."""
    pair = isinstance(value, list | tuple) and len(value) == 2
    _held(pair and value[0] in LAYERS, value, entry, f"Input should be [{' or '.join(LAYERS)}, its fields]")
    made, take = LAYERS[value[0]], _Entries(_object_of("")(value[1], entry), f"{entry}.")
    return made(**{name: take(name, _of_type(hint)) for name, hint in get_type_hints(made).items()})


def _plain_layer(layer: Any) -> list[Any]:
    """[kind, its fields]; so are the layers inside it."""

    def plain(value: Any) -> Any:
        if isinstance(value, tuple):
            return [plain(one) for one in value]
        return _plain_layer(value) if dataclasses.is_dataclass(value) else value

    fields = {field.name: plain(getattr(layer, field.name)) for field in dataclasses.fields(layer)}
    return [kind_of(layer), fields]


def _of_type(hint: Any) -> Holds:
    if get_origin(hint) is tuple:
        each = _list_of(_of_type(get_args(hint)[0]))
        return lambda value, entry: tuple(each(value, entry))
    if hint is Layer:
        return _layer
    if NoneType in get_args(hint):
        return _or_none(_of_type(next(part for part in get_args(hint) if part is not NoneType)))
    if get_origin(hint) is Literal:
        return _word(hint)
    if get_origin(hint) is dict:
        return _object_of("")
    return {int: _whole(1, 2**40), float: _number, bool: _flag, str: _text}[hint]


def _check_layout(network: Network, layout: Layout, obs_size: int, own: Own | None) -> None:
    """Raises `Unreadable` where the layout is not that of the network's layers, which follow one another."""
    placed = network.placed(obs_size)
    expected = [entry[:2] for part in placed for entry in layout_of(placed[part])]
    ours = [(name, shape) for name, shape, *_ in layout if name != LOG_STD and not (own and name[:7] == "policy/")]
    if ours != expected:
        raise Unreadable(f"layout: got {shown(ours)}: its layers do not follow one another from {obs_size} numbers on")


def _action(data: Mapping[str, Any], at: str) -> ActionSpace:
    take, kinds = _Entries(data, at), ("discrete", "box", "multi_discrete", "multi_binary")

    def kind(value: Any, entry: str) -> Any:
        right = isinstance(value, str) and value in kinds
        return _held(right, value, entry, "Input should be 'discrete', 'box', 'multi_discrete' or 'multi_binary'")

    return ActionSpace(
        take("kind", kind),
        take("size", _whole(0, 2**62)),
        take("choices", _list_of(_whole(1, 2**40))),
        take("low", _list_of(_number)),
        take("high", _list_of(_number)),
    )


def _mask_of(action: ActionSpace, obs_size: int) -> Holds:
    """None, or a number for each choice, beside what is seen; only of actions that are choices."""
    whole = sum(action.choices) if action.kind in ("discrete", "multi_discrete") else 0
    return lambda value, entry: _held(
        _whole(0, obs_size)(value, entry) in (0, whole), value, entry, f"Input should be 0 or {whole}"
    )


def _own(take: _Entries, part: str) -> Own:
    kwargs = take(f"{part}_kwargs", _object_of(""), {})
    return Own(take(part, _text), kwargs, take(f"{part}_source", _or_none(_text), None))


_COUNT = _or_none(_whole(0, 2**40))
_OF_LEARNING: dict[str, Holds] = {
    **dict.fromkeys(("clips_gradient", "normalize_rewards", "standardize_advantages", "clips_value"), _flag),
    **dict.fromkeys(("uses_target_kl", "uses_entropy", "shared"), _flag),
    **dict.fromkeys(("bootstrap_steps", "num_steps", "sequence_length", "num_cg_iterations"), _COUNT),
    **dict.fromkeys(("num_line_search_steps", "time_limit"), _COUNT),
    "max_steps": _whole(1, 2**40),
    "optimizer": _word(Optimizer),
    "signal": _word(Signal),
    "baseline": _word(Baseline),
    "average": _word(Average),
    "advantage": _or_none(_word(Advantage)),
}
