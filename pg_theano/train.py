"""Train a policy: `python -m pg_theano.train [CONFIG.yaml] [knob=value ...]`. The loop itself is in `trainer.py`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pg_theano import BEGAN
from pg_theano.config import reading as configs
from pg_theano.config import user_code
from pg_theano.config.knobs import Config
from pg_theano.config.tables import help_text
from pg_theano.reports import notebook, screen
from pg_theano.runs import checkpoints, seeds
from pg_theano.runs import figures as metrics
from pg_theano.runs import folder as runs
from pg_theano.system import commands, opening, seals, stopping
from pg_theano.training import agents
from pg_theano.training.loop import Trainer
from pg_theano.types import UserError

if TYPE_CHECKING:  # imported where one is given: the way to a solved task is short
    from pg_theano.training.callbacks import Callback


class Result(NamedTuple):
    """What a run left: its folder, its figures, its plot."""

    folder: Path
    figures: dict[str, Any]
    plot: Path | None

    def _repr_html_(self) -> str:
        """What a notebook shows of it: the curve, and a table."""
        return notebook.shown([(self.folder, self.figures)])


class How(NamedTuple):
    """What goes with a run beside its config, and changes nothing that is learned."""

    display: Callable[[str], screen.Screen]
    force: bool = False
    callbacks: Sequence[Callback] = ()


def run(
    config: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    *knobs: str,
    run_dir: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    plot: bool = True,
    display: Callable[[str], screen.Screen] | None = None,
    folder_of_config: Path | None = None,
    force: bool = False,
    callbacks: Sequence[Callback] | Callback = (),
    live: str | os.PathLike[str] | None = None,
) -> Result:
    """Train as the command does: a config (or file, or dict, or nothing for the defaults), and where to.

        run("configs/acrobot.yaml", "policy.hidden=[16,16]", seed=3)

    `knobs` are `knob=value`, set over a file or the defaults, as on the command line; `overrides` are more of them.
    In a notebook the progress is one display that is updated in place, and an interrupted cell is saved.
    `folder_of_config` is where the modules that a config names are looked for, where it comes from no file. `force`
    resumes a run though this process, or a file of the run, is not as it was. `callbacks` look on, and may stop it: see
    `pg_theano.training.callbacks`. `live` is a page that is kept up to date.

    Errors: `UserError` for everything that the user can mend.
    """
    if isinstance(config, str) and "=" in config and not Path(config).exists():
        config, knobs = None, (str(config), *knobs)
    beside = {"a config": config, "a seed": seed, "a run_dir": run_dir}
    if resume is not None and (got := [name for name, value in beside.items() if value is not None]):
        raise UserError(
            f"resume: got {got[0]} beside it; expected none: a resumed run keeps its config, seed and folder; "
            'try run(resume=...), and knobs of the budget such as "budget.updates=200"'
        )
    _check_kinds(config, run_dir=run_dir, resume=resume, live=live)
    callbacks = [callbacks] if callable(callbacks) else callbacks
    if not isinstance(callbacks, list | tuple) or not all(map(callable, callbacks)):
        raise UserError(f"callbacks: got {callbacks!r:.60}; expected functions; try callbacks=[my_function]")
    if display is not None and not callable(display):
        raise UserError(f"display: got {display!r:.60}; expected a function of a title that gives a Screen; try None")
    overrides = [*knobs, *overrides]
    rest: dict[str, Any] = {"run_dir": run_dir, "resume": resume, "overrides": overrides, "seed": seed, "plot": plot}
    rest |= {"folder_of_config": folder_of_config, "force": force, "callbacks": callbacks}
    if display is None and notebook.is_here():
        return notebook.displayed(lambda cell: run(config, display=cell, live=live, **rest))
    display = display or (lambda title: screen.make(sys.stdout, title))
    if live is not None:
        return _with_page(live, display, lambda watched: run(config, display=watched, **rest))
    how = How(display, force, callbacks)
    if resume is not None:
        return _resumed(Path(resume), overrides, how, plot)
    given = configs.resolved(config, overrides, seed, folder_of_config)
    name = given.config.name or runs.name_of(given.config.environment.dynamics or given.config.environment.id)
    with given.placed(), runs.new(name, run_dir) as path:
        if given.config.runs == 1:
            figures = _one(given.config, runs.fresh(path), given.folder, how)
            return Result(path, figures, _draw(path, figures) if plot else None)
        lock = runs.locked(path)
        try:
            code = user_code.check(given.config, [given.folder], lambda text: None)
            seeds.begin(given.config, path, given.folder, code)
            return _several(given.config, path, given.folder, how, plot)
        finally:
            runs.unlocked(lock)


def _check_kinds(config: Any, **paths: Any) -> None:
    """Errors: `UserError`: what is no config, and what is no path."""
    if not (config is None or isinstance(config, Config | Mapping | str | os.PathLike)):
        raise UserError(
            f"config: got {config!r:.60}; expected a file, a dict or a Config; try run('configs/cartpole.yaml')"
        )
    for name, path in paths.items():
        if not (path is None or isinstance(path, str | os.PathLike)):
            raise UserError(f"{name}: got {path!r:.60}; expected a path; try {name}='runs/mine'")


def _with_page(
    file: str | os.PathLike[str], display: Callable[[str], screen.Screen], train: Callable[..., Result]
) -> Result:
    """Train with a page beside it, which becomes the report in the end."""
    from pg_theano.reports.live import Page

    page = Page(file)
    try:
        result = train(page.around(display))
    except BaseException:
        page.write(False)
        raise
    page.finish(result.folder, play=result.figures["status"] != "interrupted")  # who asked it to stop does not wait
    return result


def _one(
    config: Config,
    folder: runs.RunFolder,
    folder_of_config: Path,
    how: How,
    checkpoint: checkpoints.Checkpoint | None = None,
    recorded: Any = user_code.NEW,
) -> dict[str, Any]:
    """One run in its folder, new or resumed; `recorded` of the user's code, where it is not new."""
    path = folder.path
    shown = how.display(f"{config.environment.id} · seed {config.seed} · {path}")
    trainer = None
    try:
        shown.begins(config, path)
        code = user_code.check(config, [folder_of_config], shown.event, recorded)
        trainer = Trainer(config, folder, [folder_of_config], shown, callbacks=how.callbacks)
        where = "resumed at update " + str(checkpoint.facts["counters"]["updates"]) if checkpoint else "new"
        shown.event(
            f"{path}: {where}; "
            f"{screen.described(trainer.task, trainer.environment, trainer.spec, config.gradients)}, seed {config.seed}"
        )
        if checkpoint is None:
            facts = {"folder": str(folder_of_config), "spec": trainer.spec, "task": trainer.task._asdict()}
            folder.begin(config, facts | {"code": code})
        trainer.compile()
        if checkpoint is None:
            trainer.start_fresh()
        else:
            trainer.start_from(checkpoint)
            folder.go_on(config, checkpoint.facts, force=how.force)
        return trainer.run()
    except KeyboardInterrupt:  # before the first update: while compiling, or in `finally` of what trained
        if (path / "config.yaml").exists():
            shown.go_on_with(path)
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
    force: bool = False,
    callbacks: Sequence[Callback] = (),
) -> list[dict[str, Any] | None]:
    """Train several configs, each in a folder of its own, at once where they share a graph; their results, in order.

    A finished run is only read, one that was begun goes on. One that fails does so alone: its result has status
    "failed" and the reason in "stop_reason". After Ctrl-C what was not begun has None.
    """
    how = How(display or (lambda title: screen.quiet()), force, callbacks)
    figures: list[dict[str, Any] | None] = [seeds.finished(path) for path in run_dirs]
    left = [place for place, found in enumerate(figures) if found is None]
    for place in left:  # before the first of them is imported
        user_code.check(configs[place], [folder_of_config], lambda text: None, _recorded(run_dirs[place]))
    said = set()
    for group, environment, hindrance in agents.batches([configs[place] for place in left], [folder_of_config]):
        places = [left[index] for index in group]
        if hindrance is None:
            members = [(configs[place], run_dirs[place]) for place in places]
            trained = _together(members, folder_of_config, environment, how)
        else:
            if hindrance not in said:
                said.add(hindrance)
                shown = how.display("agents_per_process")
                shown.event(f"agents_per_process: one after the other: {hindrance}")
                shown.close()
            trained = [_or_failed(configs[place], run_dirs[place], folder_of_config, how) for place in places]
        for place, one in zip(places, trained, strict=True):
            figures[place] = one
        if any(one["status"] == "interrupted" for one in trained):
            break
    return figures


