"""Definitions for the tests of the mathematics: plain NumPy loops over ragged episodes, written from the literature.

Nothing here knows of padding, masks or time-major arrays: an episode is a list as long as the episode was. `pad`
makes a Rollout of it, with garbage wherever nothing happened.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit, log_softmax

from pg_theano import parameters
from pg_theano.config.algorithms import ALGORITHMS, CEM
from pg_theano.layers import layout_of
from pg_theano.parameters import Network, dense_layers
from pg_theano.spec import Spec
from pg_theano.spec.reading import spec_of
from pg_theano.types import ActionSpace, Rollout

SIGNALS = ["reward", "episode_return", "reward_to_go"]
BASELINES = ["none", "running_mean", "mean_so_far", "per_timestep", "leave_one_out"]
EXPLORATIONS = ["softmax", "epsilon_softmax", "epsilon_greedy", "epsilon_greedy_softmax"]
ACTIVATIONS = ["sigmoid", "tanh", "relu"]
OPTIMIZERS = ["sgd", "momentum", "rmsprop", "adam"]

KNOBS = {
    "learning_rate": 0.1,
    "value_learning_rate": 0.1,
    "gae_lambda": 0.8,
    "clip_range": 0.2,
    "value_clip_range": 0.3,
    "value_coefficient": 0.5,
    "entropy_coefficient": 0.01,
    "target_kl": 0.01,
    "damping": 0.1,
    "exploration_rate": 0.3,
    "discount": 0.9,
    "momentum": 0.9,
    "rmsprop_decay": 0.9,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "max_gradient_norm": 0.1,
}


def make_spec(*, hidden=(3,), num_actions=3, value_hidden=None, **changes) -> Spec:
    """A spec of a small program, as `specs.spec_of` would make it; with a value network where `value_hidden` is given.

    `num_actions` is for a discrete space; any other is given as `action`. A shared trunk has `hidden`, and two heads.
    """
    spec = {
        "algorithm": "reinforce",
        "obs_size": 2,
        "action": ActionSpace("discrete", 1, [num_actions], [], [])._asdict(),
        "squash": False,
        "log_std": "state_independent",
        "noise": "white",
        "logistic": False,
        "shared": False,
        "activation": "sigmoid",
        "signal": "reward_to_go",
        "baseline": "none",
        "standardize_advantages": False,
        "average": "steps",
        "exploration": "softmax",
        "optimizer": "sgd",
        "clips_gradient": False,
        "normalize_observations": False,
        "dtype": "float64",
        "time_limit": 8,
        "max_steps": 8,
        "dynamics": None,
        "dynamics_source": None,
        "chunk": None,
        "step_by_step": False,
        "policy": "dense",
        "policy_kwargs": {},
        "policy_source": None,
        "objective": None,
        "objective_kwargs": {},
        "objective_source": None,
        "advantage": None,
        "bootstrap_steps": None,
        "num_steps": None,
        "num_epochs": None,
        "num_minibatches": None,
        "clips_value": False,
        "uses_target_kl": False,
        "uses_entropy": False,
        "num_cg_iterations": None,
        "num_line_search_steps": None,
        "normalize_rewards": False,
    } | changes
    action = ActionSpace(**spec["action"])
    outputs = parameters.num_outputs(action, spec["log_std"], spec["logistic"])
    trunk = [spec["obs_size"], *hidden]
    if spec["shared"]:
        layout = dense_layout(trunk, "shared") + dense_layout([trunk[-1], outputs])
    else:
        layout = dense_layout([*trunk, outputs])
    if action.kind == "box" and spec["log_std"] == "state_independent":
        shape = (trunk[-1], action.size) if spec["noise"] == "state_dependent" else (action.size,)
        layout.append(("policy/log_std", shape, "zeros"))
    if value_hidden is not None:
        before = [trunk[-1]] if spec["shared"] else [spec["obs_size"], *value_hidden]
        layout += dense_layout([*before, 1], "value")
    made = spec_of(spec | {"layout": [[n, list(s), how] for n, s, how in layout]})
    record = ALGORITHMS.get(spec["algorithm"], CEM)  # a search's graphs are those of a population
    return with_declared(made, tuple(record.takes), tuple(record.optimizers), tuple(KNOBS))


def with_declared(spec, takes, optimizers, knobs) -> Spec:
    return spec._replace(learning=dataclasses.replace(spec.learning, takes=takes, optimizers=optimizers, knobs=knobs))


def changed(spec, **changes) -> Spec:
    """The spec with other entries, named as in a run's file."""
    learning = spec.learning
    return with_declared(spec_of(spec.plain() | changes), learning.takes, learning.optimizers, learning.knobs)


