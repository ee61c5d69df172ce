"""A rollout played again as one expression of the policy's parameters, to be differentiated through the dynamics.

    a_t = f(μ_θ(o_t) + σ_θ·ε_t),   s_{t+1} = T(s_t, a_t),   r_t = R(s_t, a_t, s_{t+1})

The noise ε is that of the rollout, so the same steps come out, now as functions of θ (reparameterisation: Kingma and
Welling 2014; Heess et al. 2015). Where an episode ended, the next state is the one that the rollout went on from, a
constant: no gradient passes a reset.
"""

from typing import Any, NamedTuple

import pytensor
import pytensor.tensor as pt

from pg_theano import parameters
from pg_theano.graphs import actors, distributions, environments, networks, normalizers
from pg_theano.graphs.layers import dense
from pg_theano.graphs.record import columns, environment_action, observed
from pg_theano.parameters import is_value
from pg_theano.spec import Spec


class Path(NamedTuple):
    """T steps of E environments as functions of the policy's parameters."""

    reward: Any  # [T, E]
    next_obs: Any  # [F, N] of the true successor, column t·E + e


def policy_layers(spec: Spec, params):
    """The policy's arrays by name, of the whole vector [D]."""
    return {name: one for name, one in networks.views(params, spec.acting.layout).items() if not is_value(name)}


def path_of(spec: Spec, layers, state, record, goes_on):
    """The steps of a record [T, K, E] again, under the policy of `layers`: a `Path`.

    `goes_on` [T, E] is 1 where the next row is the next step of the same episode.
    """
    acting, rows = spec.acting, columns(spec)
    environment = observed(spec, environments.load(spec.engine.dynamics, spec.dtype))
    size, names = environment.state_size, list(layers)
    states, noise = (record[:, rows[name][0] : sum(rows[name])] for name in ("env_state", "noise"))
    moments = [state[name] for name in normalizers.OBSERVATIONS[:2] if acting.normalize_observations]

    def step(epsilon, fresh, on, packed, *rest):
        known = dict(zip((*names, *normalizers.OBSERVATIONS), rest, strict=False))
        current = tuple(packed[i] for i in range(size))
        obs = normalizers.observed(acting, known, pt.stack(environment.observation(current), axis=0))  # [F, E]
        numbers, features = actors.outputs(acting, known, obs, multiply=dense.in_scan)
        inputs = distributions.inputs_of(acting, numbers, known.get(parameters.LOG_STD), features)
        action = distributions.of(acting).sample(inputs, epsilon)
        following = environment.transition(current, environment_action(acting, action))
        # A sum, not a `switch`: JAX has the gradient of that in float32, whatever the graph's dtype.
        moved = [on * one + (1 - on) * fresh[i] for i, one in enumerate(following)]
        parts = (*current, *following, *(action[i] for i in range(acting.action.size)))
        return pt.stack(moved, axis=0), pt.stack(parts, axis=0)

    _, told = pytensor.scan(
        step,
        sequences=[noise, pt.concatenate([states[1:], states[-1:]], axis=0), goes_on],
        outputs_info=[states[0], None],
        non_sequences=[*layers.values(), *moments],
        strict=True,
        return_updates=False,
        **({"n_steps": spec.learning.num_steps} if spec.learning.num_steps else {}),
    )
    parts = [told[:, i].reshape((-1,)) for i in range(2 * size + acting.action.size)]
    current, following = tuple(parts[:size]), tuple(parts[size : 2 * size])
    action = pt.stack(parts[2 * size :], axis=0)
    reward = environment.reward(current, environment_action(acting, action), following)
    return Path(reward.reshape(goes_on.shape), pt.stack(environment.observation(following), axis=0))


def weights(terminated, truncated, mask, *, discount, max_steps):
    """What each reward, and V of each step's true successor, counts in the worth of a block: (w, b), [T, E].

        Σ_e Σ_{t0} [Σ_{t0 ≤ t < t1} γ^{t−t0}·r_t + γ^{t1−t0}·V(o_{t1})] = Σ_{t,e} (w·r + b·V′)    Xu et al. 2022, eq. 5

    t0 are the steps that an episode begins with in this block, or the block itself, and t1 is the step after its last
    one here: the end of the block or a time limit, with V of the true successor; after a termination nothing follows.
    So w_t = γ^{t−t0}, and b_t = γ^{t−t0+1} where the episode is cut off after step t, else 0.
    """
    ones = pt.ones_like(mask)
    ends = (terminated, truncated, mask)
    number, _ = normalizers.discounted_return_so_far(ones, ones[0] * 0, *ends, discount=1.0, max_steps=max_steps)
    last = pt.concatenate([pt.zeros_like(mask[1:]), ones[:1]], axis=0)
    cut = pt.maximum(truncated, last) * (1 - terminated) * mask
    return discount ** (number - 1) * mask, discount**number * cut
