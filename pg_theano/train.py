"""Train a policy: `python -m pg_theano.train [CONFIG.yaml] [knob=value ...]`. The loop itself is in `loop.py`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pg_theano.config.tables import help_text
from pg_theano.system import commands, console, stopping
from pg_theano.types import UserError

if TYPE_CHECKING:
    from pg_theano.training.callbacks import Callback


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "train",
        __doc__,
        "python -m pg_theano.train configs/acrobot.yaml schedules.learning_rate.initial=0.02 --seed 3",
        knobs=help_text,
    )
    add = parser.add_argument
    add("what", nargs="*", metavar="CONFIG.yaml | knob=value", help="a config file, then knobs set over it")
    add("--seed", type=commands.natural, metavar="N", help="everything random follows from it")
    add("--run-dir", metavar="FOLDER", help="exact folder of the run (default: runs/<name>, or the next free)")
    add("--resume", metavar="RUN", help="go on with the run of this folder")
    add("--force", action="store_true", help="--resume: also where versions, backend, dtype or its files are others")
    add(
        "--from",
        dest="start_from",
        metavar="RUN",
        help="a new run that begins with what fits of this one's best "
        "checkpoint (or of RUN/checkpoints/*.npz); without CONFIG.yaml, with its config too",
    )
    add("--from-optimizer", action="store_true", help="--from: its optimiser too")
    add("--change", action="store_true", help="--resume: with knobs that are no part of the graph; run.json records it")
    commands.add_allow_import(parser)
    add(
        "--log",
        action="append",
        default=[],
        metavar="tensorboard|wandb|trackio",
        help="where metrics go as well; may be given again",
    )
    add("--no-plot", action="store_true", help="draw no figure at the end")
    add("--live", metavar="FILE", help="a page (.html) kept up to date while it trains; then its report")
    add("--json", action="store_true", help="print the result as one JSON object; progress goes to stderr")
    return commands.run(parser, _train, argv)


def _train(arguments: argparse.Namespace) -> int:
    from pg_theano.reports import screen, shown_run  # which `-h` does without

    file, overrides = commands.config_and_overrides(arguments.what)
    if arguments.resume and arguments.start_from:
        raise UserError(
            "--from: got --resume beside it, which goes on with what it has; expected one of both; try --from"
        )
    if arguments.from_optimizer and not arguments.start_from:
        raise UserError("--from-optimizer: goes with --from; expected a run; try --from RUN")
    if arguments.resume and (file or arguments.seed is not None or arguments.run_dir):
        raise UserError("--resume takes its config, seed and folder from the run; give knobs at most")
    if arguments.force and not arguments.resume:
        raise UserError("--force: goes with --resume; a new run has nothing to differ from")
    if arguments.change and not (arguments.resume and overrides):
        raise UserError(
            "--change: expected --resume RUN and knob=value words beside it; try a new run with other knobs"
        )
    stream = sys.stderr if arguments.json else sys.stdout
    options = shown_run.Options(
        run_dir=arguments.run_dir,
        resume=arguments.resume,
        seed=arguments.seed,
        plot=not arguments.no_plot,
        display=lambda title: screen.make(stream, title),
        force=arguments.force,
        change=arguments.change,
        start_from=arguments.start_from,
        from_optimizer=arguments.from_optimizer,
        callbacks=_logs(arguments.log),
        live=arguments.live,
    )
    result = shown_run.run(file, overrides, options)
    console.say("\n".join(screen.closing(result.folder, result.figures, result.plot)), stream)
    if arguments.json:
        commands.answer(result.figures)
    return stopping.exit_code() if result.figures["status"] == "interrupted" else 0


def _logs(names: Sequence[str]) -> Sequence[Callback]:
    if not names:
        return ()
    from pg_theano.training.callbacks import of_logs

    return of_logs(names)


if __name__ == "__main__":
    commands.leave(main())
