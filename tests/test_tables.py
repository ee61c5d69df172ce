"""What torch, optax and Stable-Baselines3 gave for the same arrays, kept as literal tables in `tests/tables`.

`tests/tables/make_tables.py` made them; each says with which versions. To 1e-6, absolute, of numbers around 1:
Stable-Baselines3 computes in float32, and torch's `clip_grad_norm_` adds 1e-6 to the norm.
"""

import json
import math
from pathlib import Path

import helpers_actor_critics as actor_critics
import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

from pg_theano.by_hand import advantages as by_hand_advantages
from pg_theano.by_hand import layers, policies
from pg_theano.by_hand import optimizers as by_hand_optimizers
from pg_theano.by_hand import program as by_hand
from pg_theano.config import schedules
from pg_theano.config.kinds import Schedule
from pg_theano.graphs import advantages, distributions, objectives, optimizers
from pg_theano.types import ActionSpace, Rollout

TABLES = Path(__file__).parent / "tables"
TORCH, OPTAX, SB3 = (
    json.loads((TABLES / f"{name}.json").read_text()) for name in ("torch", "optax", "stable_baselines3")
)


def assert_agree(ours, theirs, what=""):
    np.testing.assert_allclose(np.asarray(ours, float), np.asarray(theirs, float), rtol=0, atol=1e-6, err_msg=what)


def test_every_table_says_where_it_is_from():
    for table in (TORCH, OPTAX, SB3):
        assert table["source"]["made_by"] == "tests/tables/make_tables.py"
        assert all(version[0].isdigit() for version in table["source"]["versions"].values())


# -- optimisers, schedules


@pytest.mark.parametrize("clipped", ["", ", clipped"])
@pytest.mark.parametrize("name", by_definition.OPTIMIZERS)
def test_six_steps_of_an_optimiser_are_torchs_and_optaxs(name, clipped):
    """Some gradients 0, clipped to a global norm or not; `sgd` and `adam` by hand too.

    Caught, when planted: ε under the root; no correction of the bias; (1 − μ)·g in the velocity; clipping per element.
    """
    inputs = TORCH["inputs"]
    assert inputs == OPTAX["inputs"]
    constants = {key: value for key, value in inputs["constants"].items() if key not in ("learning_rate", "max_norm")}
    rate, longest = inputs["constants"]["learning_rate"], inputs["constants"]["max_norm"]
    params, gradient = pt.dvector(), pt.dvector()
    like = optimizers.STATE[name]
    state = {key: pt.dvector() if kind == "params" else pt.dscalar() for key, kind in like.items()}
    norm = pt.sqrt(pt.sum(gradient * gradient))
    taken = optimizers.clip_by_global_norm(gradient, norm, max_norm=longest) if clipped else gradient
    moved, after = optimizers.BY_NAME[name](params, taken, state, learning_rate=rate, **constants)
    run = by_definition.interpreted([params, gradient, *state.values()], [moved, *(after[key] for key in state)])

    at = np.array(inputs["params"])
    kept = [np.zeros_like(at) if kind == "params" else np.array(0.0) for kind in like.values()]
    by_hand_state = {"x": np.array(inputs["params"])}
    options = {k: constants[k] for k in by_hand.CONSTANTS[name]} if name in by_hand.CONSTANTS else {}
    for step, one in enumerate(map(np.array, inputs["gradients"])):
        at, *kept = run(at, one, *kept)
        assert_agree(at, TORCH["optimisers"][name + clipped][step], f"torch, step {step}")
        assert_agree(at, OPTAX["optimisers"][name + clipped][step], f"optax, step {step}")
        if name in by_hand_optimizers.BY_NAME:
            (shorter,), _ = by_hand_optimizers.clip_by_global_norm([one], longest if clipped else None)
            descend = by_hand_optimizers.BY_NAME[name]
            by_hand_state = descend(by_hand_state, "x", shorter, learning_rate=rate, **options)
            assert_agree(by_hand_state["x"], OPTAX["optimisers"][name + clipped][step], f"by hand, step {step}")


def test_schedules_are_optaxs():
    """Caught, when planted: `over_updates` − 1."""
    for kind, table in OPTAX["schedules"].items():
        schedule = Schedule(kind=kind, **{name: value for name, value in table.items() if name != "values"})
        assert_agree([schedules.value_at(schedule, k) for k in range(len(table["values"]))], table["values"], kind)


# -- distributions and losses


