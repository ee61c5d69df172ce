"""A symbolic environment by itself, to be stepped from outside: `reset`, `observe` and `step` of E episodes."""

import pytensor.tensor as pt

from pg_theano.graphs.common import Graph
from pg_theano.graphs.environments import load
from pg_theano.spec.smaller import Stepped


def describe(stepped: Stepped):
    """Spaces, sizes and time limit, as plain data."""
    environment = load(stepped.dynamics, stepped.dtype)
    return {"environment": task(environment), "state": [], "knobs": [], "metrics": [], "noise": {}}


def task(environment):
    """The plain data of an environment: all but its functions."""
    return {
        "name": environment.name,
        "id": environment.id,
        "obs_low": list(environment.obs_low),
        "obs_high": list(environment.obs_high),
        "action_kind": environment.action_kind,
        "num_actions": environment.num_actions,
        "action_low": list(environment.action_low),
        "action_high": list(environment.action_high),
        "max_steps": environment.max_steps,
        "state_size": environment.state_size,
        "num_initial_noise": environment.num_initial_noise,
        "reward_threshold": environment.reward_threshold,
        "masks": environment.action_mask is not None,
    }


def reset(stepped: Stepped):
    """initial_noise [U, E], uniform in [0, 1), to env_state [S, E] and obs [E, F], which ends with the mask."""
    environment = load(stepped.dynamics, stepped.dtype).masked()
    noise = pt.tensor("initial_noise", shape=(environment.num_initial_noise, None), dtype=stepped.dtype)
    state = environment.initial(tuple(noise[i] for i in range(environment.num_initial_noise)))
    outputs = {"env_state": pt.stack(state, axis=0), "obs": pt.stack(environment.observation(state), axis=0).T}
    return Graph({"initial_noise": noise}, outputs, {"initial_noise": [environment.num_initial_noise, "E"]})


def observe(stepped: Stepped):
    """env_state [S, E] to obs [E, F], which ends with the mask."""
    environment = load(stepped.dynamics, stepped.dtype).masked()
    packed = pt.tensor("env_state", shape=(environment.state_size, None), dtype=stepped.dtype)
    seen = environment.observation(tuple(packed[i] for i in range(environment.state_size)))
    outputs = {"obs": pt.stack(seen, axis=0).T}
    return Graph({"env_state": packed}, outputs, {"env_state": [environment.state_size, "E"]})


def step(stepped: Stepped):
    """env_state [S, E], action ([E] int32, or [E, A] of a box) to env_state, obs [E, F], reward [E], terminated [E]."""
    environment = load(stepped.dynamics, stepped.dtype).masked()
    packed = pt.tensor("env_state", shape=(environment.state_size, None), dtype=stepped.dtype)
    state = tuple(packed[i] for i in range(environment.state_size))
    if environment.action_kind == "discrete":
        given = action = pt.tensor("action", shape=(None,), dtype="int32")
        dims = ["E"]
    else:
        given = pt.tensor("action", shape=(None, environment.num_actions), dtype=stepped.dtype)
        action = tuple(given[:, i] for i in range(environment.num_actions))
        dims = ["E", environment.num_actions]
    following = environment.transition(state, action)
    outputs = {
        "env_state": pt.stack(following, axis=0),
        "obs": pt.stack(environment.observation(following), axis=0).T,
        "reward": environment.reward(state, action, following),
        "terminated": environment.terminated(following),
    }
    return Graph(
        {"env_state": packed, "action": given}, outputs, {"env_state": [environment.state_size, "E"], "action": dims}
    )
