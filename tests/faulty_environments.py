"""The 34 faults that an environment may have, each planted alone in a healthy one: `Fault01-v0` to `Fault34-v0`.

The healthy base, `Healthy-v0`, has noise from `np_random` for observations and is truncated after 50 steps. What is
planted is said in `FAULTS`, by number. The same list is behind the figures of `benchmarks/torture/parts/environments.py`.
"""

import os
import re
import signal
import subprocess
import sys
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


class Untrusted(gymnasium.Env):
    """Goes wrong in the way `how`, at step 5: once, by whoever takes the file `token` away, in its first episode or a
    later one; or in every episode whose first draw is below `share`. Rewards are the actions, observations are noise
    and the time."""

    observation_space = gymnasium.spaces.Box(-100, 100, (2,), np.float32)

    def __init__(
        self,
        how="none",
        token=None,
        share=0.0,
        at=SPOILT,
        length=12,
        box=False,
        replays=True,
        stamp=None,
        first_episode=1,
    ):
        self.stamp = stamp  # a file that is to hold when it went wrong
        self.first_episode, self.episode = first_episode, 0
        self.how, self.token, self.share, self.at, self.length, self.replays = how, token, share, at, length, replays
        self.action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32) if box else gymnasium.spaces.Discrete(2)

    def observe(self):
        noise = self.np_random.uniform() if self.replays else np.random.default_rng().uniform()
        return np.array([noise, self.time], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time, self.bad = 0, self.np_random.uniform() < self.share
        self.episode += 1
        self.length_now = int(self.np_random.integers(self.length // 2, self.length))
        if self.at == 0:
            self.go_wrong()
        return self.observe(), {}

    def step(self, action):
        self.time += 1
        if self.time == self.at:
            self.go_wrong()
        reward = float(np.sum(action))
        if self.how == "nan" and self.bad and self.time == self.at:
            reward = float("nan")
        return self.observe(), reward, False, self.time >= self.length_now, {}

    def go_wrong(self):
        if self.token is not None:
            if self.episode < self.first_episode:
                return
            try:
                os.unlink(self.token)
            except FileNotFoundError:
                return
        elif not self.bad:
            return
        if self.stamp is not None:
            with open(self.stamp, "w") as file:
                file.write(repr(time.time()))
        if self.how == "raise":
            raise RuntimeError("the motor is stuck")
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exit":
            os._exit(3)
        if self.how == "hang":
            time.sleep(3600)
        if self.how == "spin":
            while True:
                pass
        if self.how == "locked":  # holds the interpreter's lock for ever
            re.match(r"(a+)+$", "a" * 60 + "b")
        if self.how == "spawn":  # and then hangs
            subprocess.Popen(["sleep", "3601"])
            time.sleep(3600)

    def close(self):
        if self.how == "hangs in close":
            time.sleep(3600)


class Speechless(Exception):
    """Raises where it is asked for its words."""

    def __str__(self):
        raise RuntimeError("no words")


class Strange(Faulty):
    """The healthy base, and what `how` names, from step `at` on."""

    raised = {
        "exits": (SystemExit, 0),
        "no exception": (BaseException, "of another kind"),
        "no words": (NotImplementedError,),
        "speechless": (Speechless,),
    }

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, how="none", at=SPOILT, render_mode=None):
        super().__init__()
        self.how, self.at, self.render_mode = how, at, render_mode
        self.rewards = {
            "vast": 10**400,
            "text for a reward": "1.0",
            "masked reward": np.ma.masked,
            "array for a reward": np.array([1.0]),
        }
        self.flags = {"two flags": np.array([True, False]), "text for a flag": "False"}

    def reset(self, *, seed=None, options=None):
        if self.at == 0 and self.how in self.raised:
            kind, *words = self.raised[self.how]
            raise kind(*words)
        return super().reset(seed=seed)

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        if self.time < self.at:
            return obs, reward, terminated, truncated, info
        if self.how in self.raised:
            kind, *words = self.raised[self.how]
            raise kind(*words)
        if self.how == "late":  # from a generator that no seed sets
            obs = np.random.default_rng().uniform(-1, 1, 3).astype(np.float32)
        elif self.how == "wanders":
            os.makedirs("elsewhere", exist_ok=True)
            os.chdir("elsewhere")
            self.how = "is elsewhere"
        elif self.how == "prints":
            print("a library says something", flush=True)
            os.write(1, b"its library in C too\n")
        elif self.how == "closes stdout":
            sys.stdout.close()
        elif self.how == "masked":
            obs = np.ma.array(obs, mask=[True, False, False])
        return obs, self.rewards.get(self.how, reward), self.flags.get(self.how, terminated), truncated, info

    def close(self):
        if self.how == "raises in close":
            raise SystemExit(0)


class Choosy(gymnasium.Env):
    """Raises at an action that its mask rules out; the mask is in `info`, or what `action_masks` gives."""

    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)

    def __init__(self, how="info", choices=(6,)):
        self.how, self.choices = how, list(choices)
        one = len(self.choices) == 1
        spaces = gymnasium.spaces
        self.action_space = spaces.Discrete(self.choices[0], start=2) if one else spaces.MultiDiscrete(self.choices)
        if how == "method":
            self.action_masks = lambda: self.mask

    def seen(self):
        self.mask = np.zeros(sum(self.choices), np.int8)
        ends = np.cumsum(self.choices)
        for first, end in zip(ends - self.choices, ends, strict=True):
            self.mask[self.np_random.integers(first, end)] = 1  # one choice is left
        info = {"action_mask": self.mask.copy()} if self.how == "info" else {}
        return self.np_random.uniform(-1, 1, 3).astype(np.float32), info

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.seen()

    def step(self, action):
        ends = np.cumsum(self.choices)
        start = 2 if len(self.choices) == 1 else 0
        if not self.mask[np.ravel(action) - start + ends - self.choices].all():
            raise ValueError(f"action {action} is not allowed")
        self.time += 1
        obs, info = self.seen()
        return obs, 1.0, self.time >= 20, False, info


class ThreeInOne(gymnasium.Wrapper):
    """Three episodes of the task are one."""

    def reset(self, **options):
        self.left = 3
        return self.env.reset(**options)

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        if (terminated or truncated) and self.left > 1:
            self.left -= 1
            return self.env.reset()[0], reward, False, False, info
        return obs, reward, terminated, truncated, info


def name_of(fault):
    return f"Fault{fault:02}-v0" if fault else "Healthy-v0"


gymnasium.register(name_of(0), Faulty)
for number in FAULTS:
    gymnasium.register(name_of(number), WithoutSeed if number == 29 else Faulty, kwargs={"fault": number})
gymnasium.register("Dying-v0", Dying)
gymnasium.register("Strange-v0", Strange)
gymnasium.register("Choosy-v0", Choosy)
gymnasium.register("Corridor-v0", Faulty, kwargs={"fault": 19}, max_episode_steps=20)
gymnasium.register("Untrusted-v0", Untrusted)
