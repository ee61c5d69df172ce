"""Mutation testing of the mathematics: a source with one small fault, as many ways as there are places for it.

Why not a library: mutmut keeps every mutant of a file in one source and chooses at run time, so that all of them would
share one key of the artifact cache (which hashes sources), and forks after the tests ran once, with XLA's threads
alive; cosmic-ray starts a process a mutant, which imports PyTensor and JAX for 4 to 8 s each time. The operators here
are theirs (and DeMillo, Lipton and Sayward 1978), with those that symbolic code needs: `pt.minimum` is a comparison.

A place is a span of the text that is replaced, so that a mutant keeps every line number and every comment.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from forking import REPOSITORY, Server
from planting import file_of, symbol_at

SEED = 20261125
SAMPLE = 300

GRAPHS = ("advantages", "objectives", "policies", "distributions", "optimizers", "baselines", "exploration")
IN_GRAPHS = [f"tests/graphs/test_{name}.py" for name in ("oracles", "reinforce", "actor_critics")]
BY_HAND_TESTS = {
    "advantages": ["advantages", "updates", "program"],
    "layers": ["gradients", "updates", "program"],
    "networks": ["gradients", "updates", "program"],
    "optimizers": ["updates", "program"],
    "policies": ["gradients", "updates", "program"],
    "ppo": ["updates", "gradients", "program"],
    "vpg": ["updates", "gradients", "program"],
    "program": ["program", "updates"],
}
TESTS = {
    file_of(REPOSITORY, "schedules"): ["tests/test_schedules.py"],
    **{file_of(REPOSITORY, name, "graphs"): [f"tests/graphs/test_{name}.py", *IN_GRAPHS] for name in GRAPHS},
    **{
        file_of(REPOSITORY, name, "by_hand"): [f"tests/by_hand/test_by_hand_{one}.py" for one in tests]
        for name, tests in BY_HAND_TESTS.items()
    },
}
"""Each file of the mathematics, and the files of tests that may kill a mutant of it, the likeliest first."""
QUICK = {
    **{
        file_of(REPOSITORY, name, "graphs"): [
            f"tests/graphs/test_{name}.py",
            "tests/graphs/test_oracles.py",
            "tests/graphs/test_actor_critics.py::test_loss_and_gradient_are_those_of_a_loop_over_steps",
            "tests/graphs/test_reinforce.py::test_padding_has_no_effect_on_anything",
        ]
        for name in GRAPHS
    },
    **{
        file_of(REPOSITORY, name, "by_hand"): [
            *(f"tests/by_hand/test_by_hand_{one}.py" for one in tests if one != "program"),
            "tests/by_hand/test_by_hand_program.py::test_the_gradient_is_that_of_differences",
            "tests/by_hand/test_by_hand_program.py::test_values_are_fitted_to_the_rewards_and_not_to_themselves",
        ]
        for name, tests in BY_HAND_TESTS.items()
    },
}
"""Those that kill most of them in a few seconds; a survivor of these meets all."""

ARITHMETIC = {
    **{ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.Pow: ("**", "*")},
    **{ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "*"), ast.LShift: ("<<", ">>"), ast.BitAnd: ("&", "|")},
    **{ast.BitOr: ("|", "&")},
}
COMPARISON = {
    **{ast.Lt: ("<", ["<=", ">="]), ast.LtE: ("<=", ["<", ">"]), ast.Gt: (">", [">=", "<="])},
    **{ast.GtE: (">=", [">", "<"]), ast.Eq: ("==", ["!="]), ast.NotEq: ("!=", ["=="]), ast.Is: ("is", ["is not"])},
    **{ast.IsNot: ("is not", ["is"]), ast.In: ("in", ["not in"]), ast.NotIn: ("not in", ["in"])},
}
NAMES = {
    **{"minimum": "maximum", "maximum": "minimum", "min": "max", "max": "min", "lt": "le", "le": "lt", "gt": "ge"},
    **{"ge": "gt", "argmax": "argmin", "zeros": "ones", "ones": "zeros", "zeros_like": "ones_like", "exp": "expm1"},
    **{"ones_like": "zeros_like", "softplus": "sigmoid", "any": "all", "all": "any", "sqrt": "square", "log": "log1p"},
    **{"expm1": "exp", "sum": "mean", "mean": "sum", "cumsum": "cumprod", "floor": "ceil", "round": "floor"},
}
"""Functions of arrays, each with the one that it is taken for."""


class Mutant(NamedTuple):
    file: str
    line: int
    operator: str
    old: str  # what stood there
    new: str
    start: int  # characters of the file
    end: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.operator}: {self.old} -> {self.new}"

    def applied(self, text: str) -> str:
        if text[self.start : self.end] != self.old:
            raise LookupError(f"{self.file}:{self.line}: {self.old!r} is not there any more")
        return text[: self.start] + self.new + text[self.end :]


def mutants_of(file: str, text: str) -> list[Mutant]:
    """Every mutant of a source that is Python, in order, each text once."""
    lines = [0]
    for line in text.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    raw = text.splitlines()

    def place(line: int, column: int) -> int:  # ast counts bytes of a line, a span counts characters
        return lines[line - 1] + len(raw[line - 1].encode()[:column].decode())

    found: dict[str, Mutant] = {}
    for node in mathematics(ast.parse(text)):
        for operator, (start, end), new in changes(node, text, place):
            line = text.count("\n", 0, start) + 1
            mutant = Mutant(file, line, operator, text[start:end], new, start, end)
            changed = mutant.applied(text)
            found.setdefault(changed, mutant)
    return sorted(found.values(), key=lambda m: (m.start, m.operator, m.new))


def mathematics(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those of annotations and messages: what they say is not computed with."""
    yield tree
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns") or isinstance(
            tree, (ast.Import, ast.ImportFrom, ast.Raise, ast.JoinedStr)
        ):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from mathematics(child)


