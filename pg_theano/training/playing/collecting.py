"""What plays for an update: whole episodes or stretches of fixed length, on Gymnasium's environments or compiled ones.

collector = collector_of(config, spec, environment, program)
played = collector.collect(state, knobs, update)
kept = collector.arrays(collector.settle())            # the open episodes, for a checkpoint
collector.restore(kept)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np

from pg_theano.compiler.program import power_of_two
from pg_theano.config import schedules
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.knobs import Config
from pg_theano.environments import making
from pg_theano.policies.acting import nothing_remembered
from pg_theano.spec import Spec
from pg_theano.training import programs, seeding
from pg_theano.training.playing.block import FEWEST_LAST
from pg_theano.training.playing.compiled import CompiledSegments, Playing, drive, episodes_compiled, rungs
from pg_theano.training.playing.episodes import NothingOpen, collect
from pg_theano.training.playing.stretches import Replayed, Segments
from pg_theano.types import Array, Knobs, Played, Program, Record, Rollout, State

CARRIED = "open/"
"""Begins the names of a checkpoint's arrays of open episodes; all other arrays are State."""


class Collector(Protocol):
    """Plays for each update of the loop.

    config   as it holds now
    replays  whether open episodes can be restored by playing them again; False: none stays open between two updates
    collect  plays for one update
    settle   the open episodes now; `arrays` makes of that what a checkpoint keeps, `restore` opens them again
    """

    config: Config

    @property
    def replays(self) -> bool | None: ...
    def collect(self, state: State, knobs: Knobs, update: int) -> Played: ...
    def first_calls(self) -> list[tuple]: ...
    def settle(self) -> Any: ...
    def arrays(self, picture: Any) -> dict[str, Array]: ...
    def restore(self, arrays: Mapping[str, Array]) -> None: ...
    def close(self) -> None: ...


def collector_of(
    config: Config, spec: Spec, environment: making.Playable, program: Program, folders: Sequence[Path] = ()
) -> Collector:
    """The collector that the algorithm needs."""
    if program.ask is not None:
        from pg_theano.training.playing.generations import Population

        return Population(config, spec, environment, program, folders)
    if spec.learning.num_steps:
        return Stretches(config, spec, environment, program)
    return WholeEpisodes(config, spec, environment, program)


def said_of_minibatches(config: Config) -> str | None:
    """How large the minibatches are if their number does not divide the rollout; None if it does."""
    algorithm = config.algorithm
    if algorithm.num_steps is None or not ALGORITHMS[algorithm.name].reads("algorithm.num_minibatches"):
        return None
    steps, number = config.environment.num_envs * algorithm.num_steps, algorithm.num_minibatches
    if steps % number:
        small = steps // number
        return (
            f"algorithm.num_minibatches: {number:,} does not divide {steps:,} steps: minibatches have {small:,} or "
            f"{small + 1:,}, and every step is learned from once a pass"
        )
    return None


def mask_of(rollout: Rollout | Record, sequences: int = 0) -> tuple[Array | None, int]:
    """(mask [N], or None where every step is real; N), N = T·E columns, column t·E + e.

    Or of so many `sequences` of each row: N = K·E of them, sequence k·E + e; one is real where any of its steps is.
    """
    if sequences:
        real, _ = mask_of(rollout)
        rows = len(rollout.values[0, 0]) if isinstance(rollout, Record) else len(rollout.mask)
        return (None if real is None else real.reshape(sequences, -1, rows).any(axis=1).ravel()), sequences * rows
    if isinstance(rollout, Record):
        steps, _, rows = rollout.values.shape
        real = rollout.field("mask").ravel() if "mask" in rollout.columns else None
        return real, steps * rows
    mask = np.asarray(rollout.mask)
    return (None if mask.all() else mask.T.ravel()), mask.size


def parted(arrays: Mapping[str, Array]) -> tuple[State, dict[str, Array]]:
    """A checkpoint's arrays in two: (State, the open episodes)."""
    learned = {name: value for name, value in arrays.items() if not name.startswith(CARRIED)}
    return learned, {name: value for name, value in arrays.items() if name.startswith(CARRIED)}


