"""Environments that cannot be trusted, in processes beside this one: what they do wrong is named, and can be survived.

    environment:
      id: my_simulator:Robot-v0
      workers: 4            # processes; each has its share of the environments
      timeout: 30           # seconds that one step or reset may take
      on_fault: restart     # or stop, or skip
      max_faults: 20

A fault is an environment that raises, returns what it must not, hangs or takes its process with it. It is named with
environment, step, seed and action; then the run stops, or

    skip      the process is started again; the episode is dropped, those beside it are replayed
    restart   the process is started again; all its episodes are replayed, this one too, and the step is taken again

Replayed is: begun by the same seed, the same actions again, and the last observation must be the same, bit for bit;
where it is not, the episode is dropped. So a run whose worker was killed and restarted equals one that was left alone.
What is stepped is `Slots`, as it is in this process without workers, and the results are the same, bit for bit.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config import knobs
from pg_theano.environments import given
from pg_theano.environments.rows import dtype_in
from pg_theano.environments.sharing import BELLS, NOBODY, shared
from pg_theano.environments.singles import Slots
from pg_theano.environments.spaces import action_of, from_data
from pg_theano.environments.stepping import Here
from pg_theano.environments.telling import shown_action
from pg_theano.system import children
from pg_theano.system.children import Child, Memory
from pg_theano.system.console import say
from pg_theano.types import ActionSpace, Array, Task, UserError

STARTING = 60.0
"""Seconds in which a worker must have imported and made its environments."""
CLOSING = 2.0
"""Seconds that workers have to close their environments in, all together; then they are killed."""
LOOKS = 0.05
"""Seconds between two looks at whether a worker still moves."""


class Fault(NamedTuple):
    """What went wrong in a worker, and in which environment; NOBODY if no environment did it."""

    what: str
    env: int = NOBODY
    step: int = 0
    seed: int = 0


class Workers:
    """The environments of `Slots`, spread over child processes."""

    limit_holds, stays_open = False, False  # as there
    skipped: Array | None = None

    def __init__(
        self,
        config: knobs.Environment,
        *,
        num_envs: int,
        dtype: str,
        folders: Sequence[Path] = (),
        squash: bool = False,
        here: Slots | None = None,
    ):
        """`here`: environments of which this process steps the first share itself."""
        self.config, self.num_envs = config, num_envs
        self.faults = 0
        self.lost: Sequence[int] = ()  # environments whose episode the last step has lost
        self.player: object = None
        self.report: Callable[[str], None] = lambda text: say(text, sys.stderr)
        number = config.separate + (here is not None)
        shares = np.array_split(np.arange(num_envs), min(number, num_envs))
        self._shares = [(int(share[0]), int(share[-1]) + 1) for share in shares]
        self._here = here and Slots(config, here.slots[: self._shares[0][1]], dtype, squash)
        plain = config.model_dump(mode="json") | {"workers": 0, "on_fault": "stop", "timeout": None}
        self._setup = {"environment": plain, "folders": [*map(str, folders)], "dtype": dtype, "squash": squash}
        self._setup |= {"given": given.packed(config.id), "action_mask": config.action_mask}
        self.processes = len(self._shares) + (here is None)  # that want a core: those that step, and this one
        ours = "this process and " if here is not None else ""
        self.kind = f"in {ours}{self.processes - 1} worker {'processes' if self.processes > 2 else 'process'}"
        self._memory = Memory()
        self._children: list[Any] = [None] * len(self._shares)
        self._owed: set[int] = set()  # workers that have yet to answer
        try:
            for worker in reversed(range(len(self._shares))):
                self._begin(worker)
            facts = [self._facts(worker) for worker in range(len(self._shares))]
            for (first, _), fact in zip(self._shares, facts, strict=True):
                if fact != facts[0]:
                    got = f"the spaces of environment {first} are not those of environment 0"
                    raise UserError.at(config.id, got)
        except BaseException:
            self._children = [child for child in self._children if not isinstance(child, Here)]
            self.close()
            raise
        task = facts[0]["task"]
        self.task = Task(**task | {"action": ActionSpace(**task["action"])})
        self.given = action_of(from_data(facts[0]["action"]), config.id, squash).given
        self._layout = {
            "num_envs": num_envs,
            "workers": len(self._shares),
            "dtype": dtype_in(self.task, dtype).str,
            "obs_size": self.task.obs_size,
            "action": facts[0]["action"],
        }
        self._shared = shared(self._memory, self._layout)
        self.follow(None)
        for worker in range(len(self._shares)):
            self._lay_out(worker)
        self._obs = np.zeros(
            (num_envs, self.task.obs_size), self._layout["dtype"]
        )  # as last seen; replaced, never written to
        self._seeds = np.full(num_envs, -1, np.int64)
        self._real = np.ones(num_envs, bool)
        self._absent = np.zeros(num_envs, bool)  # its episode was lost and no other is begun yet
        # What the open episodes were given: a row of all environments a step, and where each episode begins in them.
        self._log: list[Array] = []
        self._begun = np.zeros(num_envs, np.int64)
        self._before: dict[int, Array] = {}  # what came before the log, of episodes that were opened by `replay`
        self._last: tuple[int, int, int] | None = None

    # -- what `Slots` does too: its words hold here

    @property
    def seeds(self) -> list[int]:
        return self._seeds.tolist()

    def begin(self, which: Array, seeds: Array, *, all_over: bool = False) -> Array:
        """One whose reset fails for good is lost at its first step."""
        over, ours = which.nonzero()[0], self._shared
        self._seeds[over] = seeds[over]
        if not all_over and ours.following[0] >= 0:  # the workers have: see `follow`
            self._obs = self._obs.copy()
            self._obs[over] = ours.first[over]
            return self._obs
        for worker in [*self._owed]:  # Ctrl-C came while it was waited for: nobody knows what it has done
            self._restart(worker)
        if all_over:
            self._log.clear()
            self.follow(None)
        elif len(self._log) > 4096 and self._begun.min() > 2048:
            kept = int(self._begun.min())
            self._log, self._begun = self._log[kept:], self._begun - kept
        self._real = self._real | which
        self._absent[over] = False
        self._begun[over] = len(self._log)
        for index in over if self._before else ():
            self._before.pop(int(index), None)
        ours.which[:], ours.seeds[:] = which, self._seeds
        self._command(b"b", which)
        obs, fresh = self._obs.copy(), which & ~self._absent
        obs[fresh] = ours.obs[fresh]
        self._obs = obs
        return obs

    def follow(self, seeds: Array | None) -> None:
        """Say which seeds [N] `begin` is given for the episodes that the next step ends: a worker begins those while
        others still step. Not where a fault may be gone on after: which episode a reset belongs to counts there.
        """
        self._shared.following[...] = -1 if seeds is None or self.config.on_fault != "stop" else seeds

    def park(self, which: Array) -> None:
        self._real = self._real & ~which

    def step(self, action: Array) -> tuple[Array, Array, Array, Array, Array | None]:
        return *self.take(self.given(action)), self._real

    def take(self, given: Array) -> tuple[Array, Array, Array, Array]:
        """A lost episode is truncated, without reward, where it was seen last; `lost` names its environment."""
        ours, self.lost = self._shared, []
        ours.given[...] = given
        if self.config.on_fault != "stop":
            self._log.append(given.copy())
        ours.real[...] = self._real
        if b"\1" in self._absent.tobytes():
            self.lost = [int(index) for index in np.flatnonzero(self._absent & self._real)]  # could not be begun
            ours.real[...] &= ~self._absent
        self._command(b"s", ours.real)
        results = ours.obs.copy(), ours.reward.copy(), ours.terminated.copy(), ours.truncated.copy()
        if b"\0" in ours.real.tobytes():
            obs, reward, terminated, truncated = results
            out = ~ours.real
            obs[out], reward[out], terminated[out], truncated[out] = self._obs[out], 0.0, False, False
            truncated[self.lost] = True
        self._obs = results[0]
        return results

    def replay(self, index: int, seed: int, given: Array) -> tuple[Array, float, int]:
        worker = next(worker for worker, (first, end) in enumerate(self._shares) if first <= index < end)
        total, steps = self._insisted(worker, b"r", _as_message(index, seed, given))
        self._seeds[index], self._begun[index], self._before[index] = seed, len(self._log), given.copy()
        self._obs = self._obs.copy()
        self._obs[index] = self._shared.obs[index]
        return self._obs[index], total, steps

    def replays(self) -> bool:
        return bool(self._insisted(0, b"p"))

    def glance(self) -> list[str]:
        """What a glance at the environments of one worker finds wrong, a line each."""
        return self._insisted(len(self._shares) - 1, b"g")

    def close(self) -> None:
        """End all workers, whatever they do: by themselves, or killed after `CLOSING` seconds. Never hangs."""
        until = time.monotonic() + (0 if self._owed else CLOSING)
        there = [child for child in self._children if child is not None]
        for child in there:
            child.hang_up()
        for child in there:
            child.end(seconds=max(until - time.monotonic(), 0.01))
        if there:
            self._memory.close()
        self._children = []

    # -- one worker

    def _begin(self, worker: int) -> None:
        if worker == 0 and self._here is not None:
            self._children[0] = Here(self._here)
            return
        first, end = self._shares[worker]
        share = {"first": first, "number": end - first, "worker": worker}
        child = Child("pg_theano.environments.worker", self._setup | share, self._memory)
        self._children[worker] = child

    def _end(self, worker: int, *, seconds: float = 0.0) -> int:
        child = self._children[worker]
        self._owed.discard(worker)
        return child.end(seconds=seconds)

    def _facts(self, worker: int) -> dict[str, Any]:
        """What a worker's environments are. Errors: `UserError` where they cannot be made."""
        child, (first, end) = self._children[worker], self._shares[worker]
        if not child.line.ready(STARTING):
            got = f"environments {first} to {end - 1} are not made after {STARTING:g} s"
            raise UserError.at(self.config.id, got, "to be")
        try:
            kind, content = child.line.receive()
        except EOFError:
            how = children.how_it_ended(child.end(seconds=1.0))
            raise UserError.at(self.config.id, f"cannot be made: its process {how}") from None
        if kind == b"x":
            raise children.error_of(content)
        return json.loads(content)

    def _lay_out(self, worker: int) -> None:
        self._shared.place[worker, 1] = NOBODY
        if isinstance(child := self._children[worker], Here):
            child.take(self._shared)
            return
        working = len(self._shares) - (self._here is not None)
        child.line.with_bells(b"l", self._layout, self._memory, BELLS * worker, working=working)

    def _restart(self, worker: int) -> None:
        self._end(worker)
        if isinstance(self._children[worker], Here):  # whose episodes all begin anew, whatever it was doing
            return
        self._begin(worker)
        self._facts(worker)
        self._lay_out(worker)

    # -- commands

    def _command(self, kind: bytes, rows: Array) -> None:
        """Have the workers begin or step the environments of `rows`, and recover from faults where that is allowed."""
        wanted = rows.tobytes()
        members = [worker for worker, (first, end) in enumerate(self._shares) if b"\1" in wanted[first:end]]
        for worker, fault in self._sent(kind, members).items():
            self._recover(worker, fault, kind)

    def _sent(self, kind: bytes, members: Sequence[int]) -> dict[int, Fault]:
        self._ask(kind, members)
        answers = self._answers(members)
        return {worker: answer for worker, answer in answers.items() if isinstance(answer, Fault)}

    def _ask(self, kind: bytes, members: Sequence[int], content: bytes = b"") -> None:
        for worker in members:
            self._children[worker].line.send(kind, content)
            self._owed.add(worker)

    def _answers(self, members: Sequence[int]) -> dict[int, Fault | bytes]:
        """Wait for the answers of these workers: content, or a fault. Each step and reset has its timeout."""
        found: dict[int, Fault | bytes] = {}
        limit = self.config.timeout
        moved: dict[int, tuple[int, float]] = {}
        while len(found) < len(members):
            before = len(found)
            for worker in members:
                if worker in found:
                    continue
                line = self._children[worker].line
                if not line.ready(min(LOOKS, limit or LOOKS)):
                    continue
                try:
                    kind, content = line.receive()
                    found[worker] = Fault(**json.loads(content)) if kind == b"f" else content
                except EOFError:
                    found[worker] = self._died(worker)
                self._owed.discard(worker)
            if len(found) > before or limit is None:
                continue
            now = time.monotonic()
            for worker in self._owed.intersection(members):
                calls = int(self._shared.place[worker, 0])
                if moved.setdefault(worker, (calls, now))[0] != calls:
                    moved[worker] = calls, now
                elif now - moved[worker][1] > limit - LOOKS:  # the first look came so much late
                    found[worker] = self._hangs(worker)
                    self._owed.discard(worker)
        return found

    def _insisted(self, worker: int, kind: bytes, content: bytes = b"") -> Any:
        """The answer of one worker. After a fault that may be survived, the worker is started and asked again."""
        while True:
            answer = self._asked(worker, kind, content)
            if not isinstance(answer, Fault):
                return json.loads(answer)
            self._counted(answer)
            self._told(answer, dropped=False)
            self._restart(worker)
            _, again = self._replayed(worker, kind)
            if again is not None:
                raise UserError(again.what)

    def _asked(self, worker: int, kind: bytes, content: bytes) -> Fault | bytes:
        self._ask(kind, [worker], content)
        return self._answers([worker])[worker]

    # -- faults

    def _where(self, worker: int) -> tuple[str, Fault]:
        """Where a worker stands, in words and in numbers."""
        _, index, step, seed = map(int, self._shared.place[worker])
        if index == NOBODY:
            first, end = self._shares[worker]
            return f"{self.config.id}, environments {first} to {end - 1}", Fault("")
        return f"{self.config.id}, environment {index}, step {step} (seed {seed})", Fault("", index, step, seed)

    def _did(self, fault: Fault) -> str:
        return f"; its action was {shown_action(self._shared.given[fault.env])}" if fault.step else ""

    def _died(self, worker: int) -> Fault:
        code = self._end(worker, seconds=1.0)
        where, fault = self._where(worker)
        idle = " while it waited" if fault.env == NOBODY else ""
        return fault._replace(what=f"{where}: its process {children.how_it_ended(code)}{idle}{self._did(fault)}")

    def _hangs(self, worker: int) -> Fault:
        self._end(worker)
        where, fault = self._where(worker)
        doing = "step" if fault.step else "reset"
        return fault._replace(
            what=f"{where}: {doing} takes longer than environment.timeout = {self.config.timeout:g} s{self._did(fault)}"
        )

    def _counted(self, fault: Fault) -> None:
        """Count a fault. Errors: `UserError` if it ends the run."""
        policy, most = self.config.on_fault, self.config.max_faults
        if policy == "stop":
            raise UserError(f"{fault.what}; to go on after a fault: environment.on_fault=skip or restart")
        self.faults += 1
        if self.faults > most:
            raise UserError(f"{fault.what}; it is fault {self.faults}, and environment.max_faults is {most}")
        place = fault.env, fault.step, fault.seed
        if policy == "restart" and fault.env != NOBODY and place == self._last:
            raise UserError(f"{fault.what}; and so again when it was replayed: environment.on_fault=skip would drop it")
        self._last = place

    def _recover(self, worker: int, fault: Fault | None, kind: bytes) -> None:
        """Start a worker again, replay its episodes, repeat the command; until it succeeds or faults are too many."""
        while fault is not None:
            self._counted(fault)
            dropped = self.config.on_fault == "skip" and fault.env != NOBODY
            self._told(fault, dropped=dropped)  # before anything else, which takes its time
            if dropped:
                self._drop(fault.env, kind)
            self._restart(worker)
            unlike, again = self._replayed(worker, kind)
            for index in unlike:
                self._drop(index, kind)
            if unlike:
                named = f"environment{'s' * (len(unlike) > 1)} {', '.join(map(str, unlike))}"
                self.report(f"warning: {self.config.id}: {named}: does not replay; the episode is dropped")
            fault = again or self._repeated(worker, kind)

    def _drop(self, index: int, kind: bytes) -> int:
        self._absent[index] = True
        self._shared.which[index] = self._shared.real[index] = False
        if kind == b"s" and index not in self.lost:
            self.lost = [*self.lost, index]
        return index

    def _told(self, fault: Fault, *, dropped: bool) -> None:
        what = "its episode is dropped, those beside it are replayed" if dropped else "its episodes are replayed"
        count = f"fault {self.faults} of at most {self.config.max_faults}"
        self.report(f"warning: {fault.what}; its process is started again, {what} ({count})")

    def _replayed(self, worker: int, kind: bytes) -> tuple[list[int], Fault | None]:
        """Replay the open episodes: (environments whose episode went differently, a fault meanwhile)."""
        first, end = self._shares[worker]
        steps = len(self._log) - (kind == b"s")
        unlike: list[int] = []
        for index in range(first, end):
            fresh = kind == b"b" and self._shared.which[index]
            if not self._real[index] or self._absent[index] or fresh or self._seeds[index] < 0:
                continue
            since = int(self._begun[index])
            rows = [self._before[index]] if index in self._before else []
            rows += [np.array([row[index] for row in self._log[since:steps]])] if since < steps else []
            given = np.concatenate(rows) if rows else self._shared.given[:0]
            answer = self._asked(worker, b"r", _as_message(index, int(self._seeds[index]), given))
            if isinstance(answer, Fault):
                return unlike, answer
            same = self._shared.obs[index].tobytes() == self._obs[index].tobytes()
            if not same or json.loads(answer)[1] != len(given):
                unlike.append(index)
        return unlike, None

    def _repeated(self, worker: int, kind: bytes) -> Fault | None:
        first, end = self._shares[worker]
        rows = self._shared.which if kind == b"b" else self._shared.real
        return self._sent(kind, [worker]).get(worker) if rows[first:end].any() else None


def _as_message(index: int, seed: int, given: Array) -> bytes:
    """An episode to be replayed."""
    head = json.dumps({"index": index, "seed": seed, "length": len(given)}).encode()
    return head + b"\n" + np.ascontiguousarray(given).tobytes()
