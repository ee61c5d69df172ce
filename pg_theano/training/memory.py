"""The memory that a run needs, by the shapes of its arrays, before it takes any.

    check(config, spec)        # UserError where there is less on this machine, or in its control group

An estimate: what XLA keeps of a layer between the passes forward and back was measured (`benchmarks/torture`, part
`large`), all else is counted. Whole episodes are counted at their time limit, which they may well not reach, but at no
more than `LONGEST_COUNTED` steps; environments that Gymnasium steps are not counted, as nobody knows what they hold.
"""

from __future__ import annotations

from pathlib import Path

from pg_theano.config import schedules
from pg_theano.config.algorithms import ALGORITHMS, Algorithm
from pg_theano.config.knobs import Config
from pg_theano.spec import Spec
from pg_theano.types import Problem, UserError

SLOTS = {"sgd": 0, "momentum": 1, "rmsprop": 1, "adam": 2}
"""Arrays as long as the parameters that an optimiser keeps."""

COPIES = 4
"""Of all that is learned: before an update, after it, the best so far, and one on its way into a checkpoint."""

KEPT = 2.5
"""Numbers a step and a unit that XLA holds at the height of an update."""

KEPT_OF_EPISODES = 4.0
"""The same for whole episodes that Gymnasium stepped, whose rows [E, T] are put in the order of time first."""

KEPT_JUDGING = 1.5
"""The same where V is computed for a whole rollout, without a gradient, a step and a unit of its widest layer."""

COVARIANCES_OF_CMAES = 70
"""Matrices [D, D] of float64 at the height of a generation: 15.1 GB for D = 5,121, measured (part `large`)."""

LONGEST_COUNTED = 10_000

CGROUPS = Path("/sys/fs/cgroup")


def needed(config: Config, spec: Spec) -> dict[str, float]:
    """Bytes by what they are for: parameters, rollout, layers."""
    algorithm, size = config.algorithm, {"float32": 4, "float64": 8}[config.dtype]
    record, seen = ALGORITHMS[algorithm.name], 1 if spec.acting.pixels else size  # bytes of each number observed
    learned = spec.acting.num_params * (1 + (0 if record.searches else SLOTS[config.optimizer.name]))
    parts = {"parameters": float((COPIES * learned + 2 * spec.acting.num_params) * size)}
    actions = spec.acting.action.size
    if record.searches:
        population = algorithm.population_size * algorithm.episodes_per_candidate
        parts["population"] = float(spec.acting.num_params * (16.0 * algorithm.population_size + 2 * size * population))
        if record.full_covariance or algorithm.covariance == "full":
            held = COVARIANCES_OF_CMAES if record.full_covariance else 3
            parts["covariance"] = held * 8.0 * spec.acting.num_params**2
        units = sum(given for part in ("shared", "policy") for _, given in spec.acting.sizes(part))
        parts["layers"] = float(2 * size * population * units)
        longest = spec.engine.chunk if spec.engine else _longest(spec)
        parts["rollout"] = float(population * longest * (seen * spec.acting.obs_size + 4 * size))
        return parts
    steps = _steps(config, spec)
    frames = 1 if "last_obs" in spec.learning.takes else 2
    parts["rollout"] = float(2 * steps * (frames * seen * spec.acting.obs_size + size * (2 * actions + 5)))
    shared, policy, value = ([gives for _, gives in spec.acting.sizes(part)] for part in ("shared", "policy", "value"))
    units_of_policy, units_of_value = sum(shared) + sum(policy), sum(value)
    at_once = steps / (algorithm.num_minibatches if _in_minibatches(record) else 1)
    if not (spec.engine and spec.engine.step_by_step):
        together = units_of_policy + units_of_value
        learning = together if record.one_loss else max(units_of_policy, units_of_value)
        judging = max(value, default=0)  # V of every step, before the first gradient
        kept = KEPT if spec.learning.num_steps or spec.engine else KEPT_OF_EPISODES
        parts["layers"] = float(size * (kept * at_once * learning + KEPT_JUDGING * steps * judging))
    return parts


def _in_minibatches(record: Algorithm) -> bool:
    """Whether the policy learns from a minibatch at a time, and not the value network alone."""
    return record.one_loss and record.reads("algorithm.num_minibatches")