def _recorded(path: Path) -> Any:
    """What a run that is in a folder recorded of the user's code."""
    return runs.read_run(path, force=True)[1].get("code") if (path / "config.yaml").exists() else user_code.NEW


def _or_failed(config: Config, path: Path, folder_of_config: Path, how: How) -> dict[str, Any]:
    """One run alone; the result that it wrote where it failed."""
    try:
        if (path / "config.yaml").exists():
            return _resumed(path, (), how, False).figures
        return _one(config, runs.fresh(path), folder_of_config, how)
    except UserError:
        result = runs.read_result(path)
        if result is None or result["status"] != "failed":
            raise
        return result


def _together(
    members: Sequence[tuple[Config, Path]],
    folder_of_config: Path,
    environment: Any,
    how: How,
) -> list[dict[str, Any]]:
    """Several runs of one graph at once, each in its folder, new or resumed."""
    runs.allow_open(2 * len(members))
    first, above = members[0][0], members[0][1].parent
    shown = how.display(f"{first.environment.id} · {len(members)} agents at once · {above}")
    trainers: list[Trainer] = []
    found: list[checkpoints.Checkpoint | None] = []
    try:
        for config, path in members:
            checkpoint = None
            code = user_code.check(config, [folder_of_config], lambda text: None, _recorded(path))
            if (path / "config.yaml").exists():
                folder, config, _, checkpoint = runs.resumable(path, (), force=how.force)
            else:
                folder = runs.fresh(path)
            told = shown.of_agent(config, path)
            trainers.append(Trainer(config, folder, [folder_of_config], told, environment, how.callbacks))
            found.append(checkpoint)
            if checkpoint is None:
                facts = {"folder": str(folder_of_config), "spec": trainers[-1].spec, "code": code}
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
                trainer.folder.go_on(trainer.config, checkpoint.facts, force=how.force)
        return agents.train(trainers, shown.event)
    except KeyboardInterrupt:
        shown.go_on_with(above)
        raise
    finally:
        shown.close()
        for trainer in trainers:
            trainer.folder.close()
            trainer.close()


