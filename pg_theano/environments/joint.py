"""One environment of several agents, by PettingZoo's parallel API: what it is given and what it must return.

    joint = Joint(parallel_env(), config.environment, 0, "float32")
    obs = joint.reset(seed=0)                                     # of each agent
    results = joint.step(joint.seats, actions)                    # (obs, reward, terminated, truncated, info) of each

Nothing of PettingZoo is imported: what is there is told by looks. Terry et al. 2021, PettingZoo.
"""

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space

from pg_theano.config import knobs
from pg_theano.environments import masks, old_gym
from pg_theano.environments.naming import attribute, explained, quiet, wrappers_of
from pg_theano.environments.place import PASSED, Standing, calling
from pg_theano.environments.rows import Flat, Outside, has_parts, observation_of
from pg_theano.environments.slot import Slot
from pg_theano.environments.spaces import action_of
from pg_theano.environments.telling import kind_of, short, shown_action, words_of
from pg_theano.system import handed
from pg_theano.types import Array, UserError

EXAMPLE = "mpe2.simple_spread_v3:parallel_env"
FIVE = "(observations, rewards, terminations, truncations, infos), a dict by agent each"


def made(config: knobs.Environment, render_mode: str | None = None) -> Any:
    """One environment of `module:factory`, or of what was given in Python, with its wrappers.

    Errors: `UserError`: what is named is none.
    """
    make = handed.found(config.id)
    if make is None:
        named = attribute("environment.id", config.id, EXAMPLE)
        if not (old_gym.is_environment(named) or (inspect.isroutine(named) and config.id.endswith("env"))):
            got, wanted = (
                f"got {short(named)}, which is no environment",
                "a class with reset and step, or a function *env",
            )
            raise UserError.of("environment.id", got, wanted, EXAMPLE)
        make = maker(named)
    wrappers = wrappers_of(config)
    with quiet(), explained(config.id, "cannot be made"):
        env = make(config.kwargs, render_mode)
        for wrapper, arguments in wrappers:
            env = wrapper(env, **arguments)
    return env


def is_parallel(environment: object) -> bool:
    """Whether an object or a class looks like a parallel environment. Calls nothing."""
    kind = environment if isinstance(environment, type) else type(environment)
    if issubclass(kind, gymnasium.Env | gymnasium.vector.VectorEnv) or not callable(getattr(kind, "step", None)):
        return False
    inner = [one for base in kind.__mro__[:-1] for one in vars(base).values() if inspect.isfunction(one)]
    return hasattr(environment, "possible_agents") or any("possible_agents" in one.__code__.co_names for one in inner)


def maker(environment: object) -> Any:
    """A function (kwargs, render_mode) -> an environment: a class or a function is called, an object is copied."""

    def make(kwargs: Mapping[str, Any], render_mode: str | None = None) -> Any:
        if callable(environment):
            return environment(**kwargs, **({} if render_mode is None else {"render_mode": render_mode}))
        if kwargs:
            raise UserError.of("environment.kwargs", f"got {kwargs!r:.60} with an object", "none", "giving its class")
        return copy.deepcopy(environment)

    marked: Any = make  # with what `given.given` asks for
    marked.vector, marked.knobs = None, {"api": "pettingzoo"}
    return marked


class Seat(Slot):
    """One agent of an environment. Its errors name it."""

    def __init__(self, joint: "Joint", agent: Any, dtype: str):
        view: gymnasium.Env = gymnasium.Env()
        view.observation_space, view.action_space = (joint.space(kind, agent) for kind in ("observation", "action"))
        source = masks.source_of(view, joint.action_mask, joint.id)
        self.masked = masks.Masked(view, source, joint.id) if source else None
        view = self.masked or view
        self.joint, self.agent, self.parts = joint, agent, has_parts(view.observation_space)
        super().__init__(Flat(view, joint.id) if self.parts else view, joint.id, joint.index, dtype)

    def seen(self, obs: Any, info: Any, over: bool) -> Any:
        """An observation of this agent, as a row where it has parts, which ends with its mask. Errors: `Outside`."""
        obs = self.masked.with_mask(obs, info, over) if self.masked else obs
        return self.env.observation(obs) if self.parts else obs  # type: ignore[attr-defined]

    def standing(self) -> Standing:
        return Standing(self.id, self.index, self.joint.steps, self.joint.seed)

    def fault(self, what: str) -> UserError:
        return self.joint.fault(what, self.agent)


