"""A policy or an objective of the user's own: found by its name, held to its contract before anything is compiled.

def parameters(obs_size, action_size, **kwargs): ...     [(name, shape, initialiser), ...]
def my_policy(params, obs, **kwargs): ...                {name: tensor}, [N, F] to [N, action_size]
def my_objective(log_prob, old_log_prob, advantage, value, mask, **kwargs): ...      each [N]; a scalar, maximised
"""

from __future__ import annotations

import importlib
from typing import Any

import pytensor.tensor as pt
from pytensor.graph.traversal import ancestors
from pytensor.tensor.variable import TensorVariable

from pg_theano.types import UserError

PREFIX = "policy/"


def load(knob: str, name: str, attribute: str | None = None) -> Any:
    """The function called `name`, module:function; or another attribute of its module."""
    module_name, _, function = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise UserError(f"{knob}: {module_name} cannot be imported ({type(error).__name__}: {error})") from error
    found = getattr(module, attribute or function, None)
    if not callable(found):
        raise UserError(f"{knob}: {module_name} has no function {attribute or function!r}")
    return found


def policy_outputs(spec, layers, obs):
    """The user's policy. Shapes: `obs` [F, N], handed over as [N, F]; the result [K, N]."""
    where = spec["policy"]
    policy = load("policy.name", where)
    params = {name.removeprefix(PREFIX): value for name, value in layers.items() if name.startswith(PREFIX)}
    params.pop("log_std", None)
    outputs = _called("policy.name", where, policy, (params, obs.T), spec["policy_kwargs"])
    size, dtype = spec["num_outputs"], spec["dtype"]
    if not isinstance(outputs, TensorVariable) or outputs.ndim != 2 or outputs.type.shape[1] not in (None, size):
        raise UserError(f"policy.name: {where} returned {_described(outputs)}; expected {dtype} [N, {size}]")
    if outputs.type.dtype != dtype:
        raise UserError(f"policy.name: {where} returned {_described(outputs)}; expected {dtype}")
    if not {*params.values()} & {*ancestors([outputs])}:
        raise UserError(f"policy.name: what {where} returns does not depend on its parameters: it cannot learn")
    return pt.specify_shape(outputs, (None, size)).T


def objective(spec, log_prob, old_log_prob, advantage, value, mask):
    """The user's objective, to be maximised. Shapes: all [N]; the result a scalar."""
    where = spec["objective"]
    function = load("algorithm.objective", where)
    given = (log_prob, old_log_prob, advantage, value, mask)
    # Fresh symbols, so that what it depends on can be told apart from what its arguments depend on.
    arguments = [argument.type(name) for argument, name in zip(given, _NAMES, strict=True)]
    result = _called("algorithm.objective", where, function, tuple(arguments), spec["objective_kwargs"])
    if not isinstance(result, TensorVariable) or result.ndim != 0:
        raise UserError(f"algorithm.objective: {where} returned {_described(result)}; expected a scalar")
    if arguments[0] not in {*ancestors([result])}:
        raise UserError(
            f"algorithm.objective: what {where} returns does not depend on log_prob, and so not on the policy's "
            "parameters: it has no gradient"
        )
    return _called("algorithm.objective", where, function, given, spec["objective_kwargs"]).astype(spec["dtype"])


_NAMES = ("log_prob", "old_log_prob", "advantage", "value", "mask")


def _called(knob, where, function, arguments, kwargs):
    try:
        return function(*arguments, **kwargs)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{knob}: {where} raised {type(error).__name__}: {error}") from error


def _described(result):
    if isinstance(result, TensorVariable):
        return f"{result.type.dtype} {['?' if size is None else size for size in result.type.shape]}".replace("'", "")
    return f"{result!r:.60} ({type(result).__name__})"
