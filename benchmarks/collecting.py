"""What collecting costs beside the environments alone, and what workers save: ratios of pairs, taken in turn.

    PYTHONPATH=EXTRAS python benchmarks/collecting.py            # needs the extras mujoco and box2d; some four minutes
    python benchmarks/collecting.py --only workers --pairs 5

`one process`: CPU seconds of the same episodes, seeds and actions played by `env.reset` and `env.step` alone, over
those of a stretch of PPO (2x64), pinned to one core. `workers`: seconds of a stretch in this process over seconds with
`environment.workers: auto`, which steps a share here as well, and with two workers, on all cores, eight environments.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import measuring
import numpy as np
from measuring import ROOT, median, table

if str(ROOT) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
    sys.path.insert(0, str(ROOT))
NAME = "collecting"
ALONE = {"Hopper-v5": ((1, 4096), (16, 256)), "LunarLander-v3": ((16, 1024),), "CartPole-v1": ((16, 1024),)}
"""Task: (environments, steps of each)."""
SPREAD = {"Hopper-v5": 512, "collecting:Computing200us-v0": 400, "collecting:Computing1000us-v0": 100}
"""Task: steps of each of eight environments."""
SPREAD_OVER, WORKERS = 8, ("auto", 2)


class Computing(gymnasium.Env):
    """A step that keeps its process's core busy for so many microseconds."""

    observation_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, microseconds: int):
        self.seconds = microseconds * 1e-6

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.np_random.random(4, np.float32), {}

    def step(self, action: Any) -> Any:
        until = time.thread_time() + self.seconds
        while time.thread_time() < until:
            pass
        return self.np_random.random(4, np.float32), 1.0, False, False, {}


class Watched(gymnasium.Wrapper):
    """An environment whose calls are written down."""

    def __init__(self, env: Any, index: int, calls: list[tuple[int, str, Any]]):
        super().__init__(env)
        self.index, self.calls = index, calls

    def reset(self, **how: Any) -> Any:
        self.calls.append((self.index, "reset", how))
        return self.env.reset(**how)

    def step(self, action: Any) -> Any:
        self.calls.append((self.index, "step", np.copy(action)))
        return self.env.step(action)


for _microseconds in (200, 1000):
    gymnasium.register(
        f"Computing{_microseconds}us-v0", Computing, max_episode_steps=100, kwargs={"microseconds": _microseconds}
    )


def collector(id: str, num_envs: int, steps: int, workers: Any) -> tuple[Any, Callable[[], Any]]:
    """(the environments, a function that collects the first stretch of a run, each time the same)."""
    from pg_theano import parameters
    from pg_theano.config import reading, schedules
    from pg_theano.environments import making
    from pg_theano.system import machine
    from pg_theano.training import programs, specs
    from pg_theano.training.playing.collecting import Stretches

    words = {
        "environment": {"id": id, "num_envs": num_envs, "workers": workers, "engine": "gymnasium"},
        "policy": {"hidden": [64, 64], "activation": "tanh", "initialization": "orthogonal"},
        "algorithm": {"name": "ppo", "num_steps": steps, "num_minibatches": 1},
        "normalize": {"observations": True, "rewards": True},
    }
    config = reading.from_dict(words)
    making.is_gymnasiums_own = lambda config: True  # ours above too
    machine.load = lambda: 1.0  # whatever else runs
    made = specs.trained_in(config, [Path(__file__).parent])
    spec = specs.spec_of(config, made.task, made)
    takes = ("obs", "action", "log_prob", "reward", "next_obs", "terminated", "truncated", "mask")
    program: Any = SimpleNamespace(manifest={"takes": takes}, ask=None)
    program.act = programs.acting_for(config, spec, program)
    state = {
        "params": parameters.initial(np.random.default_rng(0), spec.acting.layout, spec.dtype),
        "normalizer/mean": np.zeros(made.task.obs_size, np.float32),
        "normalizer/variance": np.ones(made.task.obs_size, np.float32),
    }
    knobs, stretches = schedules.knobs_at(config, 0), Stretches(config, spec, made, program)

    def collect() -> Any:
        made.player = None  # so that all episodes begin anew
        return stretches.collect(state, knobs, 0)

    return made, collect


