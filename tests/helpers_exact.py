"""What every estimator of the gradient expects, on the task of `pg_theano/exact/` whose every trajectory is enumerated.

An estimator is a gradient function as it is trained with, by graph or by hand: its expectation is the sum over all
trajectories, or over all pairs of them where a minibatch of two matters, each with its probability. `ESTIMATORS` says
what each is and what its bias should be; `benchmarks/torture` measures all of them, `python -m pg_theano.bias` the kinds.

Observations are one-hot in (state, time), so that a value network without hidden layers can be right for every state at
every time: `value="exact"`.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any, NamedTuple

import helpers_actor_critics as actor_critics
import helpers_graphs as by_definition
import numpy as np

from pg_theano.by_hand import program as by_hand
from pg_theano.exact import card, task
from pg_theano.types import ActionSpace, Rollout

LENGTH = task.THREE_STATES.length
SPACE = ActionSpace("discrete", 1, [2], [], [])._asdict()


class Estimator(NamedTuple):
    """One way to estimate the gradient, and what is said of its bias."""

    name: str
    algorithm: str = "reinforce"
    changes: dict[str, Any] = {}  # of the spec
    knobs: dict[str, float] = {}
    num_episodes: int = 1
    value: str = "wrong"  # or "exact"
    by_hand: bool = False
    scale: str = "sum"  # over the steps of an episode; "mean": as it is descended, over all steps of the minibatch
    moved: float = 0.0  # how far the parameters are from those that played
    length: int = LENGTH  # the time limit of the task; pairs of episodes are too many with three steps
    why: str = ""  # of the bias; "" where there is none


def pair(name, algorithm, changes, **more):
    """An estimator that takes two episodes at once, of two steps at most."""
    return Estimator(name, algorithm, changes, num_episodes=2, length=2, **more)


def spec_of(estimator):
    common = {"obs_size": 3 * LENGTH, "action": SPACE, "hidden": (2,), "activation": "tanh", "max_steps": LENGTH}
    if estimator.algorithm == "reinforce":
        return by_definition.make_spec(**common | {"average": "episodes", "time_limit": LENGTH} | estimator.changes)
    return actor_critics.make_spec(
        estimator.algorithm, **{**common, "action": "two", "value_hidden": (), "time_limit": LENGTH} | estimator.changes
    )


@functools.cache
def played_params(size):
    return np.random.default_rng(7).normal(0, 0.7, size)


def state_of(spec, estimator):
    """A State whose policy is the same for every estimator, and whose value network is wrong, or exact."""
    from pg_theano.graphs.algorithms import common as skeleton

    number = spec.acting.num_params - spec.acting.num_value_params
    rng = np.random.default_rng(8)
    state = {name: np.zeros(shape) for name, shape, _ in skeleton.state_entries(spec)}
    value = rng.normal(0, 0.7, spec.acting.num_value_params)
    if estimator.value == "exact":
        value = np.concatenate([exact_values(spec, estimator).T.ravel(), [0.0]])
    state["params"] = np.concatenate([played_params(number), value])
    if "baseline/mean" in state:
        state["baseline/mean"], state["baseline/count"] = np.array(0.37), np.array(5.0)
    for name in state:
        if name.endswith("variance"):
            state[name] = np.ones_like(state[name])
    return state


def exact_values(spec, estimator):
    """V(s, t) of the policy that played. [S, T]"""
    policy = played_params(spec.acting.num_params - spec.acting.num_value_params)
    params = np.concatenate([policy, np.zeros(spec.acting.num_value_params)])
    probs = table(spec, params, estimator)
    values = task.values(probs, knobs_of(estimator)["discount"], task_of(estimator))
    return np.pad(values, ((0, 0), (0, LENGTH - estimator.length)))[:, :LENGTH]


def knobs_of(estimator):
    alone = {"entropy_coefficient": 0.0, "value_coefficient": 0.0, "discount": 1.0, "gae_lambda": 1.0}
    return by_definition.KNOBS | alone | estimator.knobs


# -- probabilities


def policy_probs(spec, params, place, time):
    """π of both actions, the softmax of the network itself. Complex where the parameters are."""
    law = actor_critics.policy(by_definition.changed(spec, exploration="softmax"), params, task.seen(place, time))
    return np.exp(law.parts[0])


def behaviour(spec, params, place, time, estimator):
    """The probabilities with which actions are drawn: `exploration.py`'s table."""
    probs, rate = policy_probs(spec, params, place, time), knobs_of(estimator)["exploration_rate"]
    best = np.eye(2)[int(np.argmax(probs.real))]
    return {
        "softmax": probs,
        "epsilon_softmax": rate / 2 + (1 - rate) * probs,
        "epsilon_greedy": rate / 2 + (1 - rate) * best,
        "epsilon_greedy_softmax": rate * probs + (1 - rate) * best,
    }[spec.acting.exploration]


