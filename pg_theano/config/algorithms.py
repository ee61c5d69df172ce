"""Every learning algorithm, declared once: the knobs it reads, its defaults, and what else the host must know of it.

    record = ALGORITHMS[config.algorithm.name]
    if record.reads("algorithm.clip_range"): ...

A new algorithm by gradient is a record here and the file of its mathematics, `graphs/algorithms/<name>.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pg_theano.types import OF_EVERY_POLICY

Defaults = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """What the host knows of an algorithm. Its mathematics is in `graphs/`, or in `training/population/`."""

    name: str
    knobs: frozenset[str]
    """Those it reads of the knobs that not every algorithm reads."""
    switches: frozenset[str] = frozenset()
    """Knobs at whose default (null, or 0) a part of the graph is left out."""
    defaults: Defaults
    """What it changes of the defaults in `knobs.py`. The user's own knobs lie over it."""
    takes: tuple[str, ...] = OF_EVERY_POLICY
    """The fields of a rollout that it learns from."""
    optimizers: tuple[str, ...] = ("optimizer",)
    """`optimizer` moves the policy, and the value network unless that has its own: `value_optimizer`."""
    learns_values: bool = True
    step_by_step: bool = False
    """Its graph can also learn from one time step after the other."""
    twin: bool = False
    """`by_hand/` has the same algorithm, derived on paper."""
    pathwise: bool = False
    """It differentiates through the dynamics, which must be expressions."""
    searches: bool = False
    """It searches the policy's parameters, without a gradient through the policy."""
    mirrored: bool = False
    """A search that draws its candidates in pairs."""
    full_covariance: bool = False
    """A search that always keeps the covariance of all parameters."""

    def reads(self, knob: str) -> bool:
        return knob in self.knobs or knob not in NOT_OF_ALL

    @property
    def one_loss(self) -> bool:
        """Whether policy and value network are moved by the same gradient step."""
        return self.learns_values and "value_optimizer" not in self.optimizers


BY_GRADIENT = frozenset({
    "policy.name", "policy.log_std", "policy.initial_log_std", "policy.noise",
    "algorithm.discount", "algorithm.baseline", "algorithm.standardize_advantages", "algorithm.entropy_coefficient",
    "exploration.name", "evaluation.sampled",
    "schedules.learning_rate", "schedules.exploration_rate", "schedules.episodes_per_update",
})  # fmt: skip
WITH_VALUES = BY_GRADIENT | {
    "policy.value_hidden", "policy.value_network", "algorithm.advantage", "algorithm.gae_lambda",
    "algorithm.bootstrap_steps", "algorithm.num_steps", "normalize.rewards",
}  # fmt: skip
MINIBATCHES = frozenset({"algorithm.num_epochs", "algorithm.num_minibatches", "algorithm.sequence_length"})
NATURAL = WITH_VALUES | MINIBATCHES | {
    "algorithm.target_kl", "algorithm.damping", "algorithm.num_cg_iterations", "schedules.value_learning_rate",
}  # fmt: skip
OF_A_SEARCH = frozenset({
    "algorithm.population_size", "algorithm.episodes_per_candidate", "algorithm.initial_std",
    "distribute.workers", "distribute.cluster",
})  # fmt: skip

REINFORCE = Algorithm(
    name="reinforce",
    knobs=BY_GRADIENT | {"algorithm.signal", "algorithm.average", "algorithm.objective"},
    switches=frozenset({"algorithm.entropy_coefficient"}),
    defaults={},
    takes=("obs", "action", "reward", "mask"),
    learns_values=False,
    step_by_step=True,
)

VPG = Algorithm(
    name="vpg",
    knobs=WITH_VALUES | MINIBATCHES | {"algorithm.objective", "schedules.value_learning_rate"},
    defaults={
        "policy": {"hidden": [32], "activation": "tanh"},
        "algorithm": {"baseline": "value", "standardize_advantages": True},
        "schedules": {"learning_rate": {"initial": 0.02}},
    },
    optimizers=("optimizer", "value_optimizer"),
    twin=True,
)

A2C = Algorithm(
    name="a2c",
    knobs=WITH_VALUES | {"policy.shared", "algorithm.value_coefficient", "algorithm.objective"},
    defaults={
        "policy": {"hidden": [64, 64], "activation": "tanh", "initialization": "orthogonal"},
        "algorithm": {"baseline": "value", "num_steps": 8, "gae_lambda": 1.0},
        "schedules": {"learning_rate": {"initial": 0.002}},
        "optimizer": {"name": "rmsprop", "rmsprop_decay": 0.99, "epsilon": 1e-5, "max_gradient_norm": 0.5},
        "evaluation": {"every_updates": 100},
        "budget": {"updates": 8000},
    },
)

