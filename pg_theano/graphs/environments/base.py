"""What a symbolic environment is: five pure functions over explicit state, with spaces and time limit as plain data.

One is written as a class that is never instantiated, with nothing but PyTensor:

    import pytensor.tensor as pt

    class Corridor:
        obs_low, obs_high = (-1.0,), (1.0,)
        action_kind, num_actions = "discrete", 2
        max_steps = 50
        state_size, num_initial_noise = 1, 1

        def initial(noise):                               # uniforms in [0, 1), each [E]
            return (0.2 * noise[0] - 0.1,)

        def transition(state, action):                    # action: int32 [E]
            (x,) = state
            return (pt.clip(x + pt.switch(pt.eq(action, 1), 0.1, -0.1), -1.0, 1.0),)

        def observation(state):
            return state

        def reward(state, action, next_state):
            return next_state[0] - state[0]

        def terminated(next_state):
            return next_state[0] >= 1.0

Numbers written in these functions take the dtype of the state. Integers do not, because NumPy's int32 · float32 is
float64: write `action.astype(x.dtype)` before you multiply.
"""

import math
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal, NamedTuple

import pytensor
import pytensor.tensor as pt
from pytensor.graph.basic import equal_computations
from pytensor.tensor.variable import TensorVariable

from pg_theano.graphs.common import impurity
from pg_theano.types import UserError

FUNCTIONS = ("initial", "transition", "observation", "reward", "terminated")
DEFAULTS = {"id": "", "action_low": (), "action_high": (), "reward_threshold": None, "constants": {}}
DEFAULTS |= {"action_mask": None, "jumps": None}


class Environment(NamedTuple):
    """A task. E environments side by side, S scalars of state, F features, U uniforms; all tensors are vectors [E]."""

    name: str  # module:Class
    id: str  # Gymnasium's id of the same task, "" for a task that Gymnasium lacks
    obs_low: tuple[float, ...]  # [F]
    obs_high: tuple[float, ...]  # [F]
    action_kind: Literal["discrete", "box"]
    num_actions: int  # discrete: how many actions; box: how many components
    action_low: tuple[float, ...]  # [num_actions] of a box, else ()
    action_high: tuple[float, ...]
    max_steps: int | None  # the time limit
    state_size: int  # S
    num_initial_noise: int  # U, the uniforms in [0, 1) that one reset consumes
    initial: Callable[..., Any]  # (noise: U tensors) -> S tensors
    transition: Callable[..., Any]  # (state: S tensors, action: int32 or a tuple of floats) -> S tensors
    observation: Callable[..., Any]  # (state) -> F tensors
    reward: Callable[..., Any]  # (state, action, next_state) -> tensor
    terminated: Callable[..., Any]  # (next_state) -> bool tensor
    reward_threshold: float | None  # the mean return from which the task counts as solved
    constants: dict[str, float]  # the physics by name, to compare and to show
    action_mask: Callable[..., Any] | None = None  # (state) -> num_actions tensors, bool: which are allowed
    jumps: tuple[str, ...] | None = None  # what no gradient through it sees, in words; None: as `graphs.jumps` finds it

    def masked(self):
        """The same, whose observations end with the mask: a 1 for each action that is allowed."""
        if self.action_mask is None:
            return self
        seen, allowed = self.observation, self.action_mask
        return self._replace(
            observation=lambda state: (*seen(state), *(one.astype(state[0].type.dtype) for one in allowed(state)))
        )


def from_class(cls: type) -> Environment:
    """The environment that a class describes: its attributes and functions under the names of `Environment`'s fields.

    May be left out: `id`, `action_low` and `action_high` (discrete actions), `reward_threshold`, `constants`,
    `action_mask`, `jumps`.
    Raises `UserError` for anything else that is missing, with the nearest name that is there.
    """
    name = f"{cls.__module__}:{cls.__qualname__}"
    fields: dict[str, Any] = {"name": name}
    for field in Environment._fields[1:]:
        if hasattr(cls, field):
            fields[field] = getattr(cls, field)
            continue
        written = [other for other in dir(cls) if other not in Environment._fields and not other.startswith("_")]
        near = get_close_matches(field, written, n=1, cutoff=0.8)
        if near or field not in DEFAULTS:
            hint = f"; did you mean it by {near[0]!r}?" if near else ""
            raise UserError(f"{name}.{field} is missing{hint}")
        fields[field] = DEFAULTS[field]
    for field in FUNCTIONS:
        if not callable(fields[field]):
            raise UserError(f"{name}.{field}: got {fields[field]!r}; expected a function")
        fields[field] = partial(_in_dtype_of_argument, fields[field])
    if fields["action_mask"] is not None:
        fields["action_mask"] = partial(_in_dtype_of_argument, fields["action_mask"])
    return Environment(**fields)


def _in_dtype_of_argument(function, tensors, *others):
    """Call `function` where PyTensor reads Python's floats in the dtype of the first argument: neither rounded nor
    promoting. (Under floatX = float32 it rounds 0.1 to float32 even beside a float64.)"""
    with pytensor.config.change_flags(floatX=tensors[0].type.dtype):
        result = function(tensors, *others)
    return tuple(result) if isinstance(result, list) else result


