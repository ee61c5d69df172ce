"""Watch a trained policy play: `python -m pg_theano.watch runs/cartpole`."""

import argparse
import sys
from collections.abc import Sequence

from pg_theano.config.tables import help_text
from pg_theano.reports import animation
from pg_theano.reports.animation import watch
from pg_theano.system import commands
from pg_theano.system.console import say


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "watch", __doc__, "python -m pg_theano.watch runs/cartpole --gif plots/cartpole.gif", knobs=help_text
    )
    add = parser.add_argument
    add("run", metavar="RUN", help="a run folder; its best checkpoint is taken")
    add("--episodes", type=commands.positive, default=1, metavar="N", help="episodes to play (1)")
    add("--seed", type=commands.natural, default=0, metavar="S", help="of the episodes and of sampled actions (0)")
    commands.add_allow_import(parser)
    add("--sampled", action="store_true", help="sample actions instead of taking the likeliest")
    add(
        "--gif", metavar="FILE", help=f"write a GIF instead of opening a window; at most {animation.MOST_FRAMES} frames"
    )
    add("--fps", type=commands.positive, metavar="F", help="frames a second (the environment's own, at most 50)")
    return commands.run(parser, _watch, argv)


def _watch(arguments: argparse.Namespace) -> int:
    played = watch(
        arguments.run,
        episodes=arguments.episodes,
        seed=arguments.seed,
        gif=arguments.gif,
        sampled=arguments.sampled,
        fps=arguments.fps,
    )
    for number, episode in enumerate(played, start=1):
        cut = "" if episode.ended else f"; cut short: a GIF has at most {animation.MOST_FRAMES} frames"
        say(f"episode {number}: return {episode.episode_return:g}, {episode.steps} steps{cut}")
    if arguments.gif:
        say(f"wrote {arguments.gif}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
