"""Every knob: its name, its default, its meaning and its bounds. Once, here.

The classes nest as the YAML does. `Input` marks what is an input of the graphs. How configs are read: reading.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from pg_theano.config.algorithms import ALGORITHMS, REINFORCE
from pg_theano.config.environment import Environment
from pg_theano.config.kinds import (
    FUNCTION,
    Count,
    Decay,
    Finite,
    Fraction,
    Input,
    Name,
    NonNegative,
    Positive,
    Schedule,
    Section,
    knob,
    wrong,
)
from pg_theano.config.rules import contradictions, foreign_knobs

if TYPE_CHECKING:
    AlgorithmName = str
else:
    AlgorithmName = Literal[tuple(ALGORITHMS)]


Widths = list[Annotated[int, Field(ge=1, le=10**12)]]


class Policy(Section):
    name: str = knob("dense", "dense layers, or module:function of your own", pattern=f"^(dense|{FUNCTION})$")
    name_kwargs: dict[str, Any] = knob({}, "keyword arguments of your own policy")
    hidden: Widths = knob([8], "width of each hidden layer; [] is a linear policy", max_length=32)
    network: str | list[str | dict[str, Any]] | None = knob(
        None,
        "hidden layers of any kind, [{conv: {filters: 16, kernel: 3}}, {dense: 64}], module:layer of your own, or "
        "nature, impala, ...; null: `hidden`",
    )
    value_network: str | list[str | dict[str, Any]] | None = knob(
        None, "the same of the value network; null: as the policy"
    )
    channels: Literal["auto", "first", "last"] = knob("auto", "of images: where they stand; auto: where fewest are")
    encoders: dict[str, str | list[str | dict[str, Any]]] | None = knob(
        None, "layers for each part of a Dict or Tuple observation, by its key, before `network`; {}: those that fit"
    )
    value_hidden: Widths | None = knob(None, "the same of the value network; null: as the policy", max_length=32)
    shared: bool = knob(False, "policy and value are two heads of one network (a2c, ppo)")
    activation: Literal["sigmoid", "tanh", "relu"] = knob("sigmoid", "of the hidden layers")
    logistic: bool = knob(False, "Discrete with two actions: one logit, π(1) = σ(z), instead of two")
    initialization: Literal["glorot", "orthogonal", "fan_in"] = knob(
        "glorot", "of the weights; orthogonal: gain √2, the last layer's 0.01, of values 1; fan_in: ±1/√inputs"
    )
    squash: bool = knob(False, "Box: actions through tanh into the bounds, instead of clipped to them")
    log_std: Literal["state_independent", "state_dependent"] = knob(
        "state_independent", "Box: log σ is a parameter, or an output of the network"
    )
    initial_log_std: Finite = knob(0.0, "Box: log σ at the start, where it is a parameter")
    noise: Literal["white", "pink", "state_dependent"] = knob(
        "white", "Box: independent at each step; correlated in time; or a function of the observation (gSDE)"
    )
    noise_every: Count | None = knob(None, "state_dependent noise: steps until it is drawn anew; null: once an update")
    action_mask: str = knob(
        "auto",
        "Discrete, MultiDiscrete: what says which choices are allowed: auto, as the environment has it; none; or a key "
        "of a Dict observation, or of info",
        min_length=1,
    )
    act: Literal["auto", "compiled", "numpy"] = knob(
        "auto", "who computes actions: the compiled graph, a NumPy forward pass, or the quicker of both"
    )


class Algorithm(Section):
    name: AlgorithmName = knob(
        REINFORCE.name, "the learner: by the gradient of a policy, or by a search of its parameters"
    )
    discount: Input[Fraction] = knob(0.99, "γ, per step")
    signal: Literal["reward", "episode_return", "reward_to_go"] = knob(
        "reward_to_go", "reinforce: what weighs log π: γᵗ·r_t; the episode's discounted return; the return from t on"
    )
    baseline: Literal["none", "running_mean", "mean_so_far", "per_timestep", "leave_one_out", "value"] = knob(
        "mean_so_far", "what is subtracted (see the README's table); all but reinforce: value, or none"
    )
    standardize_advantages: bool = knob(
        False, "divide advantages by their standard deviation over the minibatch, after centring"
    )
    average: Literal["steps", "episodes"] = knob(
        "steps", "reinforce: the loss is a mean over steps (scale-free) or over episodes (unbiased)"
    )
    advantage: Literal["gae", "monte_carlo", "td", "n_step", "expected"] = knob(
        "gae",
        "how advantages are estimated from rewards and values; expected: of every action, by the task's expressions",
    )
    gae_lambda: Input[Fraction] = knob(0.95, "λ of gae, and of the targets of expected: 0 is td, 1 is monte_carlo")
    bootstrap_steps: int = knob(5, "n of n_step: rewards seen before V", ge=1, le=10**6)
    num_steps: int | None = knob(None, "steps per environment and update; null plays whole episodes", ge=1, le=2**17)
    num_epochs: int = knob(10, "passes over a rollout (but for ppo: of V alone)", ge=1, le=10_000)
    num_minibatches: int = knob(1, "gradient steps a pass; sizes may differ by one", ge=1, le=100_000)
    sequence_length: int | None = knob(
        None, "of a policy that remembers: steps of a minibatch's sequences; null: num_steps", ge=1, le=2**17
    )
    target_rate: Input[Annotated[float, Field(gt=0, le=1)] | None] = knob(
        None, "shac: share of the value network that its target network takes over at each update"
    )
    clip_range: Input[Positive] = knob(0.2, "ppo: ε, how far from 1 a ratio of probabilities may go")
    value_clip_range: Input[Positive | None] = knob(None, "ppo: the same for V, in units of the return")
    value_coefficient: Input[NonNegative] = knob(0.5, "a2c, ppo: weight of V's mean squared error")
    entropy_coefficient: Input[NonNegative] = knob(0.0, "weight of the entropy in the loss")
    target_kl: Input[Positive | None] = knob(
        None, "npg, trpo: KL of one step; ppo: stop the update when KL is over 1.5 times this"
    )
    damping: Input[NonNegative] = knob(0.1, "npg, trpo: added to the diagonal of the Fisher matrix")
    num_cg_iterations: int = knob(10, "npg, trpo: of the conjugate gradient", ge=1, le=1000)
    num_line_search_steps: int = knob(10, "trpo: trials, each 0.8 of the one before", ge=1, le=100)
    objective: str = knob(
        "default", "the algorithm's own, or a function of your own, module:function", pattern=f"^(default|{FUNCTION})$"
    )
    objective_kwargs: dict[str, Any] = knob({}, "keyword arguments of your own objective")
    population_size: int = knob(32, "cem, pgpe, es, cmaes: candidates in a generation", ge=2, le=10**6)
    episodes_per_candidate: int = knob(
        1, "cem, pgpe, es, cmaes: episodes whose mean return is a candidate's fitness", ge=1, le=10_000
    )
    initial_std: Positive = knob(1.0, "cem, pgpe, es, cmaes: spread of the first generation")
    covariance: Literal["diagonal", "full"] = knob("diagonal", "cem: of the Gaussian over parameters")


class Exploration(Section):
    name: Literal["softmax", "epsilon_softmax", "epsilon_greedy", "epsilon_greedy_softmax"] = knob(
        "softmax", "how an action is drawn while training; ε is schedules.exploration_rate"
    )


class Schedules(Section):
    learning_rate: Input[Schedule] = knob(Schedule(initial=0.05), "step size of the optimiser")
    value_learning_rate: Input[Schedule] = knob(
        Schedule(initial=0.01), "vpg, npg, trpo, shac: step size of the value network's optimiser"
    )
    exploration_rate: Input[Schedule] = knob(Schedule(initial=0.0), "ε of the ε-strategies, 0 to 1")
    episodes_per_update: Schedule = knob(Schedule(initial=16), "size of the minibatch, rounded")
    elite_fraction: Input[Schedule] = knob(Schedule(initial=0.2), "cem: share of a generation that is kept")
    extra_std: Input[Schedule] = knob(
        Schedule(kind="exponential_decay", initial=0.3, decay_rate=0.1),
        "cem: a standard deviation whose square is added to the elites' variance",
    )
    std_learning_rate: Input[Schedule] = knob(Schedule(initial=0.1), "pgpe: step size of the standard deviations")

    @model_validator(mode="after")
    def in_range(self) -> Schedules:
        for name, low, high in (
            ("learning_rate", 0.0, float("inf")),
            ("value_learning_rate", 0.0, float("inf")),
            ("exploration_rate", 0.0, 1.0),
            ("episodes_per_update", 1.0, 65536.0),
            ("elite_fraction", 0.0, 1.0),
            ("extra_std", 0.0, float("inf")),
            ("std_learning_rate", 0.0, float("inf")),
        ):
            schedule = getattr(self, name)
            for key in ("initial", "final", "minimum", "maximum"):
                value = getattr(schedule, key)
                if value is not None and not low <= value <= high:
                    default = type(self).model_fields[name].default.initial
                    raise wrong(f"{name}.{key}", f"got {value:g}; expected {low:g} to {high:g}; try {default:g}")
            grows = schedule.kind == "exponential_decay" and schedule.decay_rate < 0 and schedule.maximum is None
            if grows and not name.endswith("learning_rate"):
                raise wrong(
                    name,
                    f"got decay_rate {schedule.decay_rate:g}, which grows without end; expected a maximum; try "
                    f"{name}.maximum={high:g}",
                )
        return self


class Optimizer(Section):
    name: Literal["sgd", "momentum", "rmsprop", "adam"] = knob("adam", "the update rule")
    momentum: Input[Decay] = knob(0.9, "momentum: share of the last step that is kept")
    rmsprop_decay: Input[Decay] = knob(0.9, "rmsprop: decay of the mean square")
    beta1: Input[Decay] = knob(0.9, "adam: decay of the first moment")
    beta2: Input[Decay] = knob(0.999, "adam: decay of the second moment")
    epsilon: Input[Positive] = knob(1e-8, "rmsprop and adam: added to the root of the mean square")
    max_gradient_norm: Input[Positive | None] = knob(None, "longest gradient allowed, by its global L2 norm")


class Normalize(Section):
    images: bool = knob(True, "pixels of one byte by 255, where the network has convolutions")
    observations: bool = knob(False, "observations by their running mean and variance")
    rewards: bool = knob(False, "rewards by the running standard deviation of the discounted return")


class Budget(Section):
    updates: Count | None = knob(1000, "stop after so many updates")
    env_steps: Count | None = knob(None, "stop after so many environment steps")
    seconds: Positive | None = knob(None, "stop after so many seconds of training")


class Solved(Section):
    stop: bool = knob(True, "stop when solved; false trains on until the budget is spent")
    threshold: Finite | None = knob(None, "mean evaluation return; default: the registered one")


class Evaluation(Section):
    environment: Literal["fresh", "training"] = knob(
        "fresh", "environments of its own, or those of the training, which begin anew after it: where none can be made"
    )
    episodes: int = knob(100, "episodes in one evaluation, each to its end", ge=1, le=100_000)
    every_updates: Count = knob(10, "updates between two evaluations")
    share: Annotated[float, Field(gt=0, le=1000)] | None = knob(
        0.25,
        "as many of those episodes, and 5 at least, as take this share of the steps trained since the last "
        "evaluation; null: all. One that reaches the threshold is played again with all of them",
    )
    sampled: bool = knob(False, "also evaluate the policy with sampled actions, each time")


class Distribute(Section):
    """Who plays a generation of cem, pgpe, es or cmaes. The outcome does not depend on it."""

    workers: int = knob(1, "cem, pgpe, es, cmaes: processes that play a generation", ge=1, le=4096)
    cluster: str | None = knob(
        None, "the same by a Dask cluster: tcp://host:8786", pattern=r"^(tcp|tls|ucx|ws|wss)://.+:\d+$"
    )
    tasks: int = knob(8, "parts that a generation is given to workers in", ge=1, le=10**6)


class Checkpoint(Section):
    every_updates: Count | None = knob(None, "updates between two checkpoints")
    every_seconds: Positive | None = knob(10.0, "seconds between two checkpoints")
    keep: int = knob(2, "newest checkpoints kept, beside the best", ge=1, le=1000)


class Config(Section):
    """All knobs of one run."""

    name: Name | None = knob(None, "of the run; default: the config file's name, or the environment's")
    seed: int = knob(0, "everything random follows from it", ge=0, le=2**63 - 1)
    runs: int = knob(1, "repeat over seeds seed, seed+1, ... and summarise", ge=1, le=10_000)
    agents_per_process: int = knob(
        1,
        "seeds of `runs` (or settings of a search) trained at once; compiled environments, backend jax",
        ge=1,
        le=4096,
    )
    backend: Literal["jax", "numba", "c"] = knob(
        "jax", "code generator of PyTensor; numba and c compile for one to three minutes"
    )
    dtype: Literal["float32", "float64"] = knob("float32", "of all that is learned")
    gradients: Literal["symbolic", "by_hand"] = knob(
        "symbolic", "derived by the graph, or on paper: the NumPy twin (vpg, ppo)"
    )
    environment: Environment = Field(default_factory=Environment)
    policy: Policy = Policy()
    algorithm: Algorithm = Algorithm()
    exploration: Exploration = Exploration()
    schedules: Schedules = Schedules()
    optimizer: Optimizer = Optimizer()
    normalize: Normalize = Normalize()
    budget: Budget = Budget()
    solved: Solved = Solved()
    evaluation: Evaluation = Evaluation()
    checkpoint: Checkpoint = Checkpoint()
    distribute: Distribute = Distribute()

    @model_validator(mode="after")
    def fits_together(self) -> Config:
        for problem in (*foreign_knobs(self), *contradictions(self)):
            raise ValueError(problem)
        self.environment.masked_by(self.policy.action_mask)
        return self
