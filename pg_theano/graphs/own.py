"""A policy, a layer or an objective of the user's own: found by its name, held to its contract before it is compiled.

def parameters(obs_size, action_size, **kwargs): ...     [(name, shape, initialiser), ...]
def my_policy(params, obs, **kwargs): ...                {name: tensor}, [N, F] to [N, action_size]
def my_layer(params, x, **kwargs): ...                   {name: tensor}, [N, inputs] to [N, outputs]
def my_objective(log_prob, old_log_prob, advantage, value, mask, **kwargs): ...      each [N]; a scalar, maximised

Each is tried on symbols of its own first, so that what its result depends on can be told apart from what its arguments
depend on; with a number of rows that is known, so that PyTensor works its shape out.
"""

import importlib
from typing import Any

import pytensor
import pytensor.tensor as pt
from pytensor.graph.basic import equal_computations
from pytensor.graph.rewriting.utils import rewrite_graph
from pytensor.tensor.basic import get_underlying_scalar_constant_value
from pytensor.tensor.variable import TensorVariable

from pg_theano.graphs.common import impurity, total
from pg_theano.spec import Acting
from pg_theano.types import UserError

PREFIX, LOG_STD = "policy/", "policy/log_std"
ROWS = 13
"""N on trial: no size that a task is likely to have."""

ARGUMENTS = ("log_prob", "old_log_prob", "advantage", "value", "mask")


def policy_outputs(acting: Acting, layers, obs):
    """The user's policy. Shapes: `obs` [F, N], handed over as [N, F]; the result [K, N]."""
    where, kwargs = acting.own.name, acting.own.kwargs
    function = load("policy.name", where)
    shapes = {name: shape for name, shape, *_ in acting.layout if name.startswith(PREFIX) and name != LOG_STD}
    _try_policy(acting, function, {_short(name): shape for name, shape in shapes.items()})
    outputs = _called("policy.name", where, function, ({_short(name): layers[name] for name in shapes}, obs.T), kwargs)
    return pt.specify_shape(outputs, (None, acting.num_outputs)).T


def tried_layer(layer, shapes, dtype):
    """The function of a user's layer. Raises `UserError` where it breaks its contract. `shapes` are its arrays'."""
    where, function = layer.name, load("policy.network", layer.name)
    params = {name: pt.tensor(name, shape=shape, dtype=dtype) for name, shape in shapes.items()}
    x = pt.tensor("x", shape=(ROWS, layer.inputs), dtype=dtype)
    result = _tried("policy.network", where, function, (params, x), [*params.values(), x], layer.kwargs)
    fits = isinstance(result, TensorVariable) and result.type.dtype == dtype and result.type.ndim == 2
    sizes = zip(result.type.shape, (ROWS, layer.gives), strict=True) if fits else ()
    if not fits or any(found not in (None, size) for found, size in sizes):
        wanted = f"expected {dtype} [N, {layer.gives}], as output() says, of [N, {layer.inputs}]"
        raise UserError.of("policy.network", f"{where} returned {_described(result)}; {wanted}")
    if params and not any(_gradients("policy.network", where, total(result), params.values())):
        raise UserError.of("policy.network", f"what {where} returns does not depend on its parameters: drop them")
    return function


def objective(own, dtype, log_prob, old_log_prob, advantage, value, mask):
    """The user's objective, to be maximised. Shapes: all [N]; the result a scalar."""
    function = load("algorithm.objective", own.name)
    _try_objective(own, dtype, function)
    given = (log_prob, old_log_prob, advantage, value, mask)
    result = _called("algorithm.objective", own.name, function, given, own.kwargs)
    return result.astype(dtype)


def _short(name):
    return name.removeprefix(PREFIX)


def load(knob: str, name: str) -> Any:
    """The function called `name`, module:function."""
    module_name, _, function = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError.of(knob, f"{module_name} cannot be imported ({type(error).__name__}: {error})") from error
    found = getattr(module, function, None)
    if not callable(found):
        raise UserError.of(knob, f"{module_name} has no function {function!r}")
    return found