class Joint:
    """One environment, whose agents step together. Errors: `UserError`: it is none, or its agents' spaces differ."""

    def __init__(self, env: Any, config: knobs.Environment, index: int, dtype: str):
        self.env, self.id, self.index, self.limit = env, config.id, index, config.max_episode_steps
        self.seed, self.steps, self.action_mask = -1, 0, config.action_mask
        if hasattr(env, "agent_iter") or hasattr(env, "agent_selection"):
            got = "is an AEC environment, whose agents act in turn"
            advice = f"{self.id.partition(':')[0]}:parallel_env, or pettingzoo.utils.aec_to_parallel"
            raise UserError.at(self.id, got, "one of PettingZoo's parallel API", advice)
        self.agents = [*(getattr(env, "possible_agents", None) or ())]
        if not self.agents or not all(callable(getattr(env, name, None)) for name in ("reset", "step")):
            got = f"{short(env)} is no parallel environment"
            raise UserError.at(self.id, got, "possible_agents, reset and step, as PettingZoo's have", EXAMPLE)
        self.seats = [Seat(self, agent, dtype) for agent in self.agents]
        for seat in self.seats:
            for kind in ("observation", "action"):
                first, other = self.space(kind, self.agents[0]), self.space(kind, seat.agent)
                if first != other:
                    got = f"the {kind}s of {self.agents[0]} are {first}, those of {seat.agent} are {other}"
                    advice = "supersuit:pad_observations_v0 and supersuit:pad_action_space_v0 in environment.wrappers"
                    raise UserError.at(
                        self.id, got, "the same space for all agents, as one policy acts for all", advice
                    )

    def space(self, kind: str, agent: Any) -> Any:
        """The space of an agent's observations or actions."""
        try:
            return getattr(self.env, f"{kind}_space")(agent)
        except Exception as error:
            got = f"{kind}_space({agent!r}) raises {words_of(error)}"
            raise UserError.at(self.id, got, "a space of Gymnasium's", f"def {kind}_space(self, agent)") from error

    def fault(self, what: str, agent: Any = None) -> UserError:
        whose = "" if agent is None else f", {agent}"
        return UserError(f"{self.id}, environment {self.index}{whose}, step {self.steps} (seed {self.seed}): {what}")

    def reset(self, seed: int) -> list[Any]:
        """Begin an episode: the observation of each agent."""
        self.seed, self.steps = seed, 0
        for seat in self.seats:
            seat.seed = seed
        wanted = "(observations, infos), a dict by agent each"
        try:
            with calling(self.seats[0]):
                found = self.env.reset(seed=seed)
        except PASSED:
            raise
        except BaseException as error:
            advice = "def reset(self, seed=None, options=None)"
            raise self.fault(f"reset raises {words_of(error)}; expected {wanted}; try {advice}") from error
        if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], Mapping)):
            raise self.fault(f"reset returns {kind_of(found)}; expected {wanted}; try return observations, infos")
        self.check_agents(self.agents)
        seen = self.of_each("reset", "observation", found[0], self.seats)
        return [seat._checked(self.row(seat, obs, found[1], False)) for seat, obs in zip(self.seats, seen, strict=True)]

    def step(self, seats: Sequence[Seat], given: Array) -> list[tuple[Any, ...]]:
        """One step of the agents that are there: (obs, reward, terminated, truncated, info) of each."""
        self.steps += 1
        actions = {seat.agent: own for seat, own in zip(seats, given, strict=True)}
        try:
            with calling(seats[0], given):
                found = self.env.step(actions)
        except PASSED:
            raise
        except BaseException as error:
            told = f"step raises {words_of(error)}; its actions were {shown_action(given)}"
            raise self.fault(f"{told}; expected what the spaces allow; try --debug, which shows where") from error
        if not (isinstance(found, tuple) and len(found) == 5 and all(isinstance(one, Mapping) for one in found[:4])):
            raise self.fault(f"step returns {kind_of(found)}; expected {FIVE}; try return all five")
        names = ("observation", "reward", "termination", "truncation")
        seen, *rest = (self.of_each("step", name, by, seats) for name, by in zip(names, found, strict=False))
        if self.limit is not None and self.steps >= self.limit:
            rest[2] = [True] * len(seats)
        rows = [
            self.row(seat, obs, found[4], bool(one or other))
            for seat, obs, one, other in zip(seats, seen, rest[1], rest[2], strict=True)
        ]
        return [*zip(rows, *rest, [None] * len(seats), strict=True)]

    def of_each(self, method: str, what: str, by_agent: Mapping[Any, Any], seats: Sequence[Seat]) -> list[Any]:
        """What a dict has for the agents that are there. Errors: `UserError` that names the first that is missing."""
        try:
            return [by_agent[seat.agent] for seat in seats]
        except KeyError:
            missing = next(seat for seat in seats if seat.agent not in by_agent)
        got, wanted = f"{method} gives no {what} of it", f"one of every agent that was there before the {method}"
        raise missing.fault(f"{got}; expected {wanted}; try a key {missing.agent!r} in what it returns")

    def row(self, seat: Seat, obs: Any, infos: Any, over: bool) -> Any:
        try:
            return seat.seen(obs, infos.get(seat.agent) if isinstance(infos, Mapping) else None, over)
        except Outside as error:
            raise seat.fault(str(error)) from None

    def check_agents(self, there: Sequence[Any]) -> None:
        """Errors: `UserError` where `agents` are not those whose episode goes on."""
        found, wanted = {*getattr(self.env, "agents", ())}, {*there}
        if self.limit is not None and self.steps >= self.limit:  # ended from here
            return
        for agent in [*(wanted - found), *(found - wanted)]:
            verb = (
                "leaves it out, and its episode goes on" if agent in wanted else "still has it, and its episode is over"
            )
            if self.steps == 0:
                verb = "leaves it out at a reset" if agent in wanted else "has it, and possible_agents has not"
            advice = "self.agents = the agents that have neither terminated nor been truncated; all of them at a reset"
            raise self.fault(f"agents {verb}; expected {short([*there])}; try {advice}", agent)


