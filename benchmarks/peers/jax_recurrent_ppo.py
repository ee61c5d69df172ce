"""PPO with a GRU in pure JAX, in the manner of PureJaxRL's ppo_rnn.py, on CartPole without velocities; for memory.py.

One update, collecting and all epochs, is one function under `jit`, and a chunk of updates a scan over it. Minibatches
are whole rows (environments), whose first memory is that at the first step; it is 0 where an episode begins.
Policy and values have networks of their own, a dense layer (tanh) and a GRU (gates as PyTorch has them), as the config
that memory.py runs beside it. Prints a line of JSON: steps per second after compilation, by the clock.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax_ppo import inline_cartpole, taken

DISCOUNT, GAE_LAMBDA, CLIP, VALUE_WEIGHT = 0.98, 0.9, 0.2, 0.5
SEEN = np.array([0, 2])  # cart position, pole angle


class Run(NamedTuple):
    """All that an update takes and gives back."""

    params: Any
    optimizer: Any
    env_state: Any
    obs: jax.Array  # [E, 2]
    begins: jax.Array  # [E] 1 where the next step is an episode's first
    memory: jax.Array  # [2, E, H] of the policy and of the value network
    key: jax.Array
    returned: jax.Array  # steps of the episodes that ended, and how many ended


class Steps(NamedTuple):
    """What was seen, [T, E, ...]."""

    obs: jax.Array
    begins: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    ended: jax.Array


# -- the networks


def initial_params(key, hidden: int):
    """(policy, value): dense, GRU, head."""
    orthogonal = jax.nn.initializers.orthogonal

    def network(key, outputs, last_gain):
        one, two, three, four = jax.random.split(key, 4)
        return {
            "dense": (orthogonal(2**0.5)(one, (2, hidden)), jnp.zeros(hidden)),
            "w": orthogonal(1.0)(two, (hidden, 3 * hidden)),
            "u": orthogonal(1.0)(three, (hidden, 3 * hidden)),
            "b": jnp.zeros(3 * hidden),
            "head": (orthogonal(last_gain)(four, (hidden, outputs)), jnp.zeros(outputs)),
        }

    actor, critic = jax.random.split(key)
    return network(actor, 2, 0.01), network(critic, 1, 1.0)


def driven_of(network, obs):
    """What comes into the GRU, of any number of observations at once."""
    weight, bias = network["dense"]
    return jnp.tanh(obs @ weight + bias) @ network["w"] + network["b"]


def gru(u, driven, begins, memory):
    memory = jnp.where(begins[:, None] > 0, 0.0, memory)
    a_r, a_z, a_n = jnp.split(driven, 3, axis=-1)
    k_r, k_z, k_n = jnp.split(memory @ u, 3, axis=-1)
    reset, kept = jax.nn.sigmoid(a_r + k_r), jax.nn.sigmoid(a_z + k_z)
    new = jnp.tanh(a_n + reset * k_n)
    return new + kept * (memory - new)


def through(network, obs, begins, memory):
    """The head's numbers of sequences [T, E, K]: dense layers of all steps at once, a scan for the memory alone."""

    def step(memory, now):
        memory = gru(network["u"], *now, memory)
        return memory, memory

    _, remembered = jax.lax.scan(step, memory, (driven_of(network, obs), begins))
    weight, bias = network["head"]
    return remembered @ weight + bias


def alone(network, obs, begins, memory):
    """(the head's numbers, the memory) of one step."""
    memory = gru(network["u"], driven_of(network, obs), begins, memory)
    weight, bias = network["head"]
    return memory @ weight + bias, memory


# -- learning


def loss_of(params, steps: Steps, memory, advantage, target):
    policy, critic = params
    log_probs = jax.nn.log_softmax(through(policy, steps.obs, steps.begins, memory[0]))
    value = through(critic, steps.obs, steps.begins, memory[1])[..., 0]
    ratio = jnp.exp(taken(log_probs, steps.action) - steps.log_prob)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    return -surrogate + VALUE_WEIGHT * ((value - target) ** 2).mean()


def advantages_of(steps: Steps, last_value):
    def back(carry, step):
        running, following = carry
        goes_on = 1.0 - step.ended
        delta = step.reward + DISCOUNT * goes_on * following - step.value
        running = delta + DISCOUNT * GAE_LAMBDA * goes_on * running
        return (running, step.value), running

    return jax.lax.scan(back, (jnp.zeros_like(last_value), last_value), steps, reverse=True, unroll=16)[1]


