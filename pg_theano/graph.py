"""The symbolic graph of a config, before and after rewriting: `python -m pg_theano.graph [CONFIG.yaml]`."""

import argparse
from collections.abc import Sequence

from pg_theano.config.tables import help_text
from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.training.graph_of import FUNCTIONS, graph


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "graph",
        __doc__,
        "python -m pg_theano.graph configs/cartpole.yaml --function act --out plots/act.svg",
        knobs=help_text,
    )
    add = parser.add_argument
    add("what", nargs="*", metavar="CONFIG.yaml | knob=value", help="a config file, then knobs set over it")
    add("--function", choices=FUNCTIONS, default="train", help="which of the program's (train)")
    add("--out", metavar="FILE", help="a .svg, .png or .pdf (needs graphviz and pydot) or a .txt; also FILE-before")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _graph, argv)


def _graph(arguments: argparse.Namespace) -> int:
    file, overrides = commands.config_and_overrides(arguments.what)
    drawn = graph(file, overrides=overrides, function=arguments.function, out=arguments.out)
    if arguments.json:
        facts = drawn._asdict() | {"before": drawn.before._asdict(), "after": drawn.after._asdict()}
        commands.answer(facts | {"files": [str(path) for path in drawn.files]})
        return 0
    for when, size in (("before", drawn.before), ("after", drawn.after)):
        inside = f", {size.in_loops:,} more inside loops" if size.in_loops else ""
        what = f"{drawn.algorithm} on {drawn.environment}, {drawn.function}"
        say(f"{what}, {when} rewriting: {size.nodes:,} nodes{inside}")
    for path in drawn.files:
        say(f"wrote {path}")
    return 0


if __name__ == "__main__":
    commands.leave(main())
