"""Definitions for the tests of the actor-critics: loops over the steps that happened, written from the papers.

Nothing here knows of padding, masks or time-major arrays beyond `experience` and `steps_of`, which make a block of
experience and take it apart again. Gradients are complex steps (Squire and Trapp 1998), exact to rounding: hence no
`abs`, `max` or comparison of anything but real parts below, and what is constant to a gradient is a real part.
"""

from __future__ import annotations

import importlib
import itertools
import math
from typing import Any, NamedTuple

import helpers_graphs as by_definition
import numpy as np
from helpers_graphs import KNOBS, PADDED

from pg_theano.spec import Spec
from pg_theano.types import ActionSpace

SPACES = {
    "discrete": ActionSpace("discrete", 1, [3], [], []),
    "two": ActionSpace("discrete", 1, [2], [], []),
    "multi_discrete": ActionSpace("multi_discrete", 2, [2, 3], [], []),
    "multi_binary": ActionSpace("multi_binary", 2, [2, 2], [], []),
    "box": ActionSpace("box", 2, [], [-2.0, -1.0], [1.0, 3.0]),
}
KINDS: dict[str, dict[str, Any]] = {
    "discrete": {"action": "discrete"},
    "epsilon": {"action": "discrete", "exploration": "epsilon_softmax"},
    "multi_discrete": {"action": "multi_discrete"},
    "multi_binary": {"action": "multi_binary"},
    "gaussian": {"action": "box"},
    "log_std of the network": {"action": "box", "log_std": "state_dependent"},
    "squashed": {"action": "box", "squash": True},
    "gsde": {"action": "box", "noise": "state_dependent"},
}
"""What a policy can be: changes of a spec."""


def make_spec(algorithm, kind="discrete", **changes) -> Spec:
    """A small actor-critic of one kind of action, separate networks with three units each unless told otherwise."""
    chosen = KINDS[kind] | changes
    return by_definition.make_spec(
        **{
            "algorithm": algorithm,
            "activation": "tanh",
            "baseline": "value",
            "advantage": "gae",
            "bootstrap_steps": 3,
            "value_hidden": (2,),
            "num_epochs": 2,
            "num_minibatches": 3,
            "num_cg_iterations": 60,
            "num_line_search_steps": 6,
            **chosen,
            "action": SPACES[chosen["action"]]._asdict(),
        }
    )


# -- experience


def experience(spec, rng, ends, *, spread=0.4) -> dict[str, np.ndarray]:
    """Fields [E, T, ...] of a block where `ends` [T, E] says what comes after each step.

    After a truncation or a cut the successor is one that no row holds. Actions of a box and log-probabilities are noise
    of which `remember` makes what a policy did. What is padded is garbage.
    """
    ends = np.asarray(ends).T
    padded, space, shape = ends == PADDED, spec.acting.action, ends.shape
    obs, next_obs = np.where(padded[..., None], 1e3, 1.0) * rng.normal(size=(2, *shape, spec.acting.obs_size))
    goes_on = (ends == by_definition.CONTINUES)[:, :-1] & ~padded[:, 1:]
    next_obs[:, :-1] = np.where(goes_on[..., None], obs[:, 1:], next_obs[:, :-1])
    if space.kind == "box":
        action = np.where(padded[..., None], 1e2, 1.0) * rng.normal(size=(*shape, space.size))
    else:
        action = np.stack([rng.integers(0, n, shape) for n in space.choices], axis=-1).astype(np.int32)
        action = action[..., 0] if space.kind == "discrete" else action
    terminated, truncated = padded & (rng.random((2, *shape)) < 0.5)
    return {
        "obs": obs,
        "action": action,
        "reward": np.where(padded, 1e6, 1.0) * rng.normal(0.3, 1.0, shape),
        "next_obs": next_obs,
        "terminated": terminated | np.isin(ends, [by_definition.TERMINATED, by_definition.BOTH]),
        "truncated": truncated | np.isin(ends, [by_definition.TRUNCATED, by_definition.BOTH]),
        "mask": (~padded).astype(float),
        "log_prob": np.where(padded, 7.0, spread) * rng.normal(size=shape),
    }


