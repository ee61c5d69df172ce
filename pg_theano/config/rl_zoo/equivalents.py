"""Translates an entry of rl-zoo: each key becomes a knob, or a remark that nothing here is quite the same.

    draft = Draft("ppo", entry)
    translate(draft, "CartPole-v1")     # draft.knobs, and draft.remarks

Conventions of Stable-Baselines3 that an entry does not spell out, and the knobs that express them:

    batch_size B of a rollout of N steps        num_minibatches ⌈N/B⌉
    n_timesteps                                 budget.env_steps, and no limit of updates
    lin_X                                       linear from X to 0 over ⌈n_timesteps/N⌉ updates
    eval_freq                                   every_updates eval_freq/N, rounded
"""

import difflib
import math
import re
from typing import Any

from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.rl_zoo import entries, policies, words
from pg_theano.config.rl_zoo.drafts import Draft, Knob, Remark, inside
from pg_theano.types import UserError

MODULE_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+", re.ASCII)


def translate(draft: Draft, environment: str) -> None:
    """Fills the draft. Raises `UserError` for a policy without an equivalent, or a value of the wrong kind."""
    _environment(draft, environment)
    policies.policy(draft)
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
        elif not isinstance(arguments or {}, dict) or _has_names(arguments):
            draft.remark("env_wrapper", f"{entries.shown(one)} is left out: its arguments are no plain values by name")
        else:
            name = ":".join(wrapper.rsplit(".", 1))
            wrappers.append({name: arguments} if arguments else name)
    if wrappers:
        draft.put("environment.wrappers", wrappers, "env_wrapper", given, ", imported as it trains")


def _has_names(value: Any) -> bool:
    """Whether a class or a function is named anywhere in it."""
    if isinstance(value, dict | list):
        return any(map(_has_names, value.values() if isinstance(value, dict) else value))
    return isinstance(value, entries.Name)


def _registered(environment: str) -> tuple[str, str]:
    """(the id to write, a remark): the newest version of the task, where Gymnasium no longer has the one asked for."""
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
        return (newer, f"Gymnasium has no {environment} any more; {newer} is written, which is not quite the same task")
    return environment, (
        f"{environment} is not registered here; install what has it, and try environment.id=its_module:{environment}"
    )


def _budget(draft: Draft) -> None:
    """Minibatches, the budget, and the schedules that fall with it: steps over there, updates here."""
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
    inner = inside(told, words.VEC_NORMALIZE)
    for key, knob in (("norm_obs", "normalize.observations"), ("norm_reward", "normalize.rewards")):
        draft.put(knob, entries.flag_of(entry, "normalize", inner(key)[0]), "normalize", given)
    if told.get("gamma") == draft.knobs["algorithm.discount"].value or "gamma" in entry.values:
        told.pop("gamma", None)  # for which rl-zoo takes the entry's own
    for key, value in told.items():
        if value != words.VEC_NORMALIZE.get(key, ...):
            draft.remark(f"normalize.{key}", f"{entries.shown(value)}; no knob here does that")


def _rest(draft: Draft) -> None:
    """A remark for every key that is left."""
    known = [*(words.OF_ALL | words.DEFAULTS[draft.algorithm]), "n_timesteps", "policy_kwargs", "env_wrapper", "policy"]
    for key, value in draft.left.items():
        said = words.NOT_LEARNT_BY.get(key) or words.WITHOUT.get(key)
        if value == words.DEFAULTS[draft.algorithm].get(key, ...):
            continue
        if said is None:
            near = difflib.get_close_matches(key, known, 1)
            said = f"SB3's {draft.algorithm.upper()} has no such parameter" + (f"; {near[0]}?" if near else "")
        draft.remark(key, f"{entries.shown(value)}; {said}")
