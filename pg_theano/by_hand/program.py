"""The twin of a compiled program: the same State in, the same State out, every gradient from this folder.

    program = load(spec)                        # gradients=by_hand in a config
    state = program.init(rng)
    state, metrics = program.train(state, rollout, knobs, minibatches)

The State is laid out as the trainer's, so that loop, checkpoints and evaluation cannot tell the two apart:

    params [D]                   the policy's numbers, then the value network's
    optimizer/...                ppo: one optimiser moves all of them;  vpg: the policy's
    value_optimizer/...          vpg: the value network's

In here both networks have a vector and an optimiser each, as in `vpg.py`: `opened` takes a State apart, `closed`
puts it together. For ppo that is the same thing, because both optimisers move each number by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from pg_theano import parameters
from pg_theano.by_hand import advantages, optimizers, policies, ppo, vpg
from pg_theano.by_hand.networks import Network
from pg_theano.by_hand.vpg import Agent, Steps
from pg_theano.layers import Dense
from pg_theano.spec import Spec
from pg_theano.types import GREEDY, OF_EVERY_POLICY, Array, Knobs, Problem, Program, Rollout, State, UserError

Metrics = dict[str, float]

CONSTANTS: dict[str, tuple[str, ...]] = {"sgd": (), "adam": ("beta1", "beta2", "epsilon")}
"""The knobs of each optimiser, beside the learning rate."""


def load(spec: Spec) -> Program:
    """The program of a spec whose algorithm is vpg or ppo; what it does not cover, the config has refused."""
    agent = agent_of(spec)
    learn, names = LEARNERS[spec.learning.algorithm]
    entries, dtype = state_entries(spec), spec.dtype
    discrete = spec.acting.action.kind == "discrete"

    def init(rng: np.random.Generator) -> State:
        state: State = {name: np.zeros(shape, dtype) for name, shape, _ in entries}
        return state | {"params": parameters.initial(rng, spec.acting.layout, dtype)}

    def act(state: State, obs: Array, noise: Array, knobs: Knobs, choice: int) -> tuple[Array, Array]:
        ours = {"policy": halves(spec, state["params"])[0]}
        action, log_prob = vpg.act(agent, ours, obs, None if choice == GREEDY else noise)
        return action.astype(np.int32) if discrete else action, log_prob

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is not finite is told by a metric
    def train(state: State, rollout: Rollout, knobs: Knobs, minibatches: dict[str, Array]) -> tuple[State, Metrics]:
        ours = opened(spec, state)
        steps = estimate(spec, agent, ours, rollout, knobs)
        ours, measured = learn(spec, agent, ours, steps, batches_of(rollout, minibatches), knobs)
        measured |= {
            "explained_variance": explained_variance(steps.value, steps.target),
            "advantage_mean": float(np.mean(steps.advantage)),
        }
        moved = closed(spec, ours)
        numbers = [measured["cost"], measured["gradient_norm"], *moved.values()]
        finite = all(np.isfinite(number).all() for number in numbers)
        metrics = {name: (measured | {"finite": float(finite)})[name] for name in names}
        return moved if finite else state, metrics

    def gradient(state: State, rollout: Rollout, knobs: Knobs, at: Array | None = None) -> dict[str, Array]:
        ours = opened(spec, state)
        steps = estimate(spec, agent, ours, rollout, knobs)
        ours |= dict(zip(("policy", "value"), halves(spec, state["params"] if at is None else at), strict=True))
        loss, policy_gradient = policy_loss(spec, agent, ours["policy"], steps, knobs)
        error, value_gradient = vpg.value_loss(agent, ours["value"], steps.obs, steps.target)
        weight = value_weight(spec, knobs)
        flat = np.concatenate([policy_gradient, weight * value_gradient])
        return {"loss": np.asarray(loss + weight * error, dtype), "gradient": flat.astype(dtype)}

    def rollout(*_: Any) -> dict[str, Any]:
        raise UserError(
            Problem.of("gradients", "by_hand steps no compiled environment; expected environment.engine=gymnasium")
        )

    kind, size = spec.acting.noise_kind
    manifest = {
        "state": entries,
        "knobs": spec.learning.knobs,
        "metrics": names,
        "takes": list(OF_EVERY_POLICY),
        "noise": {"kind": kind, "size": size},
    }
    return Program(init, act, train, gradient, rollout, lambda wanted: None, manifest)


# -- from a spec


def agent_of(spec: Spec) -> Agent:
    """Policy and networks, of the spec's layers."""

    def network(head: Literal["policy", "value"]) -> Network:
        layers = [placed.layer for placed in spec.acting.path(head)]
        widths = [layer.width for layer in layers if isinstance(layer, Dense)]
        if len(widths) < len(layers):
            raise UserError(Problem.of("gradients", "by_hand derives dense layers alone; expected symbolic"))
        return Network((spec.acting.obs_size, *widths), spec.acting.activation)

    policy = policies.GAUSSIAN if spec.acting.action.kind == "box" else policies.SOFTMAX
    return Agent(policies.LOGISTIC if spec.acting.logistic else policy, network("policy"), network("value"))