def task_of(estimator):
    return task.THREE_STATES._replace(length=estimator.length)


def table(spec, params, estimator, law=behaviour):
    """The policy [S, T, A] under a law of actions."""
    times = range(estimator.length)
    return np.array([[law(spec, params, place, time, estimator) for time in times] for place in range(3)])


def chances(spec, params, estimator, law=behaviour):
    """[(probability, states, actions)] of every trajectory under a law of actions."""
    policy = table(spec, params, estimator, law)
    every = task.trajectories(task_of(estimator))
    return [(task.probability(one, policy), one.places, one.actions) for one in every]


def expected_return(spec, params, estimator):
    """J. Where the behaviour has a gradient (`softmax`, `epsilon_softmax`) of the behaviour; else of the policy π, of
    which the greedy strategies learn."""
    smooth = spec.acting.exploration in ("softmax", "epsilon_softmax")
    law = behaviour if smooth else lambda spec, params, place, time, _: policy_probs(spec, params, place, time)
    policy, discount = table(spec, params, estimator, law), knobs_of(estimator)["discount"]
    return task.expected_return(policy, discount, task_of(estimator))


def true_gradient(spec, params, estimator):
    """∇J for the policy's parameters, by differences."""
    number = spec.acting.num_params - spec.acting.num_value_params

    def of_policy(policy):
        return expected_return(spec, np.concatenate([policy, params[number:]]), estimator)

    return task.differences(of_policy, params[:number])


# -- what is estimated


def block_of(spec, params, batch, estimator):
    """Fields [E, T, ...] of some trajectories; what never happened is garbage."""
    rows, rng = (len(batch), LENGTH), np.random.default_rng(len(batch))
    block = {
        "obs": rng.normal(0, 9, (*rows, 3 * LENGTH)),
        "next_obs": rng.normal(0, 9, (*rows, 3 * LENGTH)),
        "action": rng.integers(0, 2, rows).astype(np.int32),
        "reward": rng.normal(0, 9, rows),
        "log_prob": rng.normal(0, 1, rows),
        "terminated": np.zeros(rows, bool),
        "truncated": np.zeros(rows, bool),
        "mask": np.zeros(rows),
    }
    for e, (places, actions) in enumerate(batch):
        for t, (place, action) in enumerate(zip(places, actions, strict=True)):
            block["obs"][e, t] = task.seen(place, t)
            block["action"][e, t], block["reward"][e, t], block["mask"][e, t] = (
                action,
                task.THREE_STATES.pays[place, action],
                1.0,
            )
            block["log_prob"][e, t] = np.log(behaviour(spec, params, place, t, estimator)[action])
            if t:
                block["next_obs"][e, t - 1] = block["obs"][e, t]
        block["terminated"][e, len(places) - 1] = True
    return block


