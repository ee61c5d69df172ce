"""An expectation over actions, one step deep: the symbolic step of every state is forked for every action.

A batch of N steps becomes one of A·N, column a·N + n: what action a would have done in state n, with the weight
π(a|s_n). A loss that is a weighted mean over columns is then its own exact expectation over the action.

    Σ_a π(a|s)·∇log π(a|s)·Q(s, a) = Σ_a ∇π(a|s)·Q(s, a),   Q(s, a) = r(s, a, s') + γ·V(s')

Asadi et al. 2017, mean actor-critic; Ciosek & Whiteson 2018.
The columns of one step stand N apart, so that a minibatch of steps takes all actions of each (`expanded`).
"""

import pytensor.tensor as pt

from pg_theano.graphs import actors, environments, networks, normalizers
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.algorithms import blocks
from pg_theano.spec import Spec


def number(spec: Spec):
    """A, how many actions are tried in each state; 1 where only what was done counts."""
    return spec.acting.action.choices[0] if spec.learning.advantage == "expected" else 1


def whole(spec: Spec, state, knobs, block, estimated, updated):
    """All of a rollout as one batch; where every action is tried, all of them in each state.

        Â(s, a) = r(s, a, s') + γ·(1 − terminated(s'))·V(s') − V(s)

    The target of V is that of the step that was taken. `updated` holds the reward normaliser's entries. Shapes: B = N,
    or A·N.
    """
    batch = blocks.whole(spec, state, block, estimated)
    if spec.learning.advantage != "expected":
        return batch
    acting, each = spec.acting, number(spec)
    environment = rollouts.observed(spec, environments.load(spec.engine.dynamics, spec.dtype))
    layers = networks.views(state["params"], acting.layout)
    action = pt.concatenate([pt.full_like(batch.action, one) for one in range(each)])  # [A·N]
    current = tuple(tiled(block.env_state[i], each) for i in range(environment.state_size))
    following = environment.transition(current, action)
    reward, terminated = environment.reward(current, action, following), environment.terminated(following)
    if spec.learning.normalize_rewards:
        reward = normalizers.normalize_reward(reward, updated[normalizers.REWARDS[1]][0])
    seen = normalizers.observed(acting, state, pt.stack(environment.observation(following), axis=0))
    after = knobs["discount"] * (1.0 - terminated.astype(spec.dtype)) * actors.value(acting, layers, seen)
    value, obs = tiled(batch.value, each), pt.concatenate([batch.obs] * each, axis=1)
    log_prob = rollouts.log_prob_of(acting, actors.inputs(acting, layers, obs), action, knobs["exploration_rate"])
    weight = tiled(batch.weight, each) * pt.exp(log_prob)
    return batch._replace(
        obs=obs,
        action=action,
        log_prob=log_prob,
        advantage=reward + after - value,
        target=tiled(batch.target, each),
        value=value,
        weight=weight,
    )


def tiled(x, each):
    """[N] to [A·N]."""
    return pt.concatenate([x] * each)


def expanded(index, size, each):
    """The columns of all actions of some steps: [B] to [A·B], of `size` = A·N columns."""
    return pt.concatenate([index + one * (size // each) for one in range(each)])
