"""Playing a generation: some episodes of every candidate, all of them side by side.

All candidates of a generation meet the same episodes (common random numbers), so that a better return is no luck of the
episode. Column p·K + k of a batch is episode k of candidate p.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.compiler.program import power_of_two
from pg_theano.config.knobs import Config
from pg_theano.config.reading import from_dict, to_dict
from pg_theano.environments import making, sound
from pg_theano.environments.masks_of_many import check_masks
from pg_theano.policies.acting import nothing_remembered
from pg_theano.spec import Spec
from pg_theano.system import distribute
from pg_theano.training import programs, seeding, specs
from pg_theano.training.playing.episodes import NothingOpen, collect
from pg_theano.training.population import learner
from pg_theano.training.population.learner import Generation, Moments
from pg_theano.types import Array, Knobs, Played, Program, Record, State, Steps


class Tried(NamedTuple):
    """Some candidates' episodes."""

    returns: Array  # [P, K]
    lengths: Array  # [P, K]
    seen: Moments | None


class Population(NothingOpen):
    """The collector of a search: asks for candidates and tries them, here or in workers."""

    def __init__(
        self, config: Config, spec: Spec, environment: making.Playable, program: Program, folders: Sequence[Path] = ()
    ):
        self.config, self.spec, self.program, self.folders = config, spec, program, [str(one) for one in folders]
        self.player = Player(config, spec, environment, program, folders)
        knobs = config.distribute
        self.workers: Any = None
        if knobs.workers > 1 or knobs.cluster is not None:
            self.workers = distribute.opened(workers=knobs.workers, cluster=knobs.cluster)

    def collect(self, state: State, knobs: Knobs, update: int) -> Played:
        assert self.program.ask is not None  # noqa: S101  only a search comes here
        candidates = self.program.ask(state, seeding.generator(self.config.seed, seeding.CANDIDATES, update), knobs)
        acting = {name: np.asarray(value) for name, value in state.items() if name.startswith("normalizer/")}
        play = self.by_workers if self.workers else self.player.play
        tried = play(candidates, acting, update)
        whole = ~np.isnan(tried.returns)  # NaN: a fault ended the episode; the mean of the others is the fitness
        number = whole.sum(axis=1)
        sums = tried.returns.sum(axis=1, where=whole)
        fitness = np.divide(sums, number, out=np.full(len(sums), np.nan), where=number > 0)
        generation = Generation(candidates, fitness, tried.seen)
        return Played(generation, tried.returns[whole], tried.lengths[whole], int(tried.lengths.sum()))

    def by_workers(self, candidates: Array, acting: dict[str, Array], update: int) -> Tried:
        """The same, in parts that workers play; the parts are joined in the candidates' order."""
        parts = np.array_split(candidates, min(self.config.distribute.tasks, len(candidates)))
        common = {"config": to_dict(self.config), "folders": self.folders, "acting": acting, "update": update}
        found = self.workers.map(play_task, [common | {"candidates": part} for part in parts])
        tried = [Tried(*one) for one in found]  # of a cluster's workers they come as plain tuples
        seen = [Moments(*one.seen) for one in tried if one.seen is not None]
        together = Moments(*(np.concatenate(parts) for parts in zip(*seen, strict=True))) if seen else None
        returns, lengths = (np.concatenate([one[index] for one in tried]) for index in range(2))
        return Tried(returns, lengths, together)

    def first_calls(self) -> list[tuple]:
        return [] if self.workers else self.player.first_calls(self.config.algorithm.population_size)

    def close(self) -> None:
        self.player.close()
        if self.workers is not None:
            self.workers.close()


