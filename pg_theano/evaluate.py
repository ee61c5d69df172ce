"""Evaluate a trained policy in fresh environments: `python -m pg_theano.evaluate runs/cartpole`."""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from pg_theano.config.tables import help_text
from pg_theano.runs.figures import mean_and_std
from pg_theano.system import commands, yaml_lines
from pg_theano.system.console import say
from pg_theano.training.evaluating import evaluate
from pg_theano.types import UserError

MOST_AGENTS = 8  # named on the screen


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "evaluate", __doc__, "python -m pg_theano.evaluate runs/cartpole --episodes 200 --json", knobs=help_text
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder; its best checkpoint is taken")
    add("--episodes", type=commands.positive, default=100, metavar="N", help="episodes to play (100)")
    add("--seed", type=commands.natural, default=0, metavar="S", help="of the episodes and of sampled actions (0)")
    add("--environment", metavar="ID", help="another task with the same spaces: an id, or module:Id")
    add("--kwargs", metavar="{name: value}", help="keyword arguments of it, or other ones of the run's own")
    commands.add_allow_import(parser)
    add("--sampled", action="store_true", help="sample actions instead of taking the likeliest")
    add(
        "--json",
        action="store_true",
        help="print one JSON object and nothing else: the figures, and whether it learned",
    )
    return commands.run(parser, _evaluate, argv)


def _evaluate(arguments: argparse.Namespace) -> int:
    kwargs = None if arguments.kwargs is None else yaml_lines.read_value(arguments.kwargs, "--kwargs")
    if not isinstance(kwargs, dict | None):
        raise UserError.at("--kwargs", f"got {arguments.kwargs:.60}", "a mapping", "--kwargs '{length: 2.0}'")
    result = evaluate(
        arguments.run,
        episodes=arguments.episodes,
        seed=arguments.seed,
        sampled=arguments.sampled,
        environment=arguments.environment,
        kwargs=kwargs,
    )
    diagnosis = _diagnosed(arguments.run)
    if arguments.json:
        commands.answer(result | {"diagnosis": diagnosis and diagnosis.plain()})
        return 0
    agents = result.get("agents", {})
    by_agent = ", ".join(f"{name} {mean:g}" for name, mean in [*agents.items()][:MOST_AGENTS])
    more = f", {len(agents) - MOST_AGENTS} more with --json" if len(agents) > MOST_AGENTS else ""
    say(
        f"{result['environment']}, {result['n']} {result['policy']} episodes: {mean_and_std(result)} (min "
        f"{result['min']:g}, max {result['max']:g}); {result['run']}/checkpoints/{result['checkpoint']}"
    )
    if agents:
        say(f"mean return by agent: {by_agent}{more}")
    if diagnosis and diagnosis.learned is False:
        say(f"it did not learn: {diagnosis.first}")
    return 0


def _diagnosed(run: str) -> Any:
    """Whether the run learned, and if not, why; None where its records do not say."""
    from pg_theano.reports.diagnosing import diagnose

    with contextlib.suppress(UserError):
        return diagnose(run)
    return None


if __name__ == "__main__":
    sys.exit(main())
