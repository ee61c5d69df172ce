"""Many random cases at once: what the graph and the twin make of them, against the definitions of `helpers_graphs`.

A case is a column: up to `max_steps` steps with terminations, truncations, both, cuts and gaps at random places, and a
γ and a λ of its own. So ten thousand of them are one call of every function. `benchmarks/torture` has the ten thousand,
the tests some hundreds.
"""

from __future__ import annotations

import functools

import helpers_graphs as by_definition
import numpy as np
import pytensor
import pytensor.tensor as pt
from helpers_graphs import BOTH, CONTINUES, PADDED, SIGNALS, TERMINATED, TRUNCATED

from pg_theano.by_hand import advantages as by_hand
from pg_theano.compiler import building
from pg_theano.graphs import advantages

FIELDS = ["reward", "value", "next_value", "terminated", "truncated", "mask"]
NUMBERS = [1, 2, 3, 5, 8, 13]
"""n of the n-step estimates: of one bit and of several."""


def random_cases(rng, number, max_steps):
    """(block [T, E], γ [E], λ [E]): from a column without an end to one that ends at every other step."""
    rate = rng.choice([0.0, 0.05, 0.3, 0.6], number)
    kinds = rng.choice([TERMINATED, TRUNCATED, BOTH, PADDED], (max_steps, number), p=[0.4, 0.3, 0.1, 0.2])
    ends = np.where(rng.random((max_steps, number)) < rate, kinds, CONTINUES)
    length = rng.integers(1, max_steps + 1, number)
    ends[np.arange(max_steps)[:, None] >= length] = PADDED
    block = consistent(by_definition.segment(ends, rng))
    discount = rng.choice([0.0, 0.5, 0.9, 0.99, 1.0], number)
    return block, discount, rng.choice([0.0, 0.3, 0.95, 1.0], number)


def consistent(block):
    """V(next_obs) is V(obs) of the next step, inside an episode: one V, as in life."""
    goes_on = np.zeros(block["mask"].shape, bool)
    ended = (block["terminated"] + block["truncated"]) > 0
    goes_on[:-1] = (block["mask"][:-1] > 0) & (block["mask"][1:] > 0) & ~ended[:-1]
    following = np.concatenate([block["value"][1:], block["value"][:1]])
    return block | {"next_value": np.where(goes_on, following, block["next_value"])}


# -- by definition


def expected_of(block, discount, gae_lambda):
    """Every estimate by its O(T²) sum, by name."""
    real = block["mask"]
    made = {
        "gae": by_definition.gae_by_definition(block, discount, gae_lambda),
        "reward_to_go": by_definition.return_by_definition(block, discount, len(real)),
    }
    for number in NUMBERS:
        seen = by_definition.return_by_definition(block, discount, number)
        made[f"{number}-step"] = real * (seen - block["value"])
    return made


def expected_signals(episodes, max_steps, discount):
    """Of whole episodes, γ one of each, as columns: [T, E] by name."""
    made = {name: np.zeros((max_steps, len(episodes))) for name in SIGNALS}
    for name, block in made.items():
        for e, reward in enumerate(episodes):
            block[: len(reward), e] = by_definition.signal_by_definition(name, reward, discount[e])
    return made


# -- by graph and by hand


@functools.cache
def by_graph(max_steps, backend=None):
    """Every estimate of a block, by name; interpreted, or as a backend compiles it with the trainer's rewrites."""
    blocks = {name: pt.dmatrix(name) for name in FIELDS}
    discount, gae_lambda = pt.dvector("discount"), pt.dvector("gae_lambda")
    ends = [blocks[name] for name in ("terminated", "truncated", "mask")]
    common = {"discount": discount, "max_steps": max_steps}
    values = [blocks[name] for name in ("reward", "value", "next_value")]
    made = {
        "gae": advantages.gae(*values, *ends, gae_lambda=gae_lambda, **common),
        "reward_to_go": advantages.bootstrapped_reward_to_go(values[0], values[2], *ends, **common),
        "td_error": advantages.td_error(*values, ends[0], ends[2], discount=discount),
    }
    for number in NUMBERS:
        made[f"{number}-step"] = advantages.n_step(*values, *ends, num_steps=number, **common)
    made |= {name + " signal": advantages.signal(name, values[0], **common) for name in SIGNALS}
    inputs = [*blocks.values(), discount, gae_lambda]
    if backend is None:
        run = by_definition.interpreted(inputs, list(made.values()))
    else:
        mode = {"jax": building.few_rewrites, "numba": lambda: "NUMBA"}[backend]()
        compiled = pytensor.function(inputs, list(made.values()), mode=mode, on_unused_input="ignore")

        def run(*arrays):
            if backend != "jax":
                return compiled(*arrays)
            import jax

            with jax.enable_x64(True):
                return [np.asarray(one) for one in compiled.vm.jit_fn(*arrays)]

    return lambda block, gamma, decay: dict(zip(made, run(*(block[f] for f in FIELDS), gamma, decay), strict=True))


