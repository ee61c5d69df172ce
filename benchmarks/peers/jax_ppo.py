"""PPO in pure JAX with PureJaxRL's CartPole hyper-parameters (purejaxrl/ppo.py); written for this benchmark.

Environment, collecting and updating are one function under `jit`, a scan over updates. The judge is asked after every
chunk of 20 updates, 10,240 steps. `--environment gymnax` is what PureJaxRL uses; importing gymnax costs about as much
as all other imports together, so `--environment inline` has its CartPole written out here (source: gymnax,
environments/classic_control/cartpole.py, which follows Gymnasium's) and stands for the quickest that such a program
can be. JAX's persistent cache is used when JAX_COMPILATION_CACHE_DIR is set. `--agents N` trains N seeds at once, under
`jax.vmap`, and evaluates none.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from judge import Judge, arguments, finish, greedy_mlp

NUM_ENVS, NUM_STEPS = 4, 128
MINIBATCHES, EPOCHS = 4, 4
LEARNING_RATE, DISCOUNT, GAE_LAMBDA = 2.5e-4, 0.99, 0.95
CLIP, ENTROPY_WEIGHT, VALUE_WEIGHT, MAX_GRADIENT_NORM = 0.2, 0.01, 0.5, 0.5
UPDATES_BETWEEN = 20
BATCH = NUM_ENVS * NUM_STEPS


class Run(NamedTuple):
    """All that a chunk takes and gives back."""

    params: dict
    optimizer: tuple
    env_state: tuple
    obs: jax.Array  # [E, 4]
    key: jax.Array


class Steps(NamedTuple):
    """What was seen, [T, E, ...]."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    ended: jax.Array


# -- the environment: reset(key) -> (obs, state); step(key, state, action) -> (obs, state, reward, ended), reset at ends


def gymnax_cartpole():
    import gymnax

    env, params = gymnax.make("CartPole-v1")
    return lambda key: env.reset(key, params), lambda key, state, action: env.step(key, state, action, params)[:4]


def inline_cartpole():
    gravity, cart, pole, half_length, force, tau = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
    total, moment = cart + pole, pole * half_length
    angle_limit, place_limit, time_limit = 12 * 2 * math.pi / 360, 2.4, 500

    def reset(key):
        start = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
        return start, (start, jnp.int32(0))

    def step(key, state, action):
        (x, x_dot, theta, theta_dot), count = state
        push = jnp.where(action == 1, force, -force)
        cos, sin = jnp.cos(theta), jnp.sin(theta)
        shared = (push + moment * theta_dot**2 * sin) / total
        theta_acc = (gravity * sin - cos * shared) / (half_length * (4.0 / 3.0 - pole * cos**2 / total))
        x_acc = shared - moment * theta_acc * cos / total
        moved = jnp.stack([x + tau * x_dot, x_dot + tau * x_acc, theta + tau * theta_dot, theta_dot + tau * theta_acc])
        outside = (jnp.abs(moved[0]) > place_limit) | (jnp.abs(moved[2]) > angle_limit)
        ended = outside | (count + 1 >= time_limit)
        fresh, (_, zero) = reset(key)
        obs = jnp.where(ended, fresh, moved)
        return obs, (obs, jnp.where(ended, zero, count + 1)), jnp.float32(1.0), ended

    return reset, step


# -- the network


def initial_params(key):
    def layers(key, outputs, last_gain):
        sizes, gains = [4, 64, 64, outputs], [2**0.5, 2**0.5, last_gain]
        return [
            (jax.nn.initializers.orthogonal(gain)(k, (sizes[i], sizes[i + 1])), jnp.zeros(sizes[i + 1]))
            for i, (k, gain) in enumerate(zip(jax.random.split(key, 3), gains, strict=True))
        ]

    actor, critic = jax.random.split(key)
    return {"actor": layers(actor, 2, 0.01), "critic": layers(critic, 1, 1.0)}


def forward(layers, x):
    for weight, bias in layers[:-1]:
        x = jnp.tanh(x @ weight + bias)
    return x @ layers[-1][0] + layers[-1][1]


def evaluate_both(params, obs):
    return jax.nn.log_softmax(forward(params["actor"], obs)), forward(params["critic"], obs)[..., 0]


def taken(log_probs, action):
    return jnp.take_along_axis(log_probs, action[..., None], axis=-1)[..., 0]


# -- learning


def loss_of(params, steps: Steps, advantage, target):
    log_probs, value = evaluate_both(params, steps.obs)
    ratio = jnp.exp(taken(log_probs, steps.action) - steps.log_prob)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    surrogate = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage).mean()
    near = steps.value + jnp.clip(value - steps.value, -CLIP, CLIP)
    value_loss = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
    entropy = -(jnp.exp(log_probs) * log_probs).sum(-1).mean()
    return -surrogate + VALUE_WEIGHT * value_loss - ENTROPY_WEIGHT * entropy


