"""Make the literal tables of this folder: what torch, optax and Stable-Baselines3 give for the same arrays.

    python -m venv venv; venv/bin/pip install torch optax stable-baselines3
    venv/bin/python tests/tables/make_tables.py

It imports nothing of pg_theano. Every input is a multiple of 1/64, so that it is the same number in float32. Torch and
optax compute in float64; Stable-Baselines3 stores its rollouts in float32, and so computes in that. `tests/test_tables.py`
reads the tables.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import warnings
from pathlib import Path

import gymnasium
import jax
import numpy as np
import optax
import torch
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import distributions as laws
from torch import nn

HERE = Path(__file__).resolve().parent
jax.config.update("jax_enable_x64", True)
warnings.filterwarnings("ignore")

STEPS, SIZE = 6, 5
CONSTANTS = {
    "learning_rate": 0.125,
    "momentum": 0.875,
    "rmsprop_decay": 0.875,
    "beta1": 0.875,
    "beta2": 0.984375,
    "epsilon": 1e-8,
    "max_norm": 1.5,
}


def numbers(rng, *shape, spread=1.0):
    """Multiples of 1/64."""
    return np.round(rng.normal(0, spread, shape) * 64) / 64


def plain(x):
    if isinstance(x, dict):
        return {name: plain(value) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(value) for value in x]
    if isinstance(x, torch.Tensor):
        return x.detach().cpu().numpy().tolist()
    return np.asarray(x).tolist() if isinstance(x, (np.ndarray, np.generic, jax.Array)) else x


def write(name, packages, table):
    versions = {package: importlib.metadata.version(package) for package in packages}
    source = {"made_by": "tests/tables/make_tables.py", "python": platform.python_version(), "versions": versions}
    text = json.dumps({"source": source} | plain(table), indent=None, separators=(", ", ": "))
    (HERE / f"{name}.json").write_text(text.replace('}, "', '},\n"') + "\n")


# -- optimisers


def optimiser_inputs():
    rng = np.random.default_rng(0)
    gradients = numbers(rng, STEPS, SIZE)
    gradients[2, 1] = gradients[3, 3] = 0.0
    return {"params": numbers(rng, SIZE), "gradients": gradients, "constants": CONSTANTS}


def by_torch(made, clipped):
    inputs = optimiser_inputs()
    params = nn.Parameter(torch.tensor(inputs["params"]))
    optimiser, after = made([params]), []
    for gradient in inputs["gradients"]:
        params.grad = torch.tensor(gradient)
        if clipped:
            nn.utils.clip_grad_norm_([params], CONSTANTS["max_norm"])
        optimiser.step()
        after.append(plain(params))
    return after


def by_optax(transformation, clipped):
    inputs = optimiser_inputs()
    if clipped:
        transformation = optax.chain(optax.clip_by_global_norm(CONSTANTS["max_norm"]), transformation)
    params = jax.numpy.asarray(inputs["params"])
    state, after = transformation.init(params), []
    for gradient in inputs["gradients"]:
        updates, state = transformation.update(jax.numpy.asarray(gradient), state, params)
        params = optax.apply_updates(params, updates)
        after.append(plain(params))
    return after


def optimisers():
    rate, betas = CONSTANTS["learning_rate"], (CONSTANTS["beta1"], CONSTANTS["beta2"])
    momentum, decay, eps = (CONSTANTS[name] for name in ("momentum", "rmsprop_decay", "epsilon"))
    torchs = {
        "sgd": lambda p: torch.optim.SGD(p, lr=rate),
        "momentum": lambda p: torch.optim.SGD(p, lr=rate, momentum=momentum),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=rate, alpha=decay, eps=eps),
        "adam": lambda p: torch.optim.Adam(p, lr=rate, betas=betas, eps=eps),
    }
    optaxs = {
        "sgd": optax.sgd(rate),
        "momentum": optax.sgd(rate, momentum=momentum),
        "rmsprop": optax.rmsprop(rate, decay=decay, eps=eps, eps_in_sqrt=False),
        "adam": optax.adam(rate, b1=betas[0], b2=betas[1], eps=eps),
    }
    return (
        {name + suffix: by_torch(made, bool(suffix)) for name, made in torchs.items() for suffix in ("", ", clipped")},
        {name + suffix: by_optax(made, bool(suffix)) for name, made in optaxs.items() for suffix in ("", ", clipped")},
    )


def schedules():
    """Values at updates 0 to 12."""
    linear = optax.linear_schedule(0.5, 0.125, 8)
    decay = optax.exponential_decay(0.5, transition_steps=1, decay_rate=float(np.exp(-0.25)))
    return {
        "linear": {"initial": 0.5, "final": 0.125, "over_updates": 8, "values": [linear(k) for k in range(13)]},
        "exponential_decay": {"initial": 0.5, "decay_rate": 0.25, "values": [decay(k) for k in range(13)]},
    }


# -- distributions, and losses, of torch


def with_gradients(value, parts):
    gradients = torch.autograd.grad(value.sum(), parts, retain_graph=True, allow_unused=True)
    zeros = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parts, strict=True)]
    return {"value": value, "gradients": zeros}


def distributions():
    """log-probability, entropy and KL(old || new) of N = 4 rows, each with its gradient by the new parts."""
    rng, n, made = np.random.default_rng(1), 4, {}

    def tensors(*shapes):
        return [torch.tensor(numbers(rng, *shape), requires_grad=True) for shape in shapes]

    kinds = {
        "discrete": ([(n, 3)], lambda p: laws.Categorical(logits=p[0]), lambda: rng.integers(0, 3, n)),
        "multi_binary": (
            [(n, 2)],
            lambda p: laws.Independent(laws.Bernoulli(logits=p[0]), 1),
            lambda: rng.integers(0, 2, (n, 2)).astype(float),
        ),
        "gaussian": (
            [(n, 2), (n, 2)],
            lambda p: laws.Independent(laws.Normal(p[0], p[1].exp()), 1),
            lambda: numbers(rng, n, 2),
        ),
    }
    for name, (shapes, law, action) in kinds.items():
        old, new, taken = tensors(*shapes), tensors(*shapes), torch.tensor(action())
        made[name] = {
            "old": old,
            "new": new,
            "action": taken,
            "log_prob": with_gradients(law(new).log_prob(taken), new),
            "entropy": with_gradients(law(new).entropy(), new),
            "kl": with_gradients(laws.kl_divergence(law(old), law(new)), new),
        }
    low, high = torch.tensor([-2.0, -1.0], dtype=torch.float64), torch.tensor([1.0, 3.0], dtype=torch.float64)
    mean, log_std = tensors((n, 2), (n, 2))
    unbounded = torch.tensor(numbers(rng, n, 2))
    into = [laws.TanhTransform(), laws.AffineTransform((low + high) / 2, (high - low) / 2)]
    law = laws.TransformedDistribution(laws.Independent(laws.Normal(mean, log_std.exp()), 1), into)
    bounded = (low + high) / 2 + (high - low) / 2 * torch.tanh(unbounded)
    made["squashed"] = {
        "new": [mean, log_std],
        "low": low,
        "high": high,
        "action": unbounded,
        "log_prob": with_gradients(law.log_prob(bounded), [mean, log_std]),
    }
    return made


def squared_error():
    rng = np.random.default_rng(2)
    value, target = torch.tensor(numbers(rng, 7), requires_grad=True), torch.tensor(numbers(rng, 7))
    loss = nn.functional.mse_loss(value, target)
    return {"value": value, "target": target, "loss": loss, "gradient": torch.autograd.grad(loss, value)[0]}


# -- Stable-Baselines3: a rollout that it collected, and one update from it

ENVS, LENGTH, FEATURES = 3, 8, 2
ENDS = np.array([[0, 0, 2], [0, 1, 0], [1, 0, 0], [0, 0, 0], [2, 0, 1], [0, 0, 0], [0, 2, 0], [0, 0, 0]])
"""After each step of each environment: 0 goes on, 1 terminated, 2 truncated. [LENGTH, ENVS]"""
SETTINGS = {"discount": 0.875, "gae_lambda": 0.75, "clip_range": 0.25, "value_coefficient": 0.5, "entropy": 0.0625}


class Scripted(gymnasium.Env):
    """Observations, rewards and ends that were written down before; actions change nothing."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (FEATURES,), np.float32)

    def __init__(self, number, script, action_space):
        self.number, self.script, self.action_space, self.time = number, script, action_space, 0

    def reset(self, *, seed=None, options=None):
        return self.script["obs"][self.number, self.time].astype(np.float32), {}

    def step(self, action):
        t, e = self.time, self.number
        self.time = min(t + 1, LENGTH - 1)
        ends = ENDS[t, e]
        next_obs = self.script["next_obs"][e, t].astype(np.float32)
        return next_obs, float(self.script["reward"][e, t]), bool(ends == 1), bool(ends == 2), {}