def apart(spec: Spec) -> bool:
    """Whether the value network takes steps of its own, by its own optimiser."""
    return "value_optimizer" in spec.learning.optimizers


def optimizers_of(spec: Spec) -> dict[str, str]:
    """What the State calls the optimiser of each of the two networks."""
    return {"policy": "optimizer", "value": "value_optimizer" if apart(spec) else "optimizer"}


def state_entries(spec: Spec) -> list[list[Any]]:
    """[name, shape, how it begins] of all that learning changes."""
    size, value_size = spec.acting.num_params, spec.acting.num_value_params
    sizes = {"optimizer": size}
    if apart(spec):
        sizes = {"optimizer": size - value_size, "value_optimizer": value_size}
    entries: list[list[Any]] = [["params", [size], "layout"]]
    for prefix, length in sizes.items():
        for name in optimizers.STATE[spec.learning.optimizer]:
            entries.append([f"{prefix}/{name}", [] if name == "step" else [length], "zeros"])
    return entries


# -- the State, taken apart and put together


def halves(spec: Spec, vector: Array) -> tuple[Array, Array]:
    """A vector [D] as the policy's part and the value network's, which is the last."""
    first = spec.acting.num_params - spec.acting.num_value_params
    return vector[:first], vector[first:]


def opened(spec: Spec, state: State) -> State:
    """`policy` and `value`, and beside each what its optimiser keeps, as `optimizers.py` calls it."""
    ours: State = dict(zip(("policy", "value"), halves(spec, state["params"]), strict=True))
    for place, (name, prefix) in enumerate(optimizers_of(spec).items()):
        for key in optimizers.STATE[spec.learning.optimizer]:
            kept = state[f"{prefix}/{key}"]
            whole = kept.ndim == 1 and len(kept) == spec.acting.num_params
            ours[f"{name}/{key}"] = halves(spec, kept)[place] if whole else kept
    return ours


def closed(spec: Spec, ours: State) -> State:
    """The State that `opened` gave, of the spec's type."""
    state: State = {"params": np.concatenate([ours["policy"], ours["value"]])}
    for name, prefix in optimizers_of(spec).items():
        for key in optimizers.STATE[spec.learning.optimizer]:
            both = not apart(spec) and key != "step"
            state[f"{prefix}/{key}"] = (
                np.concatenate([ours[f"policy/{key}"], ours[f"value/{key}"]]) if both else ours[f"{name}/{key}"]
            )
    return {name: np.asarray(value, spec.dtype) for name, value in state.items()}


# -- one update


def estimate(spec: Spec, agent: Agent, ours: State, rollout: Rollout, knobs: Knobs) -> Steps:
    """What each real step of a rollout was worth to the networks as they are."""
    return vpg.estimate(
        agent,
        ours,
        rollout,
        discount=knobs["discount"],
        gae_lambda=knobs["gae_lambda"] if spec.learning.advantage == "gae" else None,
        baseline=spec.learning.baseline == "value",
    )


def batches_of(rollout: Rollout, minibatches: dict[str, Array]) -> list[Array]:
    """The rows of `Steps` that make each gradient step.

    The loop counts t·E + e, padding too, and fills minibatches up with columns of weight 0; `Steps` has the real steps
    alone, environment after environment.
    """
    real = np.asarray(rollout.mask) > 0  # [E, T]
    row = np.zeros(real.shape, int)
    row[real] = np.arange(real.sum())
    of_column = row.T.ravel()
    pairs = zip(minibatches["index"], minibatches["weight"], strict=True)
    return [of_column[index[weight > 0]] for index, weight in pairs]


def policy_loss(spec: Spec, agent: Agent, params: Array, steps: Steps, knobs: Knobs) -> tuple[float, Array]:
    """The algorithm's own loss of the policy over some steps, and its gradient: (scalar, [P])."""
    advantage = advantages.standardize(steps.advantage) if spec.learning.standardize_advantages else steps.advantage
    entropy_coefficient = knobs["entropy_coefficient"]
    if apart(spec):
        return vpg.policy_loss(
            agent, params, steps.obs, steps.action, advantage, entropy_coefficient=entropy_coefficient
        )
    return ppo.policy_loss(
        agent,
        params,
        steps.obs,
        steps.action,
        steps.log_prob,
        advantage,
        clip_range=knobs["clip_range"],
        entropy_coefficient=entropy_coefficient,
    )