def _several(
    config: Config,
    path: Path,
    folder_of_config: Path,
    how: How,
    plot: bool,
) -> Result:
    """`runs` seeds, in turn or `agents_per_process` at once, and their summary."""

    def train(configs: list[Config], folders: list[Path]) -> list[dict[str, Any]]:
        if config.agents_per_process > 1:
            trained = train_group(configs, folders, folder_of_config, **how._asdict())
            return [one for one in trained if one]
        (folder,) = folders
        if (folder / "config.yaml").exists():
            return [_resumed(folder, (), how, False).figures]
        return [_one(configs[0], runs.fresh(folder), folder_of_config, how)]

    figures = seeds.play(config, path, train)
    if all(one["status"] == "failed" for one in figures):
        raise UserError(f"{path}: every seed failed, the first of them so: {figures[0]['stop_reason']}")
    task = config.environment.dynamics or config.environment.id
    summary = metrics.summarised(path.name, task, figures, time.perf_counter() - BEGAN)
    checkpoints.write_atomically(path / "summary.json", json.dumps(summary, indent=1).encode() + b"\n")
    return Result(path, summary, _draw(path, summary) if plot else None)


def _resumed(path: Path, overrides: Sequence[str], how: How, plot: bool) -> Result:
    """Go on with the run of a folder, from its newest whole checkpoint, or with the seeds of one that holds several."""
    if (path / seeds.PLAN).exists():
        if overrides:
            raise UserError(f"{overrides[0]}: a set of seeds keeps its config; resume one seed to change its budget")
        lock = runs.locked(path)
        try:
            config, folder_of_config, code = seeds.read_plan(path)
            user_code.check(config, [folder_of_config], lambda text: None, code)
            return _several(config, path, folder_of_config, how, plot)
        finally:
            runs.unlocked(lock)
    folder, config, facts, checkpoint = runs.resumable(path, overrides, force=how.force)
    figures = _one(config, folder, Path(facts["folder"]), how, checkpoint, facts.get("code"))
    return Result(path, figures, _draw(path, figures) if plot else None)


