"""The policy of an rl-zoo entry: its networks, its noise, and the optimiser that `policy_kwargs` may name."""

from collections.abc import Callable
from typing import Any

from pg_theano.config.rl_zoo import entries, words
from pg_theano.config.rl_zoo.drafts import Draft, Knob, inside


def policy(draft: Draft) -> None:
    entry = draft.entry
    name, given = draft.take("policy")
    if given and name == "MultiInputPolicy":
        draft.remark(
            "policy", "the parts of an observation are joined into one vector; policy.encoders={} has layers for each"
        )
    elif given and name != "MlpPolicy":
        kind = "sees images" if "Cnn" in str(name) else "is not of dense layers"
        raise entry.error(
            "policy",
            f"got {entries.shown(name)}, which {kind}; expected MlpPolicy; try a config of your own with "
            + ("policy.network=nature" if "Cnn" in str(name) else "policy.name"),
        )
    kwargs, given = draft.take("policy_kwargs")
    kwargs = entries.python_of(entry, "policy_kwargs", kwargs)
    if kwargs is not None and not isinstance(kwargs, dict):
        raise entry.error("policy_kwargs", f"got {entries.shown(kwargs)}; expected dict(name=value, ...); try that")
    kwargs = dict(kwargs or {})
    inner = inside(kwargs, words.POLICY)

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


def _widths(entry: entries.Entry, arch: Any) -> tuple[list[Any], list[Any]]:
    """Widths (of the policy, of V). Takes [64, 64], dict(pi=[64], vf=[64]), or that in a list, as before SB3 1.8."""
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
    """Adam, or A2C's RMSprop. `policy_kwargs` may name another."""
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
