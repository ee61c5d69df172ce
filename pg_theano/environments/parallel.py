"""Environments of several agents, by PettingZoo's parallel API: one policy acts for all, and every agent is a row.

    environment: {api: pettingzoo, id: "mpe2.simple_spread_v3:parallel_env", num_envs: 8}

    environments = Parallel(config.environment, [parallel_env() for _ in range(8)], "float32", squash=False)
    obs = environments.begin(np.ones(24, bool), seeds)           # [N, F], 8 environments of 3 agents: N = 24

Row e·A + a is agent a of environment e. An agent whose episode has ended before the others' waits for them: its steps
are not real. Once the last one's has ended, all begin anew, with the seed of the first row. Nothing of PettingZoo is
imported: what is there is told by looks. Terry et al. 2021, PettingZoo.
"""

import copy
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector.utils import batch_space

from pg_theano.config import knobs
from pg_theano.environments import old_gym
from pg_theano.environments.naming import attribute, explained, quiet, wrapper_of
from pg_theano.environments.place import PASSED, Standing, calling
from pg_theano.environments.rows import Flat, Outside, has_parts, observation_of
from pg_theano.environments.singles import STEPS_TRIED, Slot, Slots
from pg_theano.environments.spaces import action_of
from pg_theano.environments.telling import close_quietly, kind_of, short, shown_action, words_of
from pg_theano.types import Array, UserError

EXAMPLE = "mpe2.simple_spread_v3:parallel_env"
FIVE = "(observations, rewards, terminations, truncations, infos), a dict by agent each"


def made(config: knobs.Environment, render_mode: str | None = None) -> Any:
    """One environment of `module:factory`, with its wrappers. Errors: `UserError`: what is named is none."""
    named = attribute("environment.id", config.id, EXAMPLE)
    wrappers = [wrapper_of(name) for name in config.wrappers]
    of_class = old_gym.is_environment(named)
    if not (of_class or (inspect.isroutine(named) and config.id.endswith("env"))):
        got, wanted = f"got {short(named)}, which is no environment", "a class with reset and step, or a function *env"
        raise UserError.of("environment.id", got, wanted, EXAMPLE)
    rendering = {} if render_mode is None else {"render_mode": render_mode}
    with quiet(), explained(config.id, "cannot be made"):
        env = named(**config.kwargs, **rendering)
        for wrapper in wrappers:
            env = wrapper(env)
    return env


class Seat(Slot):
    """One agent of an environment. Its errors name it."""

    def __init__(self, joint: "Joint", agent: Any, dtype: str):
        view: gymnasium.Env = gymnasium.Env()
        view.observation_space, view.action_space = (joint.space(kind, agent) for kind in ("observation", "action"))
        self.joint, self.agent, self.parts = joint, agent, has_parts(view.observation_space)
        super().__init__(Flat(view, joint.id) if self.parts else view, joint.id, joint.index, dtype)

    def seen(self, obs: Any) -> Any:
        """An observation of this agent, as a row where it has parts. Errors: `Outside`."""
        return self.env.observation(obs) if self.parts else obs  # type: ignore[attr-defined]

    def standing(self) -> Standing:
        return Standing(self.id, self.index, self.joint.steps, self.joint.seed)

    def fault(self, what: str) -> UserError:
        return self.joint.fault(what, self.agent)


