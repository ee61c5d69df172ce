"""What a file says of a spec, read: that of a run, or of a policy, which a stranger may have written.

spec = spec_of(facts["spec"])          # what `Spec.plain` gave
acting = acting_of(about["spec"])      # what `Acting.plain` gave
"""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pg_theano import parameters
from pg_theano.layers import LAYERS, Activation, Layer, Layout, layout_of
from pg_theano.parameters import LOG_STD, Network
from pg_theano.spec import (
    Acting,
    Advantage,
    Average,
    Baseline,
    Dtype,
    Engine,
    Exploration,
    Learning,
    LogStd,
    Noise,
    Optimizer,
    Own,
    Passes,
    Signal,
    Spec,
)  # fmt: skip
from pg_theano.spec.entries import (
    Entries,
    Holds,
    Unreadable,
    flag,
    held,
    list_of,
    number,
    object_of,
    or_none,
    shown,
    text,
    whole,
    word,
)  # fmt: skip
from pg_theano.types import ActionSpace


def spec_of(data: Mapping[str, Any]) -> Spec:
    """Reads a run's file. Raises `Unreadable` for the first entry that is not what it must be."""
    at, engine = "spec.", None
    acting, learning, take = acting_of(data, at), learning_of(data, at), Entries(data, at)
    dynamics = take("dynamics", or_none(text), None)
    if dynamics is not None:
        source = take("dynamics_source", or_none(text), None)
        seen = take("observe", or_none(list_of(whole(0, 2**32))), None)
        by_step = take("step_by_step", flag, False)
        engine = Engine(dynamics, source, take("chunk", whole(1, 2**40)), by_step, seen and tuple(seen))
    return Spec(acting, learning, engine)


def acting_of(data: Mapping[str, Any], at: str = "") -> Acting:
    """Reads what a file says `at` some entry of it. Raises `Unreadable` for the first that it cannot be."""
    take, own = Entries(data, at), None
    obs_size = take("obs_size", whole(0, 2**32))
    action = _action(take("action", object_of("Action")), f"{at}action.")
    squash, log_std, noise = take("squash", flag), take("log_std", word(LogStd)), take("noise", word(Noise))
    if take("policy", text, "dense") != "dense":
        own = _own(take, "policy")
    logistic = take("logistic", flag, False)  # runs of before there was one do not say
    take("num_outputs", whole(0, 2**62), 0)
    layout: Layout = [(name, tuple(shape), how) for name, shape, how in take("layout", list_of(_array))]
    stated = take("num_params", whole(1, 2**40), parameters.count(layout))
    if stated != parameters.count(layout):
        raise Unreadable(f"its run.json says {stated:,} parameters, and layers of {parameters.count(layout):,}")
    activation = take("activation", word(Activation))
    network = take("network", _network, None) or parameters.dense_network(layout, activation, own is not None)
    masked = take("mask_size", _mask_of(action, obs_size), 0)
    _check_layout(network, layout, obs_size - masked, own)
    return Acting(
        obs_size=obs_size,
        action=action,
        layout=layout,
        network=network,
        activation=activation,
        exploration=take("exploration", word(Exploration)),
        squash=squash,
        log_std=log_std,
        noise=noise,
        logistic=logistic,
        normalize_observations=take("normalize_observations", flag),
        dtype=take("dtype", word(Dtype)),
        pixels=take("pixels", flag, False),
        own=own,
        mask_size=masked,
    )


def learning_of(data: Mapping[str, Any], at: str = "") -> Learning:
    """Reads what a file says; what a run of before does not say is as it was then."""
    take = Entries(data, at)
    defaults = Learning.__dataclass_fields__
    stated = {name: take(name, holds, defaults[name].default) for name, holds in _OF_LEARNING.items()}
    objective = take("objective", or_none(text), None) and _own(take, "objective")
    epochs, batches = (take(name, _COUNT, None) for name in ("num_epochs", "num_minibatches"))
    passes = None if epochs is None or batches is None else Passes(epochs, batches)
    return Learning(algorithm=take("algorithm", text), objective=objective, passes=passes, **stated)


def is_older(data: Mapping[str, Any]) -> bool:
    """Whether a run's file is of before there were other actions than discrete ones."""
    return "action" not in data


def names_in(data: Mapping[str, Any]) -> dict[str, Any]:
    """The functions that a run's file names, of a user or ours, unchecked: policy, objective, dynamics."""
    return {part: data.get(part) for part in ("policy", "objective", "dynamics", "network")}