def remember(spec, state, block, knobs=KNOBS) -> dict[str, np.ndarray]:
    """The block as a policy near State's own played it: its actions, and log-probabilities spread around log π."""
    action, log_prob = block["action"].copy(), block["log_prob"].copy()
    for e, t in np.argwhere(block["mask"] > 0):
        law = policy(spec, state["params"], observed(spec, state, block["obs"][e, t]), knobs)
        if spec.acting.action.kind == "box":
            action[e, t] = np.real(law.mean) + np.real(law.std) * action[e, t]
        log_prob[e, t] += law.log_prob(action[e, t]).real
    return block | {"action": action, "log_prob": log_prob}


MIXED = [[0, 0, 2], [0, 1, 0], [1, 0, 4], [0, 0, 0], [2, 3, 0], [0, 4, 0], [0, 4, 1], [0, 4, 4]]
"""Ends [8, 3] of all kinds: several episodes a column, one cut by the block's end, one that stops recording, gaps."""


class Step(NamedTuple):
    """A step that happened, as learning reads it."""

    obs: np.ndarray  # as the networks see it
    action: Any
    old_log_prob: float
    advantage: float
    target: float
    old_value: float


# -- normalisation


def observed(spec, state, obs):
    if not spec.acting.normalize_observations:
        return obs
    std = np.sqrt(state["normalizer/variance"] + 1e-8)
    return np.clip((obs - state["normalizer/mean"]) / std, -10, 10)


def pooled(mean, variance, count, new):
    """Mean, variance and count of all that was counted and of `new` [n, ...], from the sums of all of it."""
    total = count + len(new)
    both = (mean * count + np.sum(new, axis=0)) / total
    squares = (variance + (mean - both) ** 2) * count + np.sum((new - both) ** 2, axis=0)
    return both, squares / total, total


# -- networks and distributions


def arrays_of(spec, params) -> dict[str, np.ndarray]:
    named, start = {}, 0
    for name, shape, _ in spec.acting.layout:
        size = math.prod(shape)
        named[name] = params[start : start + size].reshape(shape)
        start += size
    return named


def forward(spec, arrays, head, obs):
    """(output, what the last layer was given) of the network that ends in a head."""
    names = [n for n in arrays if n.split("/")[0] in ("shared", head) and not n.endswith("log_std")]
    x = np.asarray(obs)
    for weight, bias in zip(names[::2], names[1::2], strict=True):
        features = x
        x = x @ arrays[weight] + arrays[bias]
        if bias != names[-1]:
            x = np.tanh(x) if spec.acting.activation == "tanh" else 1 / (1 + np.exp(-x))
    return x, features


def value_of(spec, params, obs):
    return forward(spec, arrays_of(spec, params), "value", obs)[0][0]


def softplus(x):
    return np.log(1 + np.exp(x)) if np.all(np.real(x) < 30) else x + np.log(1 + np.exp(-x))


class Categorical(NamedTuple):
    """Components each with its own choices: a list of arrays of log-probabilities."""

    parts: list

    def log_prob(self, action):
        return sum(part[int(a)] for part, a in zip(self.parts, np.atleast_1d(action), strict=True))

    def entropy(self):
        return sum(-np.sum(np.exp(part) * part) for part in self.parts)

    def actions(self):
        """(probability, action) of all there are."""
        for action in itertools.product(*(range(len(part)) for part in self.parts)):
            weight = math.prod(math.exp(part[a].real) for part, a in zip(self.parts, action, strict=True))
            yield weight, action if len(action) > 1 else action[0]


