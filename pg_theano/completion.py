"""Print what completes commands, knobs and runs in your shell: `python -m pg_theano.completion bash`."""

import argparse
import sys
from collections.abc import Sequence

from pg_theano.config import completing
from pg_theano.system import commands, console

KEPT = """to have it in every new shell, once:
  bash  pg-theano completion bash > ~/.local/share/bash-completion/completions/pg-theano
        (needs the package bash-completion; or end ~/.bashrc with: eval "$(pg-theano completion bash)")
  zsh   pg-theano completion zsh > ~/.zfunc/_pg-theano
        (~/.zshrc: fpath+=~/.zfunc before autoload -U compinit && compinit)
  fish  pg-theano completion fish > ~/.config/fish/completions/pg-theano.fish"""


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("completion", __doc__, f"python -m pg_theano.completion bash\n\n{KEPT}")
    parser.add_argument("shell", choices=list(completing.SHELLS), help="whose script is printed")
    return commands.run(parser, _completion, argv)


def _completion(arguments: argparse.Namespace) -> int:
    every = {name: completing.Command(does, commands.parser_of(name)) for name, does in commands.does().items()}
    console.say(completing.SHELLS[arguments.shell](every).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