def bare(id: str, num_envs: int, made: Any, collect: Callable[[], Any]) -> Callable[[], None]:
    """The same resets and steps as `collect` makes, of environments as Gymnasium gives them."""
    calls: list[tuple[int, str, Any]] = []
    collect()  # which also looks whether it replays
    for slot in made.slots:
        slot.env = Watched(slot.env, slot.index, calls)
    collect()
    for slot in made.slots:
        slot.env = slot.env.env
    envs = [gymnasium.make(id, disable_env_checker=True) for _ in range(num_envs)]
    bound = [(envs[i].step, given) if kind == "step" else (envs[i].reset, given) for i, kind, given in calls]

    def play() -> None:
        for call, given in bound:
            if type(given) is dict:
                call(**given)
            else:
                call(given)

    return play


def in_turn(
    one: Callable[[], Any], other: Callable[[], Any], pairs: int, clock: Callable[[], float]
) -> list[tuple[float, float]]:
    """Seconds of both, in turn, after a run of each that does not count."""
    found = []
    for number in range(pairs + 1):
        seconds = []
        for run in (one, other):
            began = clock()
            run()
            seconds.append(clock() - began)
        found += [(seconds[0], seconds[1])] if number else []
    return found


def alone(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Our collecting beside stepping alone, in this process, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {options.core})
    cells = []
    for id, sizes in ALONE.items():
        for num_envs, steps in sizes:
            made, collect = collector(id, num_envs, steps, 0)
            pairs = in_turn(bare(id, num_envs, made, collect), collect, options.pairs, time.process_time)
            each = num_envs * steps
            figures = {
                "ratio": median([theirs / ours for theirs, ours in pairs]),
                "best": min(theirs for theirs, _ in pairs) / min(ours for _, ours in pairs),
                "step": min(theirs for theirs, _ in pairs) / each * 1e6,
                "beyond": median([ours - theirs for theirs, ours in pairs]) / each * 1e6,
                "least_beyond": (min(ours for _, ours in pairs) - min(theirs for theirs, _ in pairs)) / each * 1e6,
            }
            cells.append({"task": id, "environments": num_envs, **figures})
            print(cells[-1], flush=True)
            made.close()
    os.sched_setaffinity(0, cores)
    return cells


def spread(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Without workers beside `auto` and two, on all cores."""
    cells = []
    for id, steps in SPREAD.items():
        here, one = collector(id, SPREAD_OVER, steps, 0)
        for workers in WORKERS:
            there, other = collector(id, SPREAD_OVER, steps, workers)
            pairs = in_turn(one, other, options.pairs, time.perf_counter)
            figures = {
                "ratio": median([without / with_them for without, with_them in pairs]),
                "best": min(without for without, _ in pairs) / min(with_them for _, with_them in pairs),
                "without": min(without for without, _ in pairs) / steps * 1e6,
                "with": min(with_them for _, with_them in pairs) / steps * 1e6,
            }
            cells.append({"task": id.split(":")[-1], "workers": workers, "stepped": there.kind, **figures})
            print(cells[-1], flush=True)
            there.close()
        here.close()
    return cells


def section(data: dict[str, Any]) -> str:
    text = ["## Collecting", ""]
    if data["alone"]:
        heads = ["task, environments", "alone over ours", "of the quickest", "µs of a step", "µs beyond, a step"]
        rows = [
            [f"{one['task']}, {one['environments']}", one["ratio"], one["best"], one["step"], one["beyond"]]
            for one in data["alone"]
        ]
        text += [
            "The same resets and steps by Gymnasium alone, over a stretch of PPO (2x64, observations normalised), in "
            f"CPU seconds on one core: medians of {data['pairs']} pairs, and the quickest of each side.",
            "",
            table(heads, rows),
            "",
        ]
    if data["workers"]:
        heads = ["task", "workers", "none over these", "of the quickest", "µs of a step of all, without", "with"]
        rows = [
            [one["task"], str(one["workers"]), one["ratio"], one["best"], one["without"], one["with"]]
            for one in data["workers"]
        ]
        text += [f"Seconds in one process over seconds with workers, {SPREAD_OVER} environments:", ""]
        text += [table(heads, rows), ""]
    return "\n".join(text)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--only", choices=("alone", "workers"))
    options = parser.parse_args(argv)
    data = {
        "pairs": options.pairs,
        "alone": alone(options) if options.only != "workers" else [],
        "workers": spread(options) if options.only != "alone" else [],
        "facts": measuring.facts(options),
    }
    measuring.write(options, NAME, data, section)


if __name__ == "__main__":
    main()