def make(options: argparse.Namespace, updates: int):
    """`start(key) -> Run` and `chunk(Run) -> Run`, to be compiled."""
    reset, step = inline_cartpole()
    rows, gradient_steps = options.num_envs, options.minibatches * options.epochs
    rate = optax.linear_schedule(options.learning_rate, 0.0, updates * gradient_steps)
    optimizer = optax.adam(rate)

    def start(key):
        key, for_params, for_reset = jax.random.split(key, 3)
        params = initial_params(for_params, options.hidden)
        obs, env_state = jax.vmap(reset)(jax.random.split(for_reset, rows))
        memory = jnp.zeros((2, rows, options.hidden))
        return Run(params, optimizer.init(params), env_state, obs[:, SEEN], jnp.ones(rows), memory, key, jnp.zeros(2))

    def act_and_step(carry, _):
        (policy, critic), env_state, obs, begins, memory, key = carry
        key, for_action, for_step = jax.random.split(key, 3)
        logits, of_policy = alone(policy, obs, begins, memory[0])
        value, of_critic = alone(critic, obs, begins, memory[1])
        log_probs = jax.nn.log_softmax(logits)
        action = jax.random.categorical(for_action, log_probs)
        next_obs, env_state, reward, ended = jax.vmap(step)(jax.random.split(for_step, rows), env_state, action)
        ended = ended.astype(jnp.float32)
        seen = Steps(obs, begins, action, taken(log_probs, action), value[:, 0], reward, ended)
        memory = jnp.stack([of_policy, of_critic])
        return ((policy, critic), env_state, next_obs[:, SEEN], ended, memory, key), seen

    def minibatch(carry, part):
        params, state = carry
        changes, state = optimizer.update(jax.grad(loss_of)(params, *part), state)
        return (optax.apply_updates(params, changes), state), None

    def update(run: Run, _):
        carry = (run.params, run.env_state, run.obs, run.begins, run.memory, run.key)
        (params, env_state, obs, begins, memory, key), steps = jax.lax.scan(
            act_and_step, carry, None, options.num_steps
        )
        advantage = advantages_of(steps, alone(params[1], obs, begins, memory[1])[0][:, 0])
        whole = (steps, run.memory, advantage, advantage + steps.value)  # rows are axis 1 of each

        def epoch(carry, key):
            order = jax.random.permutation(key, rows).reshape(options.minibatches, -1)
            parts = jax.tree.map(lambda x: jnp.moveaxis(x[:, order], 1, 0), whole)
            return jax.lax.scan(minibatch, carry, parts)

        key, for_epochs = jax.random.split(key)
        keys = jax.random.split(for_epochs, options.epochs)
        (params, state), _ = jax.lax.scan(epoch, (params, run.optimizer), keys)
        returned = jnp.array([steps.ended.size, steps.ended.sum()])
        return Run(params, state, env_state, obs, begins, memory, key, returned), None

    return start, lambda run: jax.lax.scan(update, run, None, options.chunk)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (
        ("seed", 0), ("total-steps", 1_000_000), ("num-envs", 16), ("num-steps", 64), ("minibatches", 8),
        ("epochs", 10), ("hidden", 32), ("chunk", 20),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    options = parser.parse_args()
    batch = options.num_envs * options.num_steps
    updates = max(options.total_steps // (batch * options.chunk), 1) * options.chunk
    start, chunk = make(options, updates)
    began = time.perf_counter()
    run = jax.block_until_ready(jax.jit(start)(jax.random.key(options.seed)))
    compiled = jax.jit(chunk).lower(run).compile()
    compiling, seconds = time.perf_counter() - began, 0.0
    for _ in range(updates // options.chunk):
        began = time.perf_counter()
        run = jax.block_until_ready(compiled(run))
        seconds += time.perf_counter() - began
    steps, ended = map(float, run.returned)
    found = {
        "steps_per_second": updates * batch / seconds,
        "env_steps": updates * batch,
        "compile_seconds": compiling,
        "episode_length": steps / max(ended, 1.0),  # of the last rollout: it learns
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
