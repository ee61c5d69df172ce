"""Policy, dynamics and reset under one scan: C steps of E environments in one call, on a symbolic environment.

What happened comes out as one array, the record [C, K, E]: time first, features before episodes, because that is how
the scan writes it and how learning reads it. Noise comes in as arrays; nothing here draws a random number.

Whole episodes, side by side: one that has ended is frozen, its rows have mask 0. Or stretches of fixed length: an
episode that ends is followed by another at once, and all rows are real.
"""

from __future__ import annotations

import numpy as np
import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import actors, distributions, exploration, networks, normalizers
from pg_theano.parameters import noise_of


def columns(spec):
    """The rows of a record, by field of `Rollout`: name -> (first row, number of rows)."""
    sizes = {"obs": spec["obs_size"], "next_obs": spec["obs_size"], "action": spec["action"]["size"]}
    order = ["obs", "action", "reward", "mask", "log_prob", "next_obs", "terminated", "truncated"]
    start, rows = 0, {}
    for name in order:
        if name in spec["takes"] and not (name == "mask" and spec["num_steps"]):
            rows[name] = (start, sizes.get(name, 1))
            start += sizes.get(name, 1)
    return rows


def environment_action(spec, action):
    """What the environment is given: the choice itself, or a box's numbers clipped, or squashed, into its bounds.

        squashed   low + (high − low)·(tanh u + 1)/2

    Shapes: [E] int32 of a discrete space, else [C, E] to a tuple of C tensors [E].
    """
    space = spec["action"]
    if space["kind"] == "discrete":
        return action
    parts = [action[i] for i in range(space["size"])]
    if space["kind"] != "box":
        return tuple(parts)
    bounds = zip(space["low"], space["high"], strict=True)
    if spec["squash"]:
        return tuple(low + (high - low) * 0.5 * (pt.tanh(u) + 1) for u, (low, high) in zip(parts, bounds, strict=True))
    return tuple(pt.clip(a, low, high) for a, (low, high) in zip(parts, bounds, strict=True))