class Normal(NamedTuple):
    """Independent normal numbers; squashed into low and high where these are given. Actions are those before tanh."""

    mean: Any
    std: Any
    bounds: Any = None

    def log_prob(self, action):
        total = 0.0
        for a, m, s in zip(action, self.mean, self.std, strict=True):
            total = total - (a - m) ** 2 / (2 * s**2) - np.log(s * math.sqrt(2 * math.pi))
        if self.bounds is not None:
            for a, low, high in zip(action, *self.bounds, strict=True):
                total = total - math.log((high - low) / 2) + 2 * math.log(math.cosh(a))  # less log db/du
        return total

    def entropy(self):
        if self.bounds is None:
            return sum(np.log(s * math.sqrt(2 * math.pi * math.e)) for s in self.std)
        x, weight = NODES
        total = 0.0
        for m, s, low, high in zip(self.mean, self.std, *self.bounds, strict=True):
            slope = np.log((high - low) / 2) - 2 * np.log(np.cosh(m + s * x))
            total = (
                total + np.log(s * math.sqrt(2 * math.pi * math.e)) + np.sum(weight * slope) / math.sqrt(2 * math.pi)
            )
        return total

    def actions(self):
        """(weight, action) of a rule that integrates polynomials of degree 9 in the noise exactly."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(5)
        weights = weights / weights.sum()
        for picks in itertools.product(range(5), repeat=len(self.mean)):
            action = np.array([m.real + s.real * nodes[i] for m, s, i in zip(self.mean, self.std, picks, strict=True)])
            yield math.prod(weights[i] for i in picks), action


def policy(spec, params, obs, knobs=KNOBS):
    """The distribution over actions at an observation that is already as the networks see it."""
    arrays = arrays_of(spec, np.asarray(params))
    outputs, features = forward(spec, arrays, "policy", obs)
    space = spec.acting.action
    if space.kind in ("discrete", "multi_discrete"):
        parts = []
        for logits in np.split(outputs, np.cumsum(space.choices)[:-1]):
            parts.append(logits - np.log(np.sum(np.exp(logits))))
        if spec.acting.exploration == "epsilon_softmax":
            rate = knobs["exploration_rate"]
            return Categorical([np.log(rate / len(parts[0]) + (1 - rate) * np.exp(parts[0]))])  # of what acts
        return Categorical(parts)
    if space.kind == "multi_binary":
        return Categorical([np.array([-softplus(z), -softplus(-z)]) for z in outputs])
    if spec.acting.noise == "state_dependent":
        constant = features.real  # the features are constants to the gradient of the noise
        variance = [np.sum(constant**2 * np.exp(2 * column)) + 1e-6 for column in arrays["policy/log_std"].T]
        return Normal(outputs, [v**0.5 for v in variance])
    if spec.acting.log_std == "state_dependent":
        mean, raw = outputs[: space.size], outputs[space.size :]
        log_std = [-20 + softplus(22 - softplus(2 - r)) for r in raw]
    else:
        mean, log_std = outputs, arrays["policy/log_std"]
    bounds = (space.low, space.high) if spec.acting.squash else None
    return Normal(mean, [np.exp(s) for s in log_std], bounds)


NODES = np.polynomial.hermite_e.hermegauss(120)


def kl(old, new):
    """KL(old || new), summed over components."""
    if isinstance(old, Categorical):
        return sum(np.sum(np.exp(p) * (p - q)) for p, q in zip(old.parts, new.parts, strict=True))
    total = 0.0
    for m, s, n, u in zip(old.mean, old.std, new.mean, new.std, strict=True):
        total = total + np.log(u / s) + (s**2 + (m - n) ** 2) / (2 * u**2) - 0.5
    return total


# -- what each step was worth


def steps_of(spec, state, block, knobs=KNOBS):
    """({column t·E + e: `Step`} of the steps that happened, State's entries of both normalisers after the update)."""
    names = ["reward", "terminated", "truncated", "mask"]
    time_major = {name: np.array(block[name], float).T for name in names}
    real = np.argwhere(time_major["mask"] > 0)  # (t, e)
    updated = {}
    if spec.learning.normalize_rewards:
        begins = state.get("reward_normalizer/so_far", np.zeros(len(block["mask"])))
        noted, carry = by_definition.returns_so_far(time_major, begins, knobs["discount"])
        prefix = "reward_normalizer/"
        new = np.array([[noted[t, e]] for t, e in real])
        moments = pooled(*(state[prefix + name] for name in ("mean", "variance", "count")), new)
        updated |= dict(zip([prefix + "mean", prefix + "variance", prefix + "count"], moments, strict=True))
        if prefix + "so_far" in state:
            updated[prefix + "so_far"] = carry
        time_major["reward"] = np.clip(time_major["reward"] / np.sqrt(moments[1][0]), -10, 10)
    if spec.acting.normalize_observations:
        new = np.array([block["obs"][e, t] for t, e in real])
        moments = pooled(*(state["normalizer/" + name] for name in ("mean", "variance", "count")), new)
        updated |= dict(zip(["normalizer/mean", "normalizer/variance", "normalizer/count"], moments, strict=True))

    for name, source in (("value", "obs"), ("next_value", "next_obs")):
        time_major[name] = np.zeros(time_major["mask"].shape)
        for t, e in real:
            time_major[name][t, e] = value_of(spec, state["params"], observed(spec, state, block[source][e, t]))
    value, discount = time_major["value"], knobs["discount"]
    if spec.learning.advantage == "gae":
        advantage = by_definition.gae_by_definition(time_major, discount, knobs["gae_lambda"])
        target = advantage + value
    else:
        number = {"monte_carlo": 10**6, "td": 1, "n_step": spec.learning.bootstrap_steps}[spec.learning.advantage]
        target = by_definition.return_by_definition(time_major, discount, number)
        advantage = target - value if spec.learning.baseline == "value" else target
    steps = {}
    for t, e in real:
        obs = observed(spec, state, block["obs"][e, t])
        numbers = advantage[t, e], target[t, e], value[t, e]
        steps[t * len(block["mask"]) + e] = Step(obs, block["action"][e, t], block["log_prob"][e, t], *numbers)
    return steps, updated


# -- losses, one step after another


def least(*numbers):
    return min(numbers, key=np.real)


def between(x, low, high):
    return low if np.real(x) < low else high if np.real(x) > high else x


def losses(spec, params, steps, knobs=KNOBS) -> dict[str, Any]:
    """Everything an algorithm's loss is made of, over some steps; `loss` is the one that is descended.

    ppo    −𝔼[min(r·Â, clip(r)·Â)] + c_v·𝔼[(V − target)²] − c_e·𝔼[H]      Schulman et al. 2017, eq. 7 and 9
    a2c    −𝔼[log π·Â] + the same                                           Mnih et al. 2016
    vpg    −𝔼[log π·Â] − c_e·𝔼[H], and 𝔼[(V − target)²] of its own          Williams 1992
    npg    −𝔼[r·Â] − c_e·𝔼[H], and the same                                 Kakade 2001; Schulman et al. 2015, eq. 14
    """
    number, algorithm = len(steps), spec.learning.algorithm
    raw = [step.advantage for step in steps]
    if spec.learning.standardize_advantages:
        mean = math.fsum(raw) / number
        std = math.sqrt(math.fsum((a - mean) ** 2 for a in raw) / number)
        raw = [(a - mean) / (std + 1e-8 * min(1, abs(mean) + std)) for a in raw]
    gains, errors, entropies, divergences, outside = [], [], [], [], []
    for step, advantage in zip(steps, raw, strict=True):
        law = policy(spec, params, step.obs, knobs)
        log_prob = law.log_prob(step.action)
        ratio, clip = np.exp(log_prob - step.old_log_prob), knobs["clip_range"]
        if algorithm == "ppo":
            gains.append(least(ratio * advantage, between(ratio, 1 - clip, 1 + clip) * advantage))
        elif algorithm in ("npg", "trpo"):
            gains.append(ratio * advantage)
        else:
            gains.append(log_prob * advantage)
        value = value_of(spec, np.asarray(params), step.obs)
        error = (value - step.target) ** 2
        if spec.learning.clips_value:
            reach = knobs["value_clip_range"]
            near = step.old_value + between(value - step.old_value, -reach, reach)
            error = max(error, (near - step.target) ** 2, key=np.real)
        errors.append(error)
        entropies.append(law.entropy())
        divergences.append(ratio.real - 1 - np.log(ratio.real))
        outside.append(abs(ratio.real - 1) > clip)
    policy_loss, value_loss, entropy = -sum(gains) / number, sum(errors) / number, sum(entropies) / number
    loss = policy_loss - knobs["entropy_coefficient"] * entropy
    own = 1.0 if algorithm in ("vpg", "npg", "trpo") else knobs["value_coefficient"]
    return {
        "loss": loss + own * value_loss,
        "policy_loss": policy_loss,
        "policy_objective": loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "kl": sum(divergences) / number,
        "clip_fraction": sum(outside) / number,
    }


def derivative(function, params, places=None) -> np.ndarray:
    """∂f/∂θ by complex steps."""
    params = np.asarray(params, complex)
    gradient = np.zeros(len(params))
    for i in range(len(params)) if places is None else places:
        moved = params.copy()
        moved[i] += 1e-30j
        gradient[i] = np.imag(function(moved)) / 1e-30
    return gradient


# -- updates, one optimiser step after another


def optimizer_step(spec, params, gradient, state, knobs, rate):
    """(parameters, the optimiser's state by name, norm of the gradient before it was clipped)."""
    norm = math.sqrt(math.fsum(gradient**2))
    if spec.learning.clips_gradient and norm > knobs["max_gradient_norm"]:
        gradient = gradient * (knobs["max_gradient_norm"] / norm)
    if spec.learning.optimizer == "sgd":
        return params - rate * gradient, {}, norm
    if spec.learning.optimizer == "momentum":
        velocity = knobs["momentum"] * state["velocity"] + gradient
        return params - rate * velocity, {"velocity": velocity}, norm
    if spec.learning.optimizer == "rmsprop":
        decay = knobs["rmsprop_decay"]
        square = decay * state["mean_square"] + (1 - decay) * gradient**2
        return params - rate * gradient / (np.sqrt(square) + knobs["epsilon"]), {"mean_square": square}, norm
    step = state["step"] + 1
    first = knobs["beta1"] * state["first_moment"] + (1 - knobs["beta1"]) * gradient
    second = knobs["beta2"] * state["second_moment"] + (1 - knobs["beta2"]) * gradient**2
    unbiased = first / (1 - knobs["beta1"] ** step), second / (1 - knobs["beta2"] ** step)
    params = params - rate * unbiased[0] / (np.sqrt(unbiased[1]) + knobs["epsilon"])
    return params, {"first_moment": first, "second_moment": second, "step": step}, norm


def entries(state, prefix):
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def batches_of(order, steps):
    """The steps of each gradient step, as the host drew them."""
    for index, weight in zip(order["index"], order["weight"], strict=True):
        yield [steps[column] for column, real in zip(index.tolist(), weight, strict=True) if real]


def value_places(spec):
    return np.arange(spec.acting.num_params - spec.acting.num_value_params, spec.acting.num_params)


def updated(spec, state, block, order=None, knobs=KNOBS):
    """(State, metrics) after one update of ppo, a2c or vpg."""
    steps, after = steps_of(spec, state, block, knobs)
    params, everything = np.array(state["params"]), list(steps.values())
    rows = []
    if spec.learning.algorithm == "vpg":
        places = value_places(spec)
        theirs = np.arange(places[0])
        gradient = derivative(lambda p: losses(spec, p, everything, knobs)["policy_objective"], params, theirs)[theirs]
        measured = losses(spec, params, everything, knobs)
        own = entries(state, "optimizer/")
        moved, own, norm = optimizer_step(spec, params[theirs], gradient, own, knobs, knobs["learning_rate"])
        values, rows = fitted(spec, state, steps, order, knobs)
        params = np.concatenate([moved, values.pop("params")])
        after |= {f"optimizer/{name}": value for name, value in own.items()} | values
        metrics = {"cost": measured["policy_objective"], "value_loss": np.mean(rows), "gradient_norm": norm}
        metrics["entropy"] = measured["entropy"]
    else:
        optimiser, going = entries(state, "optimizer/"), True
        for batch in [everything] if spec.learning.algorithm == "a2c" else batches_of(order, steps):
            if not going:
                break
            measured = losses(spec, params, batch, knobs)
            gradient = derivative(lambda p, batch=batch: losses(spec, p, batch, knobs)["loss"], params)
            moved, following, norm = optimizer_step(spec, params, gradient, optimiser, knobs, knobs["learning_rate"])
            rows.append(measured | {"cost": measured["loss"], "gradient_norm": norm})
            going = not (spec.learning.uses_target_kl and measured["kl"] > 1.5 * knobs["target_kl"])
            if going:
                params, optimiser = moved, following
        after |= {f"optimizer/{name}": value for name, value in optimiser.items()}
        wanted = ["cost", "policy_loss", "value_loss", "entropy", "gradient_norm"]
        wanted += ["kl", "clip_fraction"] if spec.learning.algorithm == "ppo" else []
        metrics = {name: np.mean([row[name] for row in rows]) for name in wanted}
    return state | after | {"params": params}, metrics | of_steps(everything) | {"finite": 1.0}


def of_steps(steps):
    """Metrics of what was estimated before the update."""
    target, value = (np.array([getattr(step, name) for step in steps]) for name in ("target", "old_value"))
    return {
        "explained_variance": 1 - np.var(target - value) / np.var(target),
        "advantage_mean": np.mean([step.advantage for step in steps]),
    }


def fitted(spec, state, steps, order, knobs=KNOBS):
    """({value network's parameters, its optimiser's entries of State}, loss at each of its steps)."""
    params, places, rows = np.array(state["params"]), value_places(spec), []
    optimiser = entries(state, "value_optimizer/")
    for batch in batches_of(order, steps):
        gradient = derivative(lambda p, batch=batch: losses(spec, p, batch, knobs)["value_loss"], params, places)
        rows.append(losses(spec, params, batch, knobs)["value_loss"])
        params[places], optimiser, _ = optimizer_step(
            spec, params[places], gradient[places], optimiser, knobs, knobs["value_learning_rate"]
        )
    return {f"value_optimizer/{name}": value for name, value in optimiser.items()} | {"params": params[places]}, rows


# -- PyTensor without a compiler, scans included


def interpreted_graph(spec, function):
    """One function of the algorithm's graph, (State, block, minibatches, knobs) to outputs by name.

    A scan compiles its step to C unless it is told not to: half a minute for what runs in milliseconds.
    """
    from pytensor.graph.traversal import ancestors
    from pytensor.scan.op import Scan

    with by_definition.floats(spec.dtype):
        module = importlib.import_module(f"pg_theano.graphs.{spec.module}")
        graph = getattr(module, function)(spec)
        interpret_scans(graph.outputs.values(), ancestors, Scan)
        run = by_definition.interpreted(graph.inputs.values(), list(graph.outputs.values()))
        metrics = module.describe(spec)["metrics"]

    def call(state, block, order=None, knobs=KNOBS, at=None):
        values = {"at": state["params"] if at is None else at} | state | block | (order or {})
        values["knobs"] = [knobs[name] for name in module.common.knobs_of(spec)]
        arguments = [np.asarray(values[name], v.type.dtype) for name, v in graph.inputs.items()]
        out = dict(zip(graph.outputs, run(*arguments), strict=True))
        if function != "train":
            return out
        return out, dict(zip(metrics, out.pop("metrics"), strict=True))

    return call


def interpret_scans(outputs, ancestors, kind):
    for variable in ancestors(list(outputs)):
        if variable.owner is not None and isinstance(variable.owner.op, kind):
            variable.owner.op.mode = "FAST_COMPILE"