def _draw(path: Path, figures: dict[str, Any]) -> Path | None:
    """`plots/<name>.png`. A run of seeds, or one that never made an update, draws what there is."""
    if figures.get("updates") == 0:
        return None
    began = time.perf_counter()
    from pg_theano.reports import plots

    drawn = plots.draw([path], Path("plots") / f"{path.name}.png")
    if "updates" in figures:
        figures["seconds"]["plot"] = time.perf_counter() - began
        figures["seconds"]["total"] += figures["seconds"]["plot"]
        seals.write_json(path / "result.json", figures, durable=False)
    return drawn


# -- the command


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "train",
        __doc__,
        "python -m pg_theano.train configs/acrobot.yaml schedules.learning_rate.initial=0.02 --seed 3",
        knobs=help_text,
    )
    parser.add_argument(
        "what", nargs="*", metavar="CONFIG.yaml | knob=value", help="a config file, then knobs set over it"
    )
    parser.add_argument("--seed", type=commands.natural, metavar="N", help="everything random follows from it")
    parser.add_argument(
        "--run-dir", metavar="D", help="exact folder of the run (default: runs/<name>, or the next free)"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with the run of this folder")
    parser.add_argument(
        "--force", action="store_true", help="--resume: also where versions, backend, dtype or its files are others"
    )
    commands.add_allow_import(parser)
    parser.add_argument(
        "--log", action="append", default=[], metavar="WHERE", help="tensorboard, wandb or trackio; may be given again"
    )
    parser.add_argument("--no-plot", action="store_true", help="draw no figure at the end")
    parser.add_argument(
        "--live", metavar="FILE", help="a page (.html) kept up to date while it trains; then its report"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object; progress goes to stderr"
    )
    return commands.run(parser, _train, argv)


def _train(arguments: argparse.Namespace) -> int:
    file, overrides = commands.config_and_overrides(arguments.what)
    if arguments.resume and (file or arguments.seed is not None or arguments.run_dir):
        raise UserError("--resume takes its config, seed and folder from the run; give budget knobs at most")
    if arguments.force and not arguments.resume:
        raise UserError("--force: goes with --resume; a new run has nothing to differ from")
    stream = sys.stderr if arguments.json else sys.stdout
    result = run(
        file,
        run_dir=arguments.run_dir,
        resume=arguments.resume,
        overrides=overrides,
        seed=arguments.seed,
        plot=not arguments.no_plot,
        display=lambda title: screen.make(stream, title),
        force=arguments.force,
        callbacks=_logs(arguments.log),
        live=arguments.live,
    )
    opening.say("\n".join(screen.closing(result.folder, result.figures, result.plot)), stream)
    if arguments.json:
        print(json.dumps(result.figures))
    return stopping.exit_code() if result.figures["status"] == "interrupted" else 0


def _logs(names: Sequence[str]) -> Sequence[Callback]:
    if not names:
        return ()
    from pg_theano.training.callbacks import of_logs

    return of_logs(names)


if __name__ == "__main__":
    commands.leave(main())
