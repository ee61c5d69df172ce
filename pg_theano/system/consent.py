"""What the user has said of code of their own: `--no-user-code`, `--allow-import`. Worker processes inherit it;
a cluster is told with each batch."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

NO_USER_CODE, ALLOW_IMPORT = "PG_THEANO_NO_USER_CODE", "PG_THEANO_ALLOW_IMPORT"


def refused() -> bool:
    """Nothing that a config names as module:name is imported, by this process and those that it starts."""
    return bool(os.environ.get(NO_USER_CODE))


def allowed() -> bool:
    """A module that is not the one that a run recorded is imported all the same."""
    return bool(os.environ.get(ALLOW_IMPORT))


def said() -> dict[str, bool]:
    """What `given` is told, for a process that does not inherit it: a worker of a cluster."""
    return {"no_user_code": refused(), "allow_import": allowed()}


@contextlib.contextmanager
def given(*, no_user_code: bool = False, allow_import: bool = False) -> Iterator[None]:
    """While a command runs that was told so; what the environment says already stays."""
    said = {NO_USER_CODE: no_user_code, ALLOW_IMPORT: allow_import}
    before = {name: os.environ.get(name) for name in said}
    os.environ.update({name: "1" for name, wanted in said.items() if wanted})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
