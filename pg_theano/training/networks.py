"""Networks as a config has them: lists of layers, names of known networks, and one for each part of an observation.

    layers_of([{"conv": {"filters": 16, "kernel": 3}}, {"dense": 64}], described, "tanh", "policy.network")

Errors name a layer by its place in the list, with the shape that reached it.
"""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pg_theano.config.knobs import Config
from pg_theano.environments.spaces import parts_of, size_of
from pg_theano.layers import LAYERS, Image, Join, Layer, Shape
from pg_theano.system.importing import is_own
from pg_theano.training import own
from pg_theano.types import Problem, Task, UserError

NETWORKS: dict[str, list[Any]] = {
    "nature": [  # Mnih et al. 2015: for 84 x 84 pixels
        {"conv": {"filters": 32, "kernel": 8, "stride": 4}},
        {"conv": {"filters": 64, "kernel": 4, "stride": 2}},
        {"conv": {"filters": 64, "kernel": 3}},
        {"dense": {"width": 512, "activation": "relu"}},
    ],
    "impala": [  # Espeholt et al. 2018, the large one, with half as many filters
        *(
            layer
            for filters in (8, 16, 16)
            for layer in (
                {"conv": {"filters": filters, "kernel": 3, "padding": "same", "activation": None}},
                {"max_pool": {"kernel": 3, "stride": 2, "padding": "same"}},
                *(
                    {
                        "residual": [
                            {"conv": {"filters": filters, "kernel": 3, "padding": "same"}},
                            {"conv": {"filters": filters, "kernel": 3, "padding": "same", "activation": None}},
                        ]
                    },
                )
                * 2,
            )
        ),
        {"dense": {"width": 256, "activation": "relu"}},
    ],
    "minatar": [  # Young and Tian 2019: for 10 x 10
        {"conv": {"filters": 16, "kernel": 3}},
        {"dense": {"width": 128, "activation": "relu"}},
    ],
    "minigrid": [  # as its users have it: for 7 x 7
        {"conv": {"filters": 16, "kernel": 2}},
        {"conv": {"filters": 32, "kernel": 2}},
        {"conv": {"filters": 64, "kernel": 2}},
        {"dense": {"width": 64, "activation": "tanh"}},
    ],
}
FIRST = {
    "dense": "width",
    "conv": "filters",
    "embed": "width",
    "max_pool": "kernel",
    "residual": "layers",
    "gru": "width",
    "lstm": "width",
}
"""The field that a number, or a list, in place of the fields is."""
WRITTEN = ("dense", "conv", "max_pool", "layer_norm", "residual", "embed", "gru", "lstm")
"""Kinds that a config may write; the others follow from the observation."""


class Images(NamedTuple):
    """How images are taken: as `normalize.images` and `policy.channels` say."""

    scale: bool = True  # pixels, whole numbers of one byte, are divided by 255
    channels: str = "auto"  # first, last, or where there are fewest


AS_THEY_ARE = Images()


def layers_of(
    written: str | Sequence[Any],
    described: Mapping[str, Any],
    activation: str,
    knob: str,
    images: Images = AS_THEY_ARE,
    folders: Sequence[Path] = (),
) -> tuple[Layer, ...]:
    """The layers of a network for an observation that is `described` as `environments.spaces` records it.

    `activation` is that of dense layers which say none; `images` says how images are taken. `folders` are searched for
    layers of a user's own. Errors: `UserError`.
    """
    if isinstance(written, str):
        if written not in NETWORKS:
            raise _problem(knob, f"got {written!r:.40}", f"a list of layers, or one of {', '.join(NETWORKS)}")
        written = NETWORKS[written]
    first = entrance(described, images) if any(map(_needs_image, written)) else ()
    shape: Shape = (size_of(described),)
    for layer in first:
        shape = layer.output(shape)
    return (*first, *_layers(written, shape, described, activation, knob, folders))


def entrance(described: Mapping[str, Any], images: Images) -> tuple[Layer, ...]:
    """The layer that makes an image of an observation; none where it is no image."""
    shape = described.get("shape", ())
    if described["kind"] != "Box" or len(shape) not in (2, 3):
        return ()
    height, width, channels = (*shape, 1)[:3]
    first = len(shape) == 3 and (channels_first(shape) if images.channels == "auto" else images.channels == "first")
    if first:
        channels, height, width = shape
    pixels = images.scale and described.get("dtype") == "|u1"
    return (Image(height, width, channels, first, 255.0 if pixels else 1.0),)


