"""The policy, seen: what it would do over two observation dimensions, where it has been, and one episode of it."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano import parameters
from pg_theano.config import user_code
from pg_theano.environments import making, singles, watchdog
from pg_theano.policies import acting as forward
from pg_theano.policies import policy
from pg_theano.reports.pages import figures, html
from pg_theano.reports.pages.training import Trained
from pg_theano.runs import folder as runs
from pg_theano.types import GREEDY, SAMPLE, Array, UserError

EPISODES, MOST_STEPS, SECONDS = 6, 4000, 0.8
"""Of playing for one page: the first episode is greedy, the others sampled."""
MOST_FEATURES = 40  # of an observation that is drawn
MOST_WEIGHTS = 20_000  # of a network that the page's script evaluates
MOST_MAPS, SIDE, DOTS = 9, 48, 500
GRID_SIDE, PLACES = 20, 5  # of maps made beforehand, for a network that is larger
SEED = 0
ANCHORS = [
    (68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
    (170, 220, 50), (253, 231, 37),
]  # fmt: skip
"""Nine colours from dark to light, which all eyes and a grey print read alike (viridis)."""
NAMES = {
    "CartPole": ("cart position", "cart velocity", "pole angle", "pole angular velocity"),
    "Pendulum": ("cos θ", "sin θ", "angular velocity"),
    "MountainCar": ("position", "velocity"),
    "Acrobot": ("cos θ₁", "sin θ₁", "cos θ₂", "sin θ₂", "angular velocity 1", "angular velocity 2"),
    "LunarLander": ("x", "y", "velocity x", "velocity y", "angle", "angular velocity", "left leg", "right leg"),
}
ACTIONS = {"CartPole": ("push left", "push right"), "Acrobot": ("torque −1", "no torque", "torque +1")}
ACTIONS |= {"MountainCar": ("left", "none", "right"), "LunarLander": ("nothing", "left engine", "main", "right engine")}


class Channel(NamedTuple):
    """One number that the policy has for an observation."""

    label: str
    range: tuple[float, float] | None  # None: from the lowest to the highest drawn
    shown: bool


def section(trained: Sequence[Trained], left_out: Sequence[Path] = ()) -> str:
    """A part for each run; of several seeds, the one with the best last evaluation. `left_out`: runs without one."""
    parts = []
    for one in trained:
        judged = [(result.get("evaluation") or {}).get("mean", -np.inf) for result in one.results]
        folder = one.folders[int(np.argmax(judged))]
        best = ", whose greedy episodes returned most" if len(one.folders) > 1 else ""
        name = f"{one.name}, {folder.name}{best}" if one.run.is_group else one.name
        title = f"<h3>{html.text(name)}</h3>" if len(trained) > 1 or one.run.is_group else ""
        try:
            shown = part(folder)
        except UserError as error:
            shown = f'<p class="soft">{html.text(error)}</p>'
        parts.append(f'<div class="policy-part">{title}{shown}</div>')
    if left_out:
        words = f"Only those of the first {len(trained)} runs; of another: python -m pg_theano.report {left_out[0]}"
        parts.append(f'<p class="soft">{html.text(words)}</p>')
    return html.section("policy", "The policy, seen", *parts)


def part(folder: Path) -> str:
    """What is seen of one run's best policy. Errors: `UserError`: no checkpoint yet, a policy of the user's own."""
    found = policy.load(folder)
    config, facts = runs.read_run(folder)
    user_code.check_run(config, facts)
    rows, folders = np.zeros((0, found.acting.obs_size)), [Path(facts["folder"])]
    try:
        with watchdog.watching(config.environment.timeout):
            rows = played(found, config.environment, folders)
            episode = _episode(found, config.environment, folders)
    except Exception as error:  # an environment may do anything; the page has all else
        episode = f'<p class="soft">The environment could not be played here: {html.text(error)}</p>'
    if found.acting.obs_size > MOST_FEATURES:
        words = f"Observations of {found.acting.obs_size:,} numbers: no two of them say much, and no map is drawn."
        over = f'<p class="soft">{words}</p>'
    else:
        over = maps(found, rows)
    return f'<div class="beside"><div>{episode}</div><div>{over}</div></div>'


def played(found: policy.Policy, config: Any, folders: Sequence[Path]) -> Array:
    """Observations that the policy meets, [N, F], in playing for no longer than `SECONDS`."""
    rows: list[Array] = []
    rng = np.random.default_rng(SEED)
    env = singles.Slot(making.single(config, folders=folders), config.id, 0, found.acting.dtype)
    try:
        row, given = making.converters(env, config.id, found.acting.dtype, found.acting.squash)
        began = time.perf_counter()  # by now it is made, which may take longer than playing
        for episode in range(EPISODES):
            obs, _ = env.reset(seed=SEED + episode)
            ended = False
            while not ended and len(rows) < MOST_STEPS and (not rows or time.perf_counter() - began < SECONDS):
                rows.append(row(obs))
                obs, _, terminated, truncated, _ = env.step(given(_drawn(found, rows[-1], rng, episode == 0))[0])
                ended = terminated or truncated
    finally:
        env.close()
    return np.concatenate(rows).astype(np.float64)


def _drawn(found: policy.Policy, obs: Array, rng: np.random.Generator, greedy: bool) -> Array:
    act = forward.numpy_act(found.acting, with_log_prob=False)
    if greedy:
        return act(found.state, obs, None, {"exploration_rate": 0.0}, GREEDY)[0]
    kind, size = found.acting.noise_kind
    noise = (rng.random((1, size)) if kind == "uniform" else rng.standard_normal((1, size))).astype(found.acting.dtype)
    return act(found.state, obs, noise, {"exploration_rate": 0.0}, SAMPLE)[0]


# -- numbers of the policy


def values(found: policy.Policy, obs: Array) -> Array:
    """Every channel at `obs` [N, F]: probabilities, or means and then standard deviations. [N, K]"""
    given = forward.probs(found.acting, found.state, obs.astype(found.acting.dtype))
    return np.concatenate(given, axis=1) if isinstance(given, list | tuple) else given


def channels(found: policy.Policy) -> list[Channel]:
    """As `values` has them."""
    action, task = found.acting.action, _bare(found)
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
    return [Channel(f"mean of action {c}{after}", None, True) for c in range(size)] + [
        Channel(f"std of action {c}{after}", None, moving) for c in range(size)
    ]


def _bare(found: policy.Policy) -> str:
    return found.about.environment.rpartition(":")[2].rpartition("/")[2]


def names_of(found: policy.Policy) -> list[str]:
    size = found.acting.obs_size
    known = next((names for key, names in NAMES.items() if _bare(found).startswith(key) and len(names) == size), None)
    return list(known) if known else [f"observation {i}" for i in range(size)]


def _spread(found: policy.Policy) -> str:
    if found.acting.noise == "state_dependent":
        return "features"
    return "network" if found.acting.log_std == "state_dependent" else "constant"


def network(found: policy.Policy) -> dict[str, Any]:
    """All that the page's script needs to compute `values`."""
    acting = found.acting
    named = parameters.views(np.asarray(found.state["params"]), acting.layout)
    arrays = [part for name, part in named.items() if name != "policy/log_std"]
    net = {
        "layers": [[_short(w), _short(b)] for w, b in zip(arrays[::2], arrays[1::2], strict=True)],
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
            net["variance"] = _short(np.exp(2 * named["policy/log_std"]))
    return net


def _short(array: Array) -> Any:
    """As lists of numbers of eight digits: all that a float32 has."""
    if array.ndim > 1:
        return [_short(row) for row in array]
    return [float(f"{value:.8g}") for value in np.asarray(array, np.float64).tolist()]


# -- maps


def maps(found: policy.Policy, rows: Array) -> str:
    """Maps of the policy over two dimensions, the others held; sliders where scripts run."""
    names, size = names_of(found), found.acting.obs_size
    ranges, at = _ranges(rows, size)
    first, second = chosen(found, rows)
    if size == 1:
        first = second = 0
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
    weights = sum(int(np.prod(shape)) for _, shape, *_ in found.acting.layout)
    wide = weights > MOST_WEIGHTS
    others = [
        f"{n} {figures.number(v)}" for i, (n, v) in enumerate(zip(names, at, strict=True)) if i not in (first, second)
    ]
    words = "What the policy would do at every place of two dimensions"
    words += f"; the others begin at their medians ({', '.join(others)}), and sliders move them" if others else ""
    words += f". Dots: {len(dots)} of {len(rows):,} observations that it met in playing." if len(rows) else "."
    if len(shown) < len(every):
        words += f" The first {len(shown)} of {len(every)} maps."
    more = f" {weights:,} weights are too many for a page: one slider moves at a time, in steps." if wide else ""
    return (
        f'<p class="soft">{html.text(words + more)}</p><div class="knobs"></div>'
        f'<div class="maps">{"".join(drawn)}</div>'
        + (_data(found, names, ranges, at, (first, second), dots, table, wide) if size > 2 or not wide else "")
    )


def _map(k: int, channel: Channel, over: Array, table: Array, seen: str, below: tuple[str, str], key: str) -> str:
    """One channel [SIDE²] as a picture, the observations met over it, what its edges and colours mean under it."""
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


def _data(
    found: policy.Policy,
    names: list[str],
    ranges: list[tuple[float, float]],
    at: Array,
    pair: tuple[int, int],
    dots: Array,
    table: Array,
    wide: bool,
) -> str:
    """What the page's script draws the maps from: the network, or where it is `wide` maps made beforehand."""
    content = (_grids(found, ranges, at, pair) if wide else {"net": network(found)}) | {
        "channels": [{"label": channel.label, "range": channel.range} for channel in channels(found)],
        "names": names,
        "ranges": ranges,
        "at": at.tolist(),
        "first": int(pair[0]),
        "second": int(pair[1]),
        "seen": [[float(f"{value:.3g}") for value in row] for row in dots.tolist()],
        "colours": base64.b64encode(table.tobytes()).decode(),
    }
    return html.data("", content).replace('id=""', 'class="policy"', 1)


def _dots(dots: Array, first: int, second: int, ranges: Sequence[tuple[float, float]]) -> str:
    x, y = (100 * (dots[:, d] - ranges[d][0]) / (ranges[d][1] - ranges[d][0]) for d in (first, second))
    inside = (x >= 0) & (x <= 100) & (y >= 0) & (y <= 100)
    pairs = zip(x[inside].tolist(), y[inside].tolist(), strict=True)
    return "".join(f'<circle cx="{a:.1f}" cy="{100 - b:.1f}" r="0.7"/>' for a, b in pairs)


def _ranges(rows: Array, size: int) -> tuple[list[tuple[float, float]], Array]:
    """(the range of each dimension that was met, with a fifth more on both sides; their medians)."""
    if not len(rows):
        return [(-1.0, 1.0)] * size, np.zeros(size)
    low, at, high = np.quantile(rows, (0.01, 0.5, 0.99), axis=0)
    room = np.where(high > low, 0.2 * (high - low), 1.0)
    return [(float(a), float(b)) for a, b in zip(low - room, high + room, strict=True)], at


def chosen(found: policy.Policy, rows: Array) -> tuple[int, int]:
    """The two dimensions that matter most: the policy changes most where their values are dealt out anew.

    Permutation importance: Breiman 2001, section 10; of the policy's own numbers instead of an error.
    """
    size = found.acting.obs_size
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


# -- one episode


def _episode(found: policy.Policy, config: Any, folders: Sequence[Path]) -> str:
    """A greedy episode as a GIF, the policy's numbers beside every picture."""
    from pg_theano.reports import animation

    moving = [one for one in channels(found) if one.shown or one.range]  # not a standard deviation that never changes
    bars = [(channel.label.partition(", before")[0], channel.range) for channel in moving[: animation.MOST_BARS]]
    try:
        gif, steps, total = animation.animation(
            config, folders, found.acting.dtype, found.acting.squash, SEED,
            lambda obs: (_drawn(found, obs, np.random.default_rng(0), True), values(found, obs)[0]), bars,
        )  # fmt: skip
    except (UserError, ImportError) as error:  # it has no picture, or there is none of Pillow
        return f'<p class="soft">No picture of an episode: {html.text(error)}</p>'
    words = f"A greedy episode: {steps:,} steps, return {total:,.4g}; beside it, what the policy had for each step"
    words += f", {len(bars)} numbers of {len(moving)}." if len(bars) < len(moving) else "."
    said, address = html.text(words), html.image("gif", gif)
    return f'<p class="soft">{said}</p><img class="episode" alt="{said}" src="{address}">'