def check(config: Config, spec: Spec) -> None:
    """Errors: `UserError` where a run needs more than there is: how much, for what, and which knob makes it less."""
    parts, there = needed(config, spec), available()
    if there is None or sum(parts.values()) <= there:
        return
    largest = max(parts, key=lambda name: parts[name])
    knob, got, advice = _reason(config, spec, largest)
    raise UserError(
        Problem.of(
            knob,
            f"got {got}, which needs {in_words(sum(parts.values()))} of memory "
            f"({in_words(parts[largest])} for {WHAT[largest]}); expected at most {in_words(there)}, which there is; "
            f"try {advice}",
        )
    )


WHAT = {
    "parameters": "parameters and their optimiser",
    "population": "the candidates of a generation",
    "covariance": "the covariance of all parameters",
    "layers": "what layers keep of each step",
    "rollout": "the steps of an update",
}


def available() -> float | None:
    """Bytes that this process can still take: what the machine has, or its control group allows; None: unknown."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                found.append(1024.0 * int(line.split()[1]))
    except (OSError, ValueError):
        pass
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, taken = (int((CGROUPS / name).read_text(encoding="utf-8")) for name in (limit, used))
            found.append(float(most - taken))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return min(found, default=None)


def in_words(size: float) -> str:
    """1.2 GB; 350 MB."""
    for unit, power in (("PB", 15), ("TB", 12), ("GB", 9)):
        if size >= 10**power:
            return f"{size / 10**power:,.1f} {unit}"
    return f"{size / 10**6:,.0f} MB"


def _longest(spec: Spec) -> int:
    return min(spec.learning.time_limit or LONGEST_COUNTED, LONGEST_COUNTED)


def _episodes(config: Config) -> int:
    """Of the largest update, rows as they are padded."""
    last = (config.budget.updates or 1) - 1
    schedule = config.schedules.episodes_per_update
    most = max(round(schedules.value_at(schedule, update)) for update in (0, last))
    return 1 << max(most - 1, 0).bit_length()


def _steps(config: Config, spec: Spec) -> float:
    """Of one update's rollout, padding included."""
    if spec.learning.num_steps:
        return float(config.environment.num_envs * spec.learning.num_steps)
    return float(_episodes(config) * _longest(spec))


def _reason(config: Config, spec: Spec, largest: str) -> tuple[str, str, str]:
    """(knob, what was got, what to try) for the part that is largest."""
    record = ALGORITHMS[config.algorithm.name]
    if largest in ("parameters", "covariance"):
        knob = "policy.name" if config.policy.name != "dense" else "policy.hidden"
        hidden = config.policy.name if config.policy.name != "dense" else str(config.policy.hidden)
        if largest == "covariance":
            advice = "a smaller one, or pgpe" if record.full_covariance else "algorithm.covariance=diagonal"
        else:
            advice = "[64, 64]" if config.policy.name == "dense" else "fewer numbers in its parameters()"
        return knob, f"{hidden} ({spec.acting.num_params:,} parameters)", advice
    if record.searches:
        return "algorithm.population_size", f"{config.algorithm.population_size:,}", "fewer, or a smaller policy.hidden"
    of_each, smaller = f"policy.hidden={config.policy.hidden}", "a smaller policy.hidden"
    if largest == "rollout":
        of_each, smaller = f"observations of {spec.acting.obs_size:,} numbers", "a wrapper that observes less"
    if spec.learning.num_steps:
        envs = config.environment.num_envs
        got = f"{envs:,} environments x {spec.learning.num_steps:,} steps with {of_each}"
        advice = f"fewer, a shorter algorithm.num_steps, or {smaller}"
        if _in_minibatches(record) and largest == "layers":
            advice = f"algorithm.num_minibatches={2 * config.algorithm.num_minibatches} or more, or {advice}"
        return "environment.num_envs", got, advice
    got = f"{_episodes(config):,} episodes of up to {_longest(spec):,} steps with {of_each}"
    advice = f"fewer, a lower environment.max_episode_steps, or {smaller}"
    return "schedules.episodes_per_update", got, advice