class Player:
    """Plays candidates on the compiled environment, or in a single environment of Gymnasium for each episode."""

    def __init__(
        self, config: Config, spec: Spec, environment: making.Playable, program: Program, folders: Sequence[Path] = ()
    ):
        self.config, self.spec, self.environment, self.program = config, spec, environment, program
        self.folders = folders
        self.compiled = isinstance(environment, making.Compiled)

    def play(self, candidates: Array, acting: dict[str, Array], update: int) -> Tried:
        """Episodes of one update. They depend on the seed and the update alone, not on the worker that plays them."""
        rng = seeding.generator(self.config.seed, seeding.EPISODE_SEEDS, update)
        each = self.config.algorithm.episodes_per_candidate
        columns = np.repeat(candidates, each, axis=0).T.astype(self.spec.dtype)
        return (self._compiled if self.compiled else self._stepped)(columns, acting, rng)

    def first_calls(self, population: int) -> list[tuple]:
        rows = rows_of(population * self.config.algorithm.episodes_per_candidate)
        return [("rollout", rows, None)] if self.compiled else []

    def _compiled(self, columns: Array, acting: dict[str, Array], rng: np.random.Generator) -> Tried:
        facts, kind = self.program.manifest["environment"], np.dtype(self.spec.dtype)
        number, each = columns.shape[1], self.config.algorithm.episodes_per_candidate
        rows, chunk, rewards = rows_of(number), facts["chunk"], facts["columns"]["reward"][0]
        initial = rng.random((facts["num_initial_noise"], each), kind)
        filled = np.zeros((len(columns), rows), kind)
        filled[:, :number] = columns
        initial_noise = np.zeros((len(initial), rows), kind)
        initial_noise[:, :number] = np.tile(initial, number // each)
        state = acting | {"params": filled}
        alive: Any = (np.arange(rows) < number).astype(kind)
        env_state: Any = np.zeros((facts["state_size"], rows), kind)
        sums, seen, elapsed = np.zeros((2, rows)), None, 0  # of rewards and of steps
        limit = self.environment.task.time_limit
        memory = {"memory": np.zeros((facts["memory"], rows), kind)} if facts["memory"] else {}
        while np.asarray(alive).any():
            if limit is None and elapsed >= sound.LONGEST_EPISODE:
                raise sound.endless(elapsed)
            values = {
                "env_state": env_state,
                "alive": alive,
                "elapsed": np.asarray(elapsed, kind),
                "begins": np.asarray(elapsed == 0, kind),
                "initial_noise": initial_noise,
                **memory,
            }
            out = self.program.rollout(state, values)
            record = np.asarray(out["record"])  # [C, K, E]
            played = Record(record[:, :, :number], facts["columns"])
            sound.check_record(played, f"{self.environment.task.id}, episode", before=elapsed)
            if self.spec.acting.mask_size and "obs" in facts["columns"]:
                check_masks(played, f"{self.environment.task.id}, episode", self.spec.acting.mask_size, before=elapsed)
            env_state, alive, elapsed = out["env_state"], out["alive"], elapsed + chunk
            memory = {name: out[name] for name in memory}
            sums += record[:, rewards : rewards + 2].sum(axis=0, dtype=np.float64)  # reward, mask
            if "obs" in facts["columns"]:
                first, size = facts["columns"]["obs"][0], self.spec.acting.num_features
                obs = record[:, first : first + size, :number].swapaxes(1, 2)  # [C, E, F]
                block = learner.moments_of(obs, record[:, rewards + 1, :number])
                seen = block if seen is None else learner.joined(seen, block)
        returns, lengths = sums[:, :number].reshape(2, -1, each)
        return Tried(returns, lengths.astype(np.int64), seen)

    def _stepped(self, columns: Array, acting: dict[str, Array], rng: np.random.Generator) -> Tried:
        number, each = columns.shape[1], self.config.algorithm.episodes_per_candidate
        normalizes = self.spec.acting.normalize_observations
        seeds = np.tile(rng.integers(0, 2**31 - 1, size=each), number // each)
        act_all: Any = self.program.act_all

        def act(state: State, obs: Array, noise: Array, knobs: Knobs, choice: int, *memory: Array) -> tuple[Any, ...]:
            action, *after = act_all(state, obs, *memory)
            return action, None, *after

        played = collect(
            self._environments(number),
            act,
            acting | {"params": columns},
            {},
            num_episodes=number,
            draw=lambda rng, steps, rows: np.zeros((steps, rows, 0), self.spec.dtype),
            episode_seeds=seeds,
            action_noise=rng,
            dtype=self.spec.dtype,
            keep=("obs", "reward", "mask") if normalizes else (),
            memory=nothing_remembered(self.spec.acting, number),
            with_lost=True,
        )
        seen = None
        if normalizes:
            obs, mask = (field.swapaxes(0, 1)[:, :number] for field in (played.rollout.obs, played.rollout.mask))
            seen = learner.moments_of(obs[..., : self.spec.acting.num_features], mask)
        return Tried(played.returns.reshape(-1, each), played.lengths.reshape(-1, each), seen)

    def _environments(self, number: int) -> Steps:
        """One environment for every episode, so that its column of parameters is always the same."""
        if isinstance(self.environment, making.Compiled) or self.environment.num_envs != number:
            self.environment.close()
            self.environment = making.make(
                self.config.environment,
                num_envs=number,
                dtype=self.spec.dtype,
                folders=self.folders,
                squash=self.config.policy.squash,
                single_environments=True,
            )
        return self.environment

    def close(self) -> None:
        self.environment.close()


def rows_of(number: int) -> int:
    """Columns of a compiled call: a power of two, whole vectors of the processor, so that all columns round alike."""
    return max(16, power_of_two(number))


_players: dict[str, Player] = {}


def play_task(task: dict[str, Any]) -> Tried:
    """Play some candidates of a generation, in a worker process, which keeps its compiled program for the next call."""
    key = repr((task["config"], task["folders"]))
    if key not in _players:
        config, folders = from_dict(task["config"]), [Path(one) for one in task["folders"]]
        environment = specs.environment_of(config, folders)
        spec = specs.spec_of(config, environment.task, environment, folders)
        _players.clear()
        program = programs.load(config, spec, lambda what, seconds: None, folders)
        _players[key] = Player(config, spec, environment, program, folders)
    return _players[key].play(task["candidates"], task["acting"], task["update"])