def gradient_function(spec, estimator):
    """(State, block, knobs, at) to the gradient of the loss, as it is trained with."""
    if not estimator.by_hand:
        run = actor_critics.interpreted_graph(spec, "gradient")
        return lambda state, block, knobs, at: run(state, block, knobs=knobs, at=at)["gradient"]
    program = by_hand.load(spec)
    return lambda state, block, knobs, at: program.gradient(state, Rollout(**block), knobs, at)["gradient"]


class Found(NamedTuple):
    """An estimator's expectation beside the gradient of the expected return."""

    expected: np.ndarray
    true: np.ndarray
    error: float  # largest difference of any parameter
    bias: float  # ‖𝔼[ĝ] − ∇J‖ / ‖∇J‖
    angle: float  # between them, degrees


def measured(estimator) -> Found:
    spec = spec_of(estimator)
    state, knobs = state_of(spec, estimator), knobs_of(estimator)
    number = spec.acting.num_params - spec.acting.num_value_params
    at = np.array(state["params"])
    at[:number] += estimator.moved * np.random.default_rng(9).normal(size=number)
    run, expected = gradient_function(spec, estimator), np.zeros(number)
    over_steps = estimator.algorithm != "reinforce" or spec.learning.average == "steps"
    weighed = chances(spec, state["params"], estimator)
    assert abs(math.fsum(chance for chance, *_ in weighed) - 1) < 1e-12
    mean_steps = math.fsum(chance * len(places) for chance, places, _ in weighed)
    for batch in itertools.product(weighed, repeat=estimator.num_episodes):
        chance = math.prod(one[0] for one in batch)
        block = block_of(spec, state["params"], [one[1:] for one in batch], estimator)
        steps = {"sum": block["mask"].sum() / len(batch), "mean": mean_steps}[estimator.scale] if over_steps else 1.0
        expected -= chance * steps * run(state, block, knobs, at)[:number]
    true = true_gradient(spec, at, estimator)
    one = card.card(expected[None], true)
    return Found(expected, true, float(np.abs(expected - true).max()), one.bias / 100, one.angle)


# -- all of them

CRITICS = ["vpg", "a2c", "ppo", "npg", "trpo"]


def unbiased():
    """Those whose expectation is ∇J."""
    for signal, discount in (("reward_to_go", 1.0), ("episode_return", 0.9)):
        for baseline, episodes in (("none", 1), ("mean_so_far", 1), ("leave_one_out", 2)):
            name, changes, knobs = f"reinforce {signal}, {baseline}", {"signal": signal}, {"discount": discount}
            made = Estimator if episodes == 1 else pair
            yield made(name, "reinforce", changes | {"baseline": baseline}, knobs=knobs)
    mixture = {"exploration": "epsilon_softmax"}
    yield Estimator("reinforce, epsilon_softmax, J of the mixture", "reinforce", mixture)
    for algorithm in CRITICS:
        for changes in ({"advantage": "gae"}, {"advantage": "monte_carlo"}, {"advantage": "n_step"}):
            yield Estimator(f"{algorithm} {changes['advantage']}, λ = 1, any V", algorithm, changes)
        for changes in ({"advantage": "gae"}, {"advantage": "td"}):
            knobs = {"gae_lambda": 0.5}
            yield Estimator(f"{algorithm} {changes['advantage']}, V exact", algorithm, changes, knobs, value="exact")
        without = {"advantage": "monte_carlo", "baseline": "none"}
        yield Estimator(f"{algorithm} monte_carlo without a baseline", algorithm, without)
    for algorithm in ("vpg", "ppo"):
        yield Estimator(f"{algorithm} by hand, gae, λ = 1, any V", algorithm, by_hand=True)
        yield Estimator(f"{algorithm} by hand, monte_carlo", algorithm, {"advantage": "monte_carlo"}, by_hand=True)
        knobs = {"gae_lambda": 0.5}
        yield Estimator(f"{algorithm} by hand, gae, V exact", algorithm, {}, knobs, value="exact", by_hand=True)
        without = {"advantage": "monte_carlo", "baseline": "none"}
        yield Estimator(f"{algorithm} by hand, monte_carlo without a baseline", algorithm, without, by_hand=True)


