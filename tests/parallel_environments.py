"""Environments of several agents with the methods of PettingZoo's parallel API, which need not be installed."""

import numpy as np
from gymnasium import spaces

WEIGHTS = {"ann": 1.0, "bob": 2.0, "cas": 3.0}
LONGEST = 6


class Team:
    """Each agent sees (a sign, the step, which it is), is paid its own weight for the action that agrees with the sign,
    and leaves after 1 to 6 steps of its own; with `limit` all are stopped after so many. The next signs follow from the
    seed and from all actions."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, limit=None, render_mode=None, draws=False):
        self.possible_agents, self.agents = [*WEIGHTS], []
        self.limit, self.render_mode, self.draws = limit, render_mode, draws

    def observation_space(self, agent):
        return spaces.Box(-10, 10, (3,))

    def action_space(self, agent):
        return spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.rng = np.random.default_rng(None if self.draws else seed)
        self.agents, self.time = [*self.possible_agents], 0
        self.lengths = {agent: int(self.rng.integers(1, LONGEST + 1)) for agent in self.agents}
        self.deal(0)
        return self.seen(self.agents), {agent: {} for agent in self.agents}

    def deal(self, total):
        self.signs = {agent: float(self.rng.choice([-1, 1]) * (-1) ** total) for agent in self.possible_agents}

    def seen(self, agents):
        return {
            agent: np.array([self.signs[agent], self.time, self.possible_agents.index(agent)], np.float32)
            for agent in agents
        }

    def step(self, actions):
        assert [*actions] == self.agents, f"{[*actions]} act, {self.agents} are there"
        self.time += 1
        there, by_time = self.agents, self.limit is not None and self.time >= self.limit
        agree = {agent: (actions[agent] == 1) == (self.signs[agent] > 0) for agent in there}
        reward = {agent: WEIGHTS[agent] * (1.0 if agree[agent] else -1.0) for agent in there}
        self.deal(int(sum(actions.values())))
        terminated = {agent: self.time >= self.lengths[agent] for agent in there}
        truncated = {agent: by_time and not terminated[agent] for agent in there}
        self.agents = [agent for agent in there if not (terminated[agent] or truncated[agent])]
        return self.seen(there), reward, terminated, truncated, {agent: {} for agent in there}

    def render(self):
        return np.full((20, 20, 3), 40 * self.time, np.uint8)

    def close(self):
        pass


def parallel_env(**kwargs):
    return Team(**kwargs)


class InParts(Team):
    """The same, seen as a Dict."""

    def observation_space(self, agent):
        return spaces.Dict({"sign": spaces.Box(-1, 1, (1,)), "who": spaces.Discrete(3)})

    def seen(self, agents):
        return {agent: {"sign": row[:1], "who": int(row[2])} for agent, row in super().seen(agents).items()}


class Steering(Team):
    """Actions are a Box: those above 0 are for 1."""

    def action_space(self, agent):
        return spaces.Box(-1, 1, (1,))

    def step(self, actions):
        return super().step({agent: int(action[0] > 0) for agent, action in actions.items()})


class Doubled:
    """A wrapper: twice the rewards."""

    def __init__(self, env):
        self.env = env

    def __getattr__(self, name):
        return getattr(self.env, name)

    def reset(self, seed=None, options=None):
        return self.env.reset(seed=seed, options=options)

    def step(self, actions):
        obs, reward, *rest = self.env.step(actions)
        return obs, {agent: 2 * one for agent, one in reward.items()}, *rest


class Unseen(Team):
    """Draws its next signs from a generator that no seed reaches."""

    def deal(self, total):
        self.rng = np.random.default_rng()
        super().deal(total)


class InTurn(Team):
    """What an AEC environment looks like."""

    def agent_iter(self):
        yield from ()


class Unlike(Team):
    def observation_space(self, agent):
        return spaces.Box(-10, 10, (4 if agent == "cas" else 3,))


class UnlikeActions(Team):
    def action_space(self, agent):
        return spaces.Discrete(3 if agent == "bob" else 2)


class NoSpace(Team):
    def action_space(self, agent):
        return {}["nothing"]


class Faulty(Team):
    """Does one thing wrong at the second step, or at the reset."""

    def __init__(self, fault, render_mode=None):
        super().__init__()
        self.fault, self.render_mode = fault, render_mode

    def reset(self, seed=None, options=None):
        obs, infos = super().reset(seed)
        self.lengths = dict.fromkeys(self.agents, 4)
        if self.fault == "reset of one":
            del obs["bob"]
        if self.fault == "reset alone":
            return obs
        if self.fault == "reset raises":
            raise ValueError("no board")
        if self.fault == "absent":
            self.agents = ["ann", "bob"]
        return obs, infos

    def step(self, actions):
        obs, reward, terminated, truncated, infos = super().step(actions)
        if self.time == 2:
            match self.fault:
                case "no observation":
                    del obs["bob"]
                case "no reward":
                    del reward["cas"]
                case "no termination":
                    del terminated["ann"]
                case "not finite":
                    obs["bob"][1] = np.nan
                case "text":
                    reward["cas"] = "one"
                case "shape":
                    obs["ann"] = obs["ann"][:2]
                case "four values":
                    return obs, reward, terminated, infos
                case "raises":
                    raise RuntimeError("the board fell")
                case "left out":
                    self.agents = ["ann", "cas"]
                case "kept":
                    terminated["cas"] = True
        return obs, reward, terminated, truncated, infos


NOTHING = object()


def helper():
    return Team()
