"""Every knob: its default, its bounds, its help, and reading it from YAML and the command line."""

from typing import Any

PUBLIC = ("from_dict", "read_config", "read_data", "resolved", "to_dict")


def __getattr__(name: str) -> Any:
    """The functions of `config.reading`, imported when asked for: written cards say `from pg_theano import config`."""
    if name in PUBLIC:
        from pg_theano.config import reading

        return getattr(reading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
