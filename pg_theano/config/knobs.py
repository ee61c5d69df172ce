"""Every knob: its name, its default, its meaning and its bounds. Once, here.

The classes nest as the YAML does. `Input` marks what is an input of the graphs. How configs are read: reading.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from pg_theano.config.algorithms import ALGORITHMS, REINFORCE
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
)
from pg_theano.config.rules import contradictions, foreign_knobs
from pg_theano.types import Problem

if TYPE_CHECKING:
    AlgorithmName = str
else:
    AlgorithmName = Literal[tuple(ALGORITHMS)]


class Environment(Section):
    id: str = Field("CartPole-v1", min_length=1, description="Gymnasium's id; `module:Id` imports the module first")
    api: Literal["gymnasium", "gym"] = Field(
        "gymnasium", description="gym: `id` is module:Class, written to the API of Gym before 0.26"
    )
    num_envs: int = Field(16, ge=1, le=65536, description="environments stepped side by side")
    engine: Literal["auto", "compiled", "gymnasium", "vector"] = Field(
        "auto",
        description="who steps: the compiled dynamics where they are the same task, or Gymnasium; vector: the task's "
        "own vectorised class, though its spaces are others than those of gymnasium.make",
    )
    dynamics: str | None = Field(
        None, pattern=f"^{FUNCTION}$", description="a symbolic environment of your own instead of `id`, module:Class"
    )
    kwargs: dict[str, Any] = Field({}, description="keyword arguments of `gymnasium.make`")
    wrappers: list[str] = Field([], description="wrappers in the order applied, each `module:Class`")
    max_episode_steps: int | None = Field(
        None, ge=1, le=10**7, description="time limit in steps instead of the registered one"
    )
    workers: int = Field(
        0, ge=0, le=1024, description="processes that environments are stepped in which may die or hang; 0: in this one"
    )
    timeout: Positive | None = Field(
        120.0, description="seconds that one step or reset may take before it counts as hanging; null: for ever"
    )
    on_fault: Literal["stop", "skip", "restart"] = Field(
        "stop",
        description="workers: what follows a fault: the run's end; its episode is dropped; the worker is started again "
        "and its episodes are replayed",
    )
    look: bool = Field(
        True, description="play random actions before training, to see what is wrong with it and whether it replays"
    )
    max_faults: int = Field(10, ge=0, le=10**9, description="workers: faults gone on after, before the run stops")


Widths = list[Annotated[int, Field(ge=1, le=10**12)]]


class Policy(Section):
    name: str = Field(
        "dense", pattern=f"^(dense|{FUNCTION})$", description="dense layers, or module:function of your own"
    )
    name_kwargs: dict[str, Any] = Field({}, description="keyword arguments of your own policy")
    hidden: Widths = Field([8], max_length=32, description="width of each hidden layer; [] is a linear policy")
    value_hidden: Widths | None = Field(
        None, max_length=32, description="the same of the value network; null: as the policy"
    )
    shared: bool = Field(False, description="policy and value are two heads of one network (a2c, ppo)")
    activation: Literal["sigmoid", "tanh", "relu"] = Field("sigmoid", description="of the hidden layers")
    logistic: bool = Field(False, description="Discrete with two actions: one logit, π(1) = σ(z), instead of two")
    initialization: Literal["glorot", "orthogonal", "fan_in"] = Field(
        "glorot",
        description="of the weights; orthogonal: gain √2, the last layer's 0.01, of values 1; fan_in: ±1/√inputs",
    )
    squash: bool = Field(False, description="Box: actions through tanh into the bounds, instead of clipped to them")
    log_std: Literal["state_independent", "state_dependent"] = Field(
        "state_independent", description="Box: log σ is a parameter, or an output of the network"
    )
    initial_log_std: Finite = Field(0.0, description="Box: log σ at the start, where it is a parameter")
    noise: Literal["white", "pink", "state_dependent"] = Field(
        "white",
        description="Box: independent at each step; correlated in time; or a function of the observation (gSDE)",
    )
    noise_every: Count | None = Field(
        None, description="state_dependent noise: steps until it is drawn anew; null: once an update"
    )
    act: Literal["auto", "compiled", "numpy"] = Field(
        "auto", description="who computes actions: the compiled graph, a NumPy forward pass, or the quicker of both"
    )


class Algorithm(Section):
    name: AlgorithmName = Field(
        REINFORCE.name, description="the learner: by the gradient of a policy, or by a search of its parameters"
    )
    discount: Input[Fraction] = Field(0.99, description="γ, per step")
    signal: Literal["reward", "episode_return", "reward_to_go"] = Field(
        "reward_to_go",
        description="reinforce: what weighs log π: γᵗ·r_t; the episode's discounted return; the return from t on",
    )
    baseline: Literal["none", "running_mean", "mean_so_far", "per_timestep", "leave_one_out", "value"] = Field(
        "mean_so_far", description="what is subtracted (see the README's table); all but reinforce: value, or none"
    )
    standardize_advantages: bool = Field(
        False, description="divide advantages by their standard deviation over the minibatch, after centring"
    )
    average: Literal["steps", "episodes"] = Field(
        "steps", description="reinforce: the loss is a mean over steps (scale-free) or over episodes (unbiased)"
    )
    advantage: Literal["gae", "monte_carlo", "td", "n_step"] = Field(
        "gae", description="how advantages are estimated from rewards and values"
    )
    gae_lambda: Input[Fraction] = Field(0.95, description="λ of gae: 0 is td, 1 is monte_carlo")
    bootstrap_steps: int = Field(5, ge=1, le=10**6, description="n of n_step: rewards seen before V")
    num_steps: int | None = Field(
        None, ge=1, le=2**17, description="steps per environment and update; null plays whole episodes"
    )
    num_epochs: int = Field(10, ge=1, le=10_000, description="passes over a rollout (but for ppo: of V alone)")
    num_minibatches: int = Field(
        1,
        ge=1,
        le=100_000,
        description="gradient steps a pass; sizes may differ by one",
    )
    clip_range: Input[Positive] = Field(0.2, description="ppo: ε, how far from 1 a ratio of probabilities may go")
    value_clip_range: Input[Positive | None] = Field(None, description="ppo: the same for V, in units of the return")
    value_coefficient: Input[NonNegative] = Field(0.5, description="a2c, ppo: weight of V's mean squared error")
    entropy_coefficient: Input[NonNegative] = Field(0.0, description="weight of the entropy in the loss")
    target_kl: Input[Positive | None] = Field(
        None, description="npg, trpo: KL of one step; ppo: stop the update when KL is over 1.5 times this"
    )
    damping: Input[NonNegative] = Field(0.1, description="npg, trpo: added to the diagonal of the Fisher matrix")
    num_cg_iterations: int = Field(10, ge=1, le=1000, description="npg, trpo: of the conjugate gradient")
    num_line_search_steps: int = Field(10, ge=1, le=100, description="trpo: trials, each 0.8 of the one before")
    objective: str = Field(
        "default",
        pattern=f"^(default|{FUNCTION})$",
        description="the algorithm's own, or a function of your own, module:function",
    )
    objective_kwargs: dict[str, Any] = Field({}, description="keyword arguments of your own objective")
    population_size: int = Field(32, ge=2, le=10**6, description="cem, pgpe, es, cmaes: candidates in a generation")
    episodes_per_candidate: int = Field(
        1, ge=1, le=10_000, description="cem, pgpe, es, cmaes: episodes whose mean return is a candidate's fitness"
    )
    initial_std: Positive = Field(1.0, description="cem, pgpe, es, cmaes: spread of the first generation")
    covariance: Literal["diagonal", "full"] = Field("diagonal", description="cem: of the Gaussian over parameters")


class Exploration(Section):
    name: Literal["softmax", "epsilon_softmax", "epsilon_greedy", "epsilon_greedy_softmax"] = Field(
        "softmax", description="how an action is drawn while training; ε is schedules.exploration_rate"
    )


class Schedules(Section):
    learning_rate: Input[Schedule] = Field(Schedule(initial=0.05), description="step size of the optimiser")
    value_learning_rate: Input[Schedule] = Field(
        Schedule(initial=0.01), description="vpg, npg, trpo: step size of the value network's optimiser"
    )
    exploration_rate: Input[Schedule] = Field(Schedule(initial=0.0), description="ε of the ε-strategies, 0 to 1")
    episodes_per_update: Schedule = Field(Schedule(initial=16), description="size of the minibatch, rounded")
    elite_fraction: Input[Schedule] = Field(
        Schedule(initial=0.2), description="cem: share of a generation that is kept"
    )
    extra_std: Input[Schedule] = Field(
        Schedule(kind="exponential_decay", initial=0.3, decay_rate=0.1),
        description="cem: a standard deviation whose square is added to the elites' variance",
    )
    std_learning_rate: Input[Schedule] = Field(
        Schedule(initial=0.1), description="pgpe: step size of the standard deviations"
    )

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
                    raise ValueError(
                        Problem.of(f"{name}.{key}", f"got {value:g}; expected {low:g} to {high:g}; try {default:g}")
                    )
            grows = schedule.kind == "exponential_decay" and schedule.decay_rate < 0 and schedule.maximum is None
            if grows and not name.endswith("learning_rate"):
                raise ValueError(
                    Problem.of(
                        name,
                        f"got decay_rate {schedule.decay_rate:g}, which grows without end; expected a maximum; try "
                        f"{name}.maximum={high:g}",
                    )
                )
        return self


class Optimizer(Section):
    name: Literal["sgd", "momentum", "rmsprop", "adam"] = Field("adam", description="the update rule")
    momentum: Input[Decay] = Field(0.9, description="momentum: share of the last step that is kept")
    rmsprop_decay: Input[Decay] = Field(0.9, description="rmsprop: decay of the mean square")
    beta1: Input[Decay] = Field(0.9, description="adam: decay of the first moment")
    beta2: Input[Decay] = Field(0.999, description="adam: decay of the second moment")
    epsilon: Input[Positive] = Field(1e-8, description="rmsprop and adam: added to the root of the mean square")
    max_gradient_norm: Input[Positive | None] = Field(
        None, description="longest gradient allowed, by its global L2 norm"
    )


class Normalize(Section):
    observations: bool = Field(False, description="observations by their running mean and variance")
    rewards: bool = Field(False, description="rewards by the running standard deviation of the discounted return")


class Budget(Section):
    updates: Count | None = Field(1000, description="stop after so many updates")
    env_steps: Count | None = Field(None, description="stop after so many environment steps")
    seconds: Positive | None = Field(None, description="stop after so many seconds of training")


class Solved(Section):
    stop: bool = Field(True, description="stop when solved; false trains on until the budget is spent")
    threshold: Finite | None = Field(None, description="mean evaluation return; default: the registered one")


class Evaluation(Section):
    episodes: int = Field(100, ge=1, le=100_000, description="episodes in one evaluation, each to its end")
    every_updates: Count = Field(10, description="updates between two evaluations")
    share: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        0.25,
        description="as many of those episodes, and 5 at least, as take this share of the steps trained since the last "
        "evaluation; null: all. One that reaches the threshold is played again with all of them",
    )
    sampled: bool = Field(False, description="also evaluate the policy with sampled actions, each time")


class Distribute(Section):
    """Who plays a generation of cem, pgpe, es or cmaes. The outcome does not depend on it."""

    workers: int = Field(1, ge=1, le=4096, description="cem, pgpe, es, cmaes: processes that play a generation")
    cluster: str | None = Field(
        None, pattern=r"^(tcp|tls|ucx|ws|wss)://.+:\d+$", description="the same by a Dask cluster: tcp://host:8786"
    )
    tasks: int = Field(8, ge=1, le=10**6, description="parts that a generation is given to workers in")


class Checkpoint(Section):
    every_updates: Count | None = Field(None, description="updates between two checkpoints")
    every_seconds: Positive | None = Field(10.0, description="seconds between two checkpoints")
    keep: int = Field(2, ge=1, le=1000, description="newest checkpoints kept, beside the best")


class Config(Section):
    """All knobs of one run."""

    name: Name | None = Field(None, description="of the run; default: the config file's name, or the environment's")
    seed: int = Field(0, ge=0, le=2**63 - 1, description="everything random follows from it")
    runs: int = Field(1, ge=1, le=10_000, description="repeat over seeds seed, seed+1, ... and summarise")
    agents_per_process: int = Field(
        1,
        ge=1,
        le=4096,
        description="seeds of `runs` (or settings of a search) trained at once; compiled environments, backend jax",
    )
    backend: Literal["jax", "numba", "c"] = Field(
        "jax", description="code generator of PyTensor; numba and c compile for one to three minutes"
    )
    dtype: Literal["float32", "float64"] = Field("float32", description="of all that is learned")
    gradients: Literal["symbolic", "by_hand"] = Field(
        "symbolic", description="derived by the graph, or on paper: the NumPy twin (vpg, ppo)"
    )
    environment: Environment = Environment()
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
        return self