def advantages_of(steps: Steps, last_value):
    def back(carry, step):
        running, following = carry
        goes_on = 1.0 - step.ended
        delta = step.reward + DISCOUNT * goes_on * following - step.value
        running = delta + DISCOUNT * GAE_LAMBDA * goes_on * running
        return (running, step.value), running

    return jax.lax.scan(back, (jnp.zeros_like(last_value), last_value), steps, reverse=True, unroll=16)[1]


def make(reset, step, updates: int):
    """`start(key) -> Run` and `chunk(Run) -> Run`, to be compiled."""
    schedule = lambda count: LEARNING_RATE * (1.0 - count // (MINIBATCHES * EPOCHS) / updates)  # noqa: E731
    optimizer = optax.chain(optax.clip_by_global_norm(MAX_GRADIENT_NORM), optax.adam(schedule, eps=1e-5))

    def start(key):
        key, for_params, for_reset = jax.random.split(key, 3)
        params = initial_params(for_params)
        obs, env_state = jax.vmap(reset)(jax.random.split(for_reset, NUM_ENVS))
        return Run(params, optimizer.init(params), env_state, obs, key)

    def act_and_step(carry, _):
        params, env_state, obs, key = carry
        key, for_action, for_step = jax.random.split(key, 3)
        log_probs, value = evaluate_both(params, obs)
        action = jax.random.categorical(for_action, log_probs)
        next_obs, env_state, reward, ended = jax.vmap(step)(jax.random.split(for_step, NUM_ENVS), env_state, action)
        seen = Steps(obs, action, taken(log_probs, action), value, reward, ended.astype(jnp.float32))
        return (params, env_state, next_obs, key), seen

    def minibatch(carry, rows):
        params, state = carry
        changes, state = optimizer.update(jax.grad(loss_of)(params, *rows), state)
        return (optax.apply_updates(params, changes), state), None

    def update(run: Run, _):
        carry = (run.params, run.env_state, run.obs, run.key)
        (params, env_state, obs, key), steps = jax.lax.scan(act_and_step, carry, None, NUM_STEPS)
        advantage = advantages_of(steps, evaluate_both(params, obs)[1])
        flat = jax.tree.map(lambda x: x.reshape(BATCH, *x.shape[2:]), (steps, advantage, advantage + steps.value))

        def epoch(carry, key):
            order = jax.random.permutation(key, BATCH)
            parts = jax.tree.map(lambda x: x[order].reshape(MINIBATCHES, -1, *x.shape[1:]), flat)
            return jax.lax.scan(minibatch, carry, parts)

        key, for_epochs = jax.random.split(key)
        (params, state), _ = jax.lax.scan(epoch, (params, run.optimizer), jax.random.split(for_epochs, EPOCHS))
        return Run(params, state, env_state, obs, key), None

    return start, lambda run: jax.lax.scan(update, run, None, UPDATES_BETWEEN)[0]


def main() -> None:
    parser = arguments(__doc__, 500_000)
    parser.add_argument("--environment", choices=("gymnax", "inline"), default="gymnax")
    parser.add_argument("--no-evaluation", action="store_true", help="train on to the end of the budget")
    parser.add_argument("--agents", type=int, default=1, metavar="N", help="seeds trained at once")
    options = parser.parse_args()
    if jax.config.jax_compilation_cache_dir:  # keep everything, however small and quick to compile
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    judge = Judge(options.seed)
    environment = gymnax_cartpole if options.environment == "gymnax" else inline_cartpole
    updates = options.total_steps // BATCH
    start, chunk = make(*environment(), updates)
    imported = time.perf_counter()
    key = jax.random.key(options.seed)
    if options.agents > 1:
        start, chunk, key = jax.vmap(start), jax.vmap(chunk), jax.random.split(key, options.agents)
    run = jax.jit(start)(key)
    chunk = jax.jit(chunk).lower(run).compile()
    jax.block_until_ready(run)
    compiling = time.perf_counter() - imported
    training, done, solved = 0.0, 0, False
    while done < updates and not solved:
        began = time.perf_counter()
        run = jax.block_until_ready(chunk(run))
        training += time.perf_counter() - began
        done += UPDATES_BETWEEN
        if not options.no_evaluation and options.agents == 1:
            solved = judge.passes(greedy_mlp(jax.tree.map(np.asarray, run.params["actor"])))
    finish(
        "jax_ppo" if options.environment == "gymnax" else "jax_ppo_inline", options.seed, judge, solved=solved,
        env_steps=done * BATCH * options.agents, training=training, compile_seconds=compiling,
        uses=("jax", "optax", "gymnasium", "numpy", *(["gymnax"] if options.environment == "gymnax" else [])),
    )  # fmt: skip


if __name__ == "__main__":
    main()
