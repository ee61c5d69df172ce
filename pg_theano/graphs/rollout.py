"""Policy, dynamics and reset under one scan: C steps of E episodes in one call, on a symbolic environment.

What happened comes out as one array, the record [C, K, E]: time first, features before episodes, because that is how
the scan writes it and how learning reads it. Noise comes in as arrays; nothing here draws a random number.
"""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import exploration, networks, normalizers, policies


def columns(spec):
    """The rows of a record, by field of `Rollout`: name -> (first row, number of rows)."""
    start, rows = 0, {}
    for name, size in (("obs", spec["obs_size"]), ("action", 1), ("reward", 1), ("mask", 1)):
        rows[name] = (start, size)
        start += size
    return rows


def rollout(spec, environment, state, exploration_rate):
    """C further steps of E episodes: (inputs, outputs), symbolic.

    inputs    env_state [S, E]; alive [E], 1 where the episode goes on; elapsed, steps already played; begins, 1 where
              the episodes start here, from initial_noise [U0, E]; noise [C, U, E]
    outputs   env_state, alive, record [C, K, E]

    An episode that has ended is frozen: its rows have mask 0 and its state no longer moves, so that it cannot leave
    the range in which the dynamics are finite.
    """
    dtype = spec["dtype"]
    env_state = pt.tensor("env_state", shape=(environment.state_size, None), dtype=dtype)
    alive = pt.tensor("alive", shape=(None,), dtype=dtype)
    elapsed = pt.tensor("elapsed", shape=(), dtype=dtype)
    begins = pt.tensor("begins", shape=(), dtype=dtype)
    initial_noise = pt.tensor("initial_noise", shape=(environment.num_initial_noise, None), dtype=dtype)
    chunk = spec["chunk"]
    uniforms = exploration.NUM_UNIFORMS[spec["exploration"]]
    noise = pt.tensor("noise", shape=(chunk, uniforms, None), dtype=dtype)

    first = environment.initial(tuple(initial_noise[i] for i in range(environment.num_initial_noise)))
    start = pt.switch(begins > 0, pt.stack(first, axis=0), env_state)
    time = elapsed + np.arange(1, chunk + 1, dtype=dtype)  # [C] steps played after this one
    layers = list(networks.views(state["params"], spec["layout"]).values())
    normalizer = [state["normalizer/mean"], state["normalizer/variance"]] if spec["normalize_observations"] else []

    def step(uniform, played, packed, alive, rate, *rest):
        current = tuple(packed[i] for i in range(environment.state_size))
        observed = environment.observation(current)  # F of [E]
        obs = pt.stack(observed, axis=0)  # [F, E]
        if normalizer:
            obs = normalizers.normalize(obs, *rest[len(layers) :])
        logits = networks.dense(rest[: len(layers)], obs, activation=spec["activation"], multiply=networks.in_scan)
        log_probs = policies.softmax_log_probs(logits)  # [A, E]
        action = exploration.draw(spec["exploration"], log_probs, uniform, exploration_rate=rate)
        following = environment.transition(current, action)
        reward = environment.reward(current, action, following)
        ended = environment.terminated(following) | pt.ge(played, spec["max_steps"])
        record = pt.stack([*observed, action.astype(dtype), reward * alive, alive], axis=0)  # [K, E]
        moved = pt.switch(alive[None, :] > 0, pt.stack(following, axis=0), packed)
        return moved, pt.switch(ended, np.zeros((), dtype), alive), record

    states, alives, record = pytensor.scan(
        step,
        sequences=[noise, time],
        outputs_info=[start, alive, None],
        non_sequences=[exploration_rate, *layers, *normalizer],
        n_steps=chunk,
        strict=True,
        return_updates=False,
    )
    inputs = {
        "env_state": env_state,
        "alive": alive,
        "elapsed": elapsed,
        "begins": begins,
        "initial_noise": initial_noise,
        "noise": noise,
    }
    return inputs, {"env_state": states[-1], "alive": alives[-1], "record": record}
