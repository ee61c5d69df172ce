"""Compare symbolic, by-hand and numerical gradients on a real rollout: `python -m pg_theano.check [CONFIG.yaml]`."""

import argparse
from collections.abc import Sequence
from typing import Any

from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.tables import help_text
from pg_theano.system import commands
from pg_theano.system.console import say
from pg_theano.training.checking import MOST_PLACES, Report, check
from pg_theano.training.differences import BY_HAND, NUMERICAL, STEPS, Row, errors_of, passes

# -- the command

WITH_A_TWIN = next(name for name, one in ALGORITHMS.items() if one.twin)
"""What is checked where nothing is named: one that is derived on paper too."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser(
        "check", __doc__, "python -m pg_theano.check algorithm.name=ppo policy.hidden=[16,16]", knobs=help_text
    )
    add = parser.add_argument
    add("what", nargs="*", metavar="CONFIG.yaml | knob=value", help="a config file, then knobs set over it")
    add("--points", type=commands.positive, default=20, metavar="N", help="numbers compared of each array (20)")
    add("--seed", type=commands.natural, default=0, metavar="S", help="which numbers, and how far (0)")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _check, argv)


def _check(arguments: argparse.Namespace) -> int:
    file, overrides = commands.config_and_overrides(arguments.what)
    if file is None and not any(one.startswith("algorithm.name=") for one in overrides):
        overrides = [f"algorithm.name={WITH_A_TWIN}", *overrides]
    report = check(file, overrides=overrides, points=arguments.points, seed=arguments.seed)
    if arguments.json:
        commands.answer(as_json(report))
    else:
        say("\n".join(table(report)))
    return 0 if report.passed else 1


def as_json(report: Report) -> dict[str, Any]:
    return {
        "passed": report.passed,
        "algorithm": report.config.algorithm.name,
        "environment": report.config.environment.dynamics or report.config.environment.id,
        "steps": report.steps,
        "places": report.places,
        "tolerance": {"numerical": NUMERICAL, "by_hand": BY_HAND},
        "not_by_hand": report.not_by_hand,
        "padding": report.padding,
        "arrays": [row._asdict() for row in report.rows],
        "total": report.total._asdict(),
    }


def table(report: Report) -> list[str]:
    """The report as lines of text."""
    config = report.config
    task = config.environment.dynamics or config.environment.id
    width = max(len("array"), *(len(row.name) for row in report.rows))
    heads = ("symbolic/by hand", "symbolic/numerical", "by hand/numerical")

    def cells(row: Row) -> str:
        shown = ["-" if error is None else f"{error:.1e}" for error in errors_of(row)]
        figures = "  ".join(f"{cell:>{len(head)}}" for cell, head in zip(shown, heads, strict=True))
        verdict = "" if passes(row) else "  FAIL"
        return f"{row.name:<{width}}  {row.size:>9,}  {row.compared:>8}  {row.skipped:>7}  {figures}{verdict}"

    lines = [
        f"{config.algorithm.name} on {task}: {report.steps} steps, float64, parameters moved off those that played",
        f"{'array':<{width}}  {'numbers':>9}  {'compared':>8}  {'skipped':>7}  {'  '.join(heads)}",
        *(cells(row) for row in report.rows),
        cells(report.total),
        "largest difference, relative to the array's largest derivative; numerical: central differences of the loss",
    ]
    if report.total.skipped:
        lines.append(
            f"skipped: {report.total.skipped} directions with a kink (clip, min, relu) within {2 * STEPS[-1]:g}"
        )
    if report.places > 1:
        lines.append(f"place {report.places} of at most {MOST_PLACES}: at those before, an array had nothing but kinks")
    if report.not_by_hand:
        lines.append(f"by hand: not compared; {report.not_by_hand}")
    failed = "" if report.padding <= BY_HAND else "  FAIL: is the mask used, and each row of the policy its own?"
    lines.append(f"one more episode, which is masked, changes the gradient by {report.padding:.1e}{failed}")
    verdict = "PASS" if report.passed else "FAIL"
    return [*lines, f"{verdict}: tolerance {NUMERICAL:g} against numerical, {BY_HAND:g} symbolic against by hand"]


if __name__ == "__main__":
    commands.leave(main())
