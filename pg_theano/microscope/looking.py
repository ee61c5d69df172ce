"""One policy under the microscope: blocks of episodes are played until every cosine is known."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pg_theano.microscope import estimators as weighing
from pg_theano.microscope import gathering, judging, watching
from pg_theano.microscope.estimators import Episodes, Estimator, Known
from pg_theano.types import Array, State

FEWEST_BLOCKS = 16
FITTED = 256  # episodes that the baseline is fitted to, at most
TRIED = 4  # episodes of Gymnasium's, played to say how long all of them take
WITH_SCORES = 3.0  # times what the episodes alone take, for their scores and what is made of them


class Along(NamedTuple):
    """What becomes of J along a step, beside what it was before: each a figure for each length."""

    lengths: list[float]  # in lengths of Adam's first step
    unit: float  # how long that is
    true: list[judging.Interval]  # along ∇J
    own: list[judging.Interval]  # along estimates of the run's own size, in the mean
    promised: list[judging.Interval]  # by the surrogate of those estimates' episodes


class Point(NamedTuple):
    """One policy that was looked at."""

    name: str
    update: int
    episodes: int
    steps: int
    mean_return: float
    seconds: float
    verdicts: list[judging.Verdict]
    at: int  # at which of the sizes, the nearest to what the run learns from, bias and variance are told
    precise: bool  # whether every cosine is known as well as was asked for
    along: Along | None = None


class Played(NamedTuple):
    """A block of episodes, and what is told of them."""

    block: judging.Block
    steps: int
    mean_return: float


class Look(NamedTuple):
    """A policy under the microscope."""

    watched: watching.Watched
    state: State
    estimators: list[Estimator]
    sizes: list[int]
    learned_from: tuple[int, int]  # (episodes, steps) of an update, of which one is 0
    discounts: tuple[float, float]  # γ of the estimators, γ of J
    critic: bool

    def blocks(self, seed: np.random.SeedSequence, most: int, say: Callable[[str], None]) -> Iterator[Played]:
        """One block of episodes after the other, `most` episodes at most."""
        size, fits = self.sizes[-1], self.fitting(most)
        for number in (size, fits):  # twice: the first call compiles
            began = time.perf_counter()
            few = min(number, TRIED if self.watched.act else number)
            others = self.watched.play(self.state, few, seed.spawn(1)[0])
            each = (time.perf_counter() - began) / few
        say(f"at most {most + fits:,} episodes, which take about {max(1.0, WITH_SCORES * each * (most + fits)):,.0f} s")
        if self.watched.act:
            others = self.watched.play(self.state, fits, seed.spawn(1)[0])
        fitted, fisher = self.fitted(others), self.fisher(others)
        for _ in range(most // size):
            played = self.watched.play(self.state, size, seed.spawn(1)[0])
            block = self.block(played, fitted, fisher)
            yield Played(block, int(played.lengths.sum()), float(played.reward.sum(axis=1).mean()))

    def fitting(self, most: int) -> int:
        """How many episodes the baseline is fitted to."""
        return min(FITTED, max(FEWEST_BLOCKS, most // 8))

    def fitted(self, others: Episodes) -> list[Fitted]:
        """The baseline of the estimators, and that of the truth."""
        return [Fitted.to(others, one) for one in self.discounts]

    def point(self, name: str, update: int, found: Iterator[Played], precision: float) -> Point:
        """Look at more blocks until every cosine is known as well as asked for, or there are no more."""
        began, played, verdicts = time.perf_counter(), [], []
        rng, precise, wanted = np.random.default_rng(update), False, FEWEST_BLOCKS
        while not precise and (more := list(itertools.islice(found, wanted))):
            played += more
            wanted = len(played)
            at = self.nearest(sum(one.steps for one in played) / (wanted * self.sizes[-1]))
            verdicts = judging.verdicts([one.block for one in played], self.sizes, at, rng)
            precise = all(one.half <= precision for each in verdicts for one in each.cosines)
        steps, mean = sum(one.steps for one in played), float(np.mean([one.mean_return for one in played]))
        seconds, episodes = time.perf_counter() - began, len(played) * self.sizes[-1]
        return Point(name, update, episodes, steps, mean, seconds, verdicts, at, precise)

    def nearest(self, length: float) -> int:
        """Which size is nearest to the batches of a run whose episodes are of such a mean length."""
        episodes, steps = self.learned_from
        wanted = episodes or steps / length
        return int(np.argmin([abs(math.log(n / wanted)) for n in self.sizes]))

    def fisher(self, others: Episodes) -> Array | None:
        """Of the policy, from other episodes; None where it is too large."""
        none = np.ones((0, int(others.mask.sum())), others.reward.dtype)
        found = gathering.contracted(self.scores(others), none, others.lengths, True)
        return None if found.fisher is None else found.fisher.sum(axis=0)

    def block(self, played: Episodes, fitted: Sequence[Fitted], fisher: Array | None) -> judging.Block:
        """What is kept of some episodes."""
        known = self.known(played, fitted)
        return gathering.block(self.estimators, played, known, self.sizes, self.scores(played), fisher)

    def known(self, played: Episodes, fitted: Sequence[Fitted]) -> Known:
        """What estimators may know of some episodes. `fitted`: to the signals with each of the two discounts."""
        own, of_j = (one.of(played) for one in fitted)
        value = self.watched.values(self.state, played) if self.critic else own
        return Known(*self.discounts, of_j[:, :-1], own[:, :-1], value, fitted[0].means)

    def scores(self, played: Episodes) -> gathering.Scores:
        return gathering.Scores(self.watched.scores(self.state, played), self.watched.rows, self.watched.num_params)


class Fitted(NamedTuple):
    """What was learned from other episodes."""

    weights: Array  # of `weighing.features`
    means: dict[str, float]  # of each signal

    @classmethod
    def to(cls, others: Episodes, discount: float) -> Fitted:
        signals = {name: signal(others, discount) for name, signal in weighing.SIGNALS.items()}
        means = {name: float(one.sum() / others.mask.sum()) for name, one in signals.items()}
        return cls(weighing.fit(signals["reward_to_go"], others.obs, others.mask), means)

    def of(self, episodes: Episodes) -> Array:
        """b(s_t, t) of each step, and of the last one's successor unless it ended the task. [E, T + 1]"""
        lengths = episodes.lengths
        seen = np.zeros((len(lengths), episodes.mask.shape[1] + 1, episodes.obs.shape[2]))
        seen[:, :-1] = episodes.obs
        seen[np.arange(len(lengths)), lengths] = episodes.last_obs
        value = weighing.features(seen) @ self.weights
        return watching.placed(value[:, :-1][episodes.mask > 0], value[np.arange(len(value)), lengths], episodes)
