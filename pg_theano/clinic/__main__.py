"""Find the fault in your own advantages: `python -m pg_theano.clinic --probe my_module:advantages`.

from pg_theano.clinic.probe import probe
report = probe("my_module:advantages")      # in a notebook
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pg_theano.clinic import calling, faults, planted, probe, table
from pg_theano.system import commands, writing
from pg_theano.system.console import say
from pg_theano.types import UserError


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("clinic", __doc__, "python -m pg_theano.clinic --probe my_module:advantages --json")
    add = parser.add_argument
    add("--probe", metavar="MODULE:NAME", help="your function: arrays of rewards, values and ends in, advantages out")
    add("--layout", choices=calling.LAYOUTS, default="TN", help="[T, N], [N, T], or steps alone (TN)")
    add("--gamma", type=float, metavar="G", help="γ of every case; needed where the function has it inside")
    add("--lam", type=float, metavar="L", help="λ of every case; the same")
    add("--cases", type=commands.positive, default=60, metavar="N", help="random cases, after all small ones (60)")
    add("--seed", type=commands.natural, default=0, metavar="S", help="of the cases (0)")
    add("--timeout", type=float, default=5.0, metavar="S", help="seconds that one case may take (5)")
    add("--case", type=commands.positive, metavar="N", help=f"write case_N.py to diagnose: 1 to {len(planted.CASES)}")
    add("--reveal", type=commands.positive, metavar="N", help="what is wrong in that file, and what it cost")
    add("--measure", metavar="FILE.jsonl", help="measure faults by detectors anew (10 minutes); goes on with a file")
    add("--json", action="store_true", help="print one JSON object and nothing else")
    return commands.run(parser, _clinic, argv)


def _clinic(arguments: argparse.Namespace) -> int:
    asked = [name for name in ("probe", "case", "reveal", "measure") if getattr(arguments, name) is not None]
    if len(asked) > 1:
        raise UserError.at("clinic", f"got --{asked[0]} and --{asked[1]}", "one of them", "one after the other")
    return {"probe": _probe, "case": _case, "reveal": _reveal}.get("".join(asked), _measured)(arguments)


def _probe(arguments: argparse.Namespace) -> int:
    for name in ("gamma", "lam"):
        value = getattr(arguments, name)
        if value is not None and not 0 <= value <= 1:
            raise UserError.at(f"--{name}", f"got {value:g}", "a number from 0 to 1")
    if not 0 < arguments.timeout < 1e6:
        raise UserError.at("--timeout", f"got {arguments.timeout:g}", "seconds above 0")
    report = probe.probe(
        arguments.probe,
        layout=arguments.layout,
        timeout=arguments.timeout,
        number=arguments.cases,
        seed=arguments.seed,
        gamma=arguments.gamma,
        lam=arguments.lam,
    )
    if arguments.json:
        commands.answer(report.as_json())
    else:
        say("\n".join(report.lines()))
    return 0 if report.right else 1


def _case(arguments: argparse.Namespace) -> int:
    text, path = planted.case(arguments.case), Path(f"case_{arguments.case}.py")
    if path.exists():
        raise UserError.at(path, "is there already", "a new file", "another folder, or removing it")
    writing.write_atomically(path, text.encode())
    if arguments.json:
        commands.answer({"case": arguments.case, "file": str(path)})
    else:
        say(f"wrote {path}; when you know what is wrong: python -m pg_theano.clinic --reveal {arguments.case}")
    return 0


def _reveal(arguments: argparse.Namespace) -> int:
    name = planted.CASES.get(arguments.reveal)
    if name is None:
        raise UserError.at(
            "--reveal", f"got {arguments.reveal}", f"a number from 1 to {len(planted.CASES)}", "--reveal 1"
        )
    fault = next(one for one in (*faults.FAULTS, *faults.OF_TARGETS) if one.name == name)
    ((old, new),) = planted.PLANTED[name]
    cells = [cell for cell in table.read() if cell["fault"] in (planted.RIGHT, name)]
    if arguments.json:
        rows = [row._asdict() for row in table.rows(cells)]
        commands.answer(
            {"case": arguments.reveal, "fault": name, "says": fault.says, "has": new, "right": old, "rows": rows}
        )
    else:
        told = [f"case {arguments.reveal}: {name}", f"  it {fault.says}", f"  it has    {new}", f"  right is  {old}"]
        say("\n".join([*told, *table.lines(cells)]))
    return 0


def _measured(arguments: argparse.Namespace) -> int:
    """The table: as it was measured, or anew."""
    if arguments.measure is None:
        cells = table.read()
    else:
        from pg_theano.clinic import measuring  # which trains

        cells = measuring.measure(Path(arguments.measure), lambda line: say(line, sys.stderr))
    if arguments.json:
        commands.answer([row._asdict() for row in table.rows(cells)])
    else:
        say("\n".join(table.lines(cells)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
