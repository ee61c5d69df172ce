"""A trained policy at play, as frames: in a window, in a GIF, in an animation of a notebook."""

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config import schedules, user_code
from pg_theano.environments import given as environments
from pg_theano.environments import making, slot
from pg_theano.environments.telling import close_quietly
from pg_theano.policies.acting import nothing_remembered
from pg_theano.runs import folder
from pg_theano.system.writing import replacing
from pg_theano.training import programs, seeding
from pg_theano.training.evaluating import check_size
from pg_theano.types import GREEDY, SAMPLE, UserError

MOST_FRAMES = 1000
"""Where a GIF ends: 20 seconds at 50 frames a second, some megabytes."""


LONGEST = 65_535
"""Hundredths of a second that a GIF can show one frame."""


class Played(NamedTuple):
    """One episode as it was shown."""

    episode_return: float
    steps: int
    ended: bool  # False: the GIF was full before the episode was over


def watch(
    run: str | Path,
    *,
    episodes: int = 1,
    seed: int = 0,
    gif: str | Path | None = None,
    sampled: bool = False,
    fps: float | None = None,
    environment: object = None,
) -> Iterator[Played]:
    """Play a run's best checkpoint in a window, or into a GIF of at most `MOST_FRAMES` frames; yields each episode.

    `environment` is the one that the run was given in Python. The GIF is written after the last episode. Errors:
    `UserError` for no run, no display and no `gif`, an environment that cannot be drawn, a file that cannot be written.
    """
    path = Path(run)
    if environment is not None:
        with environments.again(environment, folder.read_run(path)[0].environment):
            yield from watch(run, episodes=episodes, seed=seed, gif=gif, sampled=sampled, fps=fps)
        return
    config, facts, spec, checkpoint = folder.trained(path)
    user_code.check_run(config, facts)
    act, knobs = programs.acting_alone(config, spec, [Path(facts["folder"])]), schedules.constant_knobs(config)
    draw = programs.noise_of(config, spec)
    if gif is None and not has_display():
        raise UserError("no display here to open a window on; use --gif FILE")
    if gif is not None and (Path(gif).suffix.lower() != ".gif" or not Path(gif).resolve().parent.is_dir()):
        raise UserError(f"{gif}: expected a file that ends in .gif, in a folder that exists")

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    if not has_display():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    seeds, noise = (
        np.random.default_rng(child)
        for child in np.random.SeedSequence(seed, spawn_key=(seeding.EVALUATE_COMMAND,)).spawn(2)
    )
    mode = "human" if gif is None else "rgb_array"
    made = making.single(config.environment, folders=[Path(facts["folder"])], render_mode=mode)
    env = slot.Slot(made, config.environment.id, 0, config.dtype)
    if fps is None:
        fps = min(_fps(env), 50)  # a GIF counts in hundredths of a second
    else:
        env.unwrapped.metadata = {**env.unwrapped.metadata, "render_fps": fps}
    frames: list[Any] = []

    def full() -> bool:
        """Take a frame, where a GIF is being made; whether no other has room."""
        if gif is not None:
            frames.append(_frame(env))
        return len(frames) >= MOST_FRAMES

    try:
        row, given = making.converters(env, config.environment, config.dtype, config.policy.squash)
        for _ in range(episodes):
            obs, _ = env.reset(seed=int(seeds.integers(0, 2**31 - 1)))
            check_size(config.environment.id, row(obs).shape[1], spec.acting.obs_size)
            total, steps, ended, stopped = 0.0, 0, False, full()
            memory = nothing_remembered(spec.acting, len(row(obs)))
            while not (ended or stopped):
                seen = row(obs)  # [1, F], or [A, F] of several agents
                drawn = draw(noise, 1, len(seen))[0]
                action, _, *memory = act(checkpoint.state, seen, drawn, knobs, SAMPLE if sampled else GREEDY, *memory)
                obs, reward, terminated, truncated, _ = env.step(given(action)[0])
                total, steps, ended, stopped = total + reward, steps + 1, terminated or truncated, full()
            yield Played(total, steps, ended)
            if stopped:
                break
    finally:
        close_quietly(env, env.id)
    if gif is not None:
        _write(Path(gif), frames, fps)


MOST_BARS, ANIMATION_FRAMES, ANIMATION_SECONDS = 12, 90, 12.0
"""Of an animation in a page: numbers beside a picture, pictures, and how long it runs at most."""
BAR_COLOUR, TEXT_COLOUR, RULED_OUT = (11, 95, 165), (60, 70, 80), (165, 172, 180)


