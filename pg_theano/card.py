"""A model card and a folder ready to upload: `python -m pg_theano.card runs/cartpole`. Nothing is uploaded."""

import argparse
import sys
from collections.abc import Sequence

from pg_theano.reports.model_card import card
from pg_theano.system import commands
from pg_theano.system.console import say


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("card", __doc__, "python -m pg_theano.card runs/cartpole --out cartpole-card")
    parser.add_argument("run", metavar="RUN", help="a run folder; its best checkpoint is taken")
    parser.add_argument("--out", metavar="FOLDER", help="a new folder (default: <run>-card in this one)")
    parser.add_argument("--episodes", type=commands.positive, default=100, metavar="N", help="episodes to play (100)")
    parser.add_argument("--no-gif", action="store_true", help="draw no episode")
    return commands.run(parser, _card, argv)


def _card(arguments: argparse.Namespace) -> int:
    folder = card(arguments.run, arguments.out, episodes=arguments.episodes, gif=not arguments.no_gif)
    say(f"wrote {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    say("to upload it, with Hugging Face's own command: hf upload NAME/REPOSITORY " + str(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