class Together(gymnasium.Env):
    """All agents of one environment as one: observations [A, ...], actions [A, ...], the mean of their rewards.

    For looking at it. The rows of an agent that is gone are its last; it is over once all are.
    """

    def __init__(self, env: Any, config: knobs.Environment, render_mode: str | None = None):
        self.joint, self.render_mode = Joint(env, config, 0, "float32"), render_mode
        self.metadata = getattr(env, "metadata", None) or {}
        first, number = self.joint.seats[0], len(self.joint.seats)
        self.observation_space = batch_space(first.observation_space, number)
        self.action_space = batch_space(first.action_space, number)
        self.there: list[int] = []
        if first.masked:  # of all agents, as sb3-contrib asks for it
            self.action_masks = lambda: [seat.masked.allowed for seat in self.joint.seats if seat.masked]

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        self.seen, self.there = self.joint.reset(seed or 0), [*range(len(self.joint.seats))]
        return np.array(self.seen), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        seats = [self.joint.seats[place] for place in self.there]
        sound = [seat.sound(one) for seat, one in zip(seats, self.joint.step(seats, action[self.there]), strict=True)]
        for place, one in zip(self.there, sound, strict=True):
            self.seen[place] = one[0]
        self.there = [place for place, one in zip(self.there, sound, strict=True) if not (one[2] or one[3])]
        self.joint.check_agents([self.joint.agents[place] for place in self.there])
        over, by_time = not self.there, any(one[3] for one in sound)
        reward = sum(one[1] for one in sound) / len(self.joint.seats)
        return np.array(self.seen), reward, over and not by_time, over and by_time, {}

    def render(self) -> Any:
        return self.joint.env.render()

    def close(self) -> None:
        self.joint.env.close()

    def converters(self, config: knobs.Environment, dtype: str, squash: bool) -> tuple[Any, Any]:
        """(observations [A, ...] to rows [A, F], actions [A, ...] of a policy to one of all agents, [1, A, ...])."""
        first = self.joint.seats[0]
        original = first.env.env if isinstance(first.env, Flat) else first.env
        seen = masks.places(masks.described(original, config))
        rows = observation_of(first.observation_space, config.id, dtype, seen)
        action = action_of(first.action_space, config.id, squash)
        return rows.convert, lambda chosen: action.given(chosen)[None]
