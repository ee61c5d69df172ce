"""Any Gymnasium environment: in this process, in workers, or compiled. Importing it registers the compiled ones.

import pg_theano.environments
gymnasium.make("pg_theano/CartPole-v1")                       # one of them
gymnasium.make_vec("pg_theano/CartPole-v1", num_envs=64)      # 64 in one compiled call
gymnasium.make("pg_theano/Quadrotor2D-v0")                    # one that Gymnasium lacks
"""

from typing import Any

import gymnasium

from pg_theano.types import BUILT_IN_DYNAMICS

LIMITS = {
    "pg_theano/CartPoleSwingUp-v0": 200,
    "pg_theano/Quadrotor2D-v0": 100,
    "pg_theano/Reacher2-v0": 100,
    "pg_theano/DoubleIntegrator-v0": 100,
}
"""The time limits of our own tasks, as their classes have them: to register them imports no graph."""


def register() -> None:
    """Add `pg_theano/CartPole-v1`, ... and our own tasks to Gymnasium's registry, where they are missing."""
    for id, name in BUILT_IN_DYNAMICS.items():
        own = id if id in LIMITS else f"pg_theano/{id}"
        if own not in gymnasium.registry:
            spec = gymnasium.registry.get(id)
            gymnasium.register(
                own,
                entry_point=f"pg_theano.environments.symbolic:{'SymbolicEnv' if spec else 'DrawnEnv'}",
                vector_entry_point="pg_theano.environments.symbolic:SymbolicVectorEnv",
                max_episode_steps=spec.max_episode_steps if spec else LIMITS[id],
                reward_threshold=spec.reward_threshold if spec else None,
                kwargs={"dynamics": name},
            )


register()

PUBLIC = ("make", "single", "OnlyNumbers", "FrameStack")


def __getattr__(name: str) -> Any:
    """What is used from outside, imported when asked for: written cards say `from pg_theano import environments`."""
    if name in PUBLIC:
        from pg_theano.environments import frames, making, rows

        return getattr({"OnlyNumbers": rows, "FrameStack": frames}.get(name, making), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
