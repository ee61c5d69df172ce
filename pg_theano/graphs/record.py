"""The record of a compiled environment: what happened, as one array [C, K, E], and what each of its rows is.

A policy that is differentiated through the dynamics also takes `env_state`, the state before each step, and `noise`,
which its actions were made of: from both the same steps can be played again (`pathwise.py`).
"""

import pytensor.tensor as pt

from pg_theano.graphs import distributions, environments, exploration
from pg_theano.spec import Acting, Spec


def columns(spec: Spec):
    """The rows of a record, by field of `Rollout`: name -> (first row, number of rows)."""
    acting = spec.acting
    sizes = {"obs": acting.obs_size, "next_obs": acting.obs_size, "action": acting.action.size}
    wanted = spec.learning.takes
    if "env_state" in wanted:
        sizes["env_state"] = environments.load(spec.engine.dynamics, spec.dtype).state_size
        sizes["noise"] = acting.noise_kind[1]
    order = ["obs", "action", "reward", "mask", "log_prob", "next_obs", "terminated", "truncated"]
    order += ["env_state", "noise"]
    start, rows = 0, {}
    for name in order:
        if name in wanted and not (name == "mask" and spec.learning.num_steps):
            rows[name] = (start, sizes.get(name, 1))
            start += sizes.get(name, 1)
    return rows


def observed(spec: Spec, environment):
    """The environment with those features that the spec's policy is shown."""
    seen, told = spec.engine.observe, environment.observation
    if not seen:
        return environment
    return environment._replace(observation=lambda env_state: tuple(told(env_state)[i] for i in seen))


def environment_action(acting: Acting, action):
    """What the environment is given: the choice itself, or a box's numbers clipped, or squashed, into its bounds.

        squashed   low + (high − low)·(tanh u + 1)/2

    Shapes: [E] int32 of a discrete space, else [C, E] to a tuple of C tensors [E].
    """
    space = acting.action
    if space.kind == "discrete":
        return action
    parts = [action[i] for i in range(space.size)]
    if space.kind != "box":
        return tuple(parts)
    bounds = zip(space.low, space.high, strict=True)
    if acting.squash:
        return tuple(low + (high - low) * 0.5 * (pt.tanh(u) + 1) for u, (low, high) in zip(parts, bounds, strict=True))
    return tuple(pt.clip(a, low, high) for a, (low, high) in zip(parts, bounds, strict=True))


def log_prob_of(acting: Acting, inputs, action, rate):
    """log π of the action taken, under the strategy that took it. [E]"""
    if acting.action.kind == "discrete":
        return exploration.log_prob(
            acting.exploration, inputs[0], action, exploration_rate=rate, masked=acting.mask_size > 0
        )
    return distributions.of(acting).log_prob(inputs, action)


def record_of(stage, rows, noise, log_std, rate):
    """The record [C, K, E] of what the steps told, [C, _, E]: all functions of C·E numbers at once."""
    spec, acting, environment = stage.spec, stage.spec.acting, stage.environment
    states, components = environment.state_size, acting.action.size
    told_each = acting.num_outputs if stage.tells_numbers else 1
    parts = [rows[:, i].reshape((-1,)) for i in range(2 * states + components + 2 + told_each)]
    current, following = tuple(parts[:states]), tuple(parts[states : 2 * states])
    drawn = parts[2 * states : 2 * states + components]
    terminated, ended, *told = parts[2 * states + components :]
    action = drawn[0].astype("int32") if acting.action.kind == "discrete" else pt.stack(drawn, axis=0)
    if stage.tells_numbers:
        inputs = distributions.inputs_of(acting, pt.stack(told, axis=0), log_std, None)
        log_prob = log_prob_of(acting, inputs, action, rate)
    else:
        (log_prob,) = told
    by_name = {
        "obs": environment.observation(current),
        "action": drawn,
        "reward": [environment.reward(current, environment_action(acting, action), following)],
        "log_prob": [log_prob],
        "next_obs": environment.observation(following),
        "terminated": [terminated],
        "truncated": [ended - terminated],
        "env_state": current,
        "noise": [noise[:, i] for i in range(noise.type.shape[1])],
    }
    shape = (spec.engine.chunk, -1)
    return pt.stack([row.reshape(shape) for name in columns(spec) for row in by_name[name]], axis=1)
