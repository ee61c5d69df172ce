"""Masks: the choices that an environment allows now, and where it says so.

    source = source_of(env, config.action_mask, id)         # what `policy.action_mask` finds there; None: no mask
    env = Masked(env, source, id)                           # observations of two parts: what is seen, and the mask

`Flat` makes a row of both, and the mask is the last of it, so that whoever keeps or sends a row has the mask with it.

    observation["KEY"]     a part of a Dict
    action_masks()         a method, as sb3-contrib asks for it
    info["action_mask"]    what reset and step return last, as Gymnasium's Taxi has it
    action_mask(state)     an expression of a symbolic environment
"""

import math
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from pg_theano.environments.rows import Outside
from pg_theano.environments.spaces import size_of, spaces_of, whole_of
from pg_theano.environments.telling import short, words_of
from pg_theano.types import Array, UserError

INFO, METHOD = "action_mask", "action_masks"


class Source(NamedTuple):
    """Where an environment says what is allowed."""

    kind: str  # "key", "method", "info" or "state"
    name: str

    @property
    def place(self) -> str:
        forms = {"key": 'observation["{}"]', "method": "{}()", "info": 'info["{}"]', "state": "{}(state)"}
        return forms[self.kind].format(self.name)


def source_of(env: Any, wanted: str, id: str) -> Source | None:
    """What `wanted`, of `policy.action_mask`, means for an environment, single or vectorised; None: it has no mask.

    `auto` asks an environment in whose code the word action_mask stands for one reset, as only that tells whether its
    info has one. Errors: `UserError` where a key is wanted and actions are no choices.
    """
    space = getattr(env, "single_action_space", None) or env.action_space
    observation = getattr(env, "single_observation_space", None) or env.observation_space
    parts = observation.spaces if isinstance(observation, gymnasium.spaces.Dict) else {}
    size = _size(space)
    if wanted == "none" or (wanted == "auto" and not size):
        return None
    if not size:
        got = f"got {wanted}, and {id} has the action space {space}"
        raise UserError.of(
            "policy.action_mask", got, "Discrete or MultiDiscrete, whose choices can be ruled out", "none"
        )
    if wanted != "auto":
        return Source("key" if wanted in parts else "info", wanted)
    if INFO in parts and math.prod(parts[INFO].shape or ()) == size:
        return Source("key", INFO)
    if callable(_attribute(env, METHOD)) or any(callable(getattr(layer, METHOD, None)) for layer in _layers(env)):
        return Source("method", METHOD)
    if any(map(_mentions, _layers(env))):
        try:
            info = env.reset(seed=0)[1]
        except Exception:  # said of the reset that counts
            return None
        return Source("info", INFO) if INFO in info else None
    return None


def _size(space: Any) -> int:
    """How many choices all components have; 0 of a space whose choices are not ruled out."""
    has = isinstance(space, gymnasium.spaces.Discrete | gymnasium.spaces.MultiDiscrete)
    return sum(choices_of(space)) if has else 0


def _attribute(env: Any, name: str) -> Any:
    """An attribute of an environment or of what it wraps; None where there is none."""
    try:
        return env.get_wrapper_attr(name)
    except Exception:
        return getattr(env, name, None)


def _layers(env: Any) -> Iterator[Any]:
    """An environment and all that it wraps; of a vectorised one, one of those inside too."""
    while env is not None:
        yield env
        inner = getattr(env, "envs", None)
        env = inner[0] if isinstance(inner, list | tuple) and inner else vars(env).get("env")


def _mentions(layer: Any) -> bool:
    """Whether the word stands in the code of a class, as a key of what its methods return must."""

    def words(value: Any) -> bool:
        if isinstance(value, CodeType):
            return any(map(words, value.co_consts))
        return any(map(words, value)) if isinstance(value, tuple) else isinstance(value, str) and value == INFO

    of_class = (one for base in type(layer).__mro__ for one in vars(base).values())
    return any(words(one.__code__) for one in of_class if hasattr(one, "__code__"))