def biased():
    """Choices whose expectation is not ∇J, and why."""
    dropped = "late steps count fully, not γᵗ (everybody has it so)"
    yield Estimator("reinforce reward_to_go, γ = 0.9", knobs={"discount": 0.9}, why=dropped)
    for algorithm in CRITICS:
        yield Estimator(f"{algorithm}, λ = 1, γ = 0.9", algorithm, knobs={"discount": 0.9}, why=dropped)
    for algorithm in ("vpg", "ppo"):
        name = f"{algorithm} by hand, λ = 1, γ = 0.9"
        yield Estimator(name, algorithm, knobs={"discount": 0.9}, by_hand=True, why=dropped)
    own = "an action is paid for its own step alone"
    yield Estimator("reinforce signal=reward, γ = 0.9", "reinforce", {"signal": "reward"}, {"discount": 0.9}, why=own)
    running = {"baseline": "running_mean"}
    yield Estimator("reinforce baseline=running_mean", "reinforce", running, why="its own action is in its baseline")
    per_step, share = {"baseline": "per_timestep"}, "each episode is 1/n of its own baseline: here ½"
    yield pair("reinforce baseline=per_timestep, 2 episodes", "reinforce", per_step, why=share)
    steps, short = {"average": "steps"}, "steps of short episodes count more; less so the more episodes"
    name = "reinforce average=steps"
    yield Estimator(f"{name}, 1 episode", "reinforce", steps, scale="mean", length=2, why=short)
    yield pair(f"{name}, 2 episodes", "reinforce", steps, scale="mean", why=short)
    for algorithm in CRITICS:
        yield Estimator(f"{algorithm}, mean over steps, 1 episode", algorithm, scale="mean", length=2, why=short)
    scaled = {"standardize_advantages": True}
    centred = "divided by their own spread; its own action is in mean and spread"
    yield pair("reinforce standardize_advantages, 2 episodes", "reinforce", scaled, why=centred)
    yield pair("ppo standardize_advantages, 2 episodes", "ppo", scaled, why=centred)
    argmax = "argmax has no gradient, so log π stands in; ∇J is that of π"
    for strategy in ("epsilon_greedy", "epsilon_greedy_softmax"):
        yield Estimator(f"reinforce {strategy}, ε = 0.3", "reinforce", {"exploration": strategy}, why=argmax)
    wrong = "V is wrong, and stands for what was not summed"
    for name, changes in (
        ("gae, λ = 0.5", {"advantage": "gae"}),
        ("td", {"advantage": "td"}),
        ("n_step, n = 2", {"advantage": "n_step", "bootstrap_steps": 2}),
    ):
        yield Estimator(f"vpg {name}, V wrong", "vpg", changes, {"gae_lambda": 0.5}, why=wrong)
    knobs = {"gae_lambda": 0.5}
    yield Estimator("vpg by hand gae, λ = 0.5, V wrong", "vpg", knobs=knobs, by_hand=True, why=wrong)
    later = "states are those that the old policy visited; ratios beyond 1 ± ε teach nothing"
    for algorithm in ("ppo", "trpo"):
        why = later if algorithm == "ppo" else later.partition(";")[0]
        yield Estimator(f"{algorithm}, parameters moved by 0.3", algorithm, moved=0.3, why=why)
    bonus = "the entropy's gradient is added"
    yield Estimator("ppo entropy_coefficient = 0.01", "ppo", knobs={"entropy_coefficient": 0.01}, why=bonus)
    rewards = {"normalize_rewards": True}
    yield pair("ppo normalize.rewards, 2 episodes", "ppo", rewards, why="of another scale of rewards")


UNBIASED, BIASED = list(unbiased()), list(biased())