def _try_policy(acting: Acting, function, shapes):
    """Raises `UserError` for a policy that breaks its contract. `shapes` are those of its parameters, by name."""
    where, dtype, size = acting.own.name, acting.dtype, acting.num_outputs
    params = {name: pt.tensor(name, shape=shape, dtype=dtype) for name, shape in shapes.items()}
    obs = pt.tensor("obs", shape=(ROWS, acting.num_features), dtype=dtype)
    outputs = _tried("policy.name", where, function, (params, obs), [*params.values(), obs], acting.own.kwargs)
    expected = f"expected {dtype} [N, {size}]"
    if not isinstance(outputs, TensorVariable) or outputs.type.dtype != dtype or outputs.type.ndim != 2:
        raise UserError.of("policy.name", f"{where} returned {_described(outputs)}; {expected}")
    if any(found not in (None, wanted) for found, wanted in zip(outputs.type.shape, (ROWS, size), strict=True)):
        raise UserError.of("policy.name", f"{where} returned {_described(outputs)}; {expected}")
    if not any(_gradients("policy.name", where, total(outputs), params.values())):
        raise UserError.of("policy.name", f"what {where} returns does not depend on its parameters: it cannot learn")


def _try_objective(own, dtype, function):
    """Raises `UserError` for an objective that breaks its contract."""
    where = own.name
    given = [pt.tensor(name, shape=(ROWS,), dtype=dtype) for name in ARGUMENTS]
    result = _tried("algorithm.objective", where, function, given, given, own.kwargs)
    if not isinstance(result, TensorVariable) or result.type.ndim != 0:
        raise UserError.of("algorithm.objective", f"{where} returned {_described(result)}; expected a scalar")
    if not result.type.dtype.startswith("float"):
        raise UserError.of("algorithm.objective", f"{where} returned {_described(result)}; expected {dtype}")
    if not any(_gradients("algorithm.objective", where, result, given[:1])):
        raise UserError.of(
            "algorithm.objective",
            f"what {where} returns does not depend on log_prob in a way that has a gradient, and "
            "so not on the policy's parameters: nothing would be learned",
        )


def _tried(knob, where, function, arguments, symbols, kwargs):
    """What a user's function gives, once it is known to be a pure function of its arguments."""
    result = _called(knob, where, function, arguments, kwargs)
    if isinstance(result, TensorVariable):
        fault = impurity([result], symbols)
        again = _called(knob, where, function, arguments, kwargs)
        if not fault and not (isinstance(again, TensorVariable) and equal_computations([result], [again])):
            fault = "gave another expression when called again; it must depend on its arguments alone"
        if fault:
            raise UserError.of(knob, f"{where} {fault}")
    return result


def _gradients(knob, where, scalar, wanted):
    """Of each wanted symbol whether the scalar has a gradient there, as far as can be seen without numbers."""
    try:
        gradients = pytensor.grad(scalar, [*wanted], disconnected_inputs="ignore", return_disconnected="none")
    except Exception as error:
        raise UserError.of(knob, f"{where} cannot be differentiated ({type(error).__name__}: {error})") from error

    def vanishes(gradient):
        simplest = rewrite_graph(gradient, include=("canonicalize", "specialize"))
        return get_underlying_scalar_constant_value(simplest, raise_not_constant=False) == 0

    return [gradient is not None and not vanishes(gradient) for gradient in gradients]


def _called(knob, where, function, arguments, kwargs):
    try:
        return function(*arguments, **kwargs)
    except UserError:
        raise
    except Exception as error:
        raise UserError.of(knob, f"{where} raised {type(error).__name__}: {error}") from error


def _described(result):
    if isinstance(result, TensorVariable):
        dims = ", ".join({None: "?", ROWS: "N"}.get(size, str(size)) for size in result.type.shape)
        return f"{result.type.dtype} [{dims}]"
    return f"{result!r:.60} ({type(result).__name__})"
