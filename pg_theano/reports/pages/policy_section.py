"""The policy of a run on a page: one episode of it, what it reacts to, and its maps over what it met in playing."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.config import user_code
from pg_theano.environments import joint, making, slot, watchdog
from pg_theano.environments.telling import close_quietly
from pg_theano.policies import acting, policy
from pg_theano.reports.pages import figures, html, policies
from pg_theano.reports.pages.training import Trained
from pg_theano.runs import folder as runs
from pg_theano.runs import policy_of_run
from pg_theano.training import explaining
from pg_theano.types import GREEDY, SAMPLE, Array, UserError

EPISODES, MOST_STEPS, SECONDS = 6, 4000, 0.8
"""Of playing for one page: the first episode is greedy, the others sampled."""
MOST_FEATURES = 40  # of an observation that is drawn
MOST_BARS = 12


def section(trained: Sequence[Trained], left_out: Sequence[Path] = ()) -> str:
    """A part for each run, of its seed with the best last evaluation. `left_out`: runs that have no part."""
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
    """A run's best policy: an episode, and its maps. Errors: `UserError` without a checkpoint, or for an own policy."""
    found = policy_of_run.load(folder)
    config, facts = runs.read_run(folder)
    user_code.check_run(config, facts)
    rows, folders, reacts = np.zeros((0, found.acting.obs_size)), [Path(facts["folder"])], ""
    try:
        with watchdog.watching(config.environment.timeout):
            rows, actions, known = played(found, config.environment, folders)
            episode = _episode(found, config.environment, folders)
    except Exception as error:  # an environment may do anything; the page has all else
        episode = f'<p class="soft">The environment could not be played here: {html.text(error)}</p>'
    else:
        reacts = _reacts(found, rows, actions, known)
    if found.acting.num_features > MOST_FEATURES:
        words = f"Observations of {found.acting.num_features:,} numbers: no two of them say much, and no map is drawn."
        over = f'<p class="soft">{words}</p>'
    else:
        over = policies.maps(found, rows)
    return f'<div class="beside"><div>{episode}{reacts}</div><div>{over}</div></div>'


def _reacts(found: policy.Policy, rows: Array, actions: Array, known: Array) -> str:
    """A bar for each feature that the policy reacts to most, and a table of what they are made of."""
    try:
        told = explaining.of_states(found.acting, found.state, rows, actions, known, names=policies.names_of(found))
    except (UserError, ImportError) as error:  # JAX, or the cache, cannot be used here
        return f'<p class="soft">What it reacts to could not be computed here: {html.text(error)}</p>'
    shown = told.order[:MOST_BARS]
    left = f" The first {len(shown)} of {len(told.names):,}." if len(shown) < len(told.names) else ""
    words = (
        "Of each feature, the mean size of the derivative of what the policy does, times how much the feature varied "
        f"over the {told.states:,} states of this page's episodes: no unit decides the order.{left}"
    )
    share = [round(100 * float(told.share[f]), 1) for f in shown]
    bars = figures.bars("Share of its reaction", [told.names[f] for f in shown], share, " %")
    numbers = html.details("As numbers", html.table(told.head, told.rows(MOST_BARS)))
    return f'<h3>What the policy reacts to</h3><p class="soft">{html.text(words)}</p>{bars}{numbers}'


def played(
    found: policy.Policy, config: Any, folders: Sequence[Path], seconds: float = SECONDS
) -> tuple[Array, Array, Array]:
    """(observations [N, F] that the policy meets while it plays for at most `seconds`, the actions it draws there, what
    it remembered before each [N, M])."""
    rows: list[Array] = []
    actions: list[Array] = []
    known: list[Array] = []
    rng = np.random.default_rng(policies.SEED)
    env = slot.Slot(making.single(config, folders=folders), config.id, 0, found.acting.dtype)
    try:
        row, given = making.converters(env, config, found.acting.dtype, found.acting.squash)
        began = time.perf_counter()  # only now: making it may take longer than playing
        for episode in range(EPISODES):
            obs, _ = env.reset(seed=policies.SEED + episode)
            ended, memory = False, acting.nothing_remembered(found.acting, len(row(obs)))
            while not ended and len(rows) < MOST_STEPS and (not rows or time.perf_counter() - began < seconds):
                seen, of = row(obs), env.unwrapped
                there = of.there if isinstance(of, joint.Together) else slice(None)  # agents that are gone meet nothing
                rows.append(seen[there])
                known += [one[there] for one in memory]
                action, memory = _drawn(found, seen, rng, episode == 0, memory)
                actions.append(action[there])
                obs, _, terminated, truncated, _ = env.step(given(action)[0])
                ended = terminated or truncated
    finally:
        close_quietly(env, env.id)
    remembered = np.concatenate(known) if known else np.zeros((len(rows), 0))
    return np.concatenate(rows).astype(np.float64), np.concatenate(actions), remembered


def _drawn(
    found: policy.Policy, obs: Array, rng: np.random.Generator, greedy: bool, memory: list[Array]
) -> tuple[Array, list[Array]]:
    """(the action, what is remembered afterwards)."""
    act, noise = acting.numpy_act(found.acting, with_log_prob=False), None
    if not greedy:
        kind, size = found.acting.noise_kind
        shape = (len(obs), size)
        noise = (rng.random(shape) if kind == "uniform" else rng.standard_normal(shape)).astype(found.acting.dtype)
    action, _, *memory = act(found.state, obs, noise, {"exploration_rate": 0.0}, GREEDY if greedy else SAMPLE, *memory)
    return action, memory


def _player(found: policy.Policy) -> Callable[[Array], tuple[Array, Array]]:
    """Who plays a greedy episode: of each row the action, and every number that the policy had for it."""
    memory = acting.nothing_remembered(found.acting, 1)

    def play(obs: Array) -> tuple[Array, Array]:
        nonlocal memory
        numbers = policies.values(found, obs, *memory)[0]
        if found.acting.mask_size:  # NaN is what is ruled out
            numbers = np.where(obs[0, found.acting.num_features :] > 0, numbers, np.nan)
        action, memory = _drawn(found, obs, np.random.default_rng(0), True, memory)
        return action, numbers

    return play


def _episode(found: policy.Policy, config: Any, folders: Sequence[Path]) -> str:
    """A greedy episode as a GIF, the policy's numbers beside every picture."""
    from pg_theano.reports import animation

    # A standard deviation that never changes is left out.
    moving = [one for one in policies.channels(found) if one.shown or one.range]
    bars = [(channel.label.partition(", before")[0], channel.range) for channel in moving[: animation.MOST_BARS]]
    try:
        gif, steps, total = animation.animation(
            config, folders, found.acting.dtype, found.acting.squash, policies.SEED,
            lambda: _player(found), bars,
        )  # fmt: skip
    except (UserError, ImportError) as error:  # the environment has no picture, or Pillow is missing
        return f'<p class="soft">No picture of an episode: {html.text(error)}</p>'
    words = f"A greedy episode: {steps:,} steps, return {total:,.4g}; beside it, what the policy had for each step"
    words += f", {len(bars)} numbers of {len(moving)}." if len(bars) < len(moving) else "."
    said, address = html.text(words), html.image("gif", gif)
    return f'<p class="soft">{said}</p><img class="episode" alt="{said}" src="{address}">'
