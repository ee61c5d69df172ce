"""What the symbolic half, the bridge, the host and the twin share: shapes of data, and one error. NumPy only."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

Array = np.ndarray
State = dict[str, Any]
"""Everything that learning changes, by name. Arrays of NumPy on the host, of JAX between two calls."""
Knobs = dict[str, float]
"""Scalars that may change while training, by name: `learning_rate`, `exploration_rate`, `discount`, ..."""

EXPLORE, GREEDY, SAMPLE = 0, 1, 2
"""How `act` chooses: as the exploration strategy says, the likeliest action, or a sample of the policy itself."""

RETURN_SO_FAR = "reward_normalizer/so_far"
"""Of State: the discounted return [E] of the episodes that are open, where rewards are normalised."""

NARROW = 16
"""Inputs of a layer up to which a sum of outer products is quicker than a matrix product, where columns are few."""

NUM_UNIFORMS = {"softmax": 1, "epsilon_softmax": 3, "epsilon_greedy": 3, "epsilon_greedy_softmax": 3}
"""Uniforms that a discrete action consumes: one for the sample; two more, whether to explore and which action, where ε
is drawn."""

BUILT_IN_DYNAMICS = {
    "CartPole-v1": "pg_theano.graphs.environments.cartpole:CartPole",
    "Acrobot-v1": "pg_theano.graphs.environments.acrobot:Acrobot",
    "MountainCar-v0": "pg_theano.graphs.environments.mountaincar:MountainCar",
    "MountainCarContinuous-v0": "pg_theano.graphs.environments.mountaincar_continuous:MountainCarContinuous",
    "Pendulum-v1": "pg_theano.graphs.environments.pendulum:Pendulum",
    "pg_theano/CartPoleSwingUp-v0": "pg_theano.graphs.environments.cartpole_swingup:CartPoleSwingUp",
    "pg_theano/Quadrotor2D-v0": "pg_theano.graphs.environments.quadrotor:Quadrotor2D",
    "pg_theano/Reacher2-v0": "pg_theano.graphs.environments.reacher:Reacher2",
    "pg_theano/DoubleIntegrator-v0": "pg_theano.graphs.environments.double_integrator:DoubleIntegrator",
}
"""Gymnasium's id of a task, or ours where it has no such task -> the class that holds it as expressions. Here, because
the host must know it without importing a graph."""


ONLY_NUMBERS = "pg_theano.environments:OnlyNumbers"
"""The wrapper that leaves out what no row of numbers can be made of: our own, as `environment.wrappers` names it."""


def each_row(one: Array, shape: tuple[int, ...]) -> Array:
    """One row [C] as often as there are rows in a small array of this shape [..., N, C]; of a large one, as it is.

    An expression of two small arrays of one shape costs NumPy a third of what it costs with a row for all of them.
    """
    return np.broadcast_to(one, shape).copy() if math.prod(shape) <= 1 << 14 else one


class Problem(NamedTuple):
    """What is wrong, in parts; as text, one line: `where: got; expected ...; try ...`.

    A line that was written whole has it all in `got`.
    """

    where: str  # a file and its line, a folder, the id of an environment, a knob, ...
    got: str
    expected: str = ""
    advice: str = ""
    knob: tuple[Any, ...] = ()  # its path: whoever knows the file and the line of this knob puts them in `where`
    hint: str = ""  # what to do, of another form than `try ...`

    @classmethod
    def of(cls, knob: str, got: str, expected: str = "", advice: str = "") -> Problem:
        """One about a knob, `algorithm.discount`, that is named as long as nobody knows its place."""
        return cls(knob, got, expected, advice, tuple(knob.split(".")))

    def __str__(self) -> str:
        words = [
            self.got,
            self.expected and f"expected {self.expected}",
            self.advice and f"try {self.advice}",
            self.hint,
        ]
        return (f"{self.where}: " if self.where else "") + "; ".join(filter(None, words))


class UserError(Exception):
    """Something that the user can mend: what was expected, what was got, what to do. One line, exit code 2."""

    def __init__(self, problem: Problem | str):
        self.problem = Problem("", problem) if isinstance(problem, str) else problem
        super().__init__(str(problem))

    @classmethod
    def of(cls, knob: str, got: str, expected: str = "", advice: str = "") -> UserError:
        """One about a knob: see `Problem.of`."""
        return cls(Problem.of(knob, got, expected, advice))

    @classmethod
    def at(cls, where: object, got: str, expected: str = "", advice: str = "", hint: str = "") -> UserError:
        """One about a file, a folder or whatever else has a name."""
        return cls(Problem(str(where), got, expected, advice, hint=hint))

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows of it: the line; of others' code that lies behind it the traceback too."""
        line = "".join(c if c.isprintable() else "�" for c in f"error: {' '.join(str(self).split())}")
        cause = self.__cause__
        while isinstance(cause, UserError):  # the same, without its place in a file
            cause = cause.__cause__
        return [line, *(traceback.format_exception(cause) if cause else [])]


class ActionSpace(NamedTuple):
    """A Gymnasium action space as plain data."""

    kind: str  # "discrete", "box", "multi_discrete", "multi_binary"
    size: int  # C, numbers in one action; 1 for discrete
    choices: list[int]  # of each of the C components; [2, 2, ...] of multi_binary; [] of a box
    low: list[float]  # [C] of a box (may be -inf), else []
    high: list[float]


class Task(NamedTuple):
    """What the rest of the program must know of an environment, as plain data."""

    id: str
    obs_size: int  # F, after flattening, with the mask
    action: ActionSpace
    time_limit: int | None  # steps; None: the environment has none
    threshold: float | None  # the mean return at which it counts as solved
    spaces: dict[str, Any] | None = None  # "observation" and "action", as `spaces_of` says them; and "mask"

    @property
    def mask_size(self) -> int:
        """How many of the last of those F say which choices are allowed now; 0: all of them are, always."""
        return sum(self.action.choices) if self.spaces and "mask" in self.spaces else 0

    @property
    def num_features(self) -> int:
        """How many of them are seen."""
        return self.obs_size - self.mask_size


