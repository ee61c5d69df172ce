"""The 34 faults that an environment may have, each planted alone in a healthy one: `Fault01-v0` to `Fault34-v0`.

The healthy base, `Healthy-v0`, has noise from `np_random` for observations and is truncated after 50 steps. What is
planted is said in `FAULTS`, by number. The same list is behind the figures of `benchmarks/torture/parts/environments.py`.
"""

import os
import time

import gymnasium
import numpy as np

LENGTH = 50  # steps of an episode
SPOILT = 5  # at which step a fault that comes late comes

FAULTS = {
    1: "an observation is NaN at step 5",
    2: "an observation is NaN at step 1",
    3: "observations are float64, not float32",
    4: "the observation's shape is wrong from step 1 on",
    5: "the observation's shape is wrong at step 5 alone",
    6: "an observation is out of bounds at step 5 alone",
    7: "observations are lists",
    8: "one buffer for all observations, changed in place",
    9: "the reward is NaN from step 1 on",
    10: "the reward is NaN at step 20 alone",
    11: "the reward is infinite",
    12: "the reward is an array of no dimension",
    13: "the reward is an array of shape (1,)",
    14: "the reward is None",
    15: "the reward is 1e30",
    16: "step returns the old four values",
    17: "terminated and truncated are ints",
    18: "the time limit is reported as termination",
    19: "an episode never ends",
    20: "every episode ends at step 1",
    21: "terminated and truncated at once",
    22: "step draws from the global np.random",
    23: "step draws from the global np.random after step 3",
    24: "reset ignores the seed",
    25: "reset keeps state of the episode before",
    26: "instances share state through a class attribute",
    27: "info is not reproducible",
    28: "reset returns the observation alone",
    29: "reset takes no seed",
    30: "actions are a Box without bounds",
    31: "actions are a Discrete that starts at 1",
    32: "actions are a Dict",
    33: "step raises at step 7",
    34: "step stalls at step 5",
}
QUESTIONS, NOTES = (18,), (27, 31)

ACTIONS = {
    30: gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32),
    31: gymnasium.spaces.Discrete(2, start=1),
    32: gymnasium.spaces.Dict(a=gymnasium.spaces.Discrete(2), b=gymnasium.spaces.Discrete(2)),
}


class Faulty(gymnasium.Env):
    """The healthy base, and one fault by its number; none where it is 0."""

    observation_space = gymnasium.spaces.Box(-10, 10, (3,), np.float32)
    shared = 0.0  # of all instances: fault 26

    def __init__(self, fault=0, stall=3600.0):
        self.fault, self.stall = fault, stall
        self.action_space = ACTIONS.get(fault, gymnasium.spaces.Discrete(2))
        self.time, self.kept = 0, 0.0
        self.buffer = np.zeros(3, np.float32)

    def observation(self, noise):
        obs, fault, late = noise.astype(np.float32), self.fault, self.time == SPOILT
        if (fault, late) == (1, True) or (fault, self.time) == (2, 1):
            obs[1] = np.nan
        elif fault == 3:
            return obs.astype(np.float64)
        elif (fault == 4 and self.time >= 1) or (fault == 5 and late):
            return np.zeros(4, np.float32)
        elif fault == 6 and late:
            obs[2] = 11.0
        elif fault == 7:
            return obs.tolist()
        elif fault == 8:
            self.buffer[:] = obs
            return self.buffer
        elif fault == 25:
            obs[0] = np.clip(obs[0] + self.kept, -9, 9)
        elif fault == 26:
            Faulty.shared = (Faulty.shared + 0.25) % 4
            obs[0] = Faulty.shared
        return obs

    def reset(self, *, seed=None, options=None):
        super().reset(seed=None if self.fault == 24 else seed)
        self.time = 0
        obs = self.observation(self.np_random.uniform(-1, 1, 3))
        return obs if self.fault == 28 else (obs, {})

    def step(self, action):
        self.time += 1
        fault, time_now = self.fault, self.time
        if fault == 33 and time_now == 7:
            raise RuntimeError("the motor\nis stuck")
        if fault == 34 and time_now == SPOILT:
            time.sleep(self.stall)
        noise = self.np_random.uniform(-1, 1, 3)
        if fault == 22 or (fault == 23 and time_now > 3):
            noise = np.random.uniform(-1, 1, 3)
        self.kept += 0.1
        return self.results(self.observation(noise), fault, time_now)

    def results(self, obs, fault, time_now):
        reward = {
            11: np.inf,
            12: np.array(1.0),
            13: np.array([1.0]),
            14: None,
            15: 1e30,
        }.get(fault, 1.0)
        if fault == 9 or (fault == 10 and time_now == 20):
            reward = np.nan
        over = time_now >= LENGTH and fault != 19
        terminated, truncated = (False, over)
        if fault == 17:
            terminated, truncated = 0, int(over)
        elif fault == 18:
            terminated, truncated = over, False
        elif fault == 20:
            terminated, truncated = True, False
        elif fault == 21:
            terminated = truncated = over
        info = {"nonce": time.perf_counter_ns()} if fault == 27 else {}
        if fault == 16:
            return obs, reward, terminated or truncated, info
        return obs, reward, terminated, truncated, info


class WithoutSeed(Faulty):
    """Fault 29: the old `reset`."""

    def reset(self):
        return super().reset()


class Dying(Faulty):
    """Ends its process, or prints: what `how` says, at step 5."""

    def __init__(self, how="dies"):
        super().__init__()
        self.how = how

    def step(self, action):
        if self.time == SPOILT - 1 and self.how == "dies":
            os._exit(3)
        print("a line on stdout")
        return super().step(action)


def name_of(fault):
    return f"Fault{fault:02}-v0" if fault else "Healthy-v0"


gymnasium.register(name_of(0), Faulty)
for number in FAULTS:
    gymnasium.register(name_of(number), WithoutSeed if number == 29 else Faulty, kwargs={"fault": number})
gymnasium.register("Dying-v0", Dying)
