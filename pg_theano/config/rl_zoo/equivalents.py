"""What an entry of rl-zoo's means here: each of its keys becomes a knob, or is said to have no equivalent.

    draft = Draft("ppo", entry)
    translate(draft, "CartPole-v1")     # draft.knobs, and draft.remarks

Conventions of Stable-Baselines3 that are no number of an entry, and how they are written here:

    batch_size B of a rollout of N steps        num_minibatches ⌈N/B⌉
    n_timesteps                                 budget.env_steps, and no limit of updates
    lin_X                                       linear from X to 0 over ⌈n_timesteps/N⌉ updates
    eval_freq                                   every_updates eval_freq/N, rounded
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.rl_zoo import entries, words
from pg_theano.types import UserError

MODULE_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+", re.ASCII)


class Knob(NamedTuple):
    """What is written, and where it came from."""

    value: Any
    source: str
    line: int | None = None
    given: bool = True  # by the entry: then it is written even where it is the default here


class Remark(NamedTuple):
    """What has no equivalent here, or is not quite the same."""

    key: str  # as the entry calls it
    said: str
    line: int | None


class Draft:
    """A config in the making: every key of the entry is taken once, and what nobody took is a remark."""

    def __init__(self, algorithm: str, entry: entries.Entry) -> None:
        self.algorithm, self.entry = algorithm, entry
        self.left = dict(entry.values)
        self.knobs: dict[str, Knob] = {}
        self.remarks: list[Remark] = []

    def take(self, key: str) -> tuple[Any, bool]:
        """(the entry's value of a key, or the default over there; whether the entry has it)"""
        if key in self.left:
            return self.left.pop(key), True
        return (words.OF_ALL | words.DEFAULTS[self.algorithm]).get(key), False

    def put(self, knob: str, value: Any, key: str, given: bool, more: str = "") -> None:
        """`more` is said after the entry's own words in the comment."""
        if given:
            source = f"{self.entry.place(key)} {key}: {entries.shown(self.entry.values[key])}{more}"
        else:
            source = more or f"SB3's default of {key}"
        self.knobs[knob] = Knob(value, source, self.entry.lines.get(key), given)

    def remark(self, key: str, said: str) -> None:
        top = key.partition(".")[0]
        self.remarks.append(Remark(key, said, self.entry.lines.get(top)))


def translate(draft: Draft, environment: str) -> None:
    """Fill the draft. Errors: `UserError`: a policy that has no equivalent, a value that is none of its kind."""
    _environment(draft, environment)
    _policy(draft)
    for key in words.AS_IT_IS:
        if key in words.OF_ALL | words.DEFAULTS[draft.algorithm]:
            value, given = draft.take(key)
            if given or key != "seed":
                draft.put(_knob_of(draft.algorithm, key), value, key, given)
    _budget(draft)
    _normalize(draft)
    _rest(draft)


def _knob_of(algorithm: str, key: str) -> str:
    if key == "learning_rate" and "optimizer" not in ALGORITHMS[algorithm].optimizers:
        return "schedules.value_learning_rate"
    return next(knob for knob, name in words.EQUIVALENT if name == key)


def _environment(draft: Draft, environment: str) -> None:
    entry = draft.entry
    name, said = _registered(environment)
    draft.knobs["environment.id"] = Knob(name, "")
    if said:
        draft.remarks.append(Remark("environment", said, entry.line))
    if entry.name not in (environment, environment.rpartition(":")[2]):
        draft.remarks.append(Remark(entry.name, f"the entry of no one environment; {environment} has none", entry.line))
    kwargs, given = draft.take("env_kwargs")
    kwargs = entries.python_of(entry, "env_kwargs", kwargs)
    if _has_names(kwargs) or not isinstance(kwargs or {}, dict):
        raise entry.error("env_kwargs", f"got {entries.shown(kwargs)}; expected a mapping of plain values; try those")
    if kwargs:
        draft.put("environment.kwargs", kwargs, "env_kwargs", given)
    found, given = draft.take("env_wrapper")
    wrappers = []
    for one in found if isinstance(found, list) else [found] if found is not None else []:
        (wrapper, arguments), *others = one.items() if isinstance(one, dict) and one else [(one, None)]
        if others or not isinstance(wrapper, str) or not MODULE_CLASS.fullmatch(wrapper):
            draft.remark("env_wrapper", f"{entries.shown(one)} is no module.Class; it is left out")
        elif arguments:
            said = "is left out: a wrapper is given no arguments here; try one of your own that has them"
            draft.remark("env_wrapper", f"{entries.shown(wrapper)} {said}")
        else:
            wrappers.append(":".join(wrapper.rsplit(".", 1)))
    if wrappers:
        draft.put("environment.wrappers", wrappers, "env_wrapper", given, ", imported as it trains")


def _has_names(value: Any) -> bool:
    """Whether a class or a function is named anywhere in it."""
    if isinstance(value, dict | list):
        return any(map(_has_names, value.values() if isinstance(value, dict) else value))
    return isinstance(value, entries.Name)


def _registered(environment: str) -> tuple[str, str]:
    """(the id to write, what is to be said of it): the version that Gymnasium has, where it has not that one."""
    import gymnasium
    from gymnasium.envs import registration

    if ":" in environment or environment in gymnasium.registry:
        return environment, ""
    try:
        space, name, version = registration.parse_env_id(environment)
        highest = registration.find_highest_version(space, name)
    except gymnasium.error.Error:
        raise UserError(
            f"environment: got {entries.shown(environment)}; expected the id of one, such as CartPole-v1; try that"
        ) from None
    if highest is not None and version is not None and highest > version:
        newer = registration.get_env_id(space, name, highest)
        return (
            newer,
            f"Gymnasium has no {environment} any more; {newer} is written, which is not quite the same task",
        )
    return environment, (
        f"{environment} is not registered here; install what has it, and try environment.id=its_module:{environment}"
    )


def _policy(draft: Draft) -> None:
    entry = draft.entry
    name, given = draft.take("policy")
    if given and name == "MultiInputPolicy":
        draft.remark(
            "policy", "the parts of an observation are joined into one vector; images get no layers of their own"
        )
    elif given and name != "MlpPolicy":
        kind = "sees images" if "Cnn" in str(name) else "is not of dense layers"
        raise entry.error(
            "policy",
            f"got {entries.shown(name)}, which {kind}; expected MlpPolicy; try a policy of your own in policy.name",
        )
    kwargs, given = draft.take("policy_kwargs")
    kwargs = entries.python_of(entry, "policy_kwargs", kwargs)
    if kwargs is not None and not isinstance(kwargs, dict):
        raise entry.error("policy_kwargs", f"got {entries.shown(kwargs)}; expected dict(name=value, ...); try that")
    kwargs = dict(kwargs or {})
    inner = _inside(kwargs, words.POLICY)

    def put(knob: str, key: str, value: Any, has: bool) -> None:
        source = f"{entry.place('policy_kwargs')} policy_kwargs: {key}" if has else f"SB3's default of {key}"
        draft.knobs[knob] = Knob(value, source, entry.lines.get("policy_kwargs"), has)

    arch, has = inner("net_arch")
    hidden, value_hidden = _widths(entry, arch)
    put("policy.hidden", "net_arch", hidden, has)
    if value_hidden != hidden:
        put("policy.value_hidden", "net_arch", value_hidden, has)
    activation, has = inner("activation_fn")
    last = str(activation).rpartition(".")[2]
    if last not in words.ACTIVATIONS:
        draft.remark(
            "policy_kwargs.activation_fn", f"{entries.shown(activation)}; policy.activation is the nearest, relu"
        )
    put("policy.activation", "activation_fn", words.ACTIVATIONS.get(last, "relu"), has)
    orthogonal, has = inner("ortho_init")
    orthogonal = entries.flag_of(entry, "policy_kwargs", orthogonal)
    put("policy.initialization", "ortho_init", "orthogonal" if orthogonal else "fan_in", has)
    log_std, has = inner("log_std_init")
    put("policy.initial_log_std", "log_std_init", log_std, has)
    _noise(draft)
    _optimizer(draft, kwargs, put)
    for key, value in kwargs.items():
        default = words.POLICY.get(key, ...)
        if value != default or key not in words.WITHOUT:
            draft.remark(
                f"policy_kwargs.{key}", f"{entries.shown(value)}; {words.WITHOUT.get(key, 'no knob here does that')}"
            )


def _inside(given: dict[str, Any], defaults: dict[str, Any]) -> Callable[[str], tuple[Any, bool]]:
    """`take` of a dict within an entry."""
    return lambda key: (given.pop(key), True) if key in given else (defaults.get(key), False)


def _widths(entry: entries.Entry, arch: Any) -> tuple[list[Any], list[Any]]:
    """(of the policy, of V), of [64, 64], dict(pi=[64], vf=[64]), or that in a list, as it was before SB3 1.8."""
    if isinstance(arch, list) and len(arch) == 1 and isinstance(arch[0], dict):
        (arch,) = arch
    if isinstance(arch, dict) and set(arch) <= {"pi", "vf"} and all(isinstance(one, list) for one in arch.values()):
        return arch.get("pi", []), arch.get("vf", [])
    if isinstance(arch, list) and not any(isinstance(one, dict) for one in arch):
        return arch, arch
    raise entry.error(
        "policy_kwargs",
        f"got net_arch={entries.shown(arch)}; expected [64, 64] or dict(pi=[64, 64], vf=[64, 64]); try one",
    )


def _noise(draft: Draft) -> None:
    entry = draft.entry
    used, given = draft.take("use_sde")
    draft.put(
        "policy.noise", "state_dependent" if entries.flag_of(entry, "use_sde", used) else "white", "use_sde", given
    )
    every, given = draft.take("sde_sample_freq")
    if used:
        number = entries.number_of(entry, "sde_sample_freq", every)
        draft.put("policy.noise_every", every if number > 0 else None, "sde_sample_freq", given)
    elif given:
        draft.remark("sde_sample_freq", f"{entries.shown(every)} is not read without use_sde, there as here")


def _optimizer(draft: Draft, kwargs: dict[str, Any], put: Callable[[str, str, Any, bool], None]) -> None:
    """Adam, or A2C's RMSprop; what `policy_kwargs` says of it comes first."""
    entry, a2c = draft.entry, "use_rms_prop" in words.DEFAULTS[draft.algorithm]
    given, chosen = kwargs.pop("optimizer_kwargs", None), kwargs.pop("optimizer_class", None)
    if given is not None and not isinstance(given, dict):
        raise entry.error(
            "policy_kwargs", f"got optimizer_kwargs={entries.shown(given)}; expected dict(eps=1e-5); try that"
        )
    use_rms_prop, has_rms = draft.take("use_rms_prop") if a2c else (False, False)
    epsilon, has_epsilon = draft.take("rms_prop_eps") if a2c else (None, False)
    by_flag = entries.flag_of(entry, "use_rms_prop", use_rms_prop) and chosen is None
    if by_flag and given is not None:
        draft.remark("policy_kwargs.optimizer_kwargs", "A2C's own RMSprop takes no notice of them, there as here")
    if by_flag:
        draft.put("optimizer.name", "rmsprop", "use_rms_prop", has_rms)
        draft.put("optimizer.epsilon", epsilon, "rms_prop_eps", has_epsilon)
        draft.knobs["optimizer.rmsprop_decay"] = Knob(0.99, "SB3's A2C: alpha=0.99", None, False)
        return
    if has_epsilon:
        draft.remark("rms_prop_eps", f"{entries.shown(epsilon)} is of RMSprop, which is not used, there as here")
    if has_rms and chosen is not None:
        draft.remark(
            "use_rms_prop", f"{entries.shown(use_rms_prop)} is not read with an optimizer_class, there as here"
        )
    last = "Adam" if chosen is None else str(chosen).rpartition(".")[2]
    name = words.OPTIMIZERS.get(last)
    if name is None:
        name = "rmsprop" if last.startswith("RMSprop") else "adam"
        draft.remark("policy_kwargs.optimizer_class", f"{entries.shown(chosen)}; {name} is the nearest")
    told = words.OF_TORCH[name] | (given or {})
    if given is None and chosen in (None, "th.optim.Adam", "torch.optim.Adam", "optim.Adam"):
        told["eps"] = words.SMALL_EPSILON
    if name == "sgd" and told["momentum"]:
        name = "momentum"
    if chosen is not None:
        put("optimizer.name", "optimizer_class", name, True)
    elif a2c:
        draft.put("optimizer.name", name, "use_rms_prop", has_rms)
    knobs = {"eps": ["epsilon"], "alpha": ["rmsprop_decay"], "momentum": ["momentum"], "betas": ["beta1", "beta2"]}
    for key, value in told.items():
        read = key in words.OF_TORCH["sgd" if name == "momentum" else name]
        values = value if key == "betas" and isinstance(value, list) else [value]
        if read and len(values) == len(knobs[key]):
            for knob, one in zip(knobs[key], values, strict=True):
                if knob != "momentum" or name == "momentum":
                    put(f"optimizer.{knob}", "optimizer_kwargs", one, key in (given or {}))
        elif value:
            draft.remark("policy_kwargs.optimizer_kwargs", f"{key}={entries.shown(value)}; no knob here does that")


def _budget(draft: Draft) -> None:
    """Minibatches, the budget and what falls with it: all from steps, which here are counted in updates."""
    entry, algorithm = draft.entry, draft.algorithm
    envs = entries.count_of(entry, "n_envs", draft.knobs["environment.num_envs"].value)
    steps = entries.count_of(entry, "n_steps", draft.knobs["algorithm.num_steps"].value)
    rollout = envs * steps
    if "batch_size" in words.DEFAULTS[algorithm]:
        size, given = draft.take("batch_size")
        size = entries.count_of(entry, "batch_size", rollout if size is None else size)
        number = -(-rollout // size)
        of = f", of {envs} x {steps} steps"
        draft.put(
            "algorithm.num_minibatches", number, "batch_size", given, of if given else f"SB3's batch_size: {size}{of}"
        )
        if rollout % size and size < rollout:
            said = f"{size} does not divide {rollout:,} steps: there the last minibatch is smaller"
            draft.remark("batch_size", f"{said}, here all {number:,} are alike")
    total, given = draft.take("n_timesteps")
    if not given:
        raise UserError(
            f"{entry.file}:{entry.line} n_timesteps: missing; expected the number of steps; try n_timesteps: 1e5"
        )
    total = math.floor(entries.number_of(entry, "n_timesteps", total))
    updates = max(1, -(-total // rollout))
    draft.put("budget.env_steps", total, "n_timesteps", given)
    draft.knobs["budget.updates"] = Knob(None, "the steps alone count", None, False)
    draft.knobs["solved.stop"] = Knob(False, "SB3 trains to the end", None, False)
    every, given = draft.take("eval_freq")
    number = entries.count_of(entry, "eval_freq", every)
    more = f"rl-zoo's train evaluates every {number:,} steps" if not given else ""
    draft.put("evaluation.every_updates", min(max(1, round(number / rollout)), updates), "eval_freq", given, more)

    rate, given = draft.take("learning_rate")
    initial, falls = entries.schedule_of(entry, "learning_rate", rate)
    schedule: dict[str, Any] = {"initial": initial}
    if falls:
        schedule = {"kind": "linear", "initial": initial, "final": 0.0, "over_updates": updates}
    knob = _knob_of(algorithm, "learning_rate")
    draft.put(knob, schedule, "learning_rate", given, " (SB3 is one update further)" if falls else "")
    if "clip_range" not in words.DEFAULTS[algorithm]:
        return
    for key, knob in (("clip_range", "algorithm.clip_range"), ("clip_range_vf", "algorithm.value_clip_range")):
        value, given = draft.take(key)
        start, falls = entries.schedule_of(entry, key, value) if value is not None else (None, False)
        draft.put(knob, start, key, given)
        if falls:
            draft.remark(key, f"{entries.shown(value)} falls to 0 with the budget; {knob} stays as it is: {start:g}")
    if draft.knobs["algorithm.value_clip_range"].value is not None:
        draft.remark(
            "clip_range_vf", "there the clipped error is taken, here the larger of the clipped and the plain one"
        )


def _normalize(draft: Draft) -> None:
    entry = draft.entry
    found, given = draft.take("normalize")
    found = entries.python_of(entry, "normalize", found) or False
    told = {"norm_obs": found, "norm_reward": found} if isinstance(found, bool) else found
    if not isinstance(told, dict):
        raise entry.error(
            "normalize", f"got {entries.shown(found)}; expected true, false or dict(norm_obs=True); try true"
        )
    told = dict(told)
    inner = _inside(told, words.VEC_NORMALIZE)
    for key, knob in (("norm_obs", "normalize.observations"), ("norm_reward", "normalize.rewards")):
        draft.put(knob, entries.flag_of(entry, "normalize", inner(key)[0]), "normalize", given)
    if told.get("gamma") == draft.knobs["algorithm.discount"].value or "gamma" in entry.values:
        told.pop("gamma", None)  # for which rl-zoo takes the entry's own
    for key, value in told.items():
        if value != words.VEC_NORMALIZE.get(key, ...):
            draft.remark(f"normalize.{key}", f"{entries.shown(value)}; no knob here does that")


def _rest(draft: Draft) -> None:
    """What nobody took: said, whatever it is."""
    known = [*(words.OF_ALL | words.DEFAULTS[draft.algorithm]), "n_timesteps", "policy_kwargs", "env_wrapper", "policy"]
    for key, value in draft.left.items():
        said = words.NOT_LEARNT_BY.get(key) or words.WITHOUT.get(key)
        if value == words.DEFAULTS[draft.algorithm].get(key, ...):
            continue
        if said is None:
            near = difflib.get_close_matches(key, known, 1)
            said = f"SB3's {draft.algorithm.upper()} has no such parameter" + (f"; {near[0]}?" if near else "")
        draft.remark(key, f"{entries.shown(value)}; {said}")
