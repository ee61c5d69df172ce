"""Where symbolic graphs make NaN of what is finite, and where a NaN hides: rollouts and States that lead there.

`harmless` and `harmful` spoil a State and a block [E, T, ...] of experience, of `helpers_actor_critics`. After the first
an update must be finite; of the second it must say finite = 0 and leave every entry of State as it was, bit for bit.
`checked` holds one program, of whatever backend, to both.
"""

from __future__ import annotations

import helpers_actor_critics as by_definition
import numpy as np
from helpers_actor_critics import MIXED, experience, make_spec, remember
from helpers_graphs import KNOBS

from pg_theano.training import minibatches
from pg_theano.types import UserError

ALGORITHMS = ["reinforce", "vpg", "a2c", "ppo", "npg", "trpo"]
KINDS = [kind for kind in by_definition.KINDS if kind != "epsilon"]
TRAP_KNOBS = KNOBS | {"entropy_coefficient": 0.1, "target_kl": 1e9}


def spec_of(algorithm, kind="discrete", **changes):
    """All that divides, takes roots or exponentials, at once."""
    rich = {
        "optimizer": "adam",
        "clips_gradient": True,
        "standardize_advantages": True,
        "normalize_observations": True,
        "uses_entropy": True,
        "hidden": (2,),
    }
    if algorithm == "reinforce":
        return make_spec(algorithm, kind, **{**rich, "baseline": "leave_one_out", "value_hidden": None} | changes)
    rich |= {"normalize_rewards": True, "num_steps": 8, "num_epochs": 1, "num_minibatches": 2, "num_cg_iterations": 3}
    rich |= {"num_line_search_steps": 2, "uses_target_kl": algorithm == "ppo", "clips_value": algorithm == "ppo"}
    return make_spec(algorithm, kind, **{**rich, "value_hidden": (2,)} | changes)


def by_hand_spec(algorithm, kind="discrete", **changes):
    """What the twin by hand covers."""
    common = {"optimizer": "adam", "clips_gradient": True, "standardize_advantages": True, "hidden": (2,)}
    return make_spec(
        algorithm, kind, **{**common, "num_epochs": 1, "num_minibatches": 2, "value_hidden": (2,)} | changes
    )


def problem(spec):
    """(State, block) of three environments, the State as after some updates."""
    rng, state = np.random.default_rng(0), {}
    from pg_theano.graphs.algorithms import common as skeleton

    for name, shape, _ in skeleton.state_entries(spec):
        sizes = [3 if size == "E" else size for size in shape]
        signed = name.endswith(("params", "mean", "first_moment", "so_far"))
        state[name] = rng.normal(0, 0.7, sizes) if signed else rng.uniform(0.5, 1.5, sizes)
        if name.endswith(("count", "step")):
            state[name] = np.array(3.0)
    block = remember(spec, state, experience(spec, rng, MIXED), TRAP_KNOBS)
    return {name: np.asarray(value, spec.dtype) for name, value in state.items()}, block


def order_of(spec, block):
    """Minibatches of the columns that are real, of all where none is."""
    if spec.learning.algorithm in ("reinforce", "a2c"):
        return None
    mask = block["mask"].T.ravel()
    number = {"num_epochs": spec.learning.passes.num_epochs, "num_minibatches": spec.learning.passes.num_minibatches}
    drawn = mask if mask.any() else np.ones_like(mask)
    order = minibatches.draw(np.random.default_rng(1), drawn, mask.size, **number, dtype=spec.dtype)
    return order | {"weight": order["weight"] * mask[order["index"]]}