def changes(node: ast.AST, text: str, place) -> Iterator[tuple[str, tuple[int, int], str]]:
    """(operator, span, what is put there) for one node."""

    def span(part: ast.AST) -> tuple[int, int]:
        return place(part.lineno, part.col_offset), place(part.end_lineno, part.end_col_offset)

    def between(left: ast.AST, right: ast.AST, sign: str) -> tuple[int, int] | None:
        start, end = span(left)[1], span(right)[0]
        at = text.find(sign, start, end)
        return None if at < 0 else (at, at + len(sign))

    match node:
        case ast.BinOp(left, op, right) if type(op) in ARITHMETIC:
            sign, new = ARITHMETIC[type(op)]
            where = between(left, right, sign)
            if where:
                yield "arithmetic", where, new
        case ast.AugAssign(target, op, value) if type(op) in ARITHMETIC:
            sign, new = ARITHMETIC[type(op)]
            where = between(target, value, sign + "=")
            if where:
                yield "arithmetic", where, new + "="
        case ast.Compare(left, ops, comparators):
            for before, op, after in zip([left, *comparators], ops, comparators, strict=False):
                sign, others = COMPARISON[type(op)]
                where = between(before, after, sign)
                yield from (("comparison", where, new) for new in others if where)
        case ast.BoolOp(op, values):
            sign, new = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
            for left, right in zip(values, values[1:], strict=False):
                where = between(left, right, sign)
                if where:
                    yield "boolean", where, new
        case ast.UnaryOp(op, operand) if isinstance(op, (ast.USub, ast.Not, ast.Invert)):
            start, _ = span(node)
            yield "negation", (start, span(operand)[0]), ""
        case ast.If(test=test) | ast.IfExp(test=test):
            yield "condition", span(test), f"not ({ast.get_source_segment(text, test)})"
        case ast.Constant(value=bool() as value):
            yield "constant", span(node), str(not value)
        case ast.Constant(value=int() | float() as value):
            yield from (("constant", span(node), repr(value + step)) for step in (1, -1))
        case ast.Call(func, args) if len(args) >= 2 and not any(isinstance(arg, ast.Starred) for arg in args):
            first, second = args[:2]
            (start, middle), (then, end) = span(first), span(second)
            yield "arguments", (start, end), text[then:end] + text[middle:then] + text[start:middle]
            yield from named(func, text, span)
        case ast.Call(func):
            yield from named(func, text, span)


def named(func: ast.AST, text: str, span) -> Iterator[tuple[str, tuple[int, int], str]]:
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    if name in NAMES:
        end = span(func)[1]
        yield "function", (end - len(name), end), NAMES[name]


def every_mutant(repository: Path, files: Sequence[str] = tuple(TESTS)) -> list[Mutant]:
    return [one for file in files for one in mutants_of(file, (repository / file).read_text())]


def sampled(repository: Path, number: int = SAMPLE, seed: int = SEED) -> list[Mutant]:
    """A random sample without replacement, over all files together: a file counts as much as it has places."""
    return random.Random(seed).sample(every_mutant(repository), number)


def fate(
    server: Server, repository: Path, mutant: Mutant, *, timeout: float = 400.0, thorough: bool = True
) -> dict[str, Any]:
    """What became of a mutant: the first test that killed it, or none.

    The quick tests that compile nothing come first, with few random cases; whoever survives these meets the rest, and
    the slow ones of its own file.
    """
    text = (repository / mutant.file).read_text()
    asked, changed, seconds = TESTS[mutant.file], {mutant.file: mutant.applied(text)}, 0.0
    stages = [(QUICK.get(mutant.file, asked), ["-m", "not slow", "-k", "not compiled"], 15)]
    if thorough:
        stages += [(asked, ["-m", "not slow"], 100), (asked[:1], ["-m", "slow"], 100)]
    for tests, options, examples in stages:
        outcome = server.run(tests, changed, timeout=timeout, options=["-x", *options], examples=examples)
        seconds += outcome.seconds
        if outcome.failed or outcome.broken:
            break
    by = next(iter(outcome.failed), "the clock" if outcome.timed_out else outcome.broken)
    return {
        **mutant._asdict(),
        **{"symbol": symbol_at(text, mutant.line), "source": text.splitlines()[mutant.line - 1].strip()},
        **{"killed": outcome.caught, "by": by},
        **{"timed_out": outcome.timed_out, "seconds": round(seconds, 1)},
    }
