"""Playing on a compiled environment: whole episodes side by side, or stretches of a fixed number of steps."""

from collections.abc import Callable, Generator, Mapping
from typing import Any, NamedTuple

import numpy as np

from pg_theano.compiler.program import power_of_two
from pg_theano.environments import sound
from pg_theano.training.playing.episodes import check_carried
from pg_theano.types import Array, Knobs, Played, Program, Record, State, UserError


def chunk_of(time_limit: int | None) -> int:
    """Steps that a compiled environment plays in one call: a time limit in equal parts of at most 128."""
    if time_limit is None:
        return 128
    return -(-time_limit // -(-time_limit // 128))


def rungs(chunk: int, limit: int | None) -> list[int]:
    """The ladder of T of a record, in whole chunks: one, four, sixteen, ..., up to those that hold the time limit.

    Steeper than the ladder of Gymnasium: padding costs 0.2 ms an update here, and a further T 60 ms to load.
    """
    sizes, longest = [chunk], -(-(limit or sound.LONGEST_EPISODE) // chunk) * chunk
    while sizes[-1] < longest:
        sizes.append(min(4 * sizes[-1], longest))
    return sizes


Playing = Generator[dict[str, Any], dict[str, Any], Played]
"""A compiled environment being played. It yields the inputs of each call of `rollout`, is sent the outputs, and returns
what was played. So one caller can join the calls of several agents."""


def drive(playing: Playing, rollout: Callable[[dict[str, Any]], dict[str, Any]]) -> Played:
    """Play to the end, one call after the other."""
    values = next(playing)
    while True:
        out = rollout(values)
        try:
            values = playing.send(out)
        except StopIteration as end:
            return end.value


def episodes_compiled(
    facts: dict[str, Any],
    *,
    num_episodes: int,
    time_limit: int | None,
    episode_seeds: np.random.Generator,
    action_noise: np.random.Generator,
    draw: Callable[..., Array],
    dtype: str,
) -> Playing:
    """Play `num_episodes` whole episodes on a compiled environment, side by side, in chunks until all have ended.

    `facts` is what a program's manifest says of the environment.
    """
    kind = np.dtype(dtype)
    rows, chunk = power_of_two(num_episodes), facts["chunk"]
    alive: Any = (np.arange(rows) < num_episodes).astype(kind)
    env_state: Any = np.zeros((facts["state_size"], rows), kind)
    initial_noise = episode_seeds.random((facts["num_initial_noise"], rows), kind)
    parts: list[Any] = []
    memory = {"memory": np.zeros((facts["memory"], rows), kind)} if facts["memory"] else {}
    while np.asarray(alive).any():
        elapsed = len(parts) * chunk
        if time_limit is None and elapsed >= sound.LONGEST_EPISODE:
            raise sound.endless(sound.LONGEST_EPISODE)
        out = yield {
            "env_state": env_state,
            "alive": alive,
            "elapsed": np.asarray(elapsed, kind),
            "begins": np.asarray(not parts, kind),
            "initial_noise": initial_noise,
            "noise": np.ascontiguousarray(draw(action_noise, chunk, rows).swapaxes(1, 2)),
            **memory,
        }
        env_state, alive, memory = out["env_state"], out["alive"], {name: out[name] for name in memory}
        parts.append(out["record"])
    values = parts[0]
    if len(parts) > 1:
        steps = next(size for size in rungs(chunk, time_limit) if size >= len(parts) * chunk)
        values = np.zeros((steps, *parts[0].shape[1:]), kind)
        for number, part in enumerate(parts):
            values[number * chunk : (number + 1) * chunk] = np.asarray(part)
    record = Record(values, facts["columns"])
    first = facts["columns"]["reward"][0]
    sums = np.asarray(values)[:, first : first + 2].sum(axis=0, dtype=np.float64)  # reward, mask
    lengths = sums[1, :num_episodes].astype(np.int64)
    return Played(record, sums[0, :num_episodes], lengths, int(lengths.sum()))


class CompiledOpen(NamedTuple):
    """The episodes that are open between two stretches. No array in it is written to."""

    env_state: Any  # [S, N]
    lengths: Any  # [N]
    returns: Array  # [N]
    begins: Array  # [N] 1 where the next step begins an episode
    memory: Any = None  # [M, N] of a policy that remembers

    def named(self) -> dict[str, Any]:
        """What there is of it, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class CompiledSegments:
    """Stretches of T steps of N environments on a compiled environment, in one call each."""

    replays = True

    def __init__(self, program: Program, *, num_envs: int, num_steps: int, dtype: str):
        self.program, self.num_envs, self.num_steps, self.kind = program, num_envs, num_steps, np.dtype(dtype)
        facts = program.manifest["environment"]
        self.columns, self._num_noise = facts["columns"], facts["num_initial_noise"]
        self._open = CompiledOpen(
            np.zeros((facts["state_size"], num_envs), self.kind),
            np.zeros(num_envs, self.kind),
            np.zeros(num_envs),
            np.ones(num_envs, self.kind),
            np.zeros((facts["memory"], num_envs), self.kind) if facts["memory"] else None,
        )

    def collect(self, state: State, knobs: Knobs, *, noise: Array, episode_seeds: np.random.Generator) -> Played:
        """Play T steps of every environment with the noise [T, N, U]; the episodes begun have their own noise."""
        playing = self.playing(noise=noise, episode_seeds=episode_seeds)
        return drive(playing, lambda values: self.program.rollout(state, knobs, values))

    def playing(self, *, noise: Array, episode_seeds: np.random.Generator) -> Playing:
        """The same; the caller makes the call."""
        opened = self._open
        fresh = episode_seeds.random((self.num_steps + 1, self._num_noise, self.num_envs), self.kind)
        out = yield {
            "env_state": opened.env_state,
            "elapsed": opened.lengths,
            "begins": opened.begins,
            "initial_noise": fresh,
            "noise": np.ascontiguousarray(noise.swapaxes(1, 2)),
            **({} if opened.memory is None else {"memory": opened.memory}),
        }
        record = Record(out["record"], self.columns, out.get("memories"))
        returns, lengths, open_returns = self._ended(record, opened)
        begins = np.zeros_like(opened.begins)
        self._open = CompiledOpen(out["env_state"], out["elapsed"], open_returns, begins, out.get("memory"))
        return Played(record, returns, lengths, self.num_steps * self.num_envs)

    def _ended(self, record: Record, opened: CompiledOpen) -> tuple[Array, Array, Array]:
        """(returns [M], lengths [M]) of the episodes that ended, and the returns [N] of those still open."""
        values = np.asarray(record.values)
        rows = {name: self.columns[name][0] for name in ("reward", "terminated", "truncated")}
        sums = np.cumsum(values[:, rows["reward"]], axis=0, dtype=np.float64)  # [T, N]
        step, env = np.nonzero(values[:, rows["terminated"]] + values[:, rows["truncated"]])
        order = np.lexsort((step, env))  # each environment's ends after one another
        step, env = step[order], env[order]
        first = np.concatenate([[True], env[1:] != env[:-1]]) if len(env) else np.zeros(0, bool)
        before = np.concatenate([[0], step[:-1]]) if len(env) else step
        earlier = np.where(first, -opened.returns[env], sums[before, env])
        begun = np.where(first, -np.asarray(opened.lengths)[env] - 1, before)
        returns, lengths = sums[step, env] - earlier, (step - begun).astype(np.int64)
        last = np.concatenate([first[1:], [True]]) if len(env) else first
        rest = sums[-1] + opened.returns
        rest[env[last]] = sums[-1, env[last]] - sums[step[last], env[last]]
        by_time = np.lexsort((env, step))
        return returns[by_time], lengths[by_time], rest

    def settle(self) -> CompiledOpen:
        return self._open

    def arrays(self, picture: CompiledOpen) -> dict[str, Array]:
        return {f"open/{name}": np.asarray(value) for name, value in picture.named().items()}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on where a checkpoint was. Errors: `UserError` where it has another number of environments."""
        count = arrays["open/returns"].size if "open/returns" in arrays else self.num_envs
        if count != self.num_envs:
            raise UserError(f"environment.num_envs: got {self.num_envs}; the checkpoint has {count} open episodes")
        fresh = self._open.named()
        check_carried(arrays, {name: (value.shape, value.dtype) for name, value in fresh.items()})
        self._open = CompiledOpen(**{name: arrays[f"open/{name}"] for name in fresh})