def harmless(spec, state, block):
    """(what, State, block): the update must be finite."""
    real, fresh = block["mask"] > 0, {name: np.zeros_like(value) for name, value in state.items()}
    fresh |= {name: np.ones_like(value) for name, value in state.items() if name.endswith("variance")}
    fresh["params"] = state["params"]
    first = np.zeros_like(block["mask"])
    first[tuple(np.argwhere(real)[0])] = 1.0
    silent = {"reward": np.where(real, 0.0, block["reward"])}
    yield "nothing happened at all", state, block | {"mask": np.zeros_like(first)}
    yield "nothing happened, nothing was ever counted", fresh, block | {"mask": np.zeros_like(first)}
    row = block["mask"].copy()
    row[1] = 0.0
    yield "an episode of no steps", state, block | {"mask": row}
    yield "one step alone", fresh, block | {"mask": first}
    yield "no reward: std of a constant, advantages that may be all alike", fresh, block | silent
    yield "every parameter 0, no reward: no gradient to clip", fresh | {"params": 0 * state["params"]}, block | silent
    equal = np.broadcast_to(block["obs"][0, :1], block["obs"].shape)
    yield "one observation for ever: variance 0", fresh, block | {"obs": equal, "next_obs": equal}
    known = fresh | {name: 0 * value for name, value in state.items() if name.endswith("variance")}
    known |= {"normalizer/mean": block["obs"][0, 0].astype(spec.dtype)} if spec.acting.normalize_observations else {}
    yield "variance 0 from before", known, block | {"obs": equal, "next_obs": equal}
    # A box has log σ among its parameters: σ of e⁻⁴ or e⁻²⁸, beyond which the square of a gradient overflows.
    sure = 1e4 if spec.acting.action.kind != "box" else 40 if spec.dtype == "float64" else 5
    yield "a policy that is sure, and now and then wrong", state | {"params": sure * state["params"]}, block
    for ratio in (1e4, -1e4):
        yield f"a log-ratio of {ratio:g}", state, block | {"log_prob": block["log_prob"] - ratio}


def harmful(spec, state, block):
    """(what, State, block): one number that is not finite."""
    e, t = np.argwhere(block["mask"] > 0)[5]
    for name, value in (
        ("reward", np.nan),
        ("reward", np.inf),
        ("reward", -np.inf),
        ("obs", np.nan),
        ("obs", np.inf),
        ("next_obs", np.nan),
    ):
        if not block["terminated"][e, t] or name != "next_obs":
            spoiled = block[name].copy()
            spoiled[e, t] = value
            yield f"{name} {value}", state, block | {name: spoiled}
    for place in (0, -1):
        params = state["params"].copy()
        params[place] = np.nan
        yield f"parameter {place} nan", state | {"params": params}, block


def checked(spec, run):
    """The traps that `run` (State, block, minibatches, knobs) -> (State, metrics) fell into, in words; and how many
    were set. Where nothing happened, an error that says so will do."""
    state, block = problem(spec)
    fell, number = [], 0
    takes_next = spec.learning.algorithm != "reinforce"
    for traps, wanted in ((harmless, 1), (harmful, 0)):
        for what, before, spoiled in traps(spec, state, block):
            if what.startswith("next_obs") and not takes_next:
                continue
            number += 1
            try:
                with np.errstate(all="ignore"):
                    after, metrics = run(before, spoiled, order_of(spec, spoiled), TRAP_KNOBS)
            except UserError as error:
                if not (what.startswith("nothing happened") and "got no step" in str(error)):
                    fell.append(f"{what}: {error}")
                continue
            if metrics["finite"] != wanted:
                fell.append(f"{what}: finite = {metrics['finite']:g}")
            if wanted and not all(np.isfinite(value).all() for value in after.values()):
                fell.append(f"{what}: State is not finite")
            if wanted and not all(np.isfinite(value) for value in metrics.values()):
                fell.append(f"{what}: {[name for name, value in metrics.items() if not np.isfinite(value)]}")
            same = all(np.asarray(after[n], before[n].dtype).tobytes() == before[n].tobytes() for n in before)
            if not wanted and not same:
                fell.append(f"{what}: State was changed")
    return fell, number
