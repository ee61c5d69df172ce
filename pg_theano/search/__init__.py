"""Search of hyper-parameters; `minimise`, for any function, is handed on from `training.population`."""

from typing import Any

__all__ = ["Generation", "Result", "minimise"]


def __getattr__(name: str) -> Any:
    """`minimise` and what it returns, imported when asked for."""
    if name in __all__:
        from pg_theano.training.population import minimise as home

        return getattr(home, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