def by_hands(block, discount, gae_lambda):
    """The same by the NumPy twin, whose rows are these columns. γ and λ are numbers there: a call for each pair."""
    names = ["gae", "reward_to_go", "td_error", *(f"{n}-step" for n in NUMBERS)]
    made = {name: np.zeros(block["mask"].shape) for name in names}
    for gamma, decay in sorted(set(zip(discount.tolist(), gae_lambda.tolist(), strict=True))):
        chosen = (discount == gamma) & (gae_lambda == decay)
        rows = {name: block[name][:, chosen].T for name in FIELDS}
        rows |= {name: rows[name] > 0 for name in ("terminated", "truncated")}
        without_value = {name: row for name, row in rows.items() if name != "value"}
        without_truncated = {name: row for name, row in rows.items() if name != "truncated"}
        made["gae"][:, chosen] = by_hand.gae(**rows, discount=gamma, gae_lambda=decay).T
        made["reward_to_go"][:, chosen] = by_hand.reward_to_go(**without_value, discount=gamma).T
        made["td_error"][:, chosen] = by_hand.td_error(**without_truncated, discount=gamma).T
        for number in NUMBERS:
            made[f"{number}-step"][:, chosen] = by_hand.n_step(**rows, discount=gamma, num_steps=number).T
    return made


# -- errors


def errors_of_definitions(run, rng, number, max_steps):
    """{what: largest error} over cases; `run` is `by_graph(...)` or `by_hands`."""
    block, discount, gae_lambda = random_cases(rng, number, max_steps)
    got = run(block, discount, gae_lambda)
    expected = expected_of(block, discount, gae_lambda)
    return {name: float(np.abs(got[name] - value).max()) for name, value in expected.items()}


def errors_of_signals(run, rng, number, max_steps):
    """The three signals of whole episodes, of random lengths."""
    lengths, discount = rng.integers(1, max_steps + 1, number), rng.choice([0.0, 0.5, 0.9, 0.99, 1.0], number)
    episodes = [rng.normal(size=length) for length in lengths]
    block = {name: np.zeros((max_steps, number)) for name in FIELDS}
    for e, reward in enumerate(episodes):
        block["reward"][: len(reward), e], block["mask"][: len(reward), e] = reward, 1.0
    got, errors = run(block, discount, discount), {}
    for name, value in expected_signals(episodes, max_steps, discount).items():
        errors[name] = float(np.abs((got[name + " signal"] - value) * block["mask"]).max())
    return errors


def errors_of_identities(run, rng, number, max_steps):
    """λ = 1 telescopes, λ = 0 and one step are the TD error, a cut with a bootstrap changes nothing. {what: error}

    The cut: each column is cut at a place of its own, and what the second half has come to stands in for V of the
    successor there, as the λ-return of Sutton and Barto 2018, section 12.1, has it,

        G^λ_t = V(o_t) + Â_t,        V(o_{t+1}) ← (1 − λ)·V(o_{t+1}) + λ·G^λ_{t+1}

    whatever V is: then GAE of both halves is that of the whole. Of reward-to-go λ is 1.
    """
    block, discount, gae_lambda = random_cases(rng, number, max_steps)
    ones = np.ones_like(gae_lambda)
    whole = run(block, discount, gae_lambda)
    telescoped, flat = run(block, discount, ones)["gae"], run(block, discount, 0 * ones)["gae"]
    errors = {
        "λ = 1": telescoped - block["mask"] * (whole["reward_to_go"] - block["value"]),
        "λ = 0": flat - whole["td_error"],
        "one step": whole["1-step"] - whole["td_error"],
    }
    at = rng.integers(0, max_steps + 1, number)  # the first step of the second half
    first = np.arange(max_steps)[:, None] < at
    halves = [{n: np.where(there, v, 0.0) for n, v in block.items()} for there in (first, ~first)]
    later = run(halves[1], discount, gae_lambda)
    for name, weight, value in (("gae", gae_lambda, later["gae"] + block["value"]), ("reward_to_go", ones, None)):
        value = later["reward_to_go"] if value is None else value
        following = np.concatenate([value[1:], np.zeros_like(value[:1])])
        ended = (block["terminated"] + block["truncated"]) > 0
        goes_on = (block["mask"] > 0) & ~ended & (np.concatenate([block["mask"][1:], 0 * block["mask"][:1]]) > 0)
        cut = goes_on & (np.arange(max_steps)[:, None] == at - 1)
        mixed = (1 - weight) * block["next_value"] + weight * following
        earlier = run(halves[0] | {"next_value": np.where(cut, mixed, halves[0]["next_value"])}, discount, gae_lambda)
        errors[f"cut, {name}"] = np.where(first, earlier[name], later[name]) - whole[name]
    return {name: float(np.abs(error).max()) for name, error in errors.items()}