class Masked(gymnasium.Wrapper):
    """Observations with the mask beside them: (what the environment shows, a 0 or 1 for each choice)."""

    def __init__(self, env: gymnasium.Env, source: Source, id: str):
        super().__init__(env)
        self.source, self.seen = source, shown(env.observation_space, source, id)
        self.choices = choices_of(env.action_space)
        self.allowed = np.ones(sum(self.choices), bool)
        mask = gymnasium.spaces.MultiBinary(len(self.allowed))
        self.observation_space = gymnasium.spaces.Tuple((self.seen, mask))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        obs, info = self.env.reset(seed=seed, options=options)
        return self.with_mask(obs, info, False), info

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return self.with_mask(obs, info, bool(terminated or truncated)), reward, terminated, truncated, info

    def with_mask(self, obs: Any, info: Any, over: bool) -> tuple[Any, Array]:
        """(what is seen, the mask) of a state. Errors: `Outside`."""
        kind, name = self.source
        held = obs if kind == "key" else info
        if kind == "method":
            try:
                found = _attribute(self.env, name)()
            except Exception as error:
                raise Outside(f"action_masks() raises {words_of(error)}; expected {self._expected()}") from error
        elif isinstance(held, dict) and name in held:
            found = held[name]
        else:
            raise Outside(f"{self.source.place} is missing; expected it of every reset and step; {NONE}")
        self.allowed = checked(found, self.choices, self.source.place, over)
        return (without(obs, name) if kind == "key" else obs), self.allowed.astype(np.int8)

    def _expected(self) -> str:
        return f"{len(self.allowed)} numbers, 1 for each choice that is allowed; {NONE}"


NONE = "try policy.action_mask=none, which leaves masks out"


def checked(found: Any, choices: list[int], place: str, over: bool = False) -> Array:
    """A mask as an array of bools, a component after another. Where an episode is `over`, none need be allowed.

    Errors: `Outside`: of another length, of other numbers than 0 and 1, or one that allows nothing.
    """
    size = sum(choices)
    try:
        values = np.array(_numbers(found), float)
    except (TypeError, ValueError):
        raise Outside(f"{place} is {short(found)}; expected {size} numbers, 0 or 1; {NONE}") from None
    if len(values) != size:
        raise Outside(f"{place} has {len(values)} numbers; expected {size}, one for each choice; {NONE}")
    wrong = values[(values != 0) & (values != 1)]
    if len(wrong):
        raise Outside(f"{place} has the number {wrong[0]:g}; expected 0 or 1 for each choice; {NONE}")
    allowed = values.astype(bool)
    for component, part in enumerate(np.split(allowed, np.cumsum(choices)[:-1])):
        if not part.any():
            if not over:
                which = f" for component {component} of the action" if len(choices) > 1 else ""
                raise Outside(
                    f"{place} allows nothing{which}; expected a choice that is allowed; try terminated=True where "
                    "nothing can be done"
                )
            part[:] = True
    return allowed


def _numbers(found: Any) -> list[Any]:
    """The numbers of an array, or of arrays in a tuple or list, one after another."""
    if isinstance(found, tuple | list):
        return [one for part in found for one in _numbers(part)]
    return np.ravel(found).tolist()


def shown(space: Any, source: Source | None, id: str) -> Any:
    """The space of what is seen: a key that is the mask is no part of it. Errors: `UserError`: nothing is left."""
    if source is None or source.kind != "key":
        return space
    left = [(key, part) for key, part in space.spaces.items() if key != source.name]
    if not left:
        got = f"got {source.name}, and the observations of {id} have no other part"
        raise UserError.of("policy.action_mask", got, "something to see beside the mask", "another key")
    return left[0][1] if len(left) == 1 else gymnasium.spaces.Dict(left)


def without(obs: Any, key: str) -> Any:
    """An observation of parts without one of them; the other by itself, where it is alone."""
    left = {name: part for name, part in obs.items() if name != key}
    return next(iter(left.values())) if len(left) == 1 else left


def described(env: Any, config: Any) -> dict[str, Any]:
    """The spaces of a single environment as plain data, with where its mask is found: see `Task.spaces`."""
    if not isinstance(env, Masked):
        return spaces_of(env.observation_space, env.action_space, config.id, config.observe)
    spaces = spaces_of(env.seen, env.action_space, config.id, config.observe)
    return spaces | {"mask": env.source._asdict()}