def spec_of(kind, table):
    if kind == "discrete":
        return by_definition.make_spec(num_actions=3)
    if kind == "multi_binary":
        return by_definition.make_spec(action=ActionSpace("multi_binary", 2, [2, 2], [], [])._asdict())
    low, high = table.get("low", [-9.0, -9.0]), table.get("high", [9.0, 9.0])
    return by_definition.make_spec(action=ActionSpace("box", 2, [], low, high)._asdict(), squash=kind == "squashed")


@pytest.mark.parametrize("kind", list(TORCH["distributions"]))
def test_log_prob_entropy_and_kl_are_torchs(kind):
    """Values and gradients, by torch's own distributions; squashed by its TanhTransform, whose entropy torch has not.

    Caught, when planted: old and new exchanged in the Gaussian's KL; no determinant of tanh.
    """
    table = TORCH["distributions"][kind]
    law, arrays = distributions.of(spec_of(kind, table).acting), [np.array(part).T for part in table["new"]]
    before = [np.array(part).T for part in table.get("old", table["new"])]
    new, old = ([pt.tensor(shape=(len(one), None), dtype="float64") for one in arrays] for _ in range(2))
    inputs, old_inputs = (
        tuple(distributions.policies.softmax_log_probs(part) for part in parts) if kind == "discrete" else tuple(parts)
        for parts in (new, old)
    )
    action = np.array(table["action"]).T
    taken = pt.constant(action.astype("int32") if kind in ("discrete", "multi_binary") else action)
    made = {"log_prob": law.log_prob(inputs, taken), "entropy": law.entropy(inputs), "kl": law.kl(old_inputs, inputs)}
    for name, value in made.items():
        if name in table:
            slopes = pytensor.grad(value.sum(), new, disconnected_inputs="ignore")
            got, *gradients = by_definition.interpreted([*old, *new], [value, *slopes])(*before, *arrays)
            assert_agree(got, table[name]["value"], name)
            for gradient, expected in zip(gradients, table[name]["gradients"], strict=True):
                assert_agree(gradient.T, expected, name)


def test_policies_by_hand_are_torchs():
    """Softmax, and the Gaussian one row at a time, as its log-std is one for all rows."""
    table = TORCH["distributions"]["discrete"]
    (logits,), action, ones = map(np.array, table["new"]), np.array(table["action"]), np.ones(4)
    assert_agree(policies.softmax_log_prob(logits, action), table["log_prob"]["value"])
    assert_agree(policies.softmax_entropy(logits), table["entropy"]["value"])
    none = np.zeros(0)
    assert_agree(policies.softmax_backward(logits, none, action, ones, 0 * ones)[0], table["log_prob"]["gradients"][0])
    assert_agree(policies.softmax_backward(logits, none, action, 0 * ones, ones)[0], table["entropy"]["gradients"][0])
    table = TORCH["distributions"]["gaussian"]
    for row, (mean, log_std, taken) in enumerate(
        zip(*map(np.array, table["new"]), np.array(table["action"]), strict=True)
    ):
        one = mean[None], log_std, taken[None]
        assert_agree(policies.gaussian_log_prob(*one)[0], table["log_prob"]["value"][row])
        assert_agree(policies.gaussian_entropy(*one[:2])[0], table["entropy"]["value"][row])
        for name, weights in (("log_prob", (1.0, 0.0)), ("entropy", (0.0, 1.0))):
            found = policies.gaussian_backward(*one, *(np.array([weight]) for weight in weights))
            assert_agree(found[0][0], table[name]["gradients"][0][row])
            assert_agree(found[1], table[name]["gradients"][1][row])


def test_the_value_loss_is_torchs_mse():
    table = TORCH["squared_error"]
    value, target, mask = (pt.dvector() for _ in range(3))
    loss = objectives.value_loss(value, target, mask)
    run = by_definition.interpreted([value, target, mask], [loss, pytensor.grad(loss, value)])
    arrays = np.array(table["value"]), np.array(table["target"])
    for ours in (
        run(*arrays, np.ones(7)),
        (layers.mean_squared_error(*arrays), layers.mean_squared_error_backward(*arrays)),
    ):
        assert_agree(ours[0], table["loss"])
        assert_agree(ours[1], table["gradient"])


# -- Stable-Baselines3: what it collected, estimated and learned