def rollout(spec, environment, state, knobs):
    """C further steps of E environments: (inputs, outputs), symbolic.

    inputs    env_state [S, E]; initial_noise, noise [C, U, E]
              whole episodes: alive [E], 1 where the episode goes on; elapsed, steps already played; begins, 1 where
              the episodes start here, from initial_noise [U0, E]
              stretches: elapsed [E], steps of the open episodes; begins [E], 1 where one starts here;
              initial_noise [C + 1, U0, E], the last row for what begins here
    outputs   env_state, record [C, K, E], and alive or elapsed

    A frozen episode's state no longer moves, so that it cannot leave the range in which the dynamics are finite.
    """
    dtype, chunk, size = spec["dtype"], spec["chunk"], environment.num_initial_noise
    goes_on = bool(spec["num_steps"])
    env_state = pt.tensor("env_state", shape=(environment.state_size, None), dtype=dtype)
    alive = pt.tensor("alive", shape=(None,), dtype=dtype)
    elapsed = pt.tensor("elapsed", shape=(None,) if goes_on else (), dtype=dtype)
    begins = pt.tensor("begins", shape=(None,) if goes_on else (), dtype=dtype)
    initial_noise = pt.tensor("initial_noise", shape=(chunk + 1, size, None) if goes_on else (size, None), dtype=dtype)
    noise = pt.tensor("noise", shape=(chunk, noise_of(spec)[1], None), dtype=dtype)

    first = environment.initial(tuple((initial_noise[-1] if goes_on else initial_noise)[i] for i in range(size)))
    start = pt.switch(begins > 0, pt.stack(first, axis=0), env_state)
    layers = networks.views(state["params"], spec["layout"])
    named = {name: value for name, value in layers.items() if not name.startswith("value/")}
    normalizer = [state["normalizer/mean"], state["normalizer/variance"]] if spec["normalize_observations"] else []
    limit = spec["max_steps"]

    discrete, components = spec["action"]["kind"] == "discrete", spec["action"]["size"]
    fields = spec["takes"]
    population = spec["algorithm"] == "population"  # each column acts by parameters of its own, and draws nothing
    multiply = networks.columnwise if population else networks.in_scan
    # What the network gives is enough to know log π later, of all steps at once; of gSDE its features would be needed.
    tells_numbers = goes_on and spec["noise"] != "state_dependent"
    num_told = spec["num_outputs"] if tells_numbers else 1

    def log_prob_of(inputs, action, rate):
        if discrete:
            return exploration.log_prob(spec["exploration"], inputs[0], action, exploration_rate=rate)
        return distributions.of(spec).log_prob(inputs, action)

    def observed_and_drawn(packed, uniform, rate, rest):
        """What one step sees and does: (env_state, obs F of [E], action, log π, what the network gives).

        One of the last two is None, or both where nobody takes log π.
        """
        current = tuple(packed[i] for i in range(environment.state_size))
        observed = environment.observation(current)
        obs = pt.stack(observed, axis=0)  # [F, E]
        if normalizer:
            obs = normalizers.normalize(obs, *rest[len(named) :])
        own = dict(zip(named, rest[: len(named)], strict=True))
        numbers, features = actors.outputs(spec, own, obs, multiply=multiply)
        if population:
            return current, observed, distributions.mode_of(spec, numbers), None, None
        drawn_from_logits = discrete and not spec["logistic"]
        if drawn_from_logits and (tells_numbers or "log_prob" not in fields):  # what is drawn needs no more
            action = exploration.draw(spec["exploration"], numbers, uniform, exploration_rate=rate)
            return current, observed, action, None, numbers if tells_numbers else None
        inputs = distributions.inputs_of(spec, numbers, own.get("policy/log_std"), features)
        if discrete:
            action = exploration.draw(spec["exploration"], inputs[0], uniform, exploration_rate=rate)
        else:
            action = distributions.of(spec).sample(inputs, uniform)
        if tells_numbers:
            return current, observed, action, None, numbers
        return current, observed, action, log_prob_of(inputs, action, rate), None

    def stacked(observed, action, log_prob, reward, alive, following, terminated, truncated):
        """The rows of the record, [K, E]."""
        actions = [action] if discrete else [action[i] for i in range(components)]
        rows = {
            "obs": lambda: observed,
            "action": lambda: [part.astype(dtype) for part in actions],
            "reward": lambda: [reward],
            "mask": lambda: [alive],
            "log_prob": lambda: [log_prob],
            "next_obs": lambda: environment.observation(following),
            "terminated": lambda: [terminated.astype(dtype)],
            "truncated": lambda: [truncated.astype(dtype)],
        }
        return pt.stack([row for name in columns(spec) for row in rows[name]()], axis=0)

    def frozen_step(uniform, played, packed, alive, rate, *rest):
        current, observed, action, log_prob, _ = observed_and_drawn(packed, uniform, rate, rest)
        given = environment_action(spec, action)
        following = environment.transition(current, given)
        reward = environment.reward(current, given, following)
        terminated, truncated = environment.terminated(following), pt.ge(played, limit)
        ended = terminated | truncated
        record = stacked(
            observed, action, log_prob, reward * alive, alive, following, terminated, pt.and_(truncated, ~terminated)
        )
        moved = pt.switch(alive[None, :] > 0, pt.stack(following, axis=0), packed)
        return moved, pt.switch(ended, np.zeros((), dtype), alive), record

    def restarting_step(uniform, fresh_noise, packed, elapsed, rate, *rest):
        """What must be known to take the next step; all else is computed of all steps at once, in `unpacked`."""
        current, _, action, log_prob, numbers = observed_and_drawn(packed, uniform, rate, rest)
        following = environment.transition(current, environment_action(spec, action))
        terminated = environment.terminated(following)
        ended = terminated | pt.ge(elapsed + 1, limit)
        fresh = environment.initial(tuple(fresh_noise[i] for i in range(size)))
        moved = pt.switch(ended[None, :], pt.stack(fresh, axis=0), pt.stack(following, axis=0))
        actions = [action] if discrete else [action[i] for i in range(components)]
        flags = [terminated, ended]
        told = [log_prob] if numbers is None else [numbers[i] for i in range(spec["num_outputs"])]
        row = pt.stack([part.astype(dtype) for part in (*current, *following, *actions, *flags, *told)], axis=0)
        return moved, pt.switch(ended, np.zeros((), dtype), elapsed + 1), row

    def unpacked(rows):
        """The record [C, K, E] of what the steps told, [C, _, E]: all functions of C·E numbers at once."""
        states = environment.state_size
        parts = [rows[:, i].reshape((-1,)) for i in range(2 * states + components + 2 + num_told)]
        current, following = tuple(parts[:states]), tuple(parts[states : 2 * states])
        drawn, (terminated, ended, *told) = (
            parts[2 * states : 2 * states + components],
            parts[2 * states + components :],
        )
        action = drawn[0].astype("int32") if discrete else pt.stack(drawn, axis=0)
        if tells_numbers:
            inputs = distributions.inputs_of(spec, pt.stack(told, axis=0), layers.get("policy/log_std"), None)
            log_prob = log_prob_of(inputs, action, knobs["exploration_rate"])
        else:
            (log_prob,) = told
        reward = environment.reward(current, environment_action(spec, action), following)
        by_name = {
            "obs": environment.observation(current),
            "action": drawn,
            "reward": [reward],
            "log_prob": [log_prob],
            "next_obs": environment.observation(following),
            "terminated": [terminated],
            "truncated": [ended - terminated],
        }
        shape = (chunk, -1)
        return pt.stack([row.reshape(shape) for name in columns(spec) for row in by_name[name]], axis=1)

    common = {
        "non_sequences": [knobs["exploration_rate"], *named.values(), *normalizer],
        "n_steps": chunk,
        "strict": True,
        "return_updates": False,
    }
    given = {"env_state": env_state, "elapsed": elapsed, "begins": begins, "initial_noise": initial_noise}
    if goes_on:
        counted = pt.switch(begins > 0, np.zeros((), dtype), elapsed)
        states, counts, rows = pytensor.scan(
            restarting_step,
            sequences=[noise, initial_noise[:-1]],
            outputs_info=[start, counted, None],
            **common,
        )
        outputs = {"env_state": states[-1], "elapsed": counts[-1], "record": unpacked(rows)}
        return given | {"noise": noise}, outputs
    time = elapsed + np.arange(1, chunk + 1, dtype=dtype)  # [C] steps played after this one
    step = (lambda *arguments: frozen_step(None, *arguments)) if population else frozen_step
    sequences = {"noise": noise} if not population else {}
    states, alives, record = pytensor.scan(
        step, sequences=[*sequences.values(), time], outputs_info=[start, alive, None], **common
    )
    outputs = {"env_state": states[-1], "alive": alives[-1], "record": record}
    return given | {"alive": alive} | sequences, outputs
