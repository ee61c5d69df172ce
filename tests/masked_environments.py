"""Tiny environments that rule actions out and raise for one that they have ruled out. Each says so in its own way.

`Gates`, discrete or multi_discrete, with numbers or a picture; `GatesAsDynamics` is one as expressions.
"""

import gymnasium
import numpy as np
import pytensor.tensor as pt
from gymnasium import spaces

LENGTH = 6
SPACES = {"discrete": spaces.Discrete(4), "multi_discrete": spaces.MultiDiscrete([3, 2])}
CHOICES = {"discrete": [4], "multi_discrete": [3, 2]}


def fault_of(how, mask):
    """What a faulty environment says in place of its mask."""
    return {"short": mask[:-1], "two": 2 * mask, "text": "all", "nothing": 0 * mask, "nan": mask * np.nan}[how]


class Gates(gymnasium.Env):
    """Episodes of 6 steps, the reward of each is the first component of the action, which is often ruled out."""

    def __init__(self, kind="discrete", picture=False, told="info", fault=None, at=3, free=False):
        self.free = free
        self.kind, self.picture, self.told, self.fault, self.at = kind, picture, told, fault, at
        self.action_space = SPACES[kind]
        seen = spaces.Box(0, 255, (5, 5, 1), np.uint8) if picture else spaces.Box(-1, 1, (3,), np.float32)
        size = sum(CHOICES[kind])
        both = spaces.Dict({"action_mask": spaces.Box(0, 1, (size,), np.int8), "observation": seen})
        self.observation_space = both if told == "key" else seen
        if told == "method":
            self.action_masks = self.allowed_now

    def allowed_now(self):
        """bools, one for each choice; drawn anew at each step."""
        mask = self.masks[self.time].astype(np.int8)
        return fault_of(self.fault, mask) if self.fault and self.time == self.at else mask

    def _seen(self):
        if self.picture:
            seen = np.full((5, 5, 1), 40 * self.time, np.uint8)
        else:
            seen = np.array([self.time / LENGTH, 1, -1], np.float32)
        return {"observation": seen, "action_mask": self.allowed_now()} if self.told == "key" else seen

    def _info(self):
        missing = self.told != "info" or (self.fault == "missing" and self.time == self.at)
        return {} if missing else {"action_mask": self.allowed_now()}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, size = 0, sum(CHOICES[self.kind])
        self.masks = self.np_random.random((LENGTH + 1, size)) < 0.4
        self.masks[:, 0] |= ~self.masks[:, : CHOICES[self.kind][0]].any(axis=1)
        self.masks[:, -1] |= ~self.masks[:, CHOICES[self.kind][0] :].any(axis=1)
        self.masks[LENGTH] = False  # nothing can be done where it is over
        return self._seen(), self._info()

    def step(self, action):
        chosen, before = np.ravel(action), 0
        for size, one in zip(CHOICES[self.kind], chosen, strict=True):
            if not (self.free or self.masks[self.time][before + one]):
                raise ValueError(f"{action} is ruled out")
            before += size
        self.time += 1
        return self._seen(), float(chosen[0]), self.time == LENGTH, False, self._info()


class GatesAsDynamics:
    """One state x in [0, 1), which chaos moves: action i is allowed where the i-th digit of x in base 2 is 1, and 0 is
    allowed where no other is. An action that is ruled out costs 1,000."""

    obs_low, obs_high = (0.0, 0.0), (1.0, 10.0)
    action_kind, num_actions = "discrete", 4
    max_steps = LENGTH
    state_size, num_initial_noise = 2, 1

    def initial(noise):
        return (noise[0], pt.zeros_like(noise[0]))

    def action_mask(state):
        bits = [pt.ge(2 ** (i + 1) * state[0] - 2 * pt.floor(2**i * state[0]), 1) for i in range(3)]
        return (~(bits[0] | bits[1] | bits[2]), *bits)

    def transition(state, action):
        return (3.7 * state[0] * (1 - state[0]) * 0.999, state[1] + 1)

    def observation(state):
        return state

    def reward(state, action, next_state):
        right = sum(pt.eq(action, i) & one for i, one in enumerate(GatesAsDynamics.action_mask(state)))
        return pt.switch(pt.gt(right, 0), action.astype(state[0].dtype), -1000.0)

    def terminated(next_state):
        return next_state[1] >= LENGTH


for name, environment in {"Gates": Gates}.items():
    gymnasium.register(f"{name}-v0", environment, order_enforce=False, disable_env_checker=True)


class Pair:
    """Two agents by PettingZoo's parallel API, each with a mask of its own beside what it sees."""

    metadata = {}

    def __init__(self, told="key", render_mode=None):
        self.possible_agents, self.told = ["a", "b"], told
        self.each = {agent: Gates(told=told) for agent in self.possible_agents}

    def observation_space(self, agent):
        return self.each[agent].observation_space

    def action_space(self, agent):
        return self.each[agent].action_space

    def reset(self, seed=None, options=None):
        self.agents = [*self.possible_agents]
        found = {agent: self.each[agent].reset(seed=seed + place) for place, agent in enumerate(self.agents)}
        return tuple({agent: one[part] for agent, one in found.items()} for part in range(2))

    def step(self, actions):
        found = {agent: self.each[agent].step(action) for agent, action in actions.items()}
        self.agents = [agent for agent in self.agents if not found[agent][2]]
        return tuple({agent: one[part] for agent, one in found.items()} for part in range(5))

    def close(self):
        pass


def pair_env(**kwargs):
    return Pair(**kwargs)
