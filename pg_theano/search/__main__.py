"""Search hyper-parameters: `python -m pg_theano.search CONFIG.yaml [knob=value ...]`."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pg_theano.config import tables
from pg_theano.config.tables import help_text
from pg_theano.reports.search_display import Display, described, headline, number
from pg_theano.search import plan as settings
from pg_theano.search import study
from pg_theano.system import commands, stopping
from pg_theano.system.console import say
from pg_theano.types import UserError

EXAMPLE = "python -m pg_theano.search configs/search-cartpole.yaml search.method=bayesian search.workers=2"


def search(
    path: str,
    *,
    run_dir: str | None = None,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    plot: bool = True,
    file: Any = None,
) -> dict[str, Any]:
    """Search as the command does; returns its figures. Errors: `UserError` for everything that the user can mend."""
    with contextlib.closing(Display(sys.stdout if file is None else file)) as shown:
        outcome = study.new(settings.read_plan(path, overrides, seed), run_dir, shown.show, shown.say)
    return finished(outcome, plot)


def resume(
    folder: str, *, overrides: Sequence[str] = (), plot: bool = True, file: Any = None, force: bool = False
) -> dict[str, Any]:
    """Go on with the search of a folder, as `--resume` does."""
    with contextlib.closing(Display(sys.stdout if file is None else file)) as shown:
        outcome = study.resume(Path(folder), overrides, shown.show, shown.say, force=force)
    return finished(outcome, plot)


def finished(outcome: study.Outcome, plot: bool) -> dict[str, Any]:
    """The figures of a search, once its best config is written and its figure drawn."""
    plan, found = outcome.plan, outcome.trials
    top = study.best(found, plan.maximise)
    if top is not None and plan.config.agents_per_process > 1 and outcome.status != "interrupted":
        top = study.alone(plan, outcome.folder, top)
    drawn = None
    if plot and top is not None:
        from pg_theano.reports import search_figures

        drawn = search_figures.draw(plan, found, Path("plots") / f"{plan.name}.png")
    return {
        "name": plan.name,
        "status": outcome.status,
        "method": plan.search.method,
        "objective": plan.search.objective,
        "score": None if top is None else top.score,
        "trial": None if top is None else top.number,
        "params": None if top is None else top.params,
        "config": None if top is None else study.config_of(plan, top),
        "best": None if top is None else str(study.write_best(plan, top, outcome.folder, len(found))),
        "trials": study.counted(found),
        "seconds": outcome.seconds,
        "bookkeeping_seconds": outcome.bookkeeping,
        "folder": str(outcome.folder),
        "plot": None if drawn is None else str(drawn),
        "headline": headline(plan, found, outcome.seconds),
        "described": None if top is None else described(plan, top.params),
    }


def main(argv: Sequence[str] | None = None) -> int:
    rows = tables.knobs(settings.Search, "search.") + tables.knobs(settings.Range, "search.space.KNOB.")
    table = "\n".join(["knobs of the search:", *tables.table(rows)])
    parser = commands.parser("search", __doc__, f"{EXAMPLE}\n\n{table}", knobs=help_text)
    add = parser.add_argument
    add(
        "what",
        nargs="*",
        metavar="CONFIG.yaml | knob=value",
        help="a config with a section `search`, then knobs over it",
    )
    add("--seed", type=commands.natural, metavar="N", help="everything random follows from it")
    add("--run-dir", metavar="FOLDER", help="exact folder of the search (default: runs/<name>)")
    add("--resume", metavar="RUN", help="go on with the search of this folder")
    add("--force", action="store_true", help="--resume: also where versions, backend or dtype are others")
    commands.add_allow_import(parser)
    add("--no-plot", action="store_true", help="draw no figure at the end")
    add("--json", action="store_true", help="print the result as one JSON object; progress to stderr")
    add("--compare", action="store_true", help="several methods on the same space and budget, over --seeds")
    add("--seeds", type=commands.positive, default=5, metavar="N", help="--compare: searches each (5)")
    add("--page", metavar="FILE.md", help="--compare: where the table is written as well")
    return commands.run(parser, _search, argv)


def _search(arguments: argparse.Namespace) -> int:
    file, overrides = commands.config_and_overrides(arguments.what)
    stream = sys.stderr if arguments.json else sys.stdout
    if arguments.resume and (file or arguments.seed is not None or arguments.run_dir or arguments.compare):
        raise UserError("--resume takes its config, seed and folder from the search; give search.budget knobs at most")
    if arguments.force and not arguments.resume:
        raise UserError("--force: goes with --resume; a new search has nothing to differ from")
    if arguments.compare:
        from pg_theano.search import compare

        table = compare.compare(
            file or "configs/search-cartpole.yaml",
            overrides,
            seed=arguments.seed,
            seeds=arguments.seeds,
            run_dir=arguments.run_dir,
            page=arguments.page,
            say=lambda text: say(text, stream),
        )
        if arguments.json:
            commands.answer(table["methods"])
        else:
            say(table["text"])
        return 0
    common: dict[str, Any] = {"overrides": overrides, "plot": not arguments.no_plot, "file": stream}
    if arguments.resume:
        result = resume(arguments.resume, force=arguments.force, **common)
    elif file is None:
        raise UserError(f"expected a config with a section `search`, such as: {EXAMPLE}")
    else:
        result = search(file, run_dir=arguments.run_dir, seed=arguments.seed, **common)
    say("\n".join(_closing(result)), stream)
    if arguments.json:
        commands.answer({key: value for key, value in result.items() if key not in ("headline", "described")})
    return stopping.exit_code() if result["status"] == "interrupted" else 0


def _closing(result: dict[str, Any]) -> list[str]:
    """The last lines: the outcome, where things are, what to do next."""
    lines = [f"{result['headline']}; ended: {result['status']}"]
    if result["score"] is None:
        lines.append("no trial was completed")
    else:
        lines.append(
            f"best: trial {result['trial']}, {result['objective']} {number(result['score'])}: {result['described']}"
        )
        lines.append(f"to train it: python -m pg_theano.train {result['best']}")
    if result["status"] != "finished":
        more = " search.budget.trials=..." if result["status"] == "budget" else ""
        lines.append(f"to go on: python -m pg_theano.search --resume {result['folder']}{more}")
    return [*lines, f"search: {result['folder']}" + (f"   plot: {result['plot']}" if result["plot"] else "")]


if __name__ == "__main__":
    commands.leave(main())