def places(spaces: Mapping[str, Any]) -> list[int] | None:
    """Which places of a row are kept, where `environment.observe` leaves some out: the mask is; None: all are."""
    seen, size = spaces["observation"].get("observe"), size_of(whole_of(spaces["observation"]))
    if seen is None or "mask" not in spaces:
        return seen
    return [*seen, *range(size, size + size_of(spaces["action"]))]


def place_of(spaces: Any) -> str:
    """Where the mask is found, of spaces that have one, as a run records them."""
    return Source(**spaces["mask"]).place


def told(env: Any, obs: Any, info: Any) -> Iterator[tuple[bool, str, str, str]]:
    """(whether it is sound, what was got, what is expected, advice) of the mask that an environment gives here."""
    parts = env.observation_space.spaces if isinstance(env.observation_space, gymnasium.spaces.Dict) else {}
    for source, holds in (
        (Source("key", INFO), parts and INFO in parts and INFO in obs),
        (Source("method", METHOD), callable(_attribute(env, METHOD))),
        (Source("info", INFO), isinstance(info, dict) and INFO in info),
    ):
        if holds and _size(env.action_space):
            try:
                found = (
                    _attribute(env, METHOD)() if source.kind == "method" else (obs, info)[source.kind == "info"][INFO]
                )
                checked(found, choices_of(env.action_space), source.place)
            except Exception as error:
                got, expected = f"its mask, {source.place}, is none: {words_of(error)}", "one that policies can keep to"
                yield False, got, expected, "policy.action_mask=none, which leaves masks out"
            else:
                got, advice = f"it has a mask, {source.place}", "policy.action_mask=none where that is not wanted"
                yield True, got, "it of every reset and step: policies keep to it", advice
            return


class Mask(NamedTuple):
    """Which choices are allowed now, and where the environment says so."""

    allowed: Array  # [choices of all components, one component after another]
    place: str


def mask_of(env: Any, info: Any) -> Mask | None:
    """The mask of an environment after the step that gave `info`; None where it has none that fits its actions."""
    if (masked := next((one for one in _layers(env) if isinstance(one, Masked)), None)) is not None:
        return Mask(masked.allowed, masked.source.place)
    if isinstance(info, dict) and "action_mask" in info:
        found, place = info["action_mask"], 'info["action_mask"]'
    else:
        try:
            found, place = env.get_wrapper_attr("action_masks")(), "action_masks()"
        except Exception:  # no such method, or none that is called so
            return None
    parts = found if isinstance(found, tuple) else (found,)
    allowed = np.concatenate([np.ravel(part) for part in parts])
    fits = allowed.dtype.kind in "biuf" and allowed.size == sum(choices_of(env.action_space))
    return Mask(allowed.astype(bool), place) if fits else None


def choices_of(space: Any) -> list[int]:
    """The number of choices of each component; none of a space that has no such components."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, gymnasium.spaces.MultiDiscrete):
        return space.nvec.ravel().tolist()
    return [2] * math.prod(space.shape) if isinstance(space, gymnasium.spaces.MultiBinary) else []


def within(space: Any, mask: Mask | None, action: Any) -> Any:
    """The action itself; where the mask rules it out, one that it allows, which follows from both."""
    if mask is None:
        return action
    start = np.ravel(getattr(space, "start", 0))
    chosen = np.ravel(action) - start
    parts = np.split(mask.allowed, np.cumsum(choices_of(space))[:-1])
    for place, part in enumerate(parts):
        if part.any() and not part[chosen[place]]:
            allowed = np.flatnonzero(part)
            chosen[place] = allowed[chosen[place] % len(allowed)]
    return (chosen + start).astype(space.dtype).reshape(np.shape(action))[()]


def why_refused(space: Any, mask: Mask | None, action: Any) -> str:
    """The words for an action that the mask rules out; none where it allows it."""
    if mask is None or np.array_equal(within(space, mask, action), action):
        return ""
    return f"which {mask.place} rules out; expected an action that it allows; try policy.action_mask=auto"
