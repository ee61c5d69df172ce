"""Policy, dynamics and reset under one scan: C steps of E environments in one call, on a symbolic environment.

What happened comes out as one array, the record [C, K, E]: time first, features before episodes, because that is how
the scan writes it and how learning reads it. Noise comes in as arrays; nothing here draws a random number.

Whole episodes, side by side: one that has ended is frozen, its rows have mask 0. Or stretches of fixed length: an
episode that ends is followed by another at once, and all rows are real.
"""

from typing import Any, NamedTuple

import numpy as np
import pytensor
import pytensor.tensor as pt

from pg_theano.graphs import actors, distributions, exploration, networks, normalizers
from pg_theano.graphs.layers import dense
from pg_theano.graphs.record import columns, environment_action, log_prob_of, observed, record_of
from pg_theano.spec import Spec


def is_population(spec: Spec):
    """Whether each column acts by parameters of its own, and draws nothing."""
    return spec.learning.algorithm == "population"


def rollout(spec: Spec, environment, state, knobs):
    """C further steps of E environments: (inputs, outputs), symbolic.

    inputs    env_state [S, E]; initial_noise, noise [C, U, E]
              whole episodes: alive [E], 1 where the episode goes on; elapsed, steps already played; begins, 1 where
              the episodes start here, from initial_noise [U0, E]
              stretches: elapsed [E], steps of the open episodes; begins [E], 1 where one starts here;
              initial_noise [C + 1, U0, E], the last row for what begins here
    outputs   env_state, record [C, K, E], and alive or elapsed

    A policy that remembers has `memory` [M, E] in both; of stretches `memories` [_, M, E] too, before the first step of
    each sequence that is learned from.

    A frozen episode's state no longer moves, so that it cannot leave the range in which the dynamics are finite.
    """
    environment = observed(spec, environment)
    layers = networks.views(state["params"], spec.acting.layout)
    remembers_values = spec.acting.memory_of("value") > 0
    named = {name: value for name, value in layers.items() if remembers_values or not name.startswith("value/")}
    normalizer = [state[name] for name in normalizers.OBSERVATIONS[:2] if spec.acting.normalize_observations]
    stage = Stage(spec, environment.masked() if spec.acting.mask_size else environment, list(named))
    scan = {
        "non_sequences": [knobs["exploration_rate"], *named.values(), *normalizer],
        "n_steps": spec.engine.chunk,
        "strict": True,
        "return_updates": False,
    }
    given = symbols(spec, environment)
    goes_on, noise = bool(spec.learning.num_steps), given["initial_noise"]
    first = environment.initial(
        tuple((noise[-1] if goes_on else noise)[i] for i in range(environment.num_initial_noise))
    )
    start = pt.switch(given["begins"] > 0, pt.stack(first, axis=0), given["env_state"])
    if goes_on:
        return given, stretches(stage, given, start, scan, named.get("policy/log_std"), knobs["exploration_rate"])
    return given, episodes(stage, given, start, scan)


def symbols(spec: Spec, environment):
    """The inputs of `rollout` beside State and knobs, by name."""
    dtype, chunk, size = spec.dtype, spec.engine.chunk, environment.num_initial_noise
    goes_on = bool(spec.learning.num_steps)
    each = (None,) if goes_on else ()
    shapes = {
        "env_state": (environment.state_size, None),
        "elapsed": each,
        "begins": each,
        "initial_noise": (chunk + 1, size, None) if goes_on else (size, None),
    }
    if not goes_on:
        shapes["alive"] = (None,)
    if spec.acting.memory_size:
        shapes["memory"] = (spec.acting.memory_size, None)
    if not is_population(spec):
        shapes["noise"] = (chunk, spec.acting.noise_kind[1], None)
    return {name: pt.tensor(name, shape=shape, dtype=dtype) for name, shape in shapes.items()}


# -- one step


