"""What shapes a graph, as types: how a policy acts, how it learns, which compiled environment it plays.

    spec = specs.spec_of(config, task, environment)
    spec.acting.activation, spec.learning.num_steps, spec.engine
    spec.plain()                  # for run.json, a policy's file and the compile cache; `reading.spec_of` reads it

What is missing here (rates, discounts, schedules) is an input of the graph. The names of the entries in a file stand in
this folder alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pg_theano import layers as kinds
from pg_theano import parameters
from pg_theano.layers import Activation, Image, Layout, Placed, memory
from pg_theano.parameters import LOG_STD, Network
from pg_theano.types import NUM_UNIFORMS, ActionSpace

Dtype = Literal["float32", "float64"]
LogStd = Literal["state_independent", "state_dependent"]
Noise = Literal["white", "pink", "state_dependent"]
Exploration = Literal["softmax", "epsilon_softmax", "epsilon_greedy", "epsilon_greedy_softmax"]
Signal = Literal["reward", "episode_return", "reward_to_go"]
Baseline = Literal["none", "running_mean", "mean_so_far", "per_timestep", "leave_one_out", "value"]
Average = Literal["steps", "episodes"]
Advantage = Literal["gae", "monte_carlo", "td", "n_step", "expected"]
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
        named = {part: [kinds.as_plain(layer) for layer in layers] for part, layers in self.network._asdict().items()}
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


IN_FILES = (
    *("clips_gradient", "normalize_rewards", "standardize_advantages", "clips_value", "uses_target_kl", "uses_entropy"),
    *("shared", "bootstrap_steps", "num_steps", "sequence_length", "num_cg_iterations", "num_line_search_steps"),
    *("time_limit", "max_steps", "optimizer", "signal", "baseline", "average", "advantage"),
)
"""The fields of `Learning` that a file has under their own names."""


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
            **{name: getattr(learning, name) for name in IN_FILES},
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
