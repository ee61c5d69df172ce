"""`environment.workers: auto`: whether worker processes pay, by what a step costs; in that case this process steps too.

    environment = spread(slots, config, dtype="float32", squash=False, folders=[], steps=10**6)

Who steps changes no bit of what is played. Only Gymnasium's own tasks are asked: another's may keep something between
its environments, in its module or in a file, so that steps to measure it, or a process more, would be seen.
"""

import copy
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pg_theano.config import knobs
from pg_theano.environments import making, masks
from pg_theano.environments.making import Playable
from pg_theano.environments.singles import Slots
from pg_theano.environments.telling import close_quietly
from pg_theano.environments.workers import Workers
from pg_theano.system import machine
from pg_theano.types import UserError

MEASURED = 5e-3
"""Seconds that are stepped to see what a step costs."""
LEAST_STEPS, MOST_STEPS = 3, 64
ROUND_TRIP = 60e-6
"""Seconds that a worker's answer takes beside the steps themselves, and what the policy needs meanwhile."""
LEAST_GAIN = 1.2
"""How many times as fast it must be."""
LEAST_SAVED = 10.0
"""Seconds that a run must save: to start a worker takes about one of every core."""


def spread(
    environment: Playable,
    config: knobs.Environment,
    *,
    dtype: str,
    squash: bool,
    folders: Sequence[Path],
    steps: int | None,
    ours: int = 1,
) -> Playable:
    """The same environments, a share of them in each of as many processes as cores are free, where that pays.

    `steps` is how many they take at most; None: nobody knows. `ours`: how many of the processes that want a core wait
    meanwhile, this one among them.
    """
    cores = machine.cores() - round(max(machine.load() - ours, 0.0))
    may = config.workers == "auto" and config.look and making.is_gymnasiums_own(config) and _alone()
    if type(environment) is not Slots or not may or cores < 2 or environment.num_envs < 2:
        return environment
    number, seconds = environment.num_envs, step_seconds(environment)
    if not pays(seconds, number, cores, steps):
        return environment
    separate = config.model_copy(update={"workers": min(cores, number) - 1})
    try:
        made = Workers(separate, num_envs=number, dtype=dtype, folders=folders, squash=squash, here=environment)
    except UserError:  # what cannot be made there, such as an id that this process alone knows, can be stepped here
        return Slots(config, environment.slots, dtype, squash)
    made.kind += f", as a step takes {1e6 * seconds:.0f} µs"
    for slot in environment.slots[-(-number // (separate.separate + 1)) :]:
        close_quietly(slot, f"{slot.id}, environment {slot.index}")
    return made


def pays(seconds: float, number: int, cores: int, steps: int | None) -> bool:
    """Whether to step `number` environments on so many cores is quicker, where one step takes `seconds`."""
    here = number * seconds
    there = -(-number // min(cores, number)) * seconds + ROUND_TRIP
    rounds = float("inf") if steps is None else steps / number
    return here >= LEAST_GAIN * there and rounds * (here - there) >= LEAST_SAVED


def step_seconds(environment: Slots, clock: Callable[[], float] = time.perf_counter) -> float:
    """Median seconds of a step with random actions; 0 where one goes wrong, which is said when it counts."""
    slot, space = environment.slots[0], copy.deepcopy(environment.slots[0].action_space)
    space.seed(0)
    spent, over = list[float](), True
    try:
        while len(spent) < LEAST_STEPS or (len(spent) < MOST_STEPS and sum(spent) < MEASURED):
            if over:
                slot.reset(seed=len(spent))
            action = masks.within(space, slot.mask(), space.sample())
            began = clock()
            _, _, terminated, truncated, _ = slot.step(action)
            spent.append(clock() - began)
            over = terminated or truncated
    except UserError:
        return 0.0
    return float(np.median(spent))


def _alone() -> bool:
    """Whether this is no process of several that work on the same, such as those of a search."""
    process = sys.modules.get("multiprocessing.process")
    return process is None or process.parent_process() is None
