"""The vanilla policy gradient with a value baseline: make what turned out better than expected likelier.

    J(θ) = 𝔼[Σ_t γᵗ·r_t]              what we want to be large: θ are the numbers of the policy's network
    ∇J   = 𝔼[Σ_t ∇log π(a_t|o_t)·Â_t]   how it grows (docs/course, from the first line on)

Two networks: the policy, which acts, and the value network, which predicts reward-to-go, so that an action is judged by
how much better it did than expected. One update: play, judge (`estimate`), move both networks (`update`).
"""

from typing import NamedTuple

import numpy as np

from pg_theano.by_hand import advantages, networks, optimizers
from pg_theano.by_hand.layers import mean_squared_error, mean_squared_error_backward
from pg_theano.by_hand.networks import Network
from pg_theano.by_hand.policies import Policy
from pg_theano.types import Array, Rollout, State, UserError


class Agent(NamedTuple):
    """What learns, but for its numbers, which are in the State.

    State: `policy` [D], the policy network's numbers and after them the Gaussian's log-std; `value` [D'].
    """

    policy: Policy
    policy_network: Network
    value_network: Network  # one output


class Steps(NamedTuple):
    """The steps of a rollout that really happened, one after the other; N of them."""

    obs: Array  # [N, F]
    action: Array  # [N, ...]
    log_prob: Array  # [N]  of the policy that acted
    advantage: Array  # [N]
    target: Array  # [N]  what the value network should have said
    value: Array  # [N]  what it said


def init(agent: Agent, rng: np.random.Generator) -> State:
    """Fresh numbers; log σ = 0, so σ = 1."""
    log_std = np.zeros(agent.policy_network.sizes[-1] if agent.policy.name == "gaussian" else 0)
    policy = networks.initial(rng, agent.policy_network)
    return {"policy": np.concatenate([policy, log_std]), "value": networks.initial(rng, agent.value_network)}


# -- forward


def outputs_of(agent: Agent, params: Array, obs: Array) -> tuple[Array, Array, list[Array]]:
    """(outputs [N, K], log_std [A] or [0], the network's trace). Shapes: `params` [D], `obs` [N, F]."""
    size = networks.count(agent.policy_network)
    outputs, trace = networks.forward(params[:size], agent.policy_network, obs)
    return outputs, params[size:], trace


def value_of(agent: Agent, params: Array, obs: Array) -> Array:
    """V(o): the reward-to-go that is expected. Shapes: `params` [D'], `obs` [N, F]; the result [N]."""
    return networks.forward(params, agent.value_network, obs)[0][:, 0]


def act(agent: Agent, state: State, obs: Array, noise: Array | None) -> tuple[Array, Array]:
    """(action [N, ...], log π(a|o) [N]): drawn with the noise, or the likeliest where there is none."""
    outputs, log_std, _ = outputs_of(agent, state["policy"], obs)
    policy = agent.policy
    action = policy.mode(outputs, log_std) if noise is None else policy.sample(outputs, log_std, noise)
    return action, policy.log_prob(outputs, log_std, action)


# -- judging


def estimate(
    agent: Agent, state: State, rollout: Rollout, *, discount: float, gae_lambda: float | None, baseline: bool = True
) -> Steps:
    """What each step was worth. The four quantities, with G the reward-to-go:

        without λ:   Â = G − V(o)        target = G
        with λ:      Â = GAE(λ)          target = Â + V(o)
        no baseline: Â = G               target = G; V only stands for what comes after a time limit or a cut

    All of these are constants to the gradients below, added up in float64 and then of the rewards' type. Shapes: the
    rollout's [E, T] to [N], one row of it after the other. A rollout in which nothing happened is a `UserError`: the
    mean over no steps is 0/0.
    """
    real = np.asarray(rollout.mask) > 0  # [E, T]
    if not real.any():
        raise UserError(f"rollout: got no step in {real.size} places; expected one whose mask is 1 to learn from")

    def valued(obs: Array) -> Array:
        values = np.zeros(real.shape)
        values[real] = value_of(agent, state["value"], obs[real])
        return values  # [E, T]

    value, next_value = valued(rollout.obs), valued(rollout.next_obs)
    terminated, truncated, mask = rollout.terminated, rollout.truncated, real.astype(np.float64)
    if gae_lambda is None:
        target = advantages.reward_to_go(
            rollout.reward, next_value, terminated, truncated, mask, discount=discount
        )  # [E, T]
        advantage = target - value if baseline else target  # [E, T]
    else:
        advantage = advantages.gae(
            rollout.reward, value, next_value, terminated, truncated, mask, discount=discount, gae_lambda=gae_lambda
        )  # [E, T]
        target = advantage + value  # [E, T]
    judged = [part.astype(rollout.reward.dtype) for part in (advantage, target, value)]
    return Steps(*(part[real] for part in (rollout.obs, rollout.action, rollout.log_prob, *judged)))