def script():
    """Fields [E, T, ...]; where an episode goes on its successor is the next row's observation."""
    rng = np.random.default_rng(3)
    obs, next_obs = numbers(rng, 2, ENVS, LENGTH, FEATURES)
    goes_on = (ENDS.T == 0)[:, :-1]
    next_obs[:, :-1] = np.where(goes_on[..., None], obs[:, 1:], next_obs[:, :-1])
    return {"obs": obs, "next_obs": next_obs, "reward": numbers(rng, ENVS, LENGTH)}


def named_params(policy):
    """Weights [inputs, outputs] and biases by our names."""
    names = {
        "policy/w1": "mlp_extractor.policy_net.0.weight",
        "policy/b1": "mlp_extractor.policy_net.0.bias",
        "policy/w2": "action_net.weight",
        "policy/b2": "action_net.bias",
        "policy/log_std": "log_std",
        "value/w1": "mlp_extractor.value_net.0.weight",
        "value/b1": "mlp_extractor.value_net.0.bias",
        "value/w2": "value_net.weight",
        "value/b2": "value_net.bias",
    }
    found = dict(policy.named_parameters())
    return {ours: found[theirs] for ours, theirs in names.items() if theirs in found}


def set_params(policy, seed):
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for value in named_params(policy).values():
            value.copy_(torch.tensor(numbers(rng, *value.shape, spread=0.5)))


