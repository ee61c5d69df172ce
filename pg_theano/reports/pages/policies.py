"""The policy as numbers, and as maps over two dimensions of its observations."""

import base64
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pg_theano import parameters
from pg_theano.environments import features
from pg_theano.policies import acting as forward
from pg_theano.policies import policy
from pg_theano.reports.pages import figures, html
from pg_theano.types import Array

MOST_WEIGHTS = 20_000  # of a network that the page's script evaluates
MOST_MAPS, SIDE, DOTS = 9, 48, 500
GRID_SIDE, PLACES = 20, 5  # of maps computed beforehand, for a larger network
SEED = 0
ANCHORS = [
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
    (170, 220, 50), (253, 231, 37),
]  # fmt: skip
"""Nine colours from dark to light that colour-blind eyes and a grey print keep apart (viridis)."""
ACTIONS = {"CartPole": ("push left", "push right"), "Acrobot": ("torque −1", "no torque", "torque +1")}
ACTIONS |= {"MountainCar": ("left", "none", "right"), "LunarLander": ("nothing", "left engine", "main", "right engine")}


class Channel(NamedTuple):
    """One of the numbers that the policy computes from an observation."""

    label: str
    range: tuple[float, float] | None  # None: from the lowest to the highest drawn
    shown: bool


# -- numbers of the policy


def values(found: policy.Policy, obs: Array, *memory: Array) -> Array:
    """Every channel at `obs` [N, F]: probabilities, or means and then standard deviations. [N, K]

    Without a mask, of a policy that takes one, everything is allowed.
    """
    if found.acting.mask_size and obs.shape[1] == found.acting.num_features:
        obs = np.concatenate([obs, np.ones((len(obs), found.acting.mask_size))], axis=1)
    given = forward.probs(found.acting, found.state, obs.astype(found.acting.dtype), *memory)
    return np.concatenate(given, axis=1) if isinstance(given, list | tuple) else given


def channels(found: policy.Policy) -> list[Channel]:
    """In the order of `values`."""
    action, task = found.acting.action, features.bare(found.about.environment)
    named = next((names for key, names in ACTIONS.items() if task.startswith(key)), ())
    if action.kind == "discrete":
        count, start = action.choices[0], int(found.described["action"].get("start", 0))
        names = named if len(named) == count else tuple(f"action {start + i}" for i in range(count))
        return [Channel(f"P({name})", (0.0, 1.0), count > 2 or i == 1) for i, name in enumerate(names)]
    if action.kind == "multi_discrete":
        return [Channel(f"P(part {c} = {i})", (0.0, 1.0), True) for c, n in enumerate(action.choices) for i in range(n)]
    if action.kind == "multi_binary":
        return [Channel(f"P(part {c} = 1)", (0.0, 1.0), True) for c in range(found.acting.num_outputs)]
    size, moving = action.size, _spread(found) != "constant"
    after = ", before squashing" if found.acting.squash else ", before clipping"
    kinds = (("mean", True), ("std", moving))
    return [Channel(f"{name} of action {c}{after}", None, shown) for name, shown in kinds for c in range(size)]


def names_of(found: policy.Policy) -> list[str]:
    return features.names_of(found.about.environment, found.acting.num_features, found.described.get("observation"))


def _spread(found: policy.Policy) -> str:
    if found.acting.noise == "state_dependent":
        return "features"
    return "network" if found.acting.log_std == "state_dependent" else "constant"


def network(found: policy.Policy) -> dict[str, Any]:
    """All that the page's script needs to compute `values` of dense layers."""
    acting = found.acting
    named = parameters.views(np.asarray(found.state["params"]), acting.layout)
    net = {
        "layers": [[_short(named[name]) for name, *_ in placed.arrays] for placed in acting.path("policy")],
        "activation": acting.activation,
        "kind": acting.action.kind,
        "logistic": acting.logistic,
        "choices": list(acting.action.choices),
        "size": acting.action.size,
    }
    if acting.normalize_observations:
        mean, std = forward.normalizer(found.state)
        net |= {"mean": _short(mean), "std": _short(std)}
    if acting.action.kind == "box":
        net["spread"] = _spread(found)
        if net["spread"] == "constant":
            net["spread"] = _short(values(found, np.zeros((1, acting.obs_size)))[0, acting.action.size :])
        elif net["spread"] == "features":
            net["variance"] = _short(np.exp(2 * named[parameters.LOG_STD]))
    return net


