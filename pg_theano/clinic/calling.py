"""A user's function: which arrays it takes, by the names of its parameters; the call, within a time; what it gave.

Rows are steps and columns environments, [T, N], as in Stable-Baselines3 and CleanRL; `layout="NT"` turns them, and
`layout="T"` is one environment, without columns.

    rewards, values                   [T, N]
    next_values                       [T, N]  V of the true successor, seen before any reset
    last_values, next_value           [N]     V of the observation after the last row
    terminated, truncated             [T, N]  of the step itself
    dones                             [T, N]  either of them
    episode_starts, or dones beside
      next_done or last_dones         [T, N]  whether the step *before* was the last of its episode
    next_done, last_dones             [N]     of the last row; `dones` beside `episode_starts` is that too
    mask                              [T, N]  ones
    gamma, lam                        numbers

A function that cannot tell a time limit from a termination is given rewards as Stable-Baselines3 makes them: γ·V of the
final observation is added where a time limit ended the episode.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.clinic.definition import Case
from pg_theano.clinic.timing import TooLong, within
from pg_theano.environments import naming
from pg_theano.system import importing
from pg_theano.types import Array, UserError

NAMES = {
    "rewards": ("rewards", "reward", "rews", "rew", "r"),
    "values": ("values", "value", "vals", "val", "v", "value_preds", "state_values"),
    "next_values": ("next_values", "next_vals", "next_v", "successor_values", "bootstrap_values", "next_state_values"),
    "last_values": ("last_values", "last_value", "last_val", "bootstrap_value", "final_value"),
    "next_value": ("next_value",),
    "terminated": ("terminated", "terminateds", "terminations", "terminals", "terminal", "term"),
    "truncated": ("truncated", "truncateds", "truncations", "timeouts", "trunc"),
    "dones": ("dones", "done", "d", "ended", "ends"),
    "episode_starts": ("episode_starts", "starts", "is_first"),
    "next_done": ("next_done", "next_dones", "last_dones", "last_done"),
    "mask": ("mask", "masks", "valid"),
    "gamma": ("gamma", "discount", "discount_factor", "γ"),
    "lam": ("lam", "lambda_", "lmbda", "gae_lambda", "lambd", "lmda", "tau", "λ"),
}
"""What is given, by every name that it may have."""
ADAPTER = "an adapter, as docs/clinic.md has one"
LAYOUTS = ("TN", "NT", "T")


class Function(NamedTuple):
    """A function, and what each of its parameters is."""

    name: str
    call: Callable[..., Any]
    given: dict[str, str]  # {parameter: what it is, as `NAMES` calls it}
    layout: str
    timeout: float
    place: str  # its file and first line
    lines: tuple[tuple[int, str], ...]  # of its source, numbered; none where that is not found
    changes: set[str]  # those of its arguments that a call has written into

    @property
    def merged(self) -> bool:
        """Whether it is told only that an episode ended, not how."""
        told = {"dones" if what == "episode_starts" else what for what in self.given.values()}
        return len(told & {"terminated", "truncated", "dones"}) < 2

    def __call__(self, case: Case) -> tuple[Array, Array | None]:
        """(advantages, targets or None), each [T, N]. Errors: `UserError`."""
        arrays = arrays_of(case, self)
        arguments = {name: _laid_out(arrays[what], self.layout) for name, what in self.given.items()}
        with within(self.timeout, self.name):
            try:
                kept = {name: np.array(one) for name, one in arguments.items()}
                found = self.call(**arguments)
                self.changes.update(name for name, one in arguments.items() if not np.array_equal(one, kept[name]))
            except TooLong:
                raise
            except (Exception, SystemExit) as error:
                raise self.wrong(f"raised {type(error).__name__}: {error}{_at(error)}", _try(case, error)) from error
        return self.taken(found, case)

    def taken(self, found: Any, case: Case) -> tuple[Array, Array | None]:
        """What it gave, as arrays [T, N]."""
        if isinstance(found, Mapping):
            found = tuple(found[name] for name in ("advantages", "returns", "targets") if name in found)
            found = found if len(found) > 1 else found[0] if found else None
        parts = list(found)[:2] if isinstance(found, tuple) and len(found) > 1 else [found]
        shape, arrays = case.rewards.shape, []
        for name, part in zip(("advantages", "targets"), parts, strict=False):
            try:
                given = np.asarray(part)
                one = given.astype(np.float64)
            except (TypeError, ValueError, RuntimeError) as error:
                raise self.wrong(f"gave {type(part).__name__} as {name} ({error})", "returning an array") from None
            if given.dtype.kind in "biu":  # of `np.zeros_like(dones)`, which rounds what is written into it
                raise self.wrong(f"gave {name} of type {given.dtype}", "np.zeros_like(rewards) for what it fills")
            expected = {"TN": shape, "NT": shape[::-1], "T": shape[:1]}[self.layout]
            if one.shape != expected:
                hint = f"--layout {LAYOUTS[1 if self.layout == 'TN' else 0]} if its rows are of another kind"
                raise self.wrong(f"gave {name} of shape {list(one.shape)} for rewards {list(expected)}", hint)
            arrays.append({"TN": one, "NT": one.T, "T": one[:, None] if one.ndim == 1 else one}[self.layout])
        return arrays[0], arrays[1] if len(arrays) > 1 else None

    def wrong(self, got: str, advice: str) -> UserError:
        return UserError.at(self.name, got, "advantages, or advantages and targets, of the shape of rewards", advice)


def found(name: str, layout: str = "TN", timeout: float = 5.0) -> Function:
    """The function that `module:name` says, imported from the current folder. Errors: `UserError`."""
    if name.count(":") != 1 or not all(name.split(":")):
        raise UserError.at("--probe", f"got {name}", "module:function", "my_module:advantages")
    importing.refuse_pythons_own(name, "--probe")
    module = name.partition(":")[0]
    if not importing.refused() and importing.located(module, [Path.cwd()]) is None:
        raise UserError.at("--probe", f"no module {module} in {Path.cwd()}", "one of this folder", "cd to where it is")
    with importing.importable([Path.cwd()], [name]):
        call = naming.attribute("--probe", name, "my_module:advantages")
        lines = _source(call)
    if not callable(call):
        raise UserError.at("--probe", f"{name} is a {type(call).__name__}", "a function of arrays")
    return described(call, name, layout, timeout, lines)


def described(
    call: Callable[..., Any], name: str, layout: str = "TN", timeout: float = 5.0, lines: Sequence[tuple[int, str]] = ()
) -> Function:
    """A function, with what its parameters are. Errors: `UserError` where it takes what nobody can give it."""
    try:
        parameters = inspect.signature(call).parameters
    except (TypeError, ValueError):
        raise UserError.at(name, "got a function whose parameters cannot be read", "one written in Python") from None
    meant = {alias: what for what, aliases in NAMES.items() for alias in aliases}
    given = {one: meant[one.lower()] for one in parameters if one.lower() in meant}
    kinds = inspect.Parameter
    for one, parameter in parameters.items():
        needed = parameter.default is kinds.empty and parameter.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
        if (needed and one not in given) or (one in given and parameter.kind is kinds.POSITIONAL_ONLY):
            known = ", ".join(aliases[0] for aliases in NAMES.values())
            raise UserError.at(name, f"takes {one}", f"parameters of these: {known}", ADAPTER)
    told = set(given.values())
    for needed_ones in (("rewards",), ("values",), ("terminated", "dones", "episode_starts")):
        if not told & set(needed_ones):
            raise UserError.at(
                name, f"takes no {needed_ones[0]}", f"{' or '.join(needed_ones)} among its parameters",
                ADAPTER,
            )  # fmt: skip
    if "next_value" in told:  # [N] as CleanRL has it; of every row where it stands beside flags of every row
        last = "next_done" in told or "episode_starts" in told or "terminated" not in told
        given = {one: ("last_values" if last else "next_values") if what == "next_value" else what
                 for one, what in given.items()}  # fmt: skip
    return Function(name, call, given, layout, timeout, _place(call), tuple(lines), set())


def seen(case: Case, function: Function) -> Case:
    """The case as far as a function is told of it: its definition gives the same advantages."""
    if not function.merged:
        if "next_values" in function.given.values():
            return case
        cut = case.truncated & ~case.terminated
        return case._replace(rewards=case.rewards + case.gamma * cut * case.next_values, next_values=_moved(case, cut))
    cut = case.truncated & ~case.terminated
    next_values = case.next_values if "next_values" in function.given.values() else _moved(case, cut & False)
    rewards = case.rewards + case.gamma * cut * case.next_values
    return case._replace(
        rewards=rewards, next_values=next_values, terminated=case.ended, truncated=np.zeros_like(case.ended)
    )


def _moved(case: Case, nothing: Array) -> Array:
    """V of the next row, and of what the next block begins with; 0 where nothing is left to add."""
    return np.where(nothing, 0.0, np.concatenate([case.values[1:], case.after[None]]))


def arrays_of(case: Case, function: Function) -> dict[str, Any]:
    """Everything that a function may ask for."""
    told, view = set(function.given.values()), seen(case, function)
    before = np.concatenate([np.zeros_like(case.ended[:1]), case.ended[:-1]])
    shifted = "episode_starts" in told or "next_done" in told
    dones: Array = case.ended
    if shifted:
        dones = case.ended[-1] if "episode_starts" in told and "next_done" not in told else before
    return {
        "rewards": view.rewards,
        "values": case.values,
        "next_values": view.next_values,
        "last_values": view.next_values[-1] if "next_values" in told else case.after,
        "terminated": view.terminated,
        "truncated": case.truncated,
        "dones": dones,
        "episode_starts": before,
        "next_done": case.ended[-1],
        "mask": np.ones_like(case.rewards),
        "gamma": case.gamma,
        "lam": case.lam,
    }


def _laid_out(one: Any, layout: str) -> Any:
    """A copy, which the function may change."""
    if not isinstance(one, np.ndarray):
        return one
    if layout == "T":
        return one[..., 0].copy() if one.ndim == 2 else one[0].copy()
    return (one.T if layout == "NT" else one).copy()


# -- where it stands


def _place(call: Any) -> str:
    code = getattr(call, "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else ""


def _source(call: Any) -> list[tuple[int, str]]:
    try:
        lines, first = inspect.getsourcelines(call)
    except (OSError, TypeError):
        return []
    return [(first + number, line.rstrip()) for number, line in enumerate(lines)]


def _at(error: BaseException) -> str:
    """The last line of the user's code in a traceback."""
    trace, said = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not Path(file).is_relative_to(Path(__file__).parent) and "site-packages" not in file:
            said = f" ({Path(file).name}:{trace.tb_lineno})"
        trace = trace.tb_next
    return said


def _try(case: Case, error: BaseException) -> str:
    steps, envs = case.rewards.shape
    tensors = isinstance(error, TypeError | AttributeError)
    what = "torch.as_tensor in an adapter, if it wants tensors" if tensors else "--debug"
    return f"{what}; it was given {steps} x {envs} arrays of NumPy"