def move_policy(policy, seed):
    """Not so far that a log-ratio passes 20, where this project bounds it."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for name, value in named_params(policy).items():
            if name.startswith("policy/"):
                value.add_(torch.tensor(numbers(rng, *value.shape, spread=0.2)))


def shown(policy):
    return {name: value.T if value.ndim == 2 else value for name, value in named_params(policy).items()}


def updated(kind, algorithm, *, normalize, moved, max_norm):
    """One update by SB3's own `collect_rollouts` and `train`: what it collected, estimated, logged, and learned."""
    written = script()
    space = gymnasium.spaces.Discrete(3) if kind == "discrete" else gymnasium.spaces.Box(-9.0, 9.0, (2,), np.float32)
    vector = DummyVecEnv([lambda e=e: Scripted(e, written, space) for e in range(ENVS)])
    common = {
        "n_steps": LENGTH,
        "gamma": SETTINGS["discount"],
        "gae_lambda": SETTINGS["gae_lambda"],
        "ent_coef": SETTINGS["entropy"],
        "vf_coef": SETTINGS["value_coefficient"],
        "normalize_advantage": normalize,
        "max_grad_norm": max_norm,
        "learning_rate": CONSTANTS["learning_rate"],
        "seed": 0,
        "device": "cpu",
        "policy_kwargs": {
            "net_arch": {"pi": [3], "vf": [2]},
            "optimizer_class": torch.optim.SGD,
            "optimizer_kwargs": {},
        },
    }
    if algorithm == "ppo":
        more = {"batch_size": LENGTH * ENVS, "n_epochs": 1, "clip_range": SETTINGS["clip_range"]}
        model = PPO("MlpPolicy", vector, **common, **more)
    else:
        model = A2C("MlpPolicy", vector, use_rms_prop=False, **common)
    model.set_logger(configure(None, []))
    set_params(model.policy, 4)
    collected = shown(model.policy)
    collected = {name: value.detach().clone() for name, value in collected.items()}
    _, callback = model._setup_learn(LENGTH * ENVS, None)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, n_rollout_steps=LENGTH)
    buffer = model.rollout_buffer
    rollout = {
        name: np.array(getattr(buffer, theirs)).swapaxes(0, 1)
        for name, theirs in (
            ("action", "actions"),
            ("log_prob", "log_probs"),
            ("value", "values"),
            ("advantage", "advantages"),
            ("target", "returns"),
        )
    }
    assert np.array_equal(buffer.observations.swapaxes(0, 1), written["obs"].astype(np.float32))
    if kind == "discrete":
        rollout["action"] = rollout["action"][..., 0].astype(int)
    if moved:
        move_policy(model.policy, 5)
    before = {name: value.detach().clone() for name, value in shown(model.policy).items()}
    model.train()
    logged = model.logger.name_to_value
    metrics = {
        "policy_loss": logged["train/policy_gradient_loss" if algorithm == "ppo" else "train/policy_loss"],
        "value_loss": logged["train/value_loss"],
        "entropy": -logged["train/entropy_loss"],
        "explained_variance": logged["train/explained_variance"],
    }
    if algorithm == "ppo":
        metrics |= {
            "kl": logged["train/approx_kl"],
            "clip_fraction": logged["train/clip_fraction"],
            "cost": logged["train/loss"],
        }
    return {
        "kind": kind,
        "algorithm": algorithm,
        "normalize_advantage": normalize,
        "max_norm": max_norm,
        "collected_by": collected,
        "rollout": rollout,
        "before": before,
        "metrics": {name: float(value) for name, value in metrics.items()},
        "after": shown(model.policy),
    }


def stable_baselines3():
    cases = [
        ("discrete", "ppo", {"normalize": False, "moved": False, "max_norm": 100.0}),
        ("discrete", "ppo", {"normalize": False, "moved": True, "max_norm": 0.25}),
        ("discrete", "ppo", {"normalize": True, "moved": True, "max_norm": 100.0}),
        ("gaussian", "ppo", {"normalize": False, "moved": True, "max_norm": 100.0}),
        ("discrete", "a2c", {"normalize": False, "moved": False, "max_norm": 100.0}),
        ("gaussian", "a2c", {"normalize": False, "moved": False, "max_norm": 0.25}),
    ]
    return {
        "settings": SETTINGS | {"learning_rate": CONSTANTS["learning_rate"]},
        "ends": ENDS.T,
        "script": script(),
        "updates": [updated(kind, algorithm, **settings) for kind, algorithm, settings in cases],
    }


def main():
    torchs, optaxs = optimisers()
    inputs = optimiser_inputs()
    write(
        "torch",
        ["torch"],
        {"inputs": inputs, "optimisers": torchs, "distributions": distributions(), "squared_error": squared_error()},
    )
    write("optax", ["optax", "jax"], {"inputs": inputs, "optimisers": optaxs, "schedules": schedules()})
    write("stable_baselines3", ["stable-baselines3", "torch", "gymnasium"], stable_baselines3())


if __name__ == "__main__":
    main()