def channels_first(shape: Sequence[int]) -> bool:
    """Whether the fewest numbers come first: 3 x 84 x 84. Where it cannot be said they come last, as Gymnasium's."""
    return shape[0] < shape[2] and shape[0] <= 32


def _needs_image(one: Any) -> bool:
    if not isinstance(one, Mapping):
        return False
    inside = one.get("residual", [])
    return "conv" in one or "max_pool" in one or (isinstance(inside, list) and any(map(_needs_image, inside)))


def _layers(
    written: Any, shape: Shape, described: Mapping[str, Any], activation: str, knob: str, folders: Sequence[Path]
) -> tuple[Layer, ...]:
    if not isinstance(written, list | tuple) or not written:
        raise _problem(knob, f"got {written!r:.40}", "a list of layers, such as [{dense: 64}]")
    found = []
    for place, one in enumerate(written):
        at = f"{knob}.{place}"
        layer = _layer(one, shape, described, activation, at, folders)
        try:
            layer.arrays(shape, "glorot", 1.0)
            shape = layer.output(shape)
        except ValueError as error:
            raise _problem(at, f"got {_kind(one)}: {error}", "a layer that fits what reaches it") from None
        found.append(layer)
    return tuple(found)


def _kind(one: Any) -> str:
    return next(iter(one)) if isinstance(one, Mapping) and one else str(one)


def _layer(
    one: Any, shape: Shape, described: Mapping[str, Any], activation: str, at: str, folders: Sequence[Path]
) -> Layer:
    """One layer of {kind: its fields}, {kind: number}, or its kind alone; {module:name: keywords} is a user's own."""
    kind, fields = next(iter(one.items())) if isinstance(one, Mapping) and len(one) == 1 else (one, {})
    if isinstance(kind, str) and is_own(kind):
        if not isinstance(fields, Mapping):
            raise _problem(at, f"got {fields!r:.40} for {kind}", "keyword arguments, {name: value}")
        return own.own_layer(kind, fields, shape, at, folders)
    if kind not in WRITTEN:
        near = difflib.get_close_matches(str(kind), WRITTEN, 1)
        wanted = f"one of {', '.join(WRITTEN)}, each as {{kind: its numbers}}, or module:layer of your own"
        raise _problem(at, f"got {one!r:.60}", wanted, hint=f"did you mean {near[0]}?" if near else "")
    if kind in ("gru", "lstm") and ("residual" in at or at.startswith("policy.encoders")):
        inside = "residual" if "residual" in at else "policy.encoders"
        raise _problem(at, f"got {kind} inside {inside}", "layers that remember in policy.network itself")
    if not isinstance(fields, Mapping):
        if kind not in FIRST:
            raise _problem(at, f"got {fields!r:.40} for {kind}", "{name: value} of it")
        fields = {FIRST[kind]: fields}
    made: Any = LAYERS[kind]
    fields = dict(fields)
    if kind == "residual":
        fields["layers"] = _layers(fields.get("layers"), shape, described, activation, f"{at}.residual", folders)
    if kind == "embed":
        choices = described.get("nvec" if described["kind"] == "MultiDiscrete" else "n", 0)
        fields["sizes"] = tuple(_flat(choices)) if described["kind"] in ("Discrete", "MultiDiscrete") else (0,)
    if kind == "dense":
        fields.setdefault("activation", activation)
    _check_fields(made, fields, f"{at}.{kind}")
    return made(**fields)


