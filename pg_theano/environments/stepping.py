"""Carries out what `workers.py` asks for: for a share of the environments, in a process of its own or in this one."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from pg_theano.environments.sharing import Shared
from pg_theano.environments.singles import Slots
from pg_theano.environments.sound import check_finite, surely_finite
from pg_theano.environments.spaces import as_data
from pg_theano.types import Array


class Marked:
    """An environment that writes down where it stands before each call, so that the parent can say where it stopped."""

    def __init__(self, env: Any, slot: Any, place: Any):
        self.env, self.slot, self.place = env, slot, place
        self.steps = env.step

    def mark(self) -> None:
        place, slot = self.place, self.slot
        place[1], place[2], place[3] = slot.index, slot.steps, slot.seed
        place[0] += 1

    def step(self, action: Any) -> Any:
        self.mark()
        return self.steps(action)

    def reset(self, **options: Any) -> Any:
        self.mark()
        return self.env.reset(**options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.env, name)


def facts_of(slots: Slots) -> dict[str, Any]:
    return {
        "task": slots.task._asdict() | {"action": slots.task.action._asdict()},
        "action": as_data(slots.slots[0].action_space),
        "observation": str(slots.slots[0].observation_space),
    }


class Stepper:
    """This worker's share of the environments: the rows from `first` on."""

    def __init__(self, slots: Slots, ours: Shared, setup: dict[str, Any], glanced: Callable[..., list[str]]):
        self.slots, self.ours, self.first, self.glanced = slots, ours, setup["first"], glanced
        self.rows = slice(self.first, self.first + slots.num_envs)
        self.results = [rows[self.rows] for rows in (ours.obs, ours.reward, ours.terminated, ours.truncated)]
        self.wanted, self.given = ours.real[self.rows], ours.given[self.rows]
        self.place = memoryview(ours.place[setup["worker"]])
        self.real = np.ones(slots.num_envs, bool)
        for slot in slots.slots:
            slot.index += self.first
            marked: Any = Marked(slot.env, slot, self.place)
            slot.env = marked

    def answer(self, kind: bytes, content: bytes) -> bytes | None:
        """Carry out one command. Returns the content of the answer, or None for a plain `done`. Errors: `UserError`."""
        ours, rows = self.ours, self.rows
        if kind == b"s":
            if self.wanted.tobytes() != self.real.tobytes():
                self.real = self.wanted.copy()
                self.slots.play(self.real)
            results = self.slots.take(self.given.copy())
            if not surely_finite(results[0]):
                check_finite(self, results[0], results[1], self.real, self.steps() - 1)
            for place, result in zip(self.results, results, strict=True):
                place[...] = result
            self.go_ahead(results[2] | results[3])
            return None
        if kind == b"b":
            which = ours.which[rows]
            obs = self.slots.begin(which, ours.seeds[rows])
            self.real = self.slots.real.copy()
            check_finite(self, obs, None, which, self.steps() - 1)
            ours.obs[rows] = obs
            return None
        if kind == b"r":
            head, _, actions = content.partition(b"\n")
            asked = json.loads(head)
            given = np.frombuffer(actions, ours.given.dtype).reshape(asked["length"], *ours.given.shape[1:]).copy()
            obs, total, steps = self.slots.replay(asked["index"] - self.first, asked["seed"], given)
            ours.obs[asked["index"]] = obs
            return json.dumps([total, steps]).encode()
        if kind == b"g":
            first, second = (getattr(self.slots.slots[which].env, "env") for which in (0, -1))  # noqa: B009  as `Marked` has it
            return json.dumps(self.glanced(self.task.id, first, second, self.mark)).encode()
        return json.dumps(self.slots.replays()).encode()

    def go_ahead(self, ended: Array) -> None:
        """Begin the episodes that follow those that have ended, while other workers step, where it is known which."""
        following = self.ours.following[self.rows]
        if following[0] < 0 or b"\1" not in ended.tobytes():
            return
        obs = self.slots.begin(ended, following)
        check_finite(self, obs, None, ended, self.steps() - 1)
        self.ours.first[self.rows][ended] = obs[ended]

    def mark(self, step: int, seed: int) -> None:
        self.place[1], self.place[2], self.place[3] = self.first, step, seed
        self.place[0] += 1

    # as `check_finite` asks for them

    @property
    def task(self) -> Any:
        return self.slots.task

    @property
    def seeds(self) -> list[int]:
        return self.slots.seeds

    def steps(self) -> Any:
        return np.array([slot.steps for slot in self.slots.slots])


class Here:
    """A share of the environments that is stepped in this process, asked as a child is: it steps when its answer is
    received, so that others that were asked work meanwhile."""

    def __init__(self, slots: Slots):
        self.slots, self.line = slots, self
        self.asked: tuple[bytes, bytes] = b"i", b""

    def send(self, kind: bytes, content: bytes = b"") -> None:
        self.asked = kind, content

    def ready(self, seconds: float) -> bool:
        return True

    def receive(self) -> tuple[bytes, bytes]:
        if self.asked[0] == b"i":
            return b"i", json.dumps(facts_of(self.slots)).encode()
        told = self.stepper.answer(*self.asked)
        return (b"k", b"") if told is None else (b"v", told)

    def take(self, ours: Shared) -> None:
        """Write into these rows from now on, the first of them."""
        self.stepper = Stepper(self.slots, ours, {"first": 0, "worker": 0}, lambda *_: [])

    def hang_up(self) -> None:
        self.slots.close()

    def end(self, *, seconds: float = 0.0) -> int:
        return 0