def _short(array: Array) -> Any:
    """As lists of numbers of eight digits: all that a float32 has."""
    if array.ndim > 1:
        return [_short(row) for row in array]
    return [float(f"{value:.8g}") for value in np.asarray(array, np.float64).tolist()]


# -- maps


def maps(found: policy.Policy, rows: Array) -> str:
    """Maps of the policy over two dimensions, the others held; sliders where scripts run."""
    names, size = names_of(found), found.acting.num_features
    rows = rows[:, :size]
    ranges, at = _ranges(rows, size)
    first, second = pair = chosen(found, rows) if size > 1 else (0, 0)
    every = [(k, channel) for k, channel in enumerate(channels(found)) if channel.shown]
    shown = every[:MOST_MAPS]
    across = np.linspace(*ranges[first], 2 * SIDE + 1)[1::2]
    up = np.linspace(*ranges[second], 2 * SIDE + 1)[1::2][::-1]
    obs = np.tile(at, (SIDE * SIDE, 1))
    obs[:, second], obs[:, first] = np.repeat(up, SIDE), np.tile(across, SIDE)
    over = values(found, obs)  # [SIDE², K]
    table = colours()
    dots = rows[:: max(len(rows) // DOTS, 1)][:DOTS]
    seen, key = _dots(dots, first, second, ranges), html.image("png", figures.png(table[None].repeat(4, axis=0)))
    ends = [[figures.number(end) for end in ranges[d]] for d in (first, second)]
    below = f"{ends[0][0]} … {names[first]} → … {ends[0][1]}", f"{names[second]} ↑ from {ends[1][0]} to {ends[1][1]}"
    drawn = [_map(k, channel, over[:, k], table, seen, below, key) for k, channel in shown]
    weights = found.acting.num_params
    cannot = "" if found.acting.is_dense else "The page cannot compute its layers"
    if weights > MOST_WEIGHTS:
        cannot = f"{weights:,} weights are too many for a page"
    others = [
        f"{n} {figures.number(v)}" for i, (n, v) in enumerate(zip(names, at, strict=True)) if i not in (first, second)
    ]
    words = "What the policy would do at every place of two dimensions"
    words += ", where all actions are allowed" if found.acting.mask_size else ""
    words += f"; the others begin at their medians ({', '.join(others)}), and sliders move them" if others else ""
    words += f". Dots: {len(dots)} of {len(rows):,} observations that it met in playing." if len(rows) else "."
    if len(shown) < len(every):
        words += f" The first {len(shown)} of {len(every)} maps."
    more = f" {cannot}: one slider moves at a time, in steps." if cannot else ""
    return (
        f'<p class="soft">{html.text(words + more)}</p><div class="knobs"></div>'
        f'<div class="maps">{"".join(drawn)}</div>'
        + (_data(found, _Plane(ranges, at, pair), dots, bool(cannot)) if size > 2 or not cannot else "")
    )


def _map(k: int, channel: Channel, over: Array, table: Array, seen: str, below: tuple[str, str], key: str) -> str:
    """One channel [SIDE²] as a picture under the observations met, with the ranges of its axes and colours."""
    low, high = channel.range or (float(over.min()), float(over.max()))
    high = high if high > low else low + 1.0
    levels = np.clip(255 * (over - low) / (high - low), 0, 255).astype(int).reshape(SIDE, SIDE)
    label, picture = html.text(channel.label), html.image("png", figures.png(table[levels]))
    return (
        f'<figure class="map" data-channel="{k}"><figcaption>{label}</figcaption>'
        f'<div class="plane"><img class="still" alt="{label} over two dimensions" src="{picture}">'
        f'<svg class="seen" viewBox="0 0 100 100" aria-hidden="true">{seen}</svg></div>'
        f'<div class="ends"><span class="across">{html.text(below[0])}</span></div>'
        f'<div class="ends"><span class="up">{html.text(below[1])}</span></div>'
        f'<div class="key"><span class="low">{figures.number(low)}</span><img alt="" src="{key}">'
        f'<span class="high">{figures.number(high)}</span></div></figure>'
    )


class _Plane(NamedTuple):
    """Two dimensions of the observations, and the point at which the others are held."""

    ranges: list[tuple[float, float]]  # of every dimension
    at: Array  # [F]
    pair: tuple[int, int]


def _data(found: policy.Policy, plane: _Plane, dots: Array, wide: bool) -> str:
    """The data of the page's script: the network, or for a `wide` one maps computed beforehand."""
    content = (_grids(found, *plane) if wide else {"net": network(found)}) | {
        "channels": [{"label": channel.label, "range": channel.range} for channel in channels(found)],
        "names": names_of(found),
        "ranges": plane.ranges,
        "at": plane.at.tolist(),
        "first": int(plane.pair[0]),
        "second": int(plane.pair[1]),
        "seen": [[float(f"{value:.3g}") for value in row] for row in dots.tolist()],
        "colours": base64.b64encode(colours().tobytes()).decode(),
    }
    return html.data("", content).replace('id=""', 'class="policy"', 1)


def _dots(dots: Array, first: int, second: int, ranges: Sequence[tuple[float, float]]) -> str:
    x, y = (100 * (dots[:, d] - ranges[d][0]) / (ranges[d][1] - ranges[d][0]) for d in (first, second))
    inside = (x >= 0) & (x <= 100) & (y >= 0) & (y <= 100)
    pairs = zip(x[inside].tolist(), y[inside].tolist(), strict=True)
    return "".join(f'<circle cx="{a:.1f}" cy="{100 - b:.1f}" r="0.7"/>' for a, b in pairs)


def _ranges(rows: Array, size: int) -> tuple[list[tuple[float, float]], Array]:
    """(the range of each dimension in `rows`, with a fifth more on both sides; the medians)."""
    if not len(rows):
        return [(-1.0, 1.0)] * size, np.zeros(size)
    low, at, high = np.quantile(rows, (0.01, 0.5, 0.99), axis=0)
    room = np.where(high > low, 0.2 * (high - low), 1.0)
    return [(float(a), float(b)) for a, b in zip(low - room, high + room, strict=True)], at


def chosen(found: policy.Policy, rows: Array) -> tuple[int, int]:
    """The two dimensions that matter most: the policy changes most if their values are shuffled.

    Permutation importance: Breiman 2001, section 10; of the policy's own numbers instead of an error.
    """
    size = found.acting.num_features
    if len(rows) < 3 or size < 3:
        return 0, min(1, size - 1)
    some = rows[:: max(len(rows) // 300, 1)]
    before, order = values(found, some), np.random.default_rng(SEED).permutation(len(some))
    changes = []
    for d in range(size):
        dealt = some.copy()
        dealt[:, d] = dealt[order, d]
        changes.append(float(np.abs(values(found, dealt) - before).mean()))
    first, second = sorted(np.argsort(changes)[-2:].tolist())
    return first, second


def colours() -> Array:
    """256 colours through `ANCHORS`. [256, 3] of uint8"""
    places = np.linspace(0, len(ANCHORS) - 1, 256)
    parts = [np.interp(places, np.arange(len(ANCHORS)), column) for column in np.array(ANCHORS).T]
    return np.stack(parts, axis=1).round().astype(np.uint8)


def _grids(found: policy.Policy, ranges: list[tuple[float, float]], at: Array, pair: tuple[int, int]) -> dict[str, Any]:
    """Maps at `PLACES` places of each other dimension, the rest held at `at`, a byte a number."""
    shown = [k for k, channel in enumerate(channels(found)) if channel.shown][:MOST_MAPS]
    others = [d for d in range(len(at)) if d not in pair]
    across, up = (np.linspace(*ranges[d], 2 * GRID_SIDE + 1)[1::2] for d in pair)
    rows = np.tile(at, (GRID_SIDE**2, 1))
    rows[:, pair[0]], rows[:, pair[1]] = np.tile(across, GRID_SIDE), np.repeat(up[::-1], GRID_SIDE)
    over = np.empty((len(others), PLACES, len(shown), GRID_SIDE**2), np.float32)
    for i, d in enumerate(others):
        for place, value in enumerate(np.linspace(*ranges[d], PLACES)):
            moved = rows.copy()
            moved[:, d] = value
            over[i, place] = values(found, moved)[:, shown].T
    scales = [
        channels(found)[k].range or (float(over[:, :, i].min()), float(over[:, :, i].max()))
        for i, k in enumerate(shown)
    ]
    low, high = (np.array(ends, np.float32)[:, None] for ends in zip(*scales, strict=True))
    levels = np.clip(np.round(255 * (over - low) / np.where(high > low, high - low, 1)), 0, 255).astype(np.uint8)
    return {
        "grid": base64.b64encode(levels.tobytes()).decode(),
        "side": GRID_SIDE,
        "places": PLACES,
        "others": others,
        "shown": shown,
        "scales": scales,
    }