def validate(environment: Environment, dtype: str) -> None:
    """Build every function once on vectors [E] of `dtype` and say in one line what is wrong with it, if anything.

    Raises `UserError` for: sizes and bounds that do not fit together; a function that raises, returns another
    number of tensors, another number of dimensions or another dtype; a function that is not pure (it draws random
    numbers, reads a shared or a foreign variable, or gives another graph when it is called again). Compiles nothing.
    """
    _validate_data(environment)
    sizes = {
        "noise": environment.num_initial_noise,
        "state": environment.state_size,
        "next_state": environment.state_size,
    }
    noise, state, next_state = (
        tuple(pt.vector(f"{name}_{i}", dtype=dtype) for i in range(size)) for name, size in sizes.items()
    )
    if environment.action_kind == "discrete":
        action = pt.vector("action", dtype="int32")
    else:
        action = tuple(pt.vector(f"action_{i}", dtype=dtype) for i in range(environment.num_actions))

    num_features = len(environment.obs_low)
    _validate_function(environment, "initial", (noise,), environment.state_size, dtype)
    _validate_function(environment, "transition", (state, action), environment.state_size, dtype)
    _validate_function(environment, "observation", (state,), num_features, dtype)
    _validate_function(environment, "reward", (state, action, next_state), None, dtype)
    _validate_function(environment, "terminated", (next_state,), None, "bool")
    if environment.action_mask is not None:
        _validate_function(environment, "action_mask", (state,), environment.num_actions, "bool")


def _validate_data(environment):
    def expect(holds, field, expected):
        if not holds:
            got = getattr(environment, field)
            raise UserError(f"{environment.name}.{field}: got {got!r}; expected {expected}")

    for field in ("state_size", "num_initial_noise", "num_actions"):
        expect(_is_count(getattr(environment, field)), field, "a whole number from 1")
    expect(environment.action_kind in ("discrete", "box"), "action_kind", "'discrete' or 'box'")
    expect(environment.max_steps is None or _is_count(environment.max_steps), "max_steps", "a whole number or None")
    expect(isinstance(environment.obs_low, tuple) and environment.obs_low, "obs_low", "a tuple, one number per feature")
    in_words = isinstance(environment.jumps, tuple) and all(isinstance(one, str) for one in environment.jumps)
    expect(environment.jumps is None or in_words, "jumps", "a tuple of words, () where nothing jumps")
    expect(environment.action_mask is None or environment.action_kind == "discrete", "action_mask", "discrete actions")
    num_actions = environment.num_actions if environment.action_kind == "box" else 0
    for kind, size in (("obs", len(environment.obs_low)), ("action", num_actions)):
        low, high = getattr(environment, f"{kind}_low"), getattr(environment, f"{kind}_high")
        for field, bounds in ((f"{kind}_low", low), (f"{kind}_high", high)):
            expect(_is_numbers(bounds) and len(bounds) == size, field, f"a tuple of {size} numbers")
        expect(all(a < b for a, b in zip(low, high, strict=True)), f"{kind}_high", f"more than {kind}_low = {low}")


def _is_count(number):
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def _is_numbers(bounds):
    return isinstance(bounds, tuple) and all(
        isinstance(bound, int | float) and not math.isnan(bound) for bound in bounds
    )


def _validate_function(environment, function, arguments, size, dtype):
    """`size` tensors in a tuple, or one tensor where it is None; vectors [E] of `dtype`; pure."""
    where = f"{environment.name}.{function}"

    def call():
        try:
            return getattr(environment, function)(*arguments)
        except Exception as error:
            raise UserError(f"{where}: raised {type(error).__name__}: {error}") from error

    result = call()
    if size is None:
        outputs = (result,)
    elif isinstance(result, tuple) and len(result) == size:
        outputs = result
    else:
        got = f"a tuple of {len(result)}" if isinstance(result, tuple) else _describe(result)
        raise UserError(f"{where}: returned {got}; expected a tuple of {size} tensors [E]")

    for index, output in enumerate(outputs):
        if not isinstance(output, TensorVariable) or output.type.shape != (None,) or output.type.dtype != dtype:
            which = "" if size is None else f", component {index}"
            raise UserError(
                f"{where}{which}: returned {_describe(output)}; expected {dtype} [E]{_advice(output, dtype)}"
            )

    given = {tensor for argument in arguments for tensor in (argument if isinstance(argument, tuple) else (argument,))}
    fault = impurity(outputs, given)
    if fault == "draws random numbers":
        fault += "; only `initial` may be random, through its `noise`"
    if fault:
        raise UserError(f"{where}: {fault}")

    again = call()
    if not equal_computations(list(outputs), [again] if size is None else list(again)):
        raise UserError(f"{where}: gave another expression when called again; it must depend on its arguments alone")


def _describe(result):
    if isinstance(result, TensorVariable):
        dims = ", ".join("E" if size is None else str(size) for size in result.type.shape)
        return f"{result.type.dtype} [{dims}]"
    return f"{result!r} ({type(result).__name__})"


def _advice(output, dtype):
    if not isinstance(output, TensorVariable) or output.type.ndim == 0:
        return "; a constant is written pt.full_like(state[0], number)" if dtype != "bool" else "; compare a tensor"
    if dtype != "bool" and output.type.shape == (None,):
        return "; cast what is not of that dtype, as in action.astype(state[0].dtype)"
    return ""
