"""XLA's options for `train`, in turn: CPU ms an update. `python benchmarks/xla_options.py [CONFIG [knob=value ...]]`.

An option is laid over those that are ours. Without a config: PPO on CartPole, 2 x 64, stepped by Gymnasium. For images:

    PYTHONPATH=.:benchmarks/peers python benchmarks/xla_options.py configs/ppo-pong.yaml \\
        environment.id=pixels_update:Frames environment.wrappers=[]

Updates of all options take turns, on the rollout of a run's first update; the median of each is printed.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any

import jax
import numpy as np

import pg_theano
from pg_theano.compiler import lowering
from pg_theano.training import programs

OPTIONS: list[dict[str, Any]] = [
    {},
    {"xla_cpu_prefer_vector_width": 256},
    {"xla_cpu_experimental_ynn_fusion_type": ""},
    {"xla_cpu_use_onednn": True},
    {"xla_cpu_enable_fast_math": True},
    {"xla_cpu_use_fusion_emitters": False},
    {"xla_cpu_enable_concurrency_optimized_scheduler": False},
    {"xla_cpu_multi_thread_eigen": False},
]
ROUNDS = 5
PPO = ["algorithm.name=ppo", "environment.engine=gymnasium", "environment.num_envs=8", "policy.hidden=[64,64]"]


def first_call(words: list[str]) -> tuple[Any, ...]:
    """(spec, what `train` is given at the first update) of a run."""
    found: list[Any] = []
    load = programs.load

    def loaded(config: Any, spec: Any, *others: Any, **named: Any) -> Any:
        program = load(config, spec, *others, **named)

        def train(*given: Any) -> Any:
            found.append((config, spec, given))
            return program.train(*given)

        return program._replace(train=train)

    programs.load = loaded
    config, *overrides = words if words else [None, *PPO]
    once = [*overrides, "budget.updates=1", "budget.env_steps=null", "evaluation.every_updates=1000"]
    with tempfile.TemporaryDirectory() as folder:
        pg_theano.run(config, overrides=once, plot=False, run_dir=f"{folder}/run")
    programs.load = load
    return found[0]


def main() -> None:
    config, spec, given = first_call(sys.argv[1:])
    ours, trains = lowering._OPTIONS, []
    for option in OPTIONS:
        lowering._OPTIONS = ours | option
        with tempfile.TemporaryDirectory() as folder:  # a cache of its own, whose key knows no options
            os.environ["PG_THEANO_CACHE"] = folder
            program = programs.load(config, spec, lambda what, seconds: None, ())
            try:
                program.train(*given)
                trains.append((option, program.train))
            except Exception as error:
                print(f"{option}: {str(error).splitlines()[0][:90]}")
    taken: dict[int, list[float]] = {}
    for _ in range(ROUNDS):
        for place, (_, train) in enumerate(trains):
            began = time.process_time()
            jax.block_until_ready(train(*given))
            taken.setdefault(place, []).append(time.process_time() - began)
    for place, (option, _) in enumerate(trains):
        print(f"{1e3 * float(np.median(taken[place])):8.2f} ms  {option or 'ours'}")


if __name__ == "__main__":
    main()