class Stage(NamedTuple):
    """What every step knows: who acts, where, and the names of the policy's arrays."""

    spec: Spec
    environment: Any
    names: list[str]

    @property
    def tells_numbers(self):
        """Whether a step tells what the network gave, from which log π of all steps is computed at once later.

        For state-dependent noise the network's features would be needed too.
        """
        return bool(self.spec.learning.num_steps) and self.spec.acting.noise != "state_dependent"

    def unpacked(self, env_state):
        """The rows of an environment's state."""
        return tuple(env_state[i] for i in range(self.environment.state_size))

    def parted(self, arguments):
        """(what is remembered, or None; the rest) of what a step of the scan is given."""
        return (arguments[0], arguments[1:]) if self.spec.acting.memory_size else (None, arguments)

    def components(self, action):
        """The numbers of an action, a list of [E]."""
        space = self.spec.acting.action
        return [action] if space.kind == "discrete" else [action[i] for i in range(space.size)]


class Done(NamedTuple):
    """What one step saw and did. One of `log_prob` and `numbers` is None, or both where nobody takes log π."""

    observed: Any  # F of [E]
    action: Any
    after: Any  # what is remembered [M, E]; None of a policy that does not
    log_prob: Any = None  # [E]
    numbers: Any = None  # [K, E], what the network gives


def seen_and_drawn(stage, current, memory, uniform, rate, rest):
    """What one step sees and does. `rest` are the policy's arrays, then its normaliser."""
    spec, acting = stage.spec, stage.spec.acting
    observed = stage.environment.observation(current)
    obs = pt.stack(observed, axis=0)  # [F, E]
    layers, normalizer = dict(zip(stage.names, rest, strict=False)), rest[len(stage.names) :]
    if normalizer:
        obs = normalizers.observed(acting, dict(zip(normalizers.OBSERVATIONS, normalizer, strict=False)), obs)
    multiply = dense.columnwise if is_population(spec) else dense.in_scan
    numbers, features, after = actors.step(acting, layers, obs, memory, multiply=multiply)
    if is_population(spec):
        return Done(observed, distributions.mode_of(acting, numbers), after)
    discrete, how = acting.action.kind == "discrete", {"exploration_rate": rate, "masked": acting.mask_size > 0}
    drawn_from_logits = discrete and not acting.logistic
    if drawn_from_logits and (
        stage.tells_numbers or "log_prob" not in spec.learning.takes
    ):  # what is drawn needs no more
        action = exploration.draw(acting.exploration, numbers, uniform, **how)
        return Done(observed, action, after, numbers=numbers if stage.tells_numbers else None)
    inputs = distributions.inputs_of(acting, numbers, layers.get("policy/log_std"), features)
    if discrete:
        action = exploration.draw(acting.exploration, inputs[0], uniform, **how)
    else:
        action = distributions.of(acting).sample(inputs, uniform)
    if stage.tells_numbers:
        return Done(observed, action, after, numbers=numbers)
    return Done(observed, action, after, log_prob_of(acting, inputs, action, rate))


# -- whole episodes


def episodes(stage, given, start, scan):
    """C steps of episodes that freeze where they end: the outputs of `rollout`."""
    dtype, chunk = stage.spec.dtype, stage.spec.engine.chunk
    time = given["elapsed"] + np.arange(1, chunk + 1, dtype=dtype)  # [C] steps played after this one
    noise = [given["noise"]] if "noise" in given else []

    def step(*arguments):
        uniform, arguments = (arguments[0], arguments[1:]) if noise else (None, arguments)
        return frozen_step(stage, uniform, *arguments)

    memory = [pt.switch(given["begins"] > 0, 0, given["memory"])] if "memory" in given else []
    states, alives, *memories, record = pytensor.scan(
        step, sequences=[*noise, time], outputs_info=[start, given["alive"], *memory, None], **scan
    )
    after = {"memory": memories[0][-1]} if memories else {}
    return {"env_state": states[-1], "alive": alives[-1], "record": record} | after


