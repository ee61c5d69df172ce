"""The experience of one stretch, step by step as it is played, and as a rollout."""

from collections.abc import Collection, Sequence

import numpy as np

from pg_theano.types import Array, Played, Rollout, Task


class Block:
    """The experience of one stretch as it is played. Its arrays are new: a learner may read them after `collect`."""

    def __init__(self, steps: int, obs: Array, task: Task, kind: np.dtype):
        num_envs, space = len(obs), task.action
        sizes, whole = () if space.kind == "discrete" else (space.size,), space.kind != "box"
        self.obs = np.empty((steps + 1, *obs.shape), obs.dtype)
        self.action = np.empty((steps, num_envs, *sizes), np.int32 if whole else kind)
        self.log_prob, self.reward = np.zeros((2, steps, num_envs), kind)
        self.terminated, self.truncated = np.empty((2, steps, num_envs), bool)
        self.mask = np.ones((steps, num_envs), kind)
        self.successors: list[tuple[int, Array, Array]] = []  # (step, environments, their last observations)
        self.returns, self.lengths = [np.zeros(0)], [np.zeros(0, np.int64)]  # of the episodes that ended
        self.cut, self.dropped = 0, list[int]()
        self.memory: list[Array] = []  # [N, M] before the first step of each sequence
        self.obs[0] = obs

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

    def played(self, keep: Collection[str]) -> Played:
        fields = {"obs": self.obs[:-1], "action": self.action, "log_prob": self.log_prob, "reward": self.reward}
        fields |= {"terminated": self.terminated, "truncated": self.truncated, "mask": self.mask}
        if "next_obs" in keep:
            following = self.obs[1:].copy()
            for step, over, last in self.successors:
                following[step, over] = last
            fields["next_obs"] = following
        if self.memory:
            fields["memory"] = np.stack(self.memory)
            keep = [*keep, "memory"]
        wanted = {name: np.ascontiguousarray(fields[name].swapaxes(0, 1)) for name in keep}
        rollout = Rollout(**{name: wanted.get(name) for name in Rollout._fields})
        returns, lengths = np.concatenate(self.returns), np.concatenate(self.lengths)
        return Played(rollout, returns, lengths, int(self.mask.sum()), self.cut, self.dropped)
