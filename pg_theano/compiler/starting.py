"""JAX as it starts here: with threads of its own after a fork, and under variables that may keep it from running."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

import numpy as np

from pg_theano.system import machine
from pg_theano.types import UserError

count = 0
"""How often this process, or one before it, was forked: what was compiled under another count cannot run here."""

_stale = False


def _begun() -> None:
    global count, _stale
    count, _stale = count + 1, "jax" in sys.modules


machine.after_a_fork(_begun)


def renew() -> None:
    """Give JAX threads of this process, where it has its parent's. Errors: `UserError` where this JAX has no way to."""
    global _stale
    if not _stale:
        return
    try:
        import jax.extend
        from jax._src import xla_bridge
        from jax._src.interpreters import mlir

        for left in (mlir.global_thread_pool, *xla_bridge._backends.values()):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(left))  # never freed, which would wait for those threads
        mlir.global_thread_pool = type(mlir.global_thread_pool)()
        jax.clear_caches()
        jax.extend.backend.clear_backends()
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"process {os.getpid()}: was forked after JAX had begun, and this JAX cannot begin again ({error}); "
            "expected a process of its own; try the start method spawn, as in vector_kwargs={'context': 'spawn'}"
        ) from error
    _stale = False


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Import JAX in it. Errors: `UserError` that names JAX's variables, where there are some and JAX cannot run."""
    named = {name: value for name, value in sorted(os.environ.items()) if name.startswith("JAX_")}
    try:
        yield
        renew()
        if named:  # one small program, ahead of time and on NumPy's numbers, as all of ours
            import jax

            jax.jit(_doubled).lower(np.float32(1)).compile()(np.float32(1))
    except Exception as error:
        if not named or isinstance(error, UserError):
            raise
        said = str(error).partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{', '.join(named)}: got {', '.join(map(repr, named.values()))}, with which JAX cannot run ({said:.150}); "
            f"expected none that keeps it from this machine; try unset {' '.join(named)}"
        ) from error


def _doubled(x: np.float32) -> np.float32:
    return x + x