class Joint:
    """One environment, whose agents step together. Errors: `UserError`: it is none, or its agents' spaces differ."""

    def __init__(self, env: Any, config: knobs.Environment, index: int, dtype: str):
        self.env, self.id, self.index, self.limit = env, config.id, index, config.max_episode_steps
        self.seed, self.steps = -1, 0
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
                    raise UserError.at(self.id, got, "the same space for all agents, as one policy acts for all", advice)

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
        return [seat._checked(self.row(seat, obs)) for seat, obs in zip(self.seats, seen, strict=True)]

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
        rows = [self.row(seat, obs) for seat, obs in zip(seats, seen, strict=True)]
        return [*zip(rows, *rest, [None] * len(seats), strict=True)]

    def of_each(self, method: str, what: str, by_agent: Mapping[Any, Any], seats: Sequence[Seat]) -> list[Any]:
        """What a dict has for the agents that are there. Errors: `UserError` that names the first that is missing."""
        try:
            return [by_agent[seat.agent] for seat in seats]
        except KeyError:
            missing = next(seat for seat in seats if seat.agent not in by_agent)
        got, wanted = f"{method} gives no {what} of it", f"one of every agent that was there before the {method}"
        raise missing.fault(f"{got}; expected {wanted}; try a key {missing.agent!r} in what it returns")

    def row(self, seat: Seat, obs: Any) -> Any:
        try:
            return seat.seen(obs)
        except Outside as error:
            raise seat.fault(str(error)) from None

    def check_agents(self, there: Sequence[Any]) -> None:
        """Errors: `UserError` where `agents` are not those whose episode goes on."""
        found, wanted = {*getattr(self.env, "agents", ())}, {*there}
        if self.limit is not None and self.steps >= self.limit:  # ended from here
            return
        for agent in [*(wanted - found), *(found - wanted)]:
            verb = "leaves it out, and its episode goes on" if agent in wanted else "still has it, and its episode is over"
            if self.steps == 0:
                verb = "leaves it out at a reset" if agent in wanted else "has it, and possible_agents has not"
            advice = "self.agents = the agents that have neither terminated nor been truncated; all of them at a reset"
            raise self.fault(f"agents {verb}; expected {short([*there])}; try {advice}", agent)