def value_weight(spec: Spec, knobs: Knobs) -> float:
    """What the value network's loss weighs beside the policy's: nothing is weighed where each has its own steps."""
    return 1.0 if apart(spec) else knobs["value_coefficient"]


def descend(spec: Spec, ours: State, gradients: dict[str, Array], knobs: Knobs, *, rate: str) -> tuple[State, float]:
    """One step of the networks named against their gradients, clipped together; and how long those were."""
    most = knobs["max_gradient_norm"] if spec.learning.clips_gradient else None
    clipped, norm = optimizers.clip_by_global_norm(list(gradients.values()), most)
    constants = {name: knobs[name] for name in CONSTANTS[spec.learning.optimizer]}
    for name, gradient in zip(gradients, clipped, strict=True):
        ours = optimizers.BY_NAME[spec.learning.optimizer](ours, name, gradient, learning_rate=knobs[rate], **constants)
    return ours, norm


def learn_vpg(
    spec: Spec, agent: Agent, ours: State, steps: Steps, batches: Sequence[Array], knobs: Knobs
) -> tuple[State, Metrics]:
    """One step of the policy from all steps together; then the value network, one step a minibatch."""
    loss, gradient = policy_loss(spec, agent, ours["policy"], steps, knobs)
    outputs, log_std, _ = vpg.outputs_of(agent, ours["policy"], steps.obs)
    entropy = float(np.mean(agent.policy.entropy(outputs, log_std)))
    ours, norm = descend(spec, ours, {"policy": gradient}, knobs, rate="learning_rate")
    errors = []
    for rows in batches:
        error, gradient = vpg.value_loss(agent, ours["value"], steps.obs[rows], steps.target[rows])
        ours, _ = descend(spec, ours, {"value": gradient}, knobs, rate="value_learning_rate")
        errors.append(error)
    return ours, {"cost": loss, "value_loss": float(np.mean(errors)), "entropy": entropy, "gradient_norm": norm}


def learn_ppo(
    spec: Spec, agent: Agent, ours: State, steps: Steps, batches: Sequence[Array], knobs: Knobs
) -> tuple[State, Metrics]:
    """One step of both networks a minibatch. The metrics are means over the steps, each taken before its step.

    L = L_policy − c_e·H + c_v·L_value, so ∂L/∂(policy) is that of the first two and ∂L/∂(value) is c_v·∂L_value.
    """
    weight, rows_of_metrics = value_weight(spec, knobs), []
    for rows in batches:
        part = Steps(*(field[rows] for field in steps))
        seen = ppo.measured(agent, ours["policy"], part.obs, part.action, part.log_prob, clip_range=knobs["clip_range"])
        loss, gradient = policy_loss(spec, agent, ours["policy"], part, knobs)
        error, value_gradient = vpg.value_loss(agent, ours["value"], part.obs, part.target)
        gradients = {"policy": gradient, "value": weight * value_gradient}
        ours, norm = descend(spec, ours, gradients, knobs, rate="learning_rate")
        seen |= {"cost": loss + weight * error, "value_loss": error, "gradient_norm": norm}
        seen["policy_loss"] = loss + knobs["entropy_coefficient"] * seen["entropy"]
        rows_of_metrics.append(seen)
    return ours, {name: float(np.mean([row[name] for row in rows_of_metrics])) for name in rows_of_metrics[0]}


_ENDS = ["gradient_norm", "explained_variance", "advantage_mean", "finite"]
LEARNERS = {
    "vpg": (learn_vpg, ["cost", "value_loss", "entropy", *_ENDS]),
    "ppo": (learn_ppo, ["cost", "policy_loss", "value_loss", "entropy", "kl", "clip_fraction", *_ENDS]),
}
"""What learns, and the names of its metrics, by algorithm."""


def explained_variance(value: Array, target: Array) -> float:
    """1 − Var[target − V] / Var[target]: 1 predicts perfectly, 0 as well as the mean would. 0 where targets are equal.

    Equal is up to rounding of what they are. Shapes: [N], [N].
    """
    spread = float(np.var(target))
    differ = np.ptp(target) > 8 * np.finfo(target.dtype).eps * np.abs(target).max() and spread > 0
    return 1.0 - float(np.var(target - value)) / spread if differ else 0.0