def _array(value: Any, entry: str) -> Any:
    """An entry of a layout; runs of before layouts had initialisers have pairs."""
    held(isinstance(value, list | tuple), value, entry, "Input should be a valid tuple")
    held(2 <= len(value) <= 3, value, entry, f"Tuple should have 3 items, not {len(value)}")
    name, shape, *how = value
    return text(name, f"{entry}.0"), list_of(whole(1, 2**40))(shape, f"{entry}.1"), how[0] if how else None


def _network(value: Any, entry: str) -> Any:
    object_of("Network")(value, entry)
    take = Entries(value, f"{entry}.")
    return Network(*(tuple(take(part, list_of(_layer), [])) for part in Network._fields))


def _layer(value: Any, entry: str) -> Any:
    """[kind, its fields], each held to the type that its class declares."""
    pair = isinstance(value, list | tuple) and len(value) == 2
    held(pair and value[0] in LAYERS, value, entry, f"Input should be [{' or '.join(LAYERS)}, its fields]")
    made, take = LAYERS[value[0]], Entries(object_of("")(value[1], entry), f"{entry}.")
    return made(**{name: take(name, _of_type(hint)) for name, hint in get_type_hints(made).items()})


def _of_type(hint: Any) -> Holds:
    if get_origin(hint) is tuple:
        each = list_of(_of_type(get_args(hint)[0]))
        return lambda value, entry: tuple(each(value, entry))
    if hint is Layer:
        return _layer
    if NoneType in get_args(hint):
        return or_none(_of_type(next(part for part in get_args(hint) if part is not NoneType)))
    if get_origin(hint) is Literal:
        return word(hint)
    if get_origin(hint) is dict:
        return object_of("")
    return {int: whole(1, 2**40), float: number, bool: flag, str: text}[hint]


def _check_layout(network: Network, layout: Layout, obs_size: int, own: Own | None) -> None:
    """Raises `Unreadable` where the layout is not that of the network's layers, which follow one another."""
    placed = network.placed(obs_size)
    expected = [entry[:2] for part in placed for entry in layout_of(placed[part])]
    ours = [(name, shape) for name, shape, *_ in layout if name != LOG_STD and not (own and name[:7] == "policy/")]
    if ours != expected:
        raise Unreadable(f"layout: got {shown(ours)}: its layers do not follow one another from {obs_size} numbers on")


def _action(data: Mapping[str, Any], at: str) -> ActionSpace:
    take, kinds = Entries(data, at), ("discrete", "box", "multi_discrete", "multi_binary")

    def kind(value: Any, entry: str) -> Any:
        right = isinstance(value, str) and value in kinds
        return held(right, value, entry, "Input should be 'discrete', 'box', 'multi_discrete' or 'multi_binary'")

    return ActionSpace(
        take("kind", kind),
        take("size", whole(0, 2**62)),
        take("choices", list_of(whole(1, 2**40))),
        take("low", list_of(number)),
        take("high", list_of(number)),
    )


def _mask_of(action: ActionSpace, obs_size: int) -> Holds:
    """None, or a number for each choice, beside what is seen; only of actions that are choices."""
    all_of_them = sum(action.choices) if action.kind in ("discrete", "multi_discrete") else 0
    return lambda value, entry: held(
        whole(0, obs_size)(value, entry) in (0, all_of_them), value, entry, f"Input should be 0 or {all_of_them}"
    )


def _own(take: Entries, part: str) -> Own:
    kwargs = take(f"{part}_kwargs", object_of(""), {})
    return Own(take(part, text), kwargs, take(f"{part}_source", or_none(text), None))


_COUNT = or_none(whole(0, 2**40))
_OF_LEARNING: dict[str, Holds] = {
    **dict.fromkeys(("clips_gradient", "normalize_rewards", "standardize_advantages", "clips_value"), flag),
    **dict.fromkeys(("uses_target_kl", "uses_entropy", "shared"), flag),
    **dict.fromkeys(("bootstrap_steps", "num_steps", "sequence_length", "num_cg_iterations"), _COUNT),
    **dict.fromkeys(("num_line_search_steps", "time_limit"), _COUNT),
    "max_steps": whole(1, 2**40),
    "optimizer": word(Optimizer),
    "signal": word(Signal),
    "baseline": word(Baseline),
    "average": word(Average),
    "advantage": or_none(word(Advantage)),
}