class Parallel(Slots):
    """Environments of several agents side by side: `num_envs` rows, one for each agent of each.

    `waiting` [N] are the rows of agents that are gone until their environment begins anew; `elapsed` [N] the steps of
    the row's environment since it did.
    """

    def __init__(self, config: knobs.Environment, envs: Sequence[Any], dtype: str, squash: bool):
        self.joints = [Joint(env, config, index, dtype) for index, env in enumerate(envs)]
        super().__init__(config, [seat for joint in self.joints for seat in joint.seats], dtype, squash)
        self.agents = self.joints[0].agents
        size = len(self.agents)
        self._of = [slice(index * size, (index + 1) * size) for index in range(len(envs))]  # rows of each environment
        self.kind = f"{len(envs)} of {size} agents each"
        self.waiting = np.ones(self.num_envs, bool)
        self._left_out = np.zeros(self.num_envs, bool)  # rows that nobody asks for
        self._asked = np.zeros(self.num_envs, np.int64)  # seeds of the next episodes

    @property
    def elapsed(self) -> Array:
        return np.repeat([joint.steps for joint in self.joints], len(self.agents))

    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array:
        """Begin the environments of the rows `which` [N] whose agents are all gone; with `all_over` each of them."""
        self._asked = np.where(which, seeds, self._asked)
        self._left_out = self._left_out & ~which
        if all_over:
            self.waiting[:] = True
        self._begin_where_over(which)
        return self._obs

    def _begin_where_over(self, which: Array) -> Array:
        """Which rows have begun [N]."""
        begun, obs = np.zeros(self.num_envs, bool), self._obs.copy()
        for joint, rows in zip(self.joints, self._of, strict=True):
            if which[rows].any() and self.waiting[rows].all():
                obs[rows] = self._finite(self._observation.convert(np.array(joint.reset(int(self._asked[rows.start])))), joint.seats)
                begun[rows] = True
        self.waiting &= ~begun
        self._obs = obs
        return begun

    def park(self, which: Array) -> None:
        """Leave these rows out. Their agents act on as long as one of the others is asked for."""
        self._left_out = self._left_out | which

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]:
        """An environment whose last agents were left out as they ended, and others were not, begins by this step."""
        begun = self._begin_where_over(~self._left_out)
        real = ~(self.waiting | self._left_out | begun)
        return *self.take(self.given(action), begun), real

    def take(self, given: Array, begun: Array | None = None) -> tuple[Array, Array, Array, Array]:
        """The same for actions that `given` has converted; the rows `begun` [N] have just been, and take no step."""
        stepped = ~self.waiting
        for rows in self._of:
            if self._left_out[rows].all() or (begun is not None and begun[rows.start]):
                stepped[rows] = False
        results: list[Any] = []
        for joint, rows in zip(self.joints, self._of, strict=True):
            there = np.flatnonzero(stepped[rows])
            if there.size:
                results += joint.step([joint.seats[place] for place in there], given[rows][there])
        if not results:
            nothing = np.zeros(self.num_envs, bool)
            return self._obs, np.zeros(self.num_envs), nothing, nothing
        self.real, self._playing = stepped, [self.slots[row] for row in np.flatnonzero(stepped)]
        seen, reward, terminated, truncated = self._together(results) or self._one_by_one(results)
        obs = self._finite(self._observation.convert(seen), self._playing)
        if not stepped.all():
            obs, reward = self._spread(obs, self._obs), self._spread(reward, np.zeros(self.num_envs))
            nothing = np.zeros(self.num_envs, bool)
            terminated, truncated = self._spread(terminated, nothing), self._spread(truncated, nothing)
        self._obs = obs
        self.waiting |= terminated | truncated
        for joint, rows in zip(self.joints, self._of, strict=True):
            if stepped[rows].any():
                joint.check_agents([a for a, gone in zip(self.agents, self.waiting[rows], strict=True) if not gone])
        return obs, reward, terminated, truncated

    def _finite(self, obs: Array, seats: Sequence[Slot]) -> Array:
        if math.isfinite(np.add.reduce(obs, axis=None)) or np.isfinite(obs).all():
            return obs
        row = int(np.flatnonzero(~np.isfinite(obs).all(axis=1))[0])
        bad = obs[row][~np.isfinite(obs[row])][0]
        raise seats[row].fault(f"the observation has {bad}; an observation must be finite; expected numbers; try check_env")

    def replayed(self, seeds: Sequence[int], own: Sequence[Array]) -> list[tuple[Array, float, int]]:
        """Begin every environment by its seed and take the same actions again, [L, ...] of each row.

        (observation [F], rewards so far of the open episode, steps until the environment was over or the actions were)
        """
        lengths, total, steps = np.array([len(one) for one in own]), np.zeros(self.num_envs), np.zeros(len(own), int)
        block = np.zeros((int(lengths.max()), self.num_envs, *own[0].shape[1:]), own[0].dtype)
        for row, one in enumerate(own):
            block[: len(one), row] = one
        self.begin(np.ones(self.num_envs, bool), np.array(seeds), all_over=True)
        for time, given in enumerate(block):
            self._left_out = lengths <= time
            before = self.elapsed
            _, reward, terminated, truncated = self.take(given)
            total = np.where(terminated | truncated, 0.0, total + reward)
            steps += self.elapsed > before
        self._left_out = np.zeros(self.num_envs, bool)
        return [*zip(self._obs, total.tolist(), steps.tolist(), strict=True)]

    def replays(self) -> bool:
        """Whether the same seeds and actions give the same steps to all agents of the first environment."""
        if not self._look:
            return True
        space = copy.deepcopy(self.slots[0].action_space)
        space.seed(0)
        actions = [np.array([space.sample() for _ in self.slots]) for _ in range(STEPS_TRIED)]
        first = np.arange(self.num_envs) < len(self.agents)

        def told() -> list[bytes]:
            story, over = [], True
            for seed, action in enumerate(actions):
                if over:
                    self.begin(first, np.full(self.num_envs, seed), all_over=True)
                    story.append(self._obs.tobytes())
                story += [part[first].tobytes() for part in self.take(action)]
                over = bool(self.waiting[first].all())
            return story

        return told() == told()

    def close(self) -> None:
        for joint in self.joints:
            close_quietly(joint.env, f"{joint.id}, environment {joint.index}")


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

    def converters(self, dtype: str, squash: bool) -> tuple[Any, Any]:
        """(observations [A, ...] to rows [A, F], actions [A, ...] of a policy to one of all agents, [1, A, ...])."""
        first = self.joint.seats[0]
        rows, given = observation_of(first.observation_space, self.joint.id, dtype), action_of
        action = given(first.action_space, self.joint.id, squash)
        return rows.convert, lambda chosen: action.given(chosen)[None]
