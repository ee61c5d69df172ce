"""A run that is shown: on a terminal, in a notebook's cell, on a page beside it, and as a figure at its end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pg_theano.config.knobs import Config
from pg_theano.reports import notebook, screen
from pg_theano.reports.notebook import Result
from pg_theano.runs.starting import From
from pg_theano.system import collector, seals
from pg_theano.training import run as training
from pg_theano.training.display import Display
from pg_theano.types import UserError

if TYPE_CHECKING:
    from pg_theano.training.callbacks import Callback


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The keyword arguments of `pg_theano.run`.

    `overrides` are more `knob=value` words. `folder_of_config` is where the modules that a config names are looked for,
    where it comes from no file. `force` resumes a run though this process, or a file of the run, is not as it was;
    `change` resumes it with other values of knobs that are no part of the graph. `start_from` is a run, or a
    checkpoint's .npz, whose arrays a new one begins with, its optimiser's too with `from_optimizer`; its config, where
    none is given. `callbacks` look on, and may stop the run: functions (`pg_theano.training.callbacks`), or what
    `--log` takes: "tensorboard". `live` is a page that is kept up to date. `display` makes the screen of a run from a
    title. `environment` is one as Python has it, in place of the config's: a class, a function that makes one, an
    environment, a VectorEnv (`pg_theano.environments.given`).
    `only_begin` ends a new run before its first update: what it begins with can be looked at, and resumed.
    """

    run_dir: str | os.PathLike[str] | None = None
    resume: str | os.PathLike[str] | None = None
    overrides: Sequence[str] = ()
    seed: int | None = None
    plot: bool = True
    display: Display | None = None
    folder_of_config: Path | None = None
    force: bool = False
    change: bool = False
    start_from: str | os.PathLike[str] | None = None
    from_optimizer: bool = False
    callbacks: Sequence[Callback | str] | Callback | str = ()
    live: str | os.PathLike[str] | None = None
    environment: object = None
    only_begin: bool = False


def run(config: training.Chosen, knobs: Sequence[str], options: Options) -> Result:
    """Train as the command does: a config (or file, or dict, or nothing for the defaults), and where to.

    `knobs` are `knob=value`, set over a file or the defaults, as on the command line. In a notebook the progress is one
    display that is updated in place, and an interrupted cell is saved.

    Errors: `UserError` for everything that the user can mend.
    """
    if isinstance(config, str) and "=" in config and not Path(config).exists():
        config, knobs = None, (str(config), *knobs)
    _check(config, options)
    callbacks = _callbacks(options.callbacks)
    if options.display is not None and not callable(options.display):
        raise UserError(
            f"display: got {options.display!r:.60}; expected a function of a title that gives a Screen; try None"
        )
    overrides = [*knobs, *options.overrides]
    start = None if options.start_from is None else From(options.start_from, options.from_optimizer)

    def train(display: Display) -> Result:
        how = training.How(display, options.force, options.change, callbacks, options.only_begin, start)
        if options.resume is not None:
            result = training.resume(Path(options.resume), overrides, how, options.environment)
        else:
            result = training.run(
                config,
                overrides,
                seed=options.seed,
                run_dir=options.run_dir,
                folder_of_config=options.folder_of_config,
                environment=options.environment,
                how=how,
            )
        return Result(result.folder, result.figures, _drawn(result) if options.plot else None)

    def shown(display: Display) -> Result:
        if options.live is None:
            return train(display)
        from pg_theano.reports.live import with_page

        return with_page(options.live, display, train)

    if options.display is None and notebook.is_here():
        return notebook.displayed(shown)
    return shown(options.display or (lambda title: screen.make(sys.stdout, title)))


def _callbacks(given: Any) -> list[Callback]:
    """One or several, each a function or a name of `--log`. Errors: `UserError`: anything else."""
    several = [*given] if isinstance(given, list | tuple) else [given]
    if not all(callable(one) or isinstance(one, str) for one in several):
        raise UserError(f"callbacks: got {given!r:.60}; expected functions; try callbacks=[my_function]")
    if any(isinstance(one, str) for one in several):
        from pg_theano.training.callbacks import of_logs

        several = [of_logs([one], "callbacks")[0] if isinstance(one, str) else one for one in several]
    return several


def _check(config: Any, options: Options) -> None:
    """Errors: `UserError`: what a resumed run keeps, what is no config, and what is no path."""
    beside = {
        "a config": config,
        "a seed": options.seed,
        "a run_dir": options.run_dir,
        "start_from": options.start_from,
    }
    if options.resume is not None and (got := [name for name, value in beside.items() if value is not None]):
        raise UserError(
            f"resume: got {got[0]} beside it; expected none: a resumed run keeps its config, seed and folder; "
            'try run(resume=...), and knobs of the budget such as "budget.updates=200"'
        )
    check_config(config)
    if options.plot and "MPLBACKEND" in os.environ:  # said now, and not after hours
        from pg_theano.reports import plots  # noqa: F401
    if options.from_optimizer and options.start_from is None:
        raise UserError("from_optimizer: got no start_from beside it; expected a run; try start_from='runs/cartpole'")
    for name in ("run_dir", "resume", "live", "start_from"):
        path = getattr(options, name)
        if not (path is None or isinstance(path, str | os.PathLike)):
            raise UserError(f"{name}: got {path!r:.60}; expected a path; try {name}='runs/mine'")


def check_config(config: object) -> None:
    """Errors: `UserError` for what is no config."""
    if not (config is None or isinstance(config, Config | Mapping | str | os.PathLike)):
        raise UserError(
            f"config: got {config!r:.60}; expected a file, a dict or a Config; try run('configs/cartpole.yaml')"
        )


def _drawn(result: training.Result) -> Path | None:
    """`plots/<name>.png`. A run of seeds, or one that never made an update, draws what there is."""
    path, figures = result.folder, result.figures
    if figures.get("updates") == 0:
        return None
    began = time.perf_counter()
    with collector.seldom():
        from pg_theano.reports import plots

        drawn = plots.draw([path], Path("plots") / f"{path.name}.png")
    if "updates" in figures:
        figures["seconds"]["plot"] = time.perf_counter() - began
        figures["seconds"]["total"] += figures["seconds"]["plot"]
        seals.write_json(path / "result.json", figures, durable=False)
    return drawn
