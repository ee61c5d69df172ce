"""Train a policy: `python -m pg_theano.train [CONFIG.yaml] [knob=value ...]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano import (
    BEGAN,
    agents,
    checkpoints,
    collecting,
    commands,
    metrics,
    minibatches,
    programs,
    runs,
    screen,
    seeds,
)
from pg_theano import config as configs
from pg_theano.config import Config
from pg_theano.evaluate import Evaluator
from pg_theano.types import GREEDY, SAMPLE, Knobs, Played, Program, Record, State, UserError


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
    ):
        self.config, self.folder, self.folders, self.display = config, folder, folders, display
        self.parts = metrics.Parts()
        self.parts.seconds["import"] = self.parts.total()
        self.environment = environment or programs.environment_of(config, folders)
        self.task = self.environment.task
        self.threshold = config.solved.threshold if config.solved.threshold is not None else self.task.threshold
        self.spec = programs.spec_of(config, self.task, self.environment, folders)
        self.evaluator = Evaluator(config, self.spec, folders)
        self.evaluated: dict[tuple[int, int], dict[str, float]] = {}  # (purpose, choice): played beforehand
        self.program: Program
        self.collector: collecting.Collector
        self.state: State
        self.counters = Counters()
        self.final: dict[str, float] | None = None  # the evaluation that the result reports
        self.began = time.perf_counter()
        self.saved_at = self.began

    def compile(self) -> None:
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
        """Update until solved or until the budget is spent; returns which: "solved" or "budget"."""
        if self.solved_before():
            return "solved"
        first = self.counters.updates
        while not self.budget_spent():
            knobs = programs.knobs_at(self.config, self.counters.updates)
            with self.parts.of("collect"):
                played = self.collector.collect(self.state, knobs, self.counters.updates)
                order = self.minibatches(played)
            with self.parts.of("update"):
                state, measured = self.program.train(self.state, played.rollout, knobs, order)
            record = self.learned(played, state, measured, knobs)
            if record["update"] == first and self.collector.replays is False:
                self.display.event(
                    f"{self.task.id} does not replay (same seed, same actions, other steps): after every update its "
                    "episodes are begun anew"
                )
            if self.finish_update(record):
                return "solved"
        return "budget"

    def learned(self, played: Played, state: State, measured: dict[str, float], knobs: Knobs) -> dict[str, Any]:
        """Take what an update gave for our state; returns its record."""
        self.check_finite(measured, played)
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
            **metrics.of_episodes(played.returns, played.lengths),
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
        self.settle()
        if not solved:
            self.checkpoint_when_due()
        return solved

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
        """What is not finite has not reached the parameters (the graph sees to that), and is named here."""
        cost = measured["cost"]
        if not measured.pop("finite"):
            if isinstance(played.rollout, Record) and not np.isfinite(np.asarray(played.rollout.values)).all():
                step, row, episode = np.argwhere(~np.isfinite(np.asarray(played.rollout.values)))[0]
                what = "reward" if row == played.rollout.columns["reward"][0] else "observation"
                raise UserError(
                    f"{self.task.id}, episode {episode} of update {self.counters.updates + 1}, step {step + 1}: the "
                    f"compiled environment gave a {what} that is not finite; expected finite numbers"
                )
            raise UserError(
                f"update {self.counters.updates + 1}: the loss, its gradient or the step is not finite "
                f"(cost {cost:g}); parameters were left as they were. Try a lower schedules.learning_rate"
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

    def confirmed(self) -> bool:
        """Whether a second evaluation, on fresh seeds, reaches the threshold too; the result reports this one."""
        with self.parts.of("evaluate"):
            second = self.evaluation(programs.CONFIRMATION, GREEDY)
        reached = self.threshold is not None and second["mean"] >= self.threshold
        verdict = "confirmed" if reached else f"not confirmed (threshold {self.threshold:g}); going on"
        self.display.event(f"second evaluation on fresh seeds: {second['mean']:.1f} ± {second['std']:.1f}, {verdict}")
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
        self.best_state, self.before = self.state, 0.0
        self.began = self.saved_at = time.perf_counter()

    def start_from(self, checkpoint: checkpoints.Checkpoint) -> None:
        rows = self.config.environment.num_envs
        expected = {
            name: tuple(rows if size == "E" else size for size in shape)
            for name, shape, _ in self.program.manifest["state"]
        }
        learned, carried = collecting.parted(checkpoint.state)
        found = {name: array.shape for name, array in learned.items()}
        if expected != found:
            differs = sorted(name for name in expected | found if expected.get(name) != found.get(name))
            raise UserError(
                f"{checkpoint.path}: another architecture: {', '.join(differs)} differ from the run's config"
            )
        self.state = self.best_state = learned
        self.collector.restore(carried)
        self.counters, self.final = Counters(**checkpoint.facts["counters"]), checkpoint.facts["final"]
        checkpoints.forget_after(self.folder.checkpoints, self.counters.updates)
        if self.counters.best_update is not None:
            try:
                self.best_state = collecting.parted(checkpoints.load(self.best_path()).state)[0]
            except UserError as error:
                self.display.event(f"warning: {error}; the best policy is sought anew")
                self.counters = self.counters._replace(best=None, best_update=None)
        self.before = self.counters.seconds
        self.began = self.saved_at = time.perf_counter()

    def settle(self) -> None:
        """All of an update is done, its record too: what an interruption in the next one goes back to."""
        carried = self.collector.settle()
        self.settled = self.state, self.best_state, self.counters, self.folder.size(), carried

    def go_back(self) -> None:
        """Forget the update that was interrupted: what is saved is whole updates, so that a resumed run is equal."""
        self.state, self.best_state, self.counters, size, _ = self.settled
        self.folder.cut(size)

    def best_path(self) -> Path:
        return self.folder.checkpoints / f"best-{self.counters.best_update:08}.npz"

    def checkpoint_when_due(self) -> None:
        knobs, now = self.config.checkpoint, time.perf_counter()
        by_updates = knobs.every_updates is not None and self.counters.updates % knobs.every_updates == 0
        if by_updates or (knobs.every_seconds is not None and now - self.saved_at >= knobs.every_seconds):
            self.save()

    def save(self) -> None:
        """The newest checkpoint, and the best one if it is not on disk yet."""
        with self.parts.of("checkpoint"):
            folder = self.folder.checkpoints
            facts = {
                "counters": self.counters._asdict(),
                "seed": self.config.seed,
                "final": self.final,
                "metrics_bytes": self.folder.flush(),
            }
            if self.counters.best_update is not None and not self.best_path().with_suffix(".json").exists():
                checkpoints.save(folder, self.best_path().stem, self.best_state, facts | {"best": self.counters.best})
            carried = self.collector.arrays(self.settled[-1])
            checkpoints.save(folder, f"update-{self.counters.updates:08}", self.state | carried, facts)
            for kind in ("best", "update"):  # as many of the best: each checkpoint that is kept may need its own
                checkpoints.prune(folder, kind, self.config.checkpoint.keep)
        self.saved_at = time.perf_counter()

    # -- the end

    def result(self, status: str, reason: str) -> dict[str, Any]:
        if status == "budget" and self.counters.updates:
            with self.parts.of("evaluate"):  # of the best policy, on seeds that did not choose it
                self.final = self.evaluation(programs.CONFIRMATION, GREEDY, self.best_state)
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
        }

    def run(self) -> dict[str, Any]:
        """Train to the end, whatever it is, and leave the folder whole."""
        self.begin()
        try:
            status = self.train()
        except KeyboardInterrupt:
            self.go_back()
            status = "interrupted"
        except UserError as error:
            self.go_back()
            self.finish("failed", str(error))
            raise
        return self.finish(status)

    def begin(self) -> None:
        self.steps_before = self.counters.env_steps
        self.settle()

    def finish(self, status: str, reason: str | None = None) -> dict[str, Any]:
        """Save the last update, and the result, which is returned."""
        self.save()
        reasons = {
            "solved": f"mean of {self.config.evaluation.episodes} greedy episodes reached {self.threshold}, twice",
            "budget": "the budget is spent",
            "interrupted": "Ctrl-C",
        }
        result = self.result(status, reason or reasons[status])
        self.folder.finish(result)
        return result

    def close(self) -> None:
        self.environment.close()
        self.evaluator.close()
        if hasattr(self, "collector"):
            self.collector.close()


class Result(NamedTuple):
    """What a run left: its folder, its figures, its plot."""

    folder: Path
    figures: dict[str, Any]
    plot: Path | None


def run(
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *,
    run_dir: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    plot: bool = True,
    display: Callable[[str], screen.Screen] | None = None,
    folder_of_config: Path | None = None,
) -> Result:
    """Train as the command does: a config (or file, or dict, or nothing for the defaults), and where to.

    `folder_of_config` is where the modules that a config names are looked for, where it comes from no file.

    Errors: `UserError` for everything that the user can mend.
    """
    display = display or (lambda title: screen.make(sys.stdout, title))
    if resume is not None:
        return _resumed(Path(resume), overrides, display, plot)
    config, folder_of_config = configs.resolved(config, overrides, seed, folder_of_config)
    name = config.name or runs.name_of(config.environment.dynamics or config.environment.id)
    path = runs.new_folder(name) if run_dir is None else runs.exact_folder(Path(run_dir))
    if config.runs == 1:
        figures = _one(config, path, folder_of_config, display, None)
        return Result(path, figures, _draw(path, figures) if plot else None)
    seeds.begin(config, path, folder_of_config)
    return _several(config, path, folder_of_config, display, plot)


def _one(
    config: Config, path: Path, folder_of_config: Path, display: Callable[[str], screen.Screen], checkpoint: Any
) -> dict[str, Any]:
    """One run in its folder, new or resumed."""
    folder = runs.RunFolder(path)
    shown = display(f"{config.environment.id} · seed {config.seed} · {path}")
    trainer = None
    try:
        trainer = Trainer(config, folder, [folder_of_config], shown)
        where = "resumed at update " + str(checkpoint.facts["counters"]["updates"]) if checkpoint else "new"
        shown.event(
            f"{path}: {where}; "
            f"{screen.described(trainer.task, trainer.environment, trainer.spec, config.gradients)}, seed {config.seed}"
        )
        if checkpoint is None:
            folder.begin(
                config, {"folder": str(folder_of_config), "spec": trainer.spec, "task": trainer.task._asdict()}
            )
        trainer.compile()
        if checkpoint is None:
            trainer.start_fresh()
        else:
            trainer.start_from(checkpoint)
            folder.go_on(config, checkpoint.facts["metrics_bytes"])
        return trainer.run()
    except KeyboardInterrupt:  # before the first update: while compiling, or in `finally` of what trained
        shown.event(f"to go on: python -m pg_theano.train --resume {path}")
        raise
    finally:
        shown.close()
        folder.close()
        if trainer is not None:
            trainer.close()


def train_group(
    configs: Sequence[Config],
    run_dirs: Sequence[Path],
    folder_of_config: Path,
    *,
    display: Callable[[str], screen.Screen] | None = None,
) -> list[dict[str, Any] | None]:
    """Train several configs, each in a folder of its own, at once where they share a graph; their results, in order.

    A finished run is only read, one that was begun goes on. One that fails does so alone: its result has status
    "failed" and the reason in "stop_reason". After Ctrl-C what was not begun has None.
    """
    display = display or (lambda title: screen.quiet())
    figures: list[dict[str, Any] | None] = [seeds.finished(path) for path in run_dirs]
    left = [place for place, found in enumerate(figures) if found is None]
    said = set()
    for group, environment, hindrance in agents.batches([configs[place] for place in left], [folder_of_config]):
        places = [left[index] for index in group]
        if hindrance is None:
            members = [(configs[place], run_dirs[place]) for place in places]
            trained = _together(members, folder_of_config, environment, display)
        else:
            if hindrance not in said:
                said.add(hindrance)
                shown = display("agents_per_process")
                shown.event(f"agents_per_process: one after the other: {hindrance}")
                shown.close()
            trained = [_or_failed(configs[place], run_dirs[place], folder_of_config, display) for place in places]
        for place, one in zip(places, trained, strict=True):
            figures[place] = one
        if any(one["status"] == "interrupted" for one in trained):
            break
    return figures


def _or_failed(
    config: Config, path: Path, folder_of_config: Path, display: Callable[[str], screen.Screen]
) -> dict[str, Any]:
    """One run alone; the result that it wrote where it failed."""
    try:
        if (path / "config.yaml").exists():
            return _resumed(path, (), display, False).figures
        return _one(config, path, folder_of_config, display, None)
    except UserError:
        result = seeds.result_of(path)
        if result is None or result["status"] != "failed":
            raise
        return result


def _together(
    members: Sequence[tuple[Config, Path]],
    folder_of_config: Path,
    environment: Any,
    display: Callable[[str], screen.Screen],
) -> list[dict[str, Any]]:
    """Several runs of one graph at once, each in its folder, new or resumed."""
    runs.allow_open(2 * len(members))
    first, above = members[0][0], members[0][1].parent
    shown = display(f"{first.environment.id} · {len(members)} agents at once · {above}")
    trainers: list[Trainer] = []
    found: list[checkpoints.Checkpoint | None] = []
    try:
        for config, path in members:
            checkpoint = None
            if (path / "config.yaml").exists():
                config, _, checkpoint = runs.resumable(path, ())
            folder = runs.RunFolder(path)
            trainers.append(Trainer(config, folder, [folder_of_config], screen.quiet(), environment))
            found.append(checkpoint)
            if checkpoint is None:
                facts = {"folder": str(folder_of_config), "spec": trainers[-1].spec}
                folder.begin(config, facts | {"task": trainers[-1].task._asdict()})
        one = trainers[0]
        described = screen.described(one.task, environment, one.spec, first.gradients)
        shown.event(f"{above}: {len(trainers)} agents at once; {described}")
        agents.load(
            trainers,
            [folder_of_config],
            lambda what, seconds: shown.event(
                f"compiled {what}: {seconds:.2f} s" if seconds else f"compiling {what} ..."
            ),
        )
        for trainer, checkpoint in zip(trainers, found, strict=True):
            if checkpoint is None:
                trainer.start_fresh()
            else:
                trainer.start_from(checkpoint)
                trainer.folder.go_on(trainer.config, checkpoint.facts["metrics_bytes"])
        return agents.train(trainers, shown.event)
    except KeyboardInterrupt:
        shown.event(f"to go on: python -m pg_theano.train --resume {above}")
        raise
    finally:
        shown.close()
        for trainer in trainers:
            trainer.folder.close()
            trainer.close()


def _several(
    config: Config, path: Path, folder_of_config: Path, display: Callable[[str], screen.Screen], plot: bool
) -> Result:
    """`runs` seeds, in turn or `agents_per_process` at once, and their summary."""

    def train(configs: list[Config], folders: list[Path]) -> list[dict[str, Any]]:
        if config.agents_per_process > 1:
            return [one for one in train_group(configs, folders, folder_of_config, display=display) if one]
        (folder,) = folders
        if (folder / "config.yaml").exists():
            return [_resumed(folder, (), display, False).figures]
        return [_one(configs[0], folder, folder_of_config, display, None)]

    figures = seeds.play(config, path, train)
    if all(one["status"] == "failed" for one in figures):
        raise UserError(f"{path}: every seed failed, the first of them so: {figures[0]['stop_reason']}")
    task = config.environment.dynamics or config.environment.id
    summary = metrics.summarised(path.name, task, figures, time.perf_counter() - BEGAN)
    checkpoints.write_atomically(path / "summary.json", json.dumps(summary, indent=1).encode() + b"\n")
    return Result(path, summary, _draw(path, summary) if plot else None)


def _resumed(path: Path, overrides: Sequence[str], display: Callable[[str], screen.Screen], plot: bool) -> Result:
    """Go on with the run of a folder, from its newest whole checkpoint, or with the seeds of one that holds several."""
    if (path / seeds.PLAN).exists():
        if overrides:
            raise UserError(f"{overrides[0]}: a set of seeds keeps its config; resume one seed to change its budget")
        config, folder_of_config = seeds.read_plan(path)
        return _several(config, path, folder_of_config, display, plot)
    config, facts, checkpoint = runs.resumable(path, overrides)
    figures = _one(config, path, Path(facts["folder"]), display, checkpoint)
    return Result(path, figures, _draw(path, figures) if plot else None)


def _draw(path: Path, figures: dict[str, Any]) -> Path | None:
    """`plots/<name>.png`. A run of seeds, or one that never made an update, draws what there is."""
    if figures.get("updates") == 0:
        return None
    began = time.perf_counter()
    from pg_theano import plots

    drawn = plots.draw([path], Path("plots") / f"{path.name}.png")
    if "updates" in figures:
        figures["seconds"]["plot"] = time.perf_counter() - began
        figures["seconds"]["total"] += figures["seconds"]["plot"]
        content = json.dumps(figures, indent=1).encode() + b"\n"
        checkpoints.write_atomically(path / "result.json", content, durable=False)
    return drawn


# -- the command


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "train", __doc__, "python -m pg_theano.train configs/acrobot.yaml schedules.learning_rate.initial=0.02 --seed 3"
    )
    parser.add_argument(
        "what", nargs="*", metavar="CONFIG.yaml | knob=value", help="a config file, then knobs set over it"
    )
    parser.add_argument("--seed", type=commands.natural, metavar="N", help="everything random follows from it")
    parser.add_argument(
        "--run-dir", metavar="D", help="exact folder of the run (default: runs/<name>, or the next free)"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with the run of this folder")
    parser.add_argument("--no-plot", action="store_true", help="draw no figure at the end")
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object; progress goes to stderr"
    )
    return commands.run(parser, _train, argv)


def _train(arguments: argparse.Namespace) -> int:
    file, overrides = commands.config_and_overrides(arguments.what)
    if arguments.resume and (file or arguments.seed is not None or arguments.run_dir):
        raise UserError("--resume takes its config, seed and folder from the run; give budget knobs at most")
    stream = sys.stderr if arguments.json else sys.stdout
    result = run(
        file,
        run_dir=arguments.run_dir,
        resume=arguments.resume,
        overrides=overrides,
        seed=arguments.seed,
        plot=not arguments.no_plot,
        display=lambda title: screen.make(stream, title),
    )
    print("\n".join(screen.closing(result.folder, result.figures, result.plot)), file=stream)
    if arguments.json:
        print(json.dumps(result.figures))
    return 130 if result.figures["status"] == "interrupted" else 0


if __name__ == "__main__":
    commands.leave(main())