def frozen_step(stage, uniform, played, packed, alive, *arguments):
    """One step of every episode: (env_state, alive, row of the record [K, E])."""
    spec, environment = stage.spec, stage.environment
    current = stage.unpacked(packed)
    memory, (rate, *rest) = stage.parted(arguments)
    done = seen_and_drawn(stage, current, memory, uniform, rate, rest)
    observed, action = done.observed, done.action
    taken = environment_action(spec.acting, action)
    following = environment.transition(current, taken)
    reward = environment.reward(current, taken, following)
    terminated, truncated = environment.terminated(following), pt.ge(played, spec.learning.max_steps)
    ended = terminated | truncated
    rows = {
        "obs": lambda: observed,
        "action": lambda: [part.astype(spec.dtype) for part in stage.components(action)],
        "reward": lambda: [reward * alive],
        "mask": lambda: [alive],
        "log_prob": lambda: [done.log_prob],
        "next_obs": lambda: environment.observation(following),
        "terminated": lambda: [terminated.astype(spec.dtype)],
        "truncated": lambda: [pt.and_(truncated, ~terminated).astype(spec.dtype)],
        "env_state": lambda: current,
        "noise": lambda: [uniform[i] for i in range(uniform.type.shape[0])],
    }
    record = pt.stack([row for name in columns(spec) for row in rows[name]()], axis=0)
    moved = pt.switch(alive[None, :] > 0, pt.stack(following, axis=0), packed)
    carried = [] if done.after is None else [done.after]
    return moved, pt.switch(ended, np.zeros((), spec.dtype), alive), *carried, record


# -- stretches


def stretches(stage, given, start, scan, log_std, rate):
    """C steps of episodes of which the next begins where one ends: the outputs of `rollout`."""
    elapsed = pt.switch(given["begins"] > 0, np.zeros((), stage.spec.dtype), given["elapsed"])
    memory = [pt.switch(given["begins"] > 0, 0, given["memory"])] if "memory" in given else []
    states, counts, *memories, rows = pytensor.scan(
        lambda *arguments: restarting_step(stage, *arguments),
        sequences=[given["noise"], given["initial_noise"][:-1]],
        outputs_info=[start, elapsed, *memory, None],
        **scan,
    )
    after = {}
    if memories:
        after, length = {"memory": memories[0][-1]}, stage.spec.learning.sequence_length
        later = [memories[0][length - 1 : -1 : length]] if stage.spec.num_sequences > 1 else []
        after["memories"] = pt.concatenate([memory[0][None], *later], axis=0)
    record = record_of(stage, rows, given["noise"], log_std, rate)
    return {"env_state": states[-1], "elapsed": counts[-1], "record": record} | after


def restarting_step(stage, uniform, fresh_noise, packed, elapsed, *arguments):
    """What must be known to take the next step; all else is computed of all steps at once, in `record_of`."""
    spec, environment = stage.spec, stage.environment
    current = stage.unpacked(packed)
    memory, (rate, *rest) = stage.parted(arguments)
    done = seen_and_drawn(stage, current, memory, uniform, rate, rest)
    action, numbers = done.action, done.numbers
    following = environment.transition(current, environment_action(spec.acting, action))
    terminated = environment.terminated(following)
    ended = terminated | pt.ge(elapsed + 1, spec.learning.max_steps)
    fresh = environment.initial(tuple(fresh_noise[i] for i in range(environment.num_initial_noise)))
    moved = pt.switch(ended[None, :], pt.stack(fresh, axis=0), pt.stack(following, axis=0))
    told = [done.log_prob] if numbers is None else [numbers[i] for i in range(spec.acting.num_outputs)]
    parts = (*current, *following, *stage.components(action), terminated, ended, *told)
    row = pt.stack([part.astype(spec.dtype) for part in parts], axis=0)
    carried = [] if done.after is None else [pt.switch(ended[None, :], np.zeros((), spec.dtype), done.after)]
    return moved, pt.switch(ended, np.zeros((), spec.dtype), elapsed + 1), *carried, row
