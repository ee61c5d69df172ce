"""What is wrong with a Gymnasium environment, found by playing seeded episodes and playing them again.

    findings = []
    Inspection("MyEnv-v0", make, findings.append).thorough()

`make` gives a fresh instance each time. Two instances are played with the same seeds and actions, one after the other
and in turns; one is reset after use; there is a second seed; every observation is copied when it comes and looked at
again a step later; everything is checked against the spaces. As a module this is the child of `checking.py`.
"""

import copy
import json
import math
import numbers
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np

from pg_theano.config import knobs
from pg_theano.environments import given, making, masks, transcripts
from pg_theano.environments.findings import FAULT, NOTE, QUESTION, Finding, in_a_wrapper, kept_statistics, one_length
from pg_theano.environments.place import PASSED, Standing, calling
from pg_theano.environments.rows import observation_of
from pg_theano.environments.sound import LONGEST_EPISODE
from pg_theano.environments.spaces import action_of
from pg_theano.environments.telling import LARGEST_REWARD, converted, kind_of, short, words_of
from pg_theano.environments.transcripts import Told
from pg_theano.system import children
from pg_theano.types import UserError

STEPS, SEEDS = 120, (0, 1000)
"""Steps of a pass; the seeds of the first episodes of the two passes, those that follow have the next ones."""
GLANCE = 64
"""Steps of a pass where there is little time."""
EPISODES, SHORT_EPISODES = 5, 20
"""Episodes whose lengths are compared; and if all have one step."""
SECONDS, PATIENCE = 10.0, 60.0
"""So long at most are episodes played whose lengths are to be compared: of the processor's time, and of the clock's."""
FIVE = "(observation, reward, terminated, truncated, info)"


class Broken(Exception):
    """Nothing can be played on; it has been told why."""