def initial_state(spec, rng) -> dict[str, np.ndarray]:
    """A State with every entry that the spec needs, parameters drawn at random, biases too."""
    from pg_theano.graphs.algorithms import common

    made = {"zeros": np.zeros, "ones": np.ones, "layout": lambda shape, dtype: rng.normal(size=shape).astype(dtype)}
    return {name: made[how](shape, spec.dtype) for name, shape, how in common.state_entries(spec)}


# -- experience


class Episode(NamedTuple):
    obs: np.ndarray  # [L, F]
    action: np.ndarray  # [L]
    reward: np.ndarray  # [L]


def random_episodes(rng, lengths, *, obs_size=2, num_actions=3) -> list[Episode]:
    return [
        Episode(rng.normal(size=(n, obs_size)), rng.integers(0, num_actions, n), rng.normal(size=n)) for n in lengths
    ]


def pad(episodes, num_rows, num_steps, *, garbage=None, dtype="float64") -> Rollout:
    """A Rollout [E, T] that holds the episodes; all else is 0, or drawn wildly from the generator `garbage`."""
    features = episodes[0].obs.shape[1]
    shape = (num_rows, num_steps)
    if garbage is None:
        obs, action, reward = np.zeros((*shape, features)), np.zeros(shape, np.int32), np.zeros(shape)
    else:
        obs, reward = garbage.normal(0, 1e3, (*shape, features)), garbage.normal(0, 1e6, shape)
        action = garbage.integers(-3, 7, shape)
    mask = np.zeros(shape)
    for e, episode in enumerate(episodes):
        n = len(episode.reward)
        obs[e, :n], action[e, :n], reward[e, :n], mask[e, :n] = *episode, 1
    ends = np.zeros(shape, bool)
    return Rollout(
        obs=obs.astype(dtype),
        action=action.astype(np.int32),
        log_prob=np.zeros(shape, dtype),
        reward=reward.astype(dtype),
        next_obs=np.zeros_like(obs, dtype),
        terminated=ends,
        truncated=ends,
        mask=mask.astype(dtype),
    )


# -- signals and baselines by definition


def signal_by_definition(name, reward, discount) -> np.ndarray:
    """One episode's signal, O(L²). Williams 1992; Sutton and Barto 2018, eq. 3.8."""
    length = len(reward)
    out = np.zeros(length)
    for t in range(length):
        if name == "reward":
            out[t] = discount**t * reward[t]
        elif name == "episode_return":
            out[t] = sum(discount**k * reward[k] for k in range(length))
        elif name == "reward_to_go":
            out[t] = sum(discount ** (k - t) * reward[k] for k in range(t, length))
        else:
            raise KeyError(name)
    return out


def mean_of(numbers) -> float:
    return math.fsum(numbers) / len(numbers)


def baseline_by_definition(name, signals, earlier=()) -> list[np.ndarray]:
    """b_t of every episode. `signals` and `earlier` (all updates before) are lists of one array an episode."""
    out = []
    for e, own in enumerate(signals):
        others = [s for j, s in enumerate(signals) if j != e]
        row = np.zeros(len(own))
        for t in range(len(own)):
            if name == "running_mean":
                row[t] = mean_of(own[: t + 1])
            elif name == "mean_so_far":
                steps = [x for s in earlier for x in s]
                row[t] = mean_of(steps) if steps else 0.0
            elif name == "per_timestep":
                row[t] = mean_of([s[t] for s in signals if len(s) > t])
            elif name == "leave_one_out":
                there = [s[t] for s in others if len(s) > t]
                anywhere = [x for s in others for x in s]
                row[t] = mean_of(there) if there else mean_of(anywhere) if anywhere else 0.0
            elif name != "none":
                raise KeyError(name)
        out.append(row)
    return out


# -- segments: time-major blocks with ends of every kind at any place


CONTINUES, TERMINATED, TRUNCATED, BOTH, PADDED = range(5)