PPO = Algorithm(
    name="ppo",
    knobs=WITH_VALUES | MINIBATCHES | {
        "policy.shared", "algorithm.clip_range", "algorithm.value_clip_range", "algorithm.value_coefficient",
        "algorithm.target_kl", "algorithm.objective",
    },
    switches=frozenset({"algorithm.value_clip_range", "algorithm.target_kl"}),
    defaults={
        "policy": {"hidden": [64, 64], "activation": "tanh", "initialization": "orthogonal"},
        "algorithm": {
            "baseline": "value",
            "standardize_advantages": True,
            "num_steps": 64,
            "num_epochs": 10,
            "num_minibatches": 8,
        },
        "schedules": {"learning_rate": {"initial": 0.0005}},
        "optimizer": {"epsilon": 1e-5, "max_gradient_norm": 0.5},
    },
    twin=True,
)  # fmt: skip

NATURAL_DEFAULTS: Defaults = {
    "policy": {"hidden": [32], "activation": "tanh", "initialization": "orthogonal"},
    "algorithm": {"baseline": "value", "standardize_advantages": True, "target_kl": 0.01},
}
NPG = Algorithm(name="npg", knobs=NATURAL, defaults=NATURAL_DEFAULTS, optimizers=("value_optimizer",))
TRPO = Algorithm(
    name="trpo",
    knobs=NATURAL | {"algorithm.num_line_search_steps"},
    defaults=NATURAL_DEFAULTS,
    optimizers=("value_optimizer",),
)

PATHWISE = frozenset({
    "policy.name", "policy.log_std", "policy.initial_log_std", "policy.noise", "algorithm.discount",
    "evaluation.sampled", "schedules.learning_rate", "schedules.episodes_per_update",
})  # fmt: skip
OF_A_PATH = ("obs", "action", "reward", "terminated", "truncated", "env_state", "noise")
OF_A_PATH_DEFAULTS: Defaults = {
    "policy": {
        "hidden": [64, 64],
        "activation": "tanh",
        "initialization": "orthogonal",
        "squash": True,
        "initial_log_std": -1.0,
    },
    "schedules": {"learning_rate": {"initial": 0.002}},
    "optimizer": {"beta1": 0.7, "beta2": 0.95, "max_gradient_norm": 1.0},
}
SHAC = Algorithm(
    name="shac",
    knobs=PATHWISE | {
        "policy.value_hidden", "policy.value_network", "algorithm.gae_lambda", "algorithm.num_steps",
        "algorithm.num_epochs", "algorithm.num_minibatches", "algorithm.target_rate",
        "schedules.value_learning_rate", "normalize.rewards",
    },
    defaults={
        **OF_A_PATH_DEFAULTS,
        "algorithm": {"baseline": "value", "num_steps": 32, "num_epochs": 8, "target_rate": 0.6},
    },
    takes=(*OF_A_PATH, "next_obs"),
    optimizers=("optimizer", "value_optimizer"),
    pathwise=True,
)  # fmt: skip
APG = Algorithm(
    name="apg",
    knobs=PATHWISE,
    defaults={**OF_A_PATH_DEFAULTS, "algorithm": {"baseline": "none"}},
    takes=(*OF_A_PATH, "mask"),
    learns_values=False,
    pathwise=True,
)


def _search(
    name: str, *knobs: str, defaults: Defaults | None = None, mirrored: bool = False, full_covariance: bool = False
) -> Algorithm:
    """A search of parameters: of a linear policy by default, whose observations are normalised."""
    return Algorithm(
        name=name,
        knobs=OF_A_SEARCH | set(knobs),
        defaults={"policy": {"hidden": []}, "normalize": {"observations": True}, **(defaults or {})},
        takes=("reward", "mask"),
        optimizers=(),
        learns_values=False,
        searches=True,
        mirrored=mirrored,
        full_covariance=full_covariance,
    )


UPHILL: Defaults = {"schedules": {"learning_rate": {"initial": 0.2}}}
CEM = _search("cem", "algorithm.covariance", "schedules.elite_fraction", "schedules.extra_std")
PGPE = _search("pgpe", "schedules.learning_rate", "schedules.std_learning_rate", defaults=UPHILL, mirrored=True)
ES = _search("es", "schedules.learning_rate", defaults=UPHILL, mirrored=True)
CMAES = _search("cmaes", full_covariance=True)

ALGORITHMS = {one.name: one for one in (REINFORCE, VPG, A2C, PPO, NPG, TRPO, SHAC, APG, CEM, PGPE, ES, CMAES)}
NOT_OF_ALL = frozenset().union(*(one.knobs for one in ALGORITHMS.values()))
"""Knobs that some algorithms read and others do not."""