class _Common:
    def __init__(self, config: Config, spec: Spec, environment: making.Playable, program: Program):
        self.config, self.spec, self.environment, self.program = config, spec, environment, program
        self.compiled = isinstance(environment, making.Compiled)
        self.draw = programs.noise_of(config, spec)

    def learning(self, rows: int, steps: int) -> tuple:
        """The call of `train` for a rollout of so many rows and steps, its sizes in the order of `JaxFunctions`."""
        passes, spec = self.spec.learning.passes, self.spec
        units = rows * (spec.num_sequences if spec.acting.memory_size else steps)
        batch = [-(-units // passes.num_minibatches) if passes else None]
        return ("train", rows, steps, *batch, *([None, FEWEST_LAST] if "last_obs" in spec.learning.takes else []))

    def generator(self, purpose: int, update: int) -> np.random.Generator:
        return seeding.generator(self.config.seed, purpose, update)

    def close(self) -> None:
        """Does nothing: whoever made the environment closes it."""


class WholeEpisodes(_Common, NothingOpen):
    """The schedule's number of episodes, each from a reset to its end: none is open between two updates."""

    def collect(self, state: State, knobs: Knobs, update: int) -> Played:
        if isinstance(self.environment, making.Compiled):
            return drive(self.playing(update), lambda values: self.program.rollout(state, knobs, values))
        keep = self.program.manifest["takes"]
        memory = nothing_remembered(self.spec.acting, self.environment.num_envs)
        drawn = self._drawn(update)
        return collect(self.environment, self.program.act, state, knobs, keep=keep, memory=memory, **drawn)

    def playing(self, update: int) -> Playing:
        facts, limit = self.program.manifest["environment"], self.environment.task.time_limit
        return episodes_compiled(facts, time_limit=limit, **self._drawn(update))

    def _drawn(self, update: int) -> dict[str, Any]:
        return {
            "num_episodes": schedules.episodes_at(self.config, update),
            "episode_seeds": self.generator(seeding.EPISODE_SEEDS, update),
            "action_noise": self.generator(seeding.ACTION_NOISE, update),
            "draw": self.draw,
            "dtype": self.config.dtype,
        }

    def first_calls(self) -> list[tuple]:
        engine = self.spec.engine
        if not self.compiled or engine is None:
            return []
        rows = power_of_two(schedules.episodes_at(self.config, 0))
        steps = rungs(engine.chunk, self.environment.task.time_limit)
        trained = [self.learning(rows, length) for length in steps[:2]]
        return [trained[0], ("rollout", rows, None), *trained[1:]]


class Stretches(_Common):
    """`algorithm.num_steps` steps of every environment, each going on where the last update left it."""

    def __init__(self, config: Config, spec: Spec, environment: making.Playable, program: Program):
        super().__init__(config, spec, environment, program)
        self.rows, self.steps = config.environment.num_envs, spec.learning.num_steps or 0
        self.segments: Any
        if self.compiled:
            self.segments = CompiledSegments(program, num_envs=self.rows, num_steps=self.steps, dtype=config.dtype)
        else:
            keep = program.manifest["takes"]
            stepped = cast(Replayed, environment)  # `specs.environment_of` makes single ones for stretches
            memory, sequences = nothing_remembered(spec.acting, self.rows), spec.num_sequences
            self.segments = Segments(stepped, dtype=config.dtype, keep=keep, memory=memory, sequences=sequences)

    def collect(self, state: State, knobs: Knobs, update: int) -> Played:
        if self.compiled:
            return self.segments.collect(state, knobs, **self._drawn(update))
        return self.segments.collect(self.program.act, state, knobs, **self._drawn(update))

    def playing(self, update: int) -> Playing:
        return self.segments.playing(**self._drawn(update))

    def _drawn(self, update: int) -> dict[str, Any]:
        noise = self.draw(self.generator(seeding.ACTION_NOISE, update), self.steps, self.rows)
        return {"noise": noise, "episode_seeds": self.generator(seeding.EPISODE_SEEDS, update)}

    def first_calls(self) -> list[tuple]:
        train = self.learning(self.rows, self.steps)
        return [train, ("rollout", self.rows, None)] if self.compiled else [train]

    @property
    def replays(self) -> bool | None:
        return self.segments.replays

    def settle(self) -> Any:
        return self.segments.settle()

    def arrays(self, picture: Any) -> dict[str, Array]:
        return self.segments.arrays(picture)

    def restore(self, arrays: Mapping[str, Array]) -> None:
        self.segments.restore(arrays)
