"""THE loop: one run, from its first update to the last, and what it is made of."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config.knobs import Config
from pg_theano.config.reading import to_dict
from pg_theano.environments import inspection, making, sound, watchdog
from pg_theano.environments.singles import Slots
from pg_theano.reports import screen
from pg_theano.runs import checkpoints, figures
from pg_theano.runs import folder as runs
from pg_theano.system import stopping
from pg_theano.training import memory, minibatches, programs
from pg_theano.training.evaluating import Evaluator
from pg_theano.training.playing import collecting
from pg_theano.types import GREEDY, RETURN_SO_FAR, SAMPLE, Array, Knobs, Played, Program, Record, State, UserError

LENGTHS_ASKED_OF = 8
"""So many episodes of one length, and no other, are a reason to ask."""


class Counters(NamedTuple):
    """How far a run has come. With the seed, they say all that a generator's state would."""

    updates: int = 0
    env_steps: int = 0
    episodes: int = 0
    seconds: float = 0.0  # of training, over all resumed parts
    best: float | None = None  # mean of the best evaluation so far
    best_update: int | None = None


class Trainer:
    """One run: what it is made of, and its state while it goes."""

    def __init__(
        self,
        config: Config,
        folder: runs.RunFolder,
        folders: Sequence[Path],
        display: screen.Screen,
        environment: Any = None,  # where another run's, which keeps nothing between two calls, will do
        callbacks: Sequence[Any] = (),
    ):
        self.config, self.folder, self.folders, self.display = config, folder, folders, display
        self.parts = figures.Parts()
        self.parts.seconds["import"] = self.parts.total()
        self.environment = environment or programs.environment_of(config, folders)
        if config.environment.workers:
            self.environment.report = display.event
        self.task = self.environment.task
        self.threshold = config.solved.threshold if config.solved.threshold is not None else self.task.threshold
        self.spec = programs.spec_of(config, self.task, self.environment, folders)
        memory.check(config, self.spec)
        self.evaluator = Evaluator(config, self.spec, folders)
        self.lengths: list[int] | None = []  # of the first episodes, until they differ or are asked of
        self.evaluated: dict[tuple[int, int], dict[str, float]] = {}  # (purpose, choice): played beforehand
        self.callbacks, self.stop_asked = callbacks, False
        self.program: Program
        self.collector: collecting.Collector
        self.state: State
        self.best_state: State | None = None  # of those that were evaluated
        self.counters = Counters()
        self.final: dict[str, float] | None = None  # the evaluation that the result reports
        self.fingerprint = runs.fingerprint(config)
        self.saved: tuple[int, Any] | None = None  # updates and final of the checkpoint that is on the disk
        self.began = time.perf_counter()
        self.saved_at = self.began

    def look_over(self) -> None:
        """Tell what a glance at a user's environment finds: a pass of 64 steps, taken again."""
        if not isinstance(self.environment, Slots) or making.is_gymnasiums_own(self.config.environment):
            return
        slots = self.environment.slots
        with watchdog.watching(self.config.environment.timeout):
            found = inspection.glanced(self.task.id, slots[0].env, slots[-1].env)
        for line in found:
            self.display.event(f"warning: {line}")
        if found:
            api = " environment.api=gym" if self.config.environment.api == "gym" else ""
            self.display.event(f"to look further: python -m pg_theano.check_env {self.task.id}{api}")

    def ask_of_lengths(self, played: Played) -> None:
        """Whether what ends all episodes alike is a time limit that is reported as the task's own end."""
        if played.truncated is None or self.lengths is None:
            return
        self.lengths += played.lengths.tolist()
        if played.truncated or len(set(self.lengths)) > 1:
            self.lengths = None
        elif len(self.lengths) >= LENGTHS_ASKED_OF:
            if self.lengths[0] > 1:
                got, expected, advice = inspection.one_length(len(self.lengths), self.lengths[0])
                self.display.event(f"question: {self.task.id}: {got}; expected {expected}; {advice}")
            self.lengths = None

    def compile(self) -> None:
        self.look_over()
        began = time.perf_counter()
        self.program = programs.load(self.config, self.spec, self._report, self.folders)
        self.collector = collecting.collector_of(self.config, self.spec, self.environment, self.program, self.folders)
        if said := collecting.said_of_minibatches(self.config):
            self.display.event(said)
        self.program.prepare(self.collector.first_calls())
        # What `load` does beside reported compilation (importing JAX or PyTensor) is no part of training either.
        self.parts.seconds["import"] += max(time.perf_counter() - began - self.parts.seconds["compile"], 0.0)

    def share(self, program: Program) -> None:
        """Take the program of several agents of one spec, instead of one of our own."""
        self.program = program._replace(act=programs.acting_for(self.config, self.spec, program))
        self.collector = collecting.collector_of(self.config, self.spec, self.environment, self.program)

    def _report(self, what: str, seconds: float) -> None:
        self.parts.seconds["compile"] += seconds
        self.display.event(f"compiled {what}: {seconds:.2f} s" if seconds else f"compiling {what} ...")

    # -- the loop

    def train(self) -> str:
        """Update until solved, until the budget is spent or a callback says so: "solved", "budget" or "stopped"."""
        if self.solved_before():
            return "solved"
        first = self.counters.updates
        while not self.budget_spent() and not self.stop_asked:
            stopping.check()
            knobs = programs.knobs_at(self.config, self.counters.updates)
            with self.parts.of("collect"):
                played = self.collector.collect(self.state, knobs, self.counters.updates)
                order = self.minibatches(played)
            with self.parts.of("update"):
                state, measured = self.program.train(_without(self.state, played.dropped), played.rollout, knobs, order)
            record = self.learned(played, state, measured, knobs)
            if record["update"] == first and self.collector.replays is False:
                self.display.event(
                    f"{self.task.id} does not replay (same seed, same actions, other steps): after every update its "
                    "episodes are begun anew"
                )
            if self.finish_update(record):
                return "solved"
        return "stopped" if self.stop_asked else "budget"

    def learned(self, played: Played, state: State, measured: dict[str, float], knobs: Knobs) -> dict[str, Any]:
        """Take what an update gave for our state; returns its record."""
        self.check_finite(measured, played)
        self.ask_of_lengths(played)
        self.state = state
        before = self.counters
        self.counters = before._replace(
            updates=before.updates + 1,
            env_steps=before.env_steps + played.env_steps,
            episodes=before.episodes + len(played.returns),
            seconds=self.seconds(),
        )
        record = {
            "update": before.updates,
            "env_steps": self.counters.env_steps,
            "episodes": self.counters.episodes,
            **figures.of_episodes(played.returns, played.lengths),
            **measured,
            "learning_rate": knobs["learning_rate"],
            "exploration_rate": knobs["exploration_rate"],
        }
        if not self.spec["num_steps"]:
            record["episodes_per_update"] = len(played.returns)
        return record

    def finish_update(self, record: dict[str, Any]) -> bool:
        """Evaluate and save where it is due, and write the record; returns whether the run is solved."""
        solved = self.evaluation_due(record) and self.evaluate(record)
        record["seconds"] = self.seconds()
        self.folder.record(record)
        self.display.update(record, self.share_of_budget())
        solved = solved and self.confirmed()
        if self.callbacks:
            self.stop_asked = self.told.update(record, self.policy())
        self.settle()
        if not solved:
            self.checkpoint_when_due()
        return solved

    def policy(self) -> Any:
        """The policy as it is, to be looked at; None for one that NumPy cannot follow."""
        if self.spec["policy"] != "dense":
            return None
        from pg_theano.policies import policy

        if not hasattr(self, "_policy"):
            about = policy.About(
                self.task.id, self.config.algorithm.name, to_dict(self.config), self.folder.path.name, "training"
            )
            own = policy.acting_part(self.spec, self.state)
            self._policy = policy.Policy(*own, self.task.spaces, about)
        return self._policy.at(self.spec, self.state)

    def minibatches(self, played: Played) -> dict[str, Any] | None:
        """Which steps this update's gradient steps learn from, for an algorithm that takes several."""
        if not self.spec["num_minibatches"]:
            return None
        mask, columns = collecting.mask_of(played.rollout)
        return minibatches.draw(
            self.generator(programs.MINIBATCHES),
            mask,
            columns,
            num_epochs=self.spec["num_epochs"],
            num_minibatches=self.spec["num_minibatches"],
            dtype=self.config.dtype,
        )

    def budget_spent(self) -> bool:
        return self.share_of_budget() >= 1.0

    def share_of_budget(self) -> float:
        budget, counters = self.config.budget, self.counters
        pairs: list[tuple[float, float | None]] = [
            (counters.updates, budget.updates),
            (counters.env_steps, budget.env_steps),
        ]
        pairs.append((self.seconds(), budget.seconds))
        return max((spent / limit for spent, limit in pairs if limit is not None), default=0.0)

    def seconds(self) -> float:
        """Of training so far, with those of the parts before a resume."""
        return self.before + time.perf_counter() - self.began

    def generator(self, purpose: int) -> Any:
        return programs.generator(self.config.seed, purpose, self.counters.updates)

    def check_finite(self, measured: dict[str, float], played: Played) -> None:
        """What is not finite, or a reward beyond reason, does not reach our state, and is named here."""
        finite, cost = measured.pop("finite"), measured["cost"]
        if isinstance(played.rollout, Record):
            column = "environment" if self.spec["num_steps"] else "episode"
            where = f"{self.task.id}, update {self.counters.updates + 1}, {column}"
            sound.check_record(played.rollout, where, everything=not finite)
        if not finite:
            raise UserError(
                f"update {self.counters.updates + 1}: the loss, its gradient or the step is not finite "
                f"(cost {cost:g}); parameters were left as they were; expected finite numbers; try a lower "
                "schedules.learning_rate, or rewards of a smaller size"
            )

    # -- evaluation

    def evaluation_due(self, record: Mapping[str, Any]) -> bool:
        """Every so many updates; and when the best quarter of a population does what solving takes."""
        promising = self.threshold is not None and record.get("fitness_elites", -np.inf) >= self.threshold
        return promising or self.counters.updates % self.config.evaluation.every_updates == 0

    def evaluate(self, record: dict[str, Any]) -> bool:
        """Add an evaluation to the record, keep the best; returns whether it reaches the threshold."""
        with self.parts.of("evaluate"):
            greedy = self.evaluation(programs.EVALUATION, GREEDY)
            record |= {f"evaluation_{name}": greedy[name] for name in ("mean", "std", "min", "max")}
            if self.config.evaluation.sampled:
                record["evaluation_sampled_mean"] = self.evaluation(programs.EVALUATION, SAMPLE)["mean"]
        if self.counters.best is None or greedy["mean"] > self.counters.best:
            self.counters = self.counters._replace(best=greedy["mean"], best_update=self.counters.updates)
            self.best_state = self.state
        return self.config.solved.stop and self.threshold is not None and greedy["mean"] >= self.threshold

    def evaluation(self, purpose: int, choice: int, state: State | None = None) -> dict[str, float]:
        if (purpose, choice) in self.evaluated:
            return self.evaluated.pop((purpose, choice))
        return self.evaluator(
            self.program.act,
            self.state if state is None else state,
            programs.constant_knobs(self.config),
            episodes=self.config.evaluation.episodes,
            seed=programs.child(self.config.seed, purpose, self.counters.updates),
            choice=choice,
        )

    def best(self) -> State:
        """The best of those that were evaluated; the newest, where none has been."""
        return self.state if self.best_state is None else self.best_state

    def confirmed(self) -> bool:
        """Whether a second evaluation, on fresh seeds, reaches the threshold too; the result reports this one."""
        with self.parts.of("evaluate"):
            second = self.evaluation(programs.CONFIRMATION, GREEDY)
        reached = self.threshold is not None and second["mean"] >= self.threshold
        verdict = "confirmed" if reached else f"not confirmed (threshold {self.threshold:g}); going on"
        self.display.event(f"second evaluation on fresh seeds: {figures.mean_and_std(second)}, {verdict}")
        if reached:  # the policy that solved it is the best, whatever a luckier evaluation said of another
            self.final = second
            self.counters = self.counters._replace(best=second["mean"], best_update=self.counters.updates)
            self.best_state = self.state
        return reached

    def solved_before(self) -> bool:
        """Whether this run had been solved when it was killed, before it could say so."""
        before, self.final = self.final, None
        if before and self.config.solved.stop and self.threshold is not None and before["mean"] >= self.threshold:
            self.final = before
        return self.final is not None

    # -- checkpoints

    def start_fresh(self) -> None:
        self.state = self.program.init(self.generator(programs.INITIAL_WEIGHTS))
        self.before = 0.0
        self.began = self.saved_at = time.perf_counter()

    def _learned(self, checkpoint: checkpoints.Checkpoint) -> tuple[State, dict[str, Array]]:
        """(State, what is carried of open episodes). Errors: `UserError` where it is not a State of ours."""
        rows = self.config.environment.num_envs
        expected = {
            name: tuple(rows if size == "E" else size for size in shape)
            for name, shape, _ in self.program.manifest["state"]
        }
        learned, carried = collecting.parted(checkpoint.state)
        found = {name: array.shape for name, array in learned.items()}
        if expected != found:
            differs = sorted(name for name in expected | found if expected.get(name) != found.get(name))
            named = "; ".join(f"{name}: got {found.get(name)}, expected {expected.get(name)}" for name in differs)
            raise UserError(
                f"{checkpoint.path}: another architecture ({named}); expected that of the run's config; try the "
                "config.yaml that it was written with, or a new run"
            )
        kinds = {name: array.dtype for name, array in self.program.init(np.random.default_rng(0)).items()}
        for name, array in learned.items():
            if array.dtype != kinds[name]:
                raise UserError(
                    f"{checkpoint.path}: {name}: got numbers of {array.dtype}; expected {kinds[name]}; try a copy of "
                    "the folder, or a new run"
                )
        return learned, carried

    def start_from(self, checkpoint: checkpoints.Checkpoint) -> None:
        self.state, carried = self._learned(checkpoint)
        self.collector.restore(carried)
        self.counters, self.final = Counters(**checkpoint.facts["counters"]), checkpoint.facts["final"]
        self.saved = self.counters.updates, self.final
        checkpoints.forget_after(self.folder.checkpoints, self.counters.updates)
        if self.counters.best_update is not None:
            try:
                self.best_state, _ = self._learned(checkpoints.load(self.best_path()))
            except UserError as error:
                self.display.event(f"warning: {error}; the best policy is sought anew")
                self.counters = self.counters._replace(best=None, best_update=None)
        self.before = self.counters.seconds
        self.began = self.saved_at = time.perf_counter()

    def settle(self) -> None:
        """All of an update is done, its record too: what an interruption in the next one goes back to."""
        carried = self.collector.settle()
        self.settled = self.state, self.best_state, self.counters, self.final, self.folder.size(), carried

    def go_back(self) -> None:
        """Forget the update that was interrupted: what is saved is whole updates, so that a resumed run is equal."""
        self.state, self.best_state, self.counters, self.final, size, _ = self.settled
        self.folder.cut(size)

    def best_path(self) -> Path:
        return self.folder.checkpoints / f"best-{self.counters.best_update:08}.npz"

    def checkpoint_when_due(self) -> None:
        knobs, now = self.config.checkpoint, time.perf_counter()
        by_updates = knobs.every_updates is not None and self.counters.updates % knobs.every_updates == 0
        if by_updates or (knobs.every_seconds is not None and now - self.saved_at >= knobs.every_seconds):
            self.save()

    def save(self) -> None:
        """The newest checkpoint, and the best one if it is not on disk yet; then it is reported.

        One that is there already stays: to write it again would take it away for a moment.
        """
        with self.parts.of("checkpoint"):
            folder = self.folder.checkpoints
            facts = {
                "counters": self.counters._asdict(),
                "seed": self.config.seed,
                "final": self.final,
                "fingerprint": self.fingerprint,
                **self.folder.flush(),
            }
            if self.best_state is not None and not self.best_path().with_suffix(".json").exists():
                checkpoints.save(folder, self.best_path().stem, self.best_state, facts | {"best": self.counters.best})
            if self.saved != (self.counters.updates, self.final):
                carried = self.collector.arrays(self.settled[-1])
                checkpoints.save(folder, f"update-{self.counters.updates:08}", self.state | carried, facts)
                self.saved = self.counters.updates, self.final
            for kind in ("best", "update"):  # as many of the best: each checkpoint that is kept may need its own
                checkpoints.prune(folder, kind, self.config.checkpoint.keep)
        self.saved_at = time.perf_counter()
        self.display.saved(self.counters.updates)

    # -- the end

    def result(self, status: str, reason: str) -> dict[str, Any]:
        if status in ("budget", "stopped") and self.counters.updates:
            with self.parts.of("evaluate"):  # of the best policy, on seeds that did not choose it
                self.final = self.evaluation(programs.CONFIRMATION, GREEDY, self.best())
        elif status != "solved":
            self.final = None
        trained = self.parts.seconds["collect"] + self.parts.seconds["update"]
        return {
            "name": self.folder.path.name,
            "status": status,
            "stop_reason": reason,
            "environment": self.task.id,
            "threshold": self.threshold,
            "seed": self.config.seed,
            "updates": self.counters.updates,
            "env_steps": self.counters.env_steps,
            "episodes": self.counters.episodes,
            "steps_per_second": (self.counters.env_steps - self.steps_before) / trained if trained > 0 else 0.0,
            "seconds": self.parts.seconds | {"total": self.parts.total()},
            "evaluation": self.final,
            "best_update": self.counters.best_update,
            "backend": self.config.backend if self.config.gradients == "symbolic" else "numpy",
            "dtype": self.config.dtype,
            "versions": runs.versions(),
            "fingerprint": self.fingerprint,
        }

    def run(self) -> dict[str, Any]:
        """Train to the end, whatever it is, and leave the folder whole."""
        self.begin()
        try:
            with watchdog.watching(self.config.environment.timeout):
                return self.finish(self.train())
        except KeyboardInterrupt:
            self.go_back()
            return self.finish("interrupted")
        except UserError as error:
            self.go_back()
            self.finish("failed", str(error))
            raise
        except OSError as error:  # a full disk, a folder or an output that cannot be written
            self.go_back()
            with contextlib.suppress(OSError):  # what can be saved still; else the last checkpoint is there
                self.finish("failed", str(error))
            raise

    def begin(self) -> None:
        self.steps_before = self.counters.env_steps
        self.settle()
        if self.callbacks:
            from pg_theano.training.callbacks import Told

            self.told = Told(self.callbacks, self.config, self.folder.path)

    def finish(self, status: str, reason: str | None = None) -> dict[str, Any]:
        """Save the last update, and the result, which is returned."""
        self.save()
        reasons = {
            "solved": f"mean of {self.config.evaluation.episodes} greedy episodes reached {self.threshold}, twice",
            "budget": "the budget is spent",
            "interrupted": stopping.reason(),
            "stopped": "a callback asked for it",
        }
        result = self.result(status, reason or reasons[status])
        self.folder.finish(result)
        if self.callbacks and hasattr(self, "told"):
            self.told.finish(result)
        return result

    def close(self) -> None:
        self.environment.close()
        self.evaluator.close()
        if hasattr(self, "collector"):
            self.collector.close()


def _without(state: State, dropped: Sequence[int]) -> State:
    """State in which the returns so far of episodes that were lost are gone: what follows there is another episode."""
    if not dropped or RETURN_SO_FAR not in state:
        return state
    so_far = np.array(state[RETURN_SO_FAR])
    so_far[list(dropped)] = 0.0
    return state | {RETURN_SO_FAR: so_far}