def segment(ends, rng) -> dict[str, np.ndarray]:
    """A block [T, E] of random numbers; `ends` [T, E] says what comes after each step. What is padded is garbage."""
    ends = np.asarray(ends)
    padded = ends == PADDED
    reward, value, next_value = np.where(padded, 1e6, 1.0) * rng.normal(size=(3, *ends.shape))
    terminated, truncated = np.where(padded, rng.random((2, *ends.shape)) < 0.5, False)
    return {
        "reward": reward,
        "value": value,
        "next_value": next_value,
        "terminated": (terminated | np.isin(ends, [TERMINATED, BOTH])).astype(float),
        "truncated": (truncated | np.isin(ends, [TRUNCATED, BOTH])).astype(float),
        "mask": (~padded).astype(float),
    }


def stretch(block, t, e) -> tuple[list[int], bool]:
    """The steps from t on that belong to the same episode, as far as it is recorded; and whether it terminated."""
    steps = []
    for k in range(t, len(block["mask"])):
        if not block["mask"][k, e]:
            break
        steps.append(k)
        if block["terminated"][k, e]:
            return steps, True
        if block["truncated"][k, e]:
            break
    return steps, False


def at_each_step(block, weigh) -> np.ndarray:
    """weigh(steps, terminated, e) at every step that happened, 0 elsewhere. [T, E]"""
    out = np.zeros(block["mask"].shape)
    for t, e in np.argwhere(block["mask"] > 0):
        out[t, e] = weigh(*stretch(block, t, e), e)
    return out


def gae_by_definition(block, discount, gae_lambda) -> np.ndarray:
    """Σ_l (γ·λ)ˡ·δ_{t+l}, Schulman et al. 2016, eq. 16, over the rest of the episode; V is 0 after a termination.

    γ and λ are numbers, or one a column.
    """
    columns = block["mask"].shape[1]
    rates = list(zip(np.broadcast_to(discount, columns), np.broadcast_to(gae_lambda, columns), strict=True))

    def of(steps, terminated, e):
        terms, (gamma, decay) = [], rates[e]
        for k, s in enumerate(steps):
            after = 0.0 if terminated and s == steps[-1] else block["next_value"][s, e]
            error = block["reward"][s, e] + gamma * after - block["value"][s, e]
            terms.append((gamma * decay) ** k * error)
        return math.fsum(terms)

    return at_each_step(block, of)


def return_by_definition(block, discount, number) -> np.ndarray:
    """Σ_{k<n} γᵏ·r_{t+k} + γⁿ·V(o_{t+n}), Schulman et al. 2016, eq. 13 before V(o_t) is taken off; fewer rewards where
    the episode ends sooner, or the record, and no V after a termination. γ is a number, or one a column."""
    discounts = np.broadcast_to(discount, block["mask"].shape[1])

    def of(steps, terminated, e):
        seen, gamma = steps[:number], discounts[e]
        rewards = [gamma**k * block["reward"][s, e] for k, s in enumerate(seen)]
        over = terminated and len(seen) == len(steps)
        return math.fsum(rewards) + (0.0 if over else gamma ** len(seen) * block["next_value"][seen[-1], e])

    return at_each_step(block, of)


def returns_so_far(block, carry, discount) -> tuple[np.ndarray, np.ndarray]:
    """A wrapper's loop over steps: R ← γ·R + r, noted, and set back to 0 at an end. ([T, E], R after the block [E])"""
    running, noted = np.array(carry, float), np.zeros(block["mask"].shape)
    for t, e in np.ndindex(noted.shape):
        if block["mask"][t, e]:
            running[e] = discount * running[e] + block["reward"][t, e]
            noted[t, e] = running[e]
            if block["terminated"][t, e] or block["truncated"][t, e]:
                running[e] = 0.0
    return noted, running


# -- the policy by definition


def dense_layout(sizes, part="policy", initialization="glorot"):
    """The arrays of a chain of dense layers, the last of them a head."""
    network = Network(**{part: dense_layers(sizes[1:-1], "tanh", sizes[-1])})
    return layout_of(network.placed(sizes[0], initialization)[part])


def logits_by_definition(spec, params, obs) -> np.ndarray:
    """A dense network, unit by unit. `obs` [F] to [A]."""
    f = {"sigmoid": expit, "tanh": math.tanh, "relu": lambda x: x if x > 0 else 0.0}[spec.acting.activation]
    arrays, start = [], 0
    for _, shape, _ in spec.acting.layout:
        size = math.prod(shape)
        arrays.append(np.asarray(params[start : start + size]).reshape(shape))
        start += size
    x = list(obs)
    for layer in range(0, len(arrays), 2):
        weight, bias = arrays[layer], arrays[layer + 1]
        z = [bias[j] + sum(x[i] * weight[i, j] for i in range(len(x))) for j in range(len(bias))]
        x = z if layer == len(arrays) - 2 else [f(v) for v in z]
    return np.array(x)