# -- losses and their gradients


def policy_loss(
    agent: Agent, params: Array, obs: Array, action: Array, advantage: Array, *, entropy_coefficient: float = 0.0
) -> tuple[float, Array]:
    """The loss whose gradient is the policy gradient, with its sign turned (optimisers go downhill), and that gradient.

        L = −(1/N)·Σ_n [Â_n·log π(a_n|o_n) + c·H_n]                      Williams 1992, eq. 11; c weighs the entropy

        ∂L/∂log π_n = −Â_n/N                   Â is a constant: it does not depend on θ here
        ∂L/∂H_n     = −c/N
        ∂L/∂outputs = ∂L/∂log π·∂log π/∂outputs + ∂L/∂H·∂H/∂outputs      the policy's own `backward`
        ∂L/∂θ       = back through the network                           `networks.backward`

    Shapes: `params` [D], `obs` [N, F], `action` [N, ...], `advantage` [N]; the result (scalar, [D]).
    """
    number = len(advantage)
    outputs, log_std, trace = outputs_of(agent, params, obs)
    log_prob = agent.policy.log_prob(outputs, log_std, action)  # [N]
    entropy = agent.policy.entropy(outputs, log_std)  # [N]
    loss = -np.mean(advantage * log_prob + entropy_coefficient * entropy)

    d_log_prob = -advantage / number  # [N]
    d_entropy = np.full_like(entropy, -entropy_coefficient / number)  # [N]
    return float(loss), backward(agent, params, trace, outputs, log_std, action, d_log_prob, d_entropy)


def backward(
    agent: Agent,
    params: Array,
    trace: list[Array],
    outputs: Array,
    log_std: Array,
    action: Array,
    d_log_prob: Array,
    d_entropy: Array,
) -> Array:
    """From ∂L/∂log π [N] and ∂L/∂H [N] to ∂L/∂params [D]: through the distribution, then through the network."""
    d_outputs, d_log_std = agent.policy.backward(outputs, log_std, action, d_log_prob, d_entropy)
    size = networks.count(agent.policy_network)
    return np.concatenate([networks.backward(d_outputs, params[:size], agent.policy_network, trace), d_log_std])


def value_loss(agent: Agent, params: Array, obs: Array, target: Array) -> tuple[float, Array]:
    """How far V is off, squared, and the gradient: that of the mean squared error, back through the network.

        L = (1/N)·Σ_n (V(o_n) − target_n)²

    Shapes: `params` [D'], `obs` [N, F], `target` [N]; the result (scalar, [D']).
    """
    outputs, trace = networks.forward(params, agent.value_network, obs)  # [N, 1]
    d_value = mean_squared_error_backward(outputs[:, 0], target)  # [N]
    gradient = networks.backward(d_value[:, None], params, agent.value_network, trace)
    return mean_squared_error(outputs[:, 0], target), gradient


# -- the update


def update(
    agent: Agent,
    state: State,
    rollout: Rollout,
    *,
    discount: float,
    gae_lambda: float | None,
    baseline: bool,
    learning_rate: float,
    value_learning_rate: float,
    num_value_steps: int,
    entropy_coefficient: float,
    optimizer: str,
) -> tuple[State, dict[str, float]]:
    """One step of the policy, `num_value_steps` of the value network, from one rollout.

    The policy takes only one: after it the rollout is of a policy that is no more (PPO is about taking several). The
    value network is fitted after the advantages were taken from it, or it would have seen what it is to predict.
    Returns (State, metrics).
    """
    steps = estimate(agent, state, rollout, discount=discount, gae_lambda=gae_lambda, baseline=baseline)
    advantage = advantages.standardize(steps.advantage) if baseline else steps.advantage
    descend = optimizers.BY_NAME[optimizer]
    loss, gradient = policy_loss(
        agent, state["policy"], steps.obs, steps.action, advantage, entropy_coefficient=entropy_coefficient
    )
    state = descend(state, "policy", gradient, learning_rate=learning_rate)
    value_error = 0.0
    for _ in range(num_value_steps):
        value_error, value_gradient = value_loss(agent, state["value"], steps.obs, steps.target)
        state = descend(state, "value", value_gradient, learning_rate=value_learning_rate)
    return state, {"cost": loss, "value_loss": value_error, "gradient_norm": float(np.linalg.norm(gradient))}