class Inspection:
    """The checks of one environment. `tell` gets each finding as it is made, `mark` (step, seed) before each call."""

    def __init__(
        self,
        make: Callable[[], gymnasium.Env],
        tell: Callable[[Finding], None],
        mark: Callable[[int, int], None] = lambda step, seed: None,
        *,
        id: str = "",
        longest: int = LONGEST_EPISODE,
    ):
        self.id, self.make, self.tell, self.mark, self.longest = id, make, tell, mark, longest
        self.found: set[str] = set()
        self.step, self.seed = 0, 0  # where it stands
        self.terminated = self.truncated = False
        self.looks_at_global = True
        self.drawn: tuple[Any, ...] | None = None
        self.infos: dict[int, Any] = {}  # of each environment, by its identity
        self.kind: type = object
        self.class_bits: dict[str, bytes] = {}

    # -- the passes

    def thorough(self) -> None:
        """All that can be found out in about a second of steps, and ten of waiting for an end."""
        first, second = self.make(), self.make()
        try:
            self.watch_class(first)
            self.spaces(first)
            self.passes(first, second)
            self.looks_at_global = False  # which takes as long as twenty steps
            self.lengths(first)
        except Broken:
            pass
        finally:
            first.close()
            second.close()

    def watch_class(self, env: gymnasium.Env) -> None:
        self.kind = type(env.unwrapped)
        self.class_bits = transcripts.attributes_of(self.kind)
        self.drawn = transcripts.global_randomness()

    def passes(self, first: gymnasium.Env, second: gymnasium.Env) -> None:
        for seed in SEEDS:
            actions = sampled(first.action_space, STEPS, seed)
            story = list(self.play(first, actions, seed))
            again = list(self.play(first, actions, seed))
            other = list(self.play(second, actions, seed))
            self.compare(story, again, fresh=other)
            turns = self.in_turns(first, second, actions, seed)
            for one in turns:
                self.compare(story, one)

    def glance(self, first: gymnasium.Env, second: gymnasium.Env) -> None:
        """The cheap part: one pass, and one more of both instances in turns."""
        self.looks_at_global = False
        try:
            self.watch_class(first)
            self.spaces(first)
            actions = sampled(first.action_space, GLANCE, 0)
            story = list(self.play(first, actions, 0))
            if sum(told.step == 0 for told in story) == len(actions):
                self.ends_at_once(len(actions))
            if first is second:
                self.compare(story, list(self.play(first, actions, 0)))
            else:
                for one in self.in_turns(first, second, actions, 0):
                    self.compare(story, one)
        except Broken:
            pass

    def said_of_class(self) -> str:
        """Which attributes of the class have changed since it was first looked at."""
        for name, bits in transcripts.attributes_of(self.kind).items():
            if self.class_bits.get(name) != bits:
                return f" (meanwhile {self.kind.__name__}.{name}, which all instances share, has changed)"
        return ""

    def in_turns(
        self, first: gymnasium.Env, second: gymnasium.Env, actions: list[Any], seed: int
    ) -> tuple[list[Told], ...]:
        pairs = zip(self.play(first, actions, seed), self.play(second, actions, seed), strict=True)
        return tuple(map(list, zip(*pairs, strict=True)))

    def compare(self, story: list[Told], other: list[Told], fresh: list[Told] | None = None) -> None:
        """Whether two plays of the same seeds and actions were the same. `fresh`: another instance's, if `other` is of
        one that was used before."""
        differs = transcripts.first_difference(story, other, "bits")
        anew = transcripts.first_difference(story, fresh, "bits") if fresh is not None else None
        first = differs or anew
        if first and not self.found & {"global", "keeps state", "statistics"}:
            nearly = differs is not None and transcripts.nearly(story, other, differs)
            if nearly:
                what, got = "nearly replays", f"the same seed and actions gave nearly the same step, {nearly:.2g} off"
                advice = "a physics engine that keeps its caches does so; a resumed run begins its episodes anew"
            elif anew is None and fresh is not None:
                what, got = "keeps state", "a reset after use gave another episode than the same seed in a new instance"
                advice = "begin every episode from nothing but the seed"
            else:
                which = "step" if first.step else "first observation"
                what, got = "does not replay", f"the same seed and actions gave another {which}{self.said_of_class()}"
                advice = "draw from the generator that reset(seed=...) seeds, and keep nothing outside self"
            self.say(NOTE if nearly else FAULT, what, got, "the same, bit for bit", advice, at=first)
        same = "the same when the same seed and actions are played again"
        for one in (other, fresh or []):
            if (at := transcripts.first_difference(story, one, "info")) is not None:
                advice = "fill it with what follows from the episode alone; nothing here reads it"
                self.say(NOTE, "info", "info is another", same, advice, at=at)

    # -- one instance, step by step

    def play(self, env: gymnasium.Env, actions: Iterable[Any], seed: int) -> Iterator[Told]:
        """Reset, and take the actions; a further episode, with the next seed, where one has ended."""
        over, step, seed = True, 0, seed - 1
        before: tuple[Any, bytes] | None = None
        for action in actions:
            if over:
                step, seed = 0, seed + 1
                obs, told = self.begun(env, seed)
                before = obs, transcripts.packed(obs)
                yield told
            step += 1
            obs, told = self.stepped(env, action, step, seed)
            if before is not None and transcripts.packed(before[0]) != before[1]:
                got = f"the observation of step {step - 1} was changed by step {step}"
                self.say(FAULT, "buffer", got, "an array of its own for every observation", "return self.obs.copy()")
                before = None
            else:
                before = obs, transcripts.packed(obs)
            over = self.terminated or self.truncated
            yield told

    def standing(self) -> Standing:
        return Standing(self.id, 0, self.step, self.seed)

    def begun(self, env: gymnasium.Env, seed: int) -> tuple[Any, Told]:
        self.step, self.seed = 0, seed
        self.mark(0, seed)
        try:
            with calling(self):
                result = env.reset(seed=seed)
        except PASSED:
            raise
        except BaseException as error:
            got = f"reset raises {_described(error)}"
            if isinstance(error, TypeError) and "seed" in words_of(error):
                advice = "take the seed and pass it to super().reset(seed=seed)"
                self.give_up("no seed", got, "reset(self, *, seed=None, options=None)", advice)
            self.give_up("reset raises", got, "(observation, info)", "mend what raises")
        self.check_global()
        if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)):
            got = f"reset returns {kind_of(result)}"
            self.give_up("reset returns", got, "(observation, info), info a dict", "return observation, {}")
        obs, info = result
        self.infos[id(env)] = info
        for sound, got, expected, advice in masks.told(env, obs, info):
            self.say(NOTE if sound else FAULT, "mask", got, expected, advice, at=None)
        self.check_observation(obs, env.observation_space)
        return obs, Told(transcripts.packed(obs), transcripts.packed(info), 0, seed, transcripts.numbers_of(obs))

    def stepped(self, env: gymnasium.Env, action: Any, step: int, seed: int) -> tuple[Any, Told]:
        self.step, self.seed = step, seed
        self.mark(step, seed)
        action = masks.within(env.action_space, masks.mask_of(env, self.infos.get(id(env))), action)
        given = copy.deepcopy(action)
        try:
            with calling(self, action):
                result = env.step(given)
        except PASSED:
            raise
        except BaseException as error:
            if isinstance(error, ValueError) and "expected 5, got 4" in words_of(error):
                self.four_values()
            got = f"step raises {_described(error)}; its action was {short(action)}"
            self.give_up("step raises", got, FIVE, "mend what raises")
        self.check_global()
        if isinstance(result, tuple) and len(result) == 4:
            self.four_values()
        if not (isinstance(result, tuple) and len(result) == 5 and isinstance(result[4], dict)):
            self.give_up("step returns", f"step returns {kind_of(result)}", f"{FIVE}, info a dict", "return all five")
        obs, reward, terminated, truncated, info = result
        self.infos[id(env)] = info
        self.check_observation(obs, env.observation_space)
        self.check_reward(reward)
        self.check_flags(terminated, truncated, env)
        return obs, Told(
            transcripts.packed((obs, reward, terminated, truncated)),
            transcripts.packed(info),
            step,
            seed,
            transcripts.numbers_of(obs),
        )

    def four_values(self) -> None:
        advice = "environment.api=gym with module:Class; or return terminated (it ended) and truncated (time was up)"
        self.give_up("four values", "step returns four values, as before Gym 0.26", FIVE, advice)

    # -- what each thing must be

    def spaces(self, env: gymnasium.Env) -> None:
        for name, knob in kept_statistics(env):
            self.say(FAULT, "statistics", *in_a_wrapper(name, knob), at=None)
        pairs: tuple[tuple[str, Callable[..., Any], Any], ...] = (
            ("observation space", observation_of, env.observation_space),
            ("action space", action_of, env.action_space),
        )
        for what, convert, space in pairs:
            try:
                convert(space, "", **({"dtype": "float32"} if convert is observation_of else {}))
            except UserError as error:
                problem = error.problem
                self.say(FAULT, what, problem.got, problem.expected, problem.advice, at=None)
        actions = env.action_space
        if isinstance(actions, gymnasium.spaces.Box) and not actions.is_bounded():
            got, advice = f"its actions have no bounds: {actions}", "give the Box bounds, and scale inside step"
            self.say(FAULT, "no bounds", got, "finite low and high, best -1 and 1", advice, at=None)
        start = getattr(actions, "start", 0)
        if np.any(start):
            got, expected = f"its actions start at {start}: {actions}", "0 by many a trainer, not by this one"
            self.say(NOTE, "starts elsewhere", got, expected, "nothing to do here", at=None)

    def check_observation(self, obs: Any, space: Any) -> None:
        if "observation space" in self.found:  # it is told of; one that is not Gymnasium's may not know its own
            return
        if not isinstance(space, gymnasium.spaces.Box):
            if not space.contains(obs):
                self.bad_observation("outside", f"the observation is {short(obs)}", f"one of {space}", "mend either")
            return
        if not isinstance(obs, np.ndarray) or isinstance(obs, np.ma.MaskedArray):
            got = f"the observation is a {type(obs).__name__}"
            self.bad_observation("no array", got, "an array of NumPy", f"return np.asarray(obs, np.{space.dtype})")
        elif obs.shape != space.shape:
            got = f"the observation has shape {obs.shape}"
            self.bad_observation("shape", got, f"{space.shape}, as its space says", "mend either")
        elif obs.dtype != space.dtype:
            got = f"the observation is {obs.dtype}"
            self.bad_observation("dtype", got, f"{space.dtype}, as its space says", f"obs.astype(np.{space.dtype})")
        elif obs.dtype.kind == "f" and not np.isfinite(obs).all():
            place = tuple(int(i) for i in np.argwhere(~np.isfinite(obs))[0])
            got = f"the observation has {obs[place]} at {list(place)}"
            self.bad_observation("not finite", got, "finite numbers", "mend what is computed there")
        elif not space.contains(obs):
            outside = (obs < space.low) | (obs > space.high)
            place = tuple(int(i) for i in np.argwhere(outside)[0])
            got = f"the observation has {obs[place]:g} at {list(place)}"
            bounds = f"{space.low[place]:g} to {space.high[place]:g}, as its space says"
            self.bad_observation("out of bounds", got, bounds, "clip it, or widen the space")

    def bad_observation(self, what: str, got: str, expected: str, advice: str) -> None:
        self.say(FAULT, f"observation {what}", got, expected, advice)

    def check_reward(self, reward: Any) -> None:
        if not isinstance(reward, numbers.Real):
            shaped = f" of shape {reward.shape}" if isinstance(reward, np.ndarray) else ""
            got = f"the reward is {short(reward)}, a {type(reward).__name__}{shaped}"
            self.say(FAULT, "reward type", got, "a number", "return float(reward)")
        elif not abs(value := cast(float, reward)) <= LARGEST_REWARD:  # which may be a whole number that no float holds
            got = f"the reward is {short(reward)}"
            if abs(value) < math.inf:
                self.say(FAULT, "reward absurd", got, f"at most {LARGEST_REWARD:g} in size", "scale it down")
            else:
                self.say(FAULT, "reward not finite", got, "a finite number", "mend what is computed")

    def check_flags(self, terminated: Any, truncated: Any, env: gymnasium.Env) -> None:
        for name, flag in (("terminated", terminated), ("truncated", truncated)):
            if not isinstance(flag, (bool, np.bool_)):
                got = f"{name} is {short(flag)}, a {type(flag).__name__}"
                self.say(FAULT, "flag type", got, "True or False", f"return bool({name})")
        try:
            self.terminated, self.truncated = converted(bool, terminated), converted(bool, truncated)
        except ValueError:
            raise Broken from None
        if self.terminated and self.truncated and self.step != _time_limit(env):
            expected = "one of them: after terminated there is no future, after truncated there is one"
            advice = "report truncated only where the task itself has not ended"
            self.say(FAULT, "both flags", "terminated and truncated at once", expected, advice)

    def check_global(self) -> None:
        """Whether anyone drew from them since this was last asked: between two calls nobody here does."""
        before, self.drawn = self.drawn, transcripts.global_randomness() if self.looks_at_global else None
        if before is not None and self.drawn is not None and before != self.drawn:
            got, expected = "drew from the global np.random or random", "random numbers from the seed of reset alone"
            self.say(FAULT, "global", got, expected, "draw from self.np_random")

    # -- ends

    def lengths(self, env: gymnasium.Env) -> None:
        """How episodes end, with random actions: never, at once, or all after as many steps."""
        limit, taken = _time_limit(env), 0
        until = time.process_time() + SECONDS, time.monotonic() + PATIENCE
        lengths: list[int] = []
        only_terminated = True
        while len(lengths) < EPISODES or (set(lengths) == {1} and len(lengths) < SHORT_EPISODES):
            seed = SEEDS[-1] + STEPS + len(lengths)
            generator = copy.deepcopy(env.action_space)
            generator.seed(seed)
            self.begun(env, seed)
            self.terminated = self.truncated = False
            step = 0
            while not (self.terminated or self.truncated):
                if taken >= self.longest or time.process_time() > until[0] or time.monotonic() > until[1]:
                    if not lengths and limit is None:
                        self.no_end(taken)
                    return
                step, taken = step + 1, taken + 1
                self.stepped(env, generator.sample(), step, seed)
            lengths.append(step)
            only_terminated = only_terminated and not self.truncated
        if set(lengths) == {1}:
            self.ends_at_once(len(lengths))
        elif len(set(lengths)) == 1 and only_terminated:
            self.say(QUESTION, "one length", *one_length(len(lengths), lengths[0]))

    def ends_at_once(self, number: int) -> None:
        got = f"{number} of {number} episodes ended at step 1"
        advice = "look at what sets terminated; nothing to do if this is a bandit"
        self.say(FAULT, "ends at once", got, "episodes of several steps", advice)

    def no_end(self, taken: int) -> None:
        kind = FAULT if taken >= self.longest else QUESTION
        got = f"the episode has not ended after {taken:,} steps of random actions, and no time limit is registered"
        self.say(kind, "no end", got, "an end", "set environment.max_episode_steps")

    # -- telling

    def say(self, kind: str, what: str, got: str, expected: str, advice: str, at: Any = ()) -> None:
        """Once of each kind. `at`: another place than where it stands, or None for no place."""
        if what in self.found:
            return
        self.found.add(what)
        step, seed = (self.step, self.seed) if at == () else (None, None) if at is None else (at.step, at.seed)
        self.tell(Finding(kind, what, step, seed, got, expected, advice))

    def give_up(self, what: str, got: str, expected: str, advice: str) -> None:
        self.say(FAULT, what, got, expected, advice)
        raise Broken