def _check_fields(made: Any, fields: Mapping[str, Any], at: str) -> None:
    """Errors: `UserError` for a field that is unknown, missing, or not what its class declares."""
    known = {field.name: field for field in dataclasses.fields(made)}
    for name, value in fields.items():
        if name not in known:
            raise _problem(at, f"got {name}", f"its fields: {', '.join(known)}")
        kind = str(known[name].type)
        if kind == "int" and not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10**9):
            raise _problem(f"{at}.{name}", f"got {value!r:.40}", "a whole number above 0")
        if kind == "float" and not (isinstance(value, int | float) and value > 0):
            raise _problem(f"{at}.{name}", f"got {value!r:.40}", "a number above 0")
        if kind.startswith("Activation") and value not in ("sigmoid", "tanh", "relu", None):
            raise _problem(f"{at}.{name}", f"got {value!r:.40}", "sigmoid, tanh, relu or null")
        if kind == "Padding" and value not in ("valid", "same"):
            raise _problem(f"{at}.{name}", f"got {value!r:.40}", "valid or same")
    for name, field in known.items():
        if name not in fields and field.default is dataclasses.MISSING:
            raise _problem(f"{at}.{name}", "missing; it has no default")


def _flat(values: Any) -> list[int]:
    return [int(values)] if isinstance(values, int) else [n for one in values for n in _flat(one)]


def _problem(knob: str, got: str, expected: str = "", hint: str = "") -> UserError:
    """About a place in a list: the knob that has a line in the file is the list."""
    path = tuple(part for part in knob.split("."))
    return UserError(Problem(knob, got, expected, knob=path, hint=hint))


def encoders_of(
    encoders: Mapping[str, Any],
    described: Mapping[str, Any],
    activation: str,
    images: Images = AS_THEY_ARE,
    folders: Sequence[Path] = (),
) -> tuple[Layer, ...]:
    """The layer that joins what each part's own layers give.

    A part without layers gets those that fit it: an image one of the networks with a name, by its size; numbers a dense
    layer of 64, choices an embedding.
    """
    parts = parts_of(described)
    names = [str(key) for key, _ in parts]
    for name in encoders:
        if name not in names:
            wanted = f"parts of the observation: {', '.join(names)}" if names else "none: the observation has no parts"
            raise _problem("policy.encoders", f"got {name}", wanted)
    branches = [
        layers_of(encoders.get(name, fitting(part)), part, activation, f"policy.encoders.{name}", images, folders)
        for name, (_, part) in zip(names, parts, strict=True)
    ]
    return (Join(tuple(size_of(part) for _, part in parts), tuple(branches)),)


def dense_after(
    joined: tuple[Layer, ...], size: int, written: Any, activation: str, knob: str, folders: Sequence[Path] = ()
) -> tuple[Layer, ...]:
    """The layers that follow the joined parts, which are a row of numbers."""
    shape = joined[0].output((size,))
    row = {"kind": "Box", "dtype": "<f4", "shape": list(shape)}
    return () if written is None else _layers(written, shape, row, activation, knob, folders)


def seen_of(task: Task) -> Mapping[str, Any]:
    """The observation as it reaches a network: a row of numbers where only some of its features are seen."""
    described = (task.spaces or {}).get("observation") or {"observe": []}
    return {"kind": "Box", "dtype": "<f4", "shape": [task.num_features]} if "observe" in described else described


def said_of(config: Config, task: Task, num_params: int) -> list[str]:
    """Lines for whoever begins a run: which part got which network, and pixels that a dense network sees."""
    seen = seen_of(task)
    if config.policy.encoders is not None:
        fits = [(key, fitting(part)) for key, part in parts_of(seen) if str(key) not in config.policy.encoders]
        return [f"policy.encoders.{key}: {one if isinstance(one, str) else one[0]}" for key, one in fits]
    pixels = seen.get("kind") == "Box" and len(seen["shape"]) == 3 and min(seen["shape"][:2]) >= 7
    if not pixels or config.policy.network is not None or config.policy.name != "dense":
        return []
    shape = " x ".join(map(str, seen["shape"]))
    words = f"{task.id}: {shape} pixels and a dense network, of {num_params:,} parameters, which knows no neighbours"
    return [f"warning: {words}; try policy.network={fitting(seen)}"]


def fitting(part: Mapping[str, Any]) -> Any:
    """The network of a part that none is written for."""
    first: Any = entrance(part, AS_THEY_ARE)
    if first:
        least = min(first[0].height, first[0].width)
        return "nature" if least >= 64 else "impala" if least >= 24 else "minatar" if least >= 8 else "minigrid"
    return [{"embed": 16}] if part["kind"] in ("Discrete", "MultiDiscrete") else [{"dense": 64}]