def animation(
    config: Any,
    folders: Sequence[Path],
    dtype: str,
    squash: bool,
    seed: int,
    player: Callable[[], Callable[[Any], tuple[Any, Any]]],
    bars: Sequence[tuple[str, tuple[float, float] | None]],
) -> tuple[bytes, int, float]:
    """(a GIF of one episode, its steps, its return).

    `player` begins an episode: what it gives makes of a row [1, F] (the action [1, ...], numbers [K]).

    The numbers are drawn beside each picture as `bars`, each a label and its two ends (None: the lowest and the
    highest number seen); NaN is an action that is ruled out. The episode is played twice, at first without pictures, to
    know which steps are drawn. Errors: `UserError`.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    if not has_display():
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")

    def through(render_mode: str | None, every: int) -> tuple[list[Any], list[Any], int, float, float]:
        env = slot.Slot(making.single(config, folders=folders, render_mode=render_mode), config.id, 0, dtype)
        pictures: list[Any] = []
        numbers: list[Any] = []
        total, steps, ended, play = 0.0, 0, False, player()
        try:
            row, given = making.converters(env, config, dtype, squash)
            obs, _ = env.reset(seed=seed)
            while not ended and steps < MOST_STEPS:
                action, of_policy = play(row(obs))
                numbers.append(of_policy)
                if render_mode is not None and steps % every == 0:
                    pictures.append(_small(_pixels(env)))
                obs, reward, terminated, truncated, _ = env.step(given(action)[0])
                total, steps, ended = total + float(reward), steps + 1, terminated or truncated
            return pictures, numbers, steps, total, _fps(env)
        finally:
            close_quietly(env, env.id)

    _, _, steps, _, _ = through(None, 1)
    every = max(-(-steps // ANIMATION_FRAMES), 1)
    pictures, numbers, steps, total, fps = through("rgb_array", every)
    labels, bounds = [label for label, _ in bars], [bound for _, bound in bars]
    beside = np.array(numbers)[::every, : len(labels)]
    ends = [
        bound or (float(np.min(numbers, axis=0)[k]), float(np.max(numbers, axis=0)[k]))
        for k, bound in enumerate(bounds)
    ]
    frames = [_with_bars(picture, values, labels, ends) for picture, values in zip(pictures, beside, strict=True)]
    seconds = min(max(every / fps, 0.04), ANIMATION_SECONDS / len(frames))
    file = io.BytesIO()
    frames[0].save(
        file, format="GIF", save_all=True, append_images=frames[1:], duration=max(round(100 * seconds), 2) * 10, loop=0
    )
    return file.getvalue(), steps, total


MOST_STEPS = 3000  # of an animated episode
PICTURE_WIDTH, BARS_WIDTH = 300, 150


def _small(pixels: Any) -> Any:
    from PIL import Image

    picture = Image.fromarray(pixels)
    height = max(round(picture.height * PICTURE_WIDTH / picture.width), 1)
    return picture.resize((PICTURE_WIDTH, min(height, 400)), Image.Resampling.BILINEAR)


def _with_bars(picture: Any, values: Any, labels: Sequence[str], ends: Sequence[tuple[float, float]]) -> Any:
    """The picture, and at its right a bar for each number, on white."""
    from PIL import Image, ImageDraw

    row = 30
    whole = Image.new("RGB", (picture.width + BARS_WIDTH, max(picture.height, row * len(labels) + 8)), "white")
    whole.paste(picture, (0, 0))
    pen = ImageDraw.Draw(whole)
    left, width = picture.width + 8, BARS_WIDTH - 16
    for i, (label, value, (low, high)) in enumerate(zip(labels, values, ends, strict=True)):
        top = 4 + row * i
        plain = label.replace("−", "-").encode("latin-1", "replace").decode("latin-1")  # what its font has
        ruled_out = value != value
        said = "ruled out" if ruled_out else f"{value:.2f}"
        pen.text((left, top - 2), f"{plain[:19]} {said}", fill=RULED_OUT if ruled_out else TEXT_COLOUR, font_size=12)
        share = 0.0 if ruled_out else min(max((float(value) - low) / (high - low if high > low else 1.0), 0.0), 1.0)
        pen.rectangle((left, top + 13, left + width, top + 22), outline=(205, 213, 220))
        pen.rectangle((left, top + 13, left + round(width * share), top + 22), fill=BAR_COLOUR)
    return whole.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def has_display() -> bool:
    """Whether a window can be expected to open here."""
    on_linux = sys.platform not in ("darwin", "win32")
    return not on_linux or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _frame(env: slot.Slot) -> Any:
    """What the environment draws now, as a picture of 256 colours: a third of the memory, and what a GIF can hold."""
    from PIL import Image

    return Image.fromarray(_pixels(env)).quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)


def _pixels(env: slot.Slot) -> Any:
    """What the environment draws now, [height, width, 3] of bytes; floats up to 1 are shares of 255."""
    try:
        pixels = env.render()
    except Exception as error:
        raise env.fault(f"render raises {type(error).__name__}: {error}") from error
    if not (isinstance(pixels, np.ndarray) and pixels.ndim == 3 and pixels.shape[2] == 3):
        raise env.fault("draws no picture; expected pixels [height, width, 3] from render_mode rgb_array")
    if pixels.dtype != np.uint8:
        shares = pixels.dtype.kind in "fb" and pixels.max(initial=0) <= 1
        pixels = np.clip(np.nan_to_num(pixels * 255.0 if shares else pixels), 0, 255).astype(np.uint8)
    return pixels


def _fps(env: slot.Slot) -> float:
    """Frames a second, as the environment says; 30 where it says nothing that can be."""
    said = env.metadata.get("render_fps")
    return float(said) if isinstance(said, (int, float, np.number)) and 0 < said < np.inf else 30.0


def _write(path: Path, frames: list[Any], fps: float) -> None:
    try:
        with replacing(path) as temporary:
            frames[0].save(
                temporary,
                format="GIF",
                save_all=True,
                append_images=frames[1:],
                duration=min(max(round(100 / fps), 2), LONGEST) * 10,
                loop=0,
                optimize=False,
            )
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from None
