"""What steps environments in a process of its own: the child of `workers.py`."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.config import knobs
from pg_theano.environments import given, inspection, making
from pg_theano.environments.singles import Slots
from pg_theano.environments.sound import check_finite
from pg_theano.environments.spaces import as_data
from pg_theano.environments.workers import NOBODY, Shared, shared
from pg_theano.system import children
from pg_theano.types import UserError


class Marked:
    """An environment that writes down where it stands before each call, so that the parent can say where it stopped."""

    def __init__(self, env: Any, slot: Any, place: Any):
        self.env, self.slot, self.place = env, slot, place

    def mark(self) -> None:
        place = self.place
        place[1], place[2], place[3] = self.slot.index, self.slot.steps, self.slot.seed
        place[0] += 1

    def step(self, action: Any) -> Any:
        self.mark()
        return self.env.step(action)

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

    def __init__(self, slots: Slots, ours: Shared, setup: dict[str, Any]):
        self.slots, self.ours, self.first = slots, ours, setup["first"]
        self.rows = slice(self.first, self.first + slots.num_envs)
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
            if (ours.real[rows] != self.real).any():
                self.real = ours.real[rows].copy()
                self.slots.play(self.real)
            results = self.slots.take(ours.given[rows].copy())
            check_finite(self, results[0], results[1], self.real, self.steps() - 1)
            ours.obs[rows], ours.reward[rows], ours.terminated[rows], ours.truncated[rows] = results
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
            return json.dumps(inspection.glanced(self.task.id, first, second, self.mark)).encode()
        return json.dumps(self.slots.replays()).encode()

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


@np.errstate(over="ignore")  # an infinity is reported where it is known whose it is
def main(argv: list[str]) -> None:
    line, memory, setup = children.entered(argv)
    try:
        given.taken_in(setup["environment"]["id"], setup["given"])
        slots: Any = making.make(
            knobs.Environment(**setup["environment"]).masked_by(setup["action_mask"]),
            num_envs=setup["number"],
            dtype=setup["dtype"],
            folders=[Path(one) for one in setup["folders"]],
            squash=setup["squash"],
            single_environments=True,
        )
        facts = facts_of(slots)
    except UserError as error:
        line.send(b"x", children.told(error))
        return
    try:
        line.send(b"i", json.dumps(facts).encode())
        ours = shared(memory, json.loads(line.receive()[1]))
        stepper = Stepper(slots, ours, setup)
        while True:
            kind, content = line.receive()
            try:
                told = stepper.answer(kind, content)
            except UserError as error:
                index, step, seed = (int(number) for number in stepper.place[1:])
                fault = {"what": str(error), "env": index, "step": step, "seed": seed}
                line.send(b"f", json.dumps(fault).encode())
                continue
            stepper.place[1] = NOBODY
            if told is None:
                line.send(b"k")
            else:
                line.send(b"v", told)
    except (EOFError, ConnectionError):  # whoever asked is gone
        pass
    slots.close()
    os._exit(0)  # taking an interpreter apart takes longer than closing what it held


if __name__ == "__main__":
    main(sys.argv)
