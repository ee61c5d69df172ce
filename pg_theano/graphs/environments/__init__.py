"""Environments as expressions: one file per task, and the one place that finds a task by its name.

A name is Gymnasium's id of a task written here, or `module:Class` for one's own (`base.py` says how to write it).
Importing this package imports no PyTensor; loading an environment does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from pg_theano.types import BUILT_IN_DYNAMICS, UserError

if TYPE_CHECKING:
    from pg_theano.graphs.environments.base import Environment

BUILT_IN = BUILT_IN_DYNAMICS


def load(name: str) -> Environment:
    """The environment called `name`: a key of `BUILT_IN`, or `module:Class` with a module that Python can import."""
    module_name, colon, class_name = BUILT_IN.get(name, name).partition(":")
    if not (module_name and colon and class_name):
        raise UserError(f"dynamics: got {name!r}; expected module:Class, or one of {', '.join(BUILT_IN)}")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something that it imports is not
        raise UserError(f"dynamics: no module named {module_name!r}; run where {module_name}.py is") from error
    if not hasattr(module, class_name):
        raise UserError(f"dynamics: {module_name} has no class {class_name!r}")

    from pg_theano.graphs.environments.base import from_class

    return from_class(getattr(module, class_name))
