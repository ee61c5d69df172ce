"""Environments as expressions: one file per task, and the one place that finds a task by its name.

A name is the id of a task written here, or `module:Class` for one's own (`base.py` says how to write it).
Importing this package imports no PyTensor; loading an environment does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pg_theano.types import BUILT_IN_DYNAMICS, UserError

if TYPE_CHECKING:
    from pg_theano.graphs.environments.base import Environment

BUILT_IN = BUILT_IN_DYNAMICS


def load(name: str, dtype: str | None = None) -> Environment:
    """The environment called `name`: a key of `BUILT_IN`, or `module:Class` with a module that Python can import.

    With a dtype, one that is not built in is validated for it, so that what is wrong with it is said before anything
    is compiled.
    """
    module_name, colon, class_name = BUILT_IN.get(name, name).partition(":")
    if not (module_name and colon and class_name):
        raise UserError(f"dynamics: got {name!r}; expected module:Class, or one of {', '.join(BUILT_IN)}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise UserError(f"dynamics: {module_name} cannot be imported ({error})") from error
        raise UserError(f"dynamics: no module named {module_name!r}; run where {module_name}.py is") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"dynamics: {module_name} cannot be imported ({reason})") from error
    if not hasattr(module, class_name):
        raise UserError(f"dynamics: {module_name} has no class {class_name!r}")

    from pg_theano.graphs.environments.base import from_class, validate

    environment = from_class(getattr(module, class_name))
    if dtype is not None and name not in BUILT_IN and name not in BUILT_IN.values():
        validate(environment, dtype)
    return environment