def log_probs_by_definition(spec, state, obs) -> np.ndarray:
    """log π(·|o), [F] to [A], with the observation normalised where the spec says so."""
    if spec.acting.normalize_observations:
        std = np.sqrt(np.asarray(state["normalizer/variance"]) + 1e-8)
        obs = np.clip((obs - np.asarray(state["normalizer/mean"])) / std, -10, 10)
    logits = logits_by_definition(spec, state["params"], obs)
    return -np.logaddexp(0, [logits[0], -logits[0]]) if spec.acting.logistic else log_softmax(logits)


def learned_log_prob(spec, log_p, action, rate) -> float:
    """The log-probability learned from: that of the mixture for epsilon_softmax, else log π."""
    if spec.acting.exploration == "epsilon_softmax":
        return math.log(rate / len(log_p) + (1 - rate) * math.exp(log_p[action]))
    return log_p[action]


def advantages_by_definition(spec, episodes, discount, earlier=()) -> list[np.ndarray]:
    signals = [signal_by_definition(spec.learning.signal, e.reward, discount) for e in episodes]
    baselines = baseline_by_definition(spec.learning.baseline, signals, earlier)
    advantages = [s - b for s, b in zip(signals, baselines, strict=True)]
    if spec.learning.standardize_advantages:
        steps = np.concatenate(advantages)
        mean, std = steps.mean(), steps.std()
        advantages = [(a - mean) / (std + 1e-8 * min(1, abs(mean) + std)) for a in advantages]
    return advantages


def loss_by_definition(spec, state, episodes, knobs, earlier=(), advantages=None) -> float:
    """−(1/n)·Σ Â·log π, step by step. With `advantages` given they are constants, as for the gradient."""
    if advantages is None:
        advantages = advantages_by_definition(spec, episodes, knobs["discount"], earlier)
    terms, steps = [], 0
    for episode, advantage in zip(episodes, advantages, strict=True):
        for t in range(len(episode.reward)):
            log_p = log_probs_by_definition(spec, state, episode.obs[t])
            terms.append(-advantage[t] * learned_log_prob(spec, log_p, episode.action[t], knobs["exploration_rate"]))
            steps += 1
    return math.fsum(terms) / (steps if spec.learning.average == "steps" else len(episodes))


def gradient_by_differences(spec, state, episodes, knobs, earlier=(), step=1e-5) -> np.ndarray:
    """∂L/∂θ by central differences of the definition, the advantages held fixed."""
    advantages = advantages_by_definition(spec, episodes, knobs["discount"], earlier)
    gradient = np.zeros(spec.acting.num_params)
    for i in range(len(gradient)):
        sides = []
        for sign in (1, -1):
            params = np.array(state["params"])
            params[i] += sign * step
            sides.append(loss_by_definition(spec, state | {"params": params}, episodes, knobs, (), advantages))
        gradient[i] = (sides[0] - sides[1]) / (2 * step)
    return gradient


# -- PyTensor without a compiler: its own NumPy interpreter, for graphs that are evaluated a few times


@contextlib.contextmanager
def floats(dtype):
    import pytensor

    with pytensor.config.change_flags(floatX=dtype):
        yield


def interpreted(inputs, outputs):
    """A function of the symbolic inputs, by PyTensor's interpreter: no rewrites, nothing to compile."""
    import pytensor
    from pytensor.compile.mode import Mode

    return pytensor.function(list(inputs), outputs, mode=Mode("py", None), on_unused_input="ignore")


def interpreted_graph(spec, function, module=None):
    """One function of the algorithm's graph: dict of arrays in, dict of arrays out."""
    with floats(spec.dtype):
        module = importlib.import_module(f"pg_theano.graphs.{module or spec.module}")
        graph = getattr(module, function)(spec)
        run = interpreted(graph.inputs.values(), list(graph.outputs.values()))

    def call(values):
        values = {"at": values.get("params")} | values
        if "knobs" in graph.inputs:
            values["knobs"] = [values["knobs"][name] for name in module.common.knobs_of(spec)]
        arguments = [np.asarray(values[name], v.type.dtype) for name, v in graph.inputs.items()]
        return dict(zip(graph.outputs, run(*arguments), strict=True))

    return call