ENDS = np.array(SB3["ends"])
KNOBS = by_definition.KNOBS | {
    "discount": SB3["settings"]["discount"],
    "gae_lambda": SB3["settings"]["gae_lambda"],
    "clip_range": SB3["settings"]["clip_range"],
    "value_coefficient": SB3["settings"]["value_coefficient"],
    "entropy_coefficient": SB3["settings"]["entropy"],
    "learning_rate": SB3["settings"]["learning_rate"],
}
CASES = [
    pytest.param(
        one,
        id=f"{one['algorithm']} {one['kind']}{', normalised' * one['normalize_advantage']}, norm {one['max_norm']:g}",
    )
    for one in SB3["updates"]
]


def spec_of_update(one):
    return actor_critics.make_spec(
        one["algorithm"],
        "discrete" if one["kind"] == "discrete" else "gaussian",
        hidden=(3,),
        value_hidden=(2,),
        num_epochs=1,
        num_minibatches=1,
        num_steps=8,
        clips_gradient=True,
        standardize_advantages=one["normalize_advantage"],
        optimizer="sgd",
    )


def flat(spec, arrays):
    return np.concatenate([np.ravel(arrays[name]) for name, *_ in spec.acting.layout])


def block_of(one):
    written = {name: np.array(value) for name, value in SB3["script"].items()}
    return written | {
        "action": np.array(one["rollout"]["action"], np.int32 if one["kind"] == "discrete" else float),
        "log_prob": np.array(one["rollout"]["log_prob"]),
        "terminated": ENDS == 1,
        "truncated": ENDS == 2,
        "mask": np.ones(ENDS.shape),
    }


def order_of(spec):
    return {"index": np.arange(ENDS.size, dtype=np.int32)[None], "weight": np.ones((1, ENDS.size))}


@pytest.mark.parametrize("one", CASES)
def test_advantages_are_stable_baselines(one):
    """GAE and targets of three environments with terminations, time limits and a cut, from SB3's own values of the
    observations; by graph and by hand. SB3 pays γ·V of a time limit's last observation as a reward, and then ends.

    Caught, when planted: a time limit that does not end the sum; by hand V of a termination's successor.
    """
    spec, block = spec_of_update(one), block_of(one)
    params = flat(spec, one["collected_by"])
    value, next_value = (
        np.array([[actor_critics.value_of(spec, params, obs) for obs in row] for row in block[name]])
        for name in ("obs", "next_obs")
    )
    assert_agree(value, one["rollout"]["value"])
    ends = [block["terminated"], block["truncated"], block["mask"]]
    rates = {"discount": KNOBS["discount"], "gae_lambda": KNOBS["gae_lambda"]}
    theirs = by_hand_advantages.gae(block["reward"], value, next_value, *ends, **rates)
    assert_agree(theirs, one["rollout"]["advantage"])
    symbols = [pt.dmatrix() for _ in range(6)]
    run = by_definition.interpreted(symbols, advantages.gae(*symbols, max_steps=8, **rates))
    ours = run(*(np.asarray(part, float).T for part in (block["reward"], value, next_value, *ends))).T
    assert_agree(ours, one["rollout"]["advantage"])
    assert_agree(ours + value, one["rollout"]["target"])


@pytest.mark.parametrize("one", CASES)
def test_an_update_is_stable_baselines(one):
    """Losses, entropy, KL, share clipped and the parameters after one step of plain descent, gradient clipped to a norm.

    PPO at a policy that has moved since it played. Where advantages are normalised SB3 divides by the standard deviation
    of a sample (N − 1), and the policy's loss is smaller by √((N − 1)/N): that alone is compared.
    Caught, when planted: the entropy's sign; a value loss with ½; by hand no end to the gradient beyond the clip range.
    """
    spec, block = spec_of_update(one), block_of(one)
    state = {"params": flat(spec, one["before"])}
    knobs = KNOBS | {"max_gradient_norm": one["max_norm"]}
    order = order_of(spec) if one["algorithm"] == "ppo" else None
    after, metrics = actor_critics.interpreted_graph(spec, "train")(state, block, order, knobs)
    results = [(after, metrics)]
    if one["algorithm"] == "ppo":
        program = by_hand.load(spec)
        results.append(program.train(state, Rollout(**block), knobs, order))
    for after, metrics in results:
        if one["normalize_advantage"]:
            shrunk = math.sqrt((ENDS.size - 1) / ENDS.size)
            assert_agree(metrics["policy_loss"] * shrunk, one["metrics"]["policy_loss"], "policy_loss")
            continue
        for name, value in one["metrics"].items():
            assert_agree(metrics[name], value, name)
        assert_agree(after["params"], flat(spec, one["after"]), "parameters")
        assert np.abs(after["params"] - state["params"]).max() > 1e-2