class Rollout(NamedTuple):
    """One block of experience, episode-major. E episodes, T timesteps, F features; padding has mask 0.

    `obs[e, t]` is what the policy saw when it chose `action[e, t]`, for which it was paid `reward[e, t]` and
    after which it saw `next_obs[e, t]`, the true successor, before any reset. A field that nobody asked for is None.
    """

    obs: Any  # [E, T, F]
    action: Any  # [E, T, ...]
    log_prob: Any  # [E, T]   of the behaviour policy, at collection
    reward: Any  # [E, T]
    next_obs: Any  # [E, T, F]
    terminated: Any  # [E, T]
    truncated: Any  # [E, T]
    mask: Any  # [E, T]   1 where a step really happened
    memory: Any = None  # [E, K, M] of a policy that remembers, before the first step of each of K sequences of a row
    last_obs: Any = None  # [E, S, F] of pixels in stretches, in place of `next_obs`; see `Block.last_obs`


OF_EVERY_POLICY = Rollout._fields[:-2]
"""The fields of a rollout, but for those of some policies."""


class Played(NamedTuple):
    """What was played for one update: the rollout, and one number for each episode that ended in it."""

    rollout: Any  # `Rollout` or `Record`; None where it was not kept
    returns: Array  # [M] sum of rewards
    lengths: Array  # [M] steps
    env_steps: int
    truncated: int | None = None  # how many of the episodes a time limit ended; None: nobody counted
    dropped: Sequence[int] = ()  # environments whose episode was open before it, and was lost to a fault


class Steps(Protocol):
    """N environments side by side, as they are played.

    begin  (which [N], seeds [N]) -> observations [N, F] of all, or None if the next step brings them. `all_over`: a
           block of experience begins, and every environment of `which` with it
    step   (action) -> next_obs [N, F], reward [N], terminated [N], truncated [N], real [N]; `real` is None where every
           step was taken, and False for one that only reset
    park   (which [N]) -> None; leaves these out from now on
    """

    @property
    def num_envs(self) -> int: ...
    @property
    def task(self) -> Task: ...
    @property
    def kind(self) -> str: ...  # of what the environments are, for the screen
    @property
    def seeds(self) -> Any: ...  # [N] of the open episodes
    @property
    def lost(self) -> Sequence[int]: ...  # environments whose episode a fault has just ended
    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array | None: ...
    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]: ...
    def park(self, which: Array) -> None: ...
    def close(self) -> None: ...


class Record(NamedTuple):
    """One block of experience as a compiled environment writes it: [T, K, E], K rows of fields a step."""

    values: Any  # [T, K, E]
    columns: dict[str, tuple[int, int]]  # field of `Rollout` -> (first row, number of rows)
    memory: Any = None  # [K, M, E] as of a `Rollout`

    def field(self, name: str) -> Array:
        """One field, time-major: [T, E], or [T, F, E] for observations."""
        start, size = self.columns[name]
        values = np.asarray(self.values)
        return values[:, start] if size == 1 and name != "obs" else values[:, start : start + size]


SearchState = dict[str, Any]
"""Everything that a search without gradients remembers, by name; "mean" [D] is where it stands."""


class Searcher(NamedTuple):
    """What searches a vector without gradients of what it maximises, as pure functions of arrays.

    init  (x0 [D]) -> search state; the first generation is drawn around x0
    ask   (search state, rng, knobs) -> candidates [P, D]; the same for the same rng state
    tell  (search state, candidates [P, D], fitness [P], knobs) -> search state of the next generation

    Fitness is maximised. `knobs` are numbers that may change from one generation to the next: `elite_fraction`,
    `extra_std`, `learning_rate`, ...; each searcher says which it reads.
    """

    init: Callable[..., SearchState]
    ask: Callable[..., Array]
    tell: Callable[..., SearchState]


class Program(NamedTuple):
    """What learns, as pure functions of arrays. The loop cannot tell who made it.

    init      (rng) -> State
    act       (state, obs [E, F], noise [E, U], knobs, choice, *memory) -> (action [E], log_prob [E], or
              None where the program learns nothing from it, *memory); `memory` is one array [E, M] of a policy that
              remembers, which starts as zeros, and nothing of any other
    train     (state, rollout, knobs, minibatches) -> (state, metrics); a `Rollout`, or the `Record` of a compiled
              environment; `minibatches` as `minibatches.draw` makes them, for the algorithms that have some
    gradient  (state, rollout, knobs, at) -> loss and gradient at the parameters `at`; compiled when first asked for
    rollout   (state, knobs, inputs by name) -> outputs by name: C further steps of E episodes (see
              `graphs/rollout.py`); compiled environments only
    prepare   ([(function, E, T) or (function, E, T, B)]) -> None; compiles them side by side, ahead of the first call
    ask       (state, rng, knobs) -> candidates [P, D]; searches only, whose `train` is told how each has done
    act_all   (state with params [D, N], obs [N, F], *memory) -> (action of each by its own column, *memory);
              searches only
    """

    init: Callable[..., State]
    act: Callable[..., tuple[Array, ...]]
    train: Callable[..., tuple[State, dict[str, float]]]
    gradient: Callable[..., dict[str, Array]]
    rollout: Callable[..., dict[str, Any]]
    prepare: Callable[..., None]
    manifest: dict[str, Any]
    ask: Callable[..., Array] | None = None
    act_all: Callable[..., tuple[Array, ...]] | None = None
