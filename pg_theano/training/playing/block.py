"""The experience of one stretch, step by step as it is played, and as a rollout."""

from collections.abc import Collection, Sequence

import numpy as np

from pg_theano.compiler.program import power_of_two
from pg_theano.types import Array, Played, Rollout, Task

FEWEST_LAST = 2
"""S of `Block.last_obs` at least: where no more than one episode of a row is cut off, one size is compiled."""


class Block:
    """The experience of one stretch as it is played. Its arrays are new: a learner may read them after `collect`."""

    def __init__(self, steps: int, obs: Array, task: Task, kind: np.dtype):
        num_envs, space = len(obs), task.action
        sizes, whole = () if space.kind == "discrete" else (space.size,), space.kind != "box"
        last = np.empty_like(obs)
        if obs.dtype == np.uint8:  # pixels, which are not moved again
            self.rows = np.empty((num_envs, steps, obs.shape[1]), obs.dtype).swapaxes(0, 1)
        else:
            self.rows = np.empty((steps, *obs.shape), obs.dtype)
        self.obs = [*self.rows, last]  # views, to be written to
        self.action = np.empty((steps, num_envs, *sizes), np.int32 if whole else kind)
        self.log_prob, self.reward = np.zeros((2, steps, num_envs), kind)
        self.terminated, self.truncated = np.empty((2, steps, num_envs), bool)
        self.mask = np.ones((steps, num_envs), kind)
        self.successors: list[tuple[int, Array, Array]] = []  # (step, environments, their last observations)
        self.returns, self.lengths = [np.zeros(0)], [np.zeros(0, np.int64)]  # of the episodes that ended
        self.cut, self.dropped = 0, list[int]()
        self.memory: list[Array] = []  # [N, M] before the first step of each sequence
        self.obs[0][:] = obs

    def end(self, step: int, over: Array, seen: Array, begun: Array, total: Array, lost: Sequence[int]) -> None:
        """Note the episodes of the environments `over` that end with this step; `begun` and `total` start anew there.

        What a fault has ended (`lost`) is not counted, and its steps have mask 0.
        """
        self.successors.append((step, over, seen[over]))
        counted = over
        if lost:
            counted = np.setdiff1d(over, lost)
            for index in lost:
                self.dropped += [index] if begun[index] < 0 else []
                self.mask[max(begun[index], 0) : step + 1, index] = 0
        self.cut += int(np.count_nonzero(self.truncated[step, counted]))
        self.returns.append(total[counted])
        self.lengths.append(step + 1 - begun[counted])
        total[over], begun[over] = 0.0, step + 1

    def skip(self, step: int, rows: Array, begun: Array) -> None:
        """Note the rows of a step that was none: the class only reset them."""
        self.mask[step, rows] = 0
        begun[rows] = step + 1

    def last_obs(self) -> Array:
        """The successors that are not the next step's observation, and count: [E, S, F].

        Those of the steps that cut an episode off, and of the last step, in their order; what follows the end of an
        episode counts for nothing. S is a power of two, and a slot that is left over is 0.
        """
        cut = self.truncated & ~self.terminated
        cut[-1] = True
        slots = cut.cumsum(axis=0) - 1  # [T, E]
        number, size = self.obs[-1].shape
        last = np.zeros((number, power_of_two(max(FEWEST_LAST, int(slots.max()) + 1)), size), self.obs[-1].dtype)
        last[np.arange(number), slots[-1]] = self.obs[-1]
        for step, over, seen in self.successors:
            kept = cut[step, over]
            last[over[kept], slots[step, over[kept]]] = seen[kept]
        return last

    def played(self, keep: Collection[str]) -> Played:
        fields = {"obs": self.rows, "action": self.action, "log_prob": self.log_prob, "reward": self.reward}
        fields |= {"terminated": self.terminated, "truncated": self.truncated, "mask": self.mask}
        if "next_obs" in keep:
            following = np.array(self.obs[1:])
            for step, over, last in self.successors:
                following[step, over] = last
            fields["next_obs"] = following
        if "last_obs" in keep:
            fields["last_obs"] = self.last_obs().swapaxes(0, 1)
        if self.memory:
            fields["memory"] = np.stack(self.memory)
            keep = [*keep, "memory"]
        wanted = {name: np.ascontiguousarray(fields[name].swapaxes(0, 1)) for name in keep}
        rollout = Rollout(**{name: wanted.get(name) for name in Rollout._fields})
        returns, lengths = np.concatenate(self.returns), np.concatenate(self.lengths)
        return Played(rollout, returns, lengths, int(self.mask.sum()), self.cut, self.dropped)
