"""JAX in a child that was forked from a process that had imported it: the threads it needs are the parent's."""

from __future__ import annotations

import ctypes
import os
import sys

from pg_theano.types import UserError

count = 0
"""How often this process, or one before it, was forked: what was compiled under another count cannot run here."""

_stale = False


def _begun() -> None:
    global count, _stale
    count, _stale = count + 1, "jax" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begun)


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
