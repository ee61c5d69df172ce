"""The usual reasons why a run does not learn, each tried against what the run recorded of itself."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.runs.curves import number
from pg_theano.spec import Spec
from pg_theano.types import Array

EARLY, LEAST_ENTROPY, LEAST_ROOM = 0.25, 0.05, -2.3
"""Entropy that is gone within this share of a run: a share of ln A; of real numbers, nats below even noise."""
MOST_KL, MOST_CLIPPED = 0.5, 0.8
"""Of one update."""
LEAST_EXPLAINED = 0.05
MOST_SIZE = 1000.0
"""Between observations, or of one."""
USUAL_RATE = 1e-3
FAR = 30.0
"""Episodes this many times longer than what a discount looks ahead."""


class Reason(NamedTuple):
    """Why a run did not learn, as its own records have it."""

    reason: str
    figure: str
    knob: str  # to change, with a value where one follows
    sentence: str


class Evidence(NamedTuple):
    """All that reasons are tried against."""

    config: Config
    spec: Spec
    task: Mapping[str, Any]  # of run.json
    columns: Mapping[str, Array]  # of metrics.jsonl
    result: Mapping[str, Any]
    met: tuple[Array, list[str]] | None = None  # observations [N, F], N from 1, and names, where the policy was played

    def of(self, *names: str) -> Array:
        """The finite values of the first of these columns that has any."""
        found = (column[np.isfinite(column)] for name in names if (column := self.columns.get(name)) is not None)
        return next((column for column in found if column.size), np.zeros(0))

    @property
    def threshold(self) -> float | None:
        stated = (self.result.get("threshold"), self.config.solved.threshold, self.task.get("threshold"))
        return next((one for one in stated if one is not None), None)


def _no_reward(found: Evidence) -> Reason | None:
    low, high = found.of("return_min", "return_mean"), found.of("return_max", "return_mean")
    if not low.size or high.max() - low.min() > 1e-9 * max(1.0, float(np.abs(low).max())):
        return None
    episodes = found.of("episodes", "record")[-1]
    figure = f"each of {episodes:,.0f} episodes returned {number(float(low[0]))}"
    words = (
        f"No reward ever told one action from another: {figure}. Try a reward on the way to the goal, longer episodes "
        "(environment.max_episode_steps), or noise that goes further (policy.noise=pink, for real numbers)."
    )
    return Reason("no reward ever seen", figure, "environment.wrappers", words)


def _cut(found: Evidence, *, chosen: bool) -> Reason | None:
    """Where the limit is the config's own it comes early; where the task has it, after all else."""
    limit, lengths = found.task.get("time_limit"), found.of("length_mean")
    if (found.config.environment.max_episode_steps is not None) is not chosen or not lengths.size or not limit:
        return None
    last = float(lengths[-max(1, len(lengths) // 4) :].mean())
    if last < 0.95 * limit:
        return None
    figure = f"episodes of {number(last)} steps, with a limit of {limit:,}"
    words = (
        f"Nearly every episode is cut off by its time limit: {figure}. What comes after is never seen, a fault if the "
        f"task could end there; try environment.max_episode_steps={10 * limit}."
    )
    return Reason("episodes cut by the time limit", figure, f"environment.max_episode_steps={10 * limit}", words)


def _sizes(found: Evidence) -> Reason | None:
    """Of the observations met, where they are not normalised: the root mean square of each feature."""
    if found.met is None or found.config.normalize.observations:
        return None
    rows, names = found.met
    size = np.sqrt(np.square(rows.astype(np.float64)).mean(axis=0))
    moving = np.flatnonzero(size > 0)
    if not moving.size:
        return None
    least, most = moving[np.argmin(size[moving])], moving[np.argmax(size[moving])]
    if size[most] < MOST_SIZE and size[most] < MOST_SIZE * size[least]:
        return None
    figure = f"from {size[least]:.3g} ({names[least]}) to {size[most]:.3g} ({names[most]})"
    words = (
        f"Observations are of very different sizes, or far from 1: {figure}, root mean squares. A network sees the "
        "largest alone; try normalize.observations=true."
    )
    return Reason("observations of very different sizes", figure, "normalize.observations=true", words)


def _room(found: Evidence, values: Array) -> Array:
    """Entropy as a share of the most that there is; of real numbers, 1 + nats over even noise, scaled to be alike."""
    action = found.spec.acting.action
    if action.kind != "box":
        choices = action.choices or [2] * action.size
        return values / max(sum(math.log(n) for n in choices), 1e-9)
    width = np.array(action.high, float) - np.array(action.low, float)
    width = np.where(np.isfinite(width) & (width > 0), width, 2.0)  # without bounds: as of −1 to 1
    return LEAST_ENTROPY + (values - np.log(width).sum()) / action.size - LEAST_ROOM


def _entropy(found: Evidence, *, at_once: bool) -> Reason | None:
    """Where it was small before anything was learned it comes early; else what took it away is asked of first."""
    values = found.of("entropy")
    if not values.size:
        return None
    room, quarter = _room(found, values), max(1, int(EARLY * len(values)))
    box = found.spec.acting.action.kind == "box"
    record = ALGORITHMS[found.config.algorithm.name]
    began = bool(box and record.reads("policy.initial_log_std") and room[0] < LEAST_ENTROPY)
    if began is not at_once or np.median(room[quarter:] if len(room) > quarter else room) >= LEAST_ENTROPY:
        return None
    if not at_once and room[: quarter + 1].min() >= LEAST_ENTROPY:
        return None
    place = int(np.argmax(room < LEAST_ENTROPY))
    update = found.columns["record"][np.isfinite(found.columns["entropy"])][place]
    figure = f"{number(values[place])} nats at update {update:,.0f} of {found.columns['record'][-1]:,.0f}"
    if at_once:
        words = f"The policy began nearly without noise, and tries nothing: its entropy was {figure}"
        knob = "policy.initial_log_std=0"
    else:
        words = f"The policy had stopped trying things before it knew what is worth doing: its entropy was {figure}"
        reads = record.reads("algorithm.entropy_coefficient")
        knob = f"algorithm.entropy_coefficient={max(0.01, 10 * found.config.algorithm.entropy_coefficient):g}"
        knob = f"{knob}, {_slower(found)}" if reads else _slower(found)
    return Reason("entropy gone early", figure, knob, f"{words}. Try {knob}.")


def _slower(found: Evidence) -> str:
    return f"schedules.learning_rate.initial={found.config.schedules.learning_rate.initial / 10:g}"


def _steps(found: Evidence) -> Reason | None:
    kl, clipped = found.of("approx_kl", "kl"), found.of("clip_fraction")
    far = kl.size > 0 and (kl.max() > MOST_KL or float(np.median(kl)) > MOST_KL / 5)
    cut = clipped.size > 0 and (clipped.max() > MOST_CLIPPED or float(np.median(clipped)) > MOST_CLIPPED / 2)
    if not far and not cut:
        return None
    figure = f"KL of up to {kl.max():.3g} nats" if kl.size else ""
    if clipped.size:
        figure += f"{', ' if figure else ''}{clipped.max():.0%} of the ratios clipped"
    words = (
        f"Steps were too large: an update moved the policy so far that what it was learned from no longer held "
        f"({figure}; usual are 0.01 and 10%). Try {_slower(found)}, or fewer algorithm.num_epochs."
    )
    return Reason("KL or clip fraction too large", figure, _slower(found), words)


def _horizon(found: Evidence) -> Reason | None:
    discount, lengths = found.config.algorithm.discount, found.of("length_mean")
    if not ALGORITHMS[found.config.algorithm.name].reads("algorithm.discount") or discount >= 1 or not lengths.size:
        return None
    ahead, longest = 1 / (1 - discount), float(lengths.max())
    if longest < FAR * ahead:
        return None
    knob = "algorithm.discount=0.99"
    figure = f"1/(1−γ) is {number(ahead)}, and episodes have up to {number(longest)} steps"
    words = (
        f"The discount looks ahead too little: {figure}. What an action brings later counts for nothing; try {knob}."
    )
    return Reason("a discount that looks ahead too little", figure, knob, words)


def _values(found: Evidence) -> Reason | None:
    explained = found.of("explained_variance")
    if not explained.size or not ALGORITHMS[found.config.algorithm.name].learns_values:
        return None
    median = round(float(np.median(explained[len(explained) // 2 :])), 3) + 0.0  # and no −0
    if median >= LEAST_EXPLAINED:
        return None
    figure = f"explained variance {number(median)}"
    returns = float(np.abs(found.of("return_mean")).max()) if found.of("return_mean").size else 0.0
    knob = _for_values(found, returns)
    words = (
        f"The value network explains nothing of the returns: {figure} over the last half; 1 would be all. Without it "
        f"advantages are noise; try {knob}."
    )
    return Reason("a value network that explains nothing", figure, knob, words)


def _for_values(found: Evidence, returns: float) -> str:
    """The knob that most likely keeps a value network from learning."""
    config, record = found.config, ALGORITHMS[found.config.algorithm.name]
    rates = config.schedules
    if not config.normalize.rewards and returns > MOST_SIZE:
        return "normalize.rewards=true"
    if not record.one_loss and rates.value_learning_rate.initial < USUAL_RATE:
        return f"schedules.value_learning_rate.initial={USUAL_RATE:g}"
    if record.one_loss and config.algorithm.value_coefficient < 0.5:
        return "algorithm.value_coefficient=0.5"
    if record.one_loss and rates.learning_rate.initial < USUAL_RATE / 10:
        return f"schedules.learning_rate.initial={USUAL_RATE:g}"
    if record.reads("algorithm.num_epochs"):
        return f"algorithm.num_epochs={2 * config.algorithm.num_epochs}"
    return "normalize.rewards=true"


REASONS: tuple[Callable[[Evidence], Reason | None], ...] = (
    _no_reward,
    lambda found: _cut(found, chosen=True),
    _sizes,
    lambda found: _entropy(found, at_once=True),
    _steps,
    lambda found: _entropy(found, at_once=False),
    _horizon,
    _values,
    lambda found: _cut(found, chosen=False),
)
"""In the order of their causes: what comes first also shows as what comes later."""