def sampled(space: gymnasium.Space, number: int, seed: int) -> list[Any]:
    """Actions of a generator of its own; of a bounded box its corners first."""
    own = copy.deepcopy(space)
    own.seed(seed)
    corners = [own.low, own.high] if isinstance(own, gymnasium.spaces.Box) and own.is_bounded() else []
    return [*corners, *(own.sample() for _ in range(number - len(corners)))]


def _time_limit(env: gymnasium.Env) -> int | None:
    return env.spec.max_episode_steps if env.spec is not None else None


def _described(error: BaseException) -> str:
    """An exception in one line, and where the environment's own code raised it."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _foreign(frame.filename)]
    at = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return words_of(error) + at


def _foreign(file: str) -> bool:
    libraries = [Path(str(module.__file__)).parent for module in (gymnasium, np)]
    return any(map(Path(file).is_relative_to, [*libraries, Path(__file__).parents[1]]))


# -- the cheap part, as training starts


UNSAID = {
    *("observation no array", "observation dtype", "observation out of bounds", "buffer", "flag type", "both flags"),
    *("reward type", "keeps state", "does not replay", "global", "no bounds", "ends at once", "statistics"),
}
"""What training would pass over in silence; all else of a glance it says itself, once it comes to it."""


def glanced(
    id: str, first: gymnasium.Env, second: gymnasium.Env, mark: Callable[[int, int], None] = lambda step, seed: None
) -> list[str]:
    """What a glance finds wrong that training would not say, a line each. `second`: another instance, or the same."""
    found: list[Finding] = []
    Inspection(lambda: first, found.append, mark, id=id).glance(first, second)
    reported = [one for one in found if one.what != "reward type" or one.got.endswith("of shape ()")]
    return [one.line(id) for one in reported if one.kind != NOTE and one.what in UNSAID]


# -- the child of check_env


def main(argv: list[str]) -> None:
    line, memory, setup = children.entered(argv)
    place = np.frombuffer(memory.map(24), np.int64, 3)  # number of the call, step, seed
    config = knobs.Environment(**setup["environment"])
    folders = [Path(one) for one in setup["folders"]]
    given.taken_in(config.id, setup["given"])

    def mark(step: int, seed: int) -> None:
        place[1], place[2] = step, seed
        place[0] += 1

    def tell(finding: Finding) -> None:
        line.send(b"f", json.dumps(finding).encode())

    try:
        Inspection(lambda: making.single(config, folders=folders, flat=False), tell, mark).thorough()
    except UserError as error:
        line.send(b"x", children.told(error))
    line.send(b"k")


if __name__ == "__main__":
    main(sys.argv)
