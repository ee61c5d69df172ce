"""Within what a config and a seed give the same numbers bit for bit: versions, backend, dtype, processor, settings.

See docs/reliability.md for what is promised and what is not.
"""

import contextlib
import functools
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from typing import Any

BINDING = ("versions", "backend", "dtype")
"""Parts of a fingerprint that must agree before a run is resumed (or --force). The others cost a warning."""

SETTINGS = (
    "XLA_FLAGS",
    "JAX_PLATFORMS",
    "PYTENSOR_FLAGS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
"""Variables of the environment that may change how sums are split up, and so their last bit."""

_OURS = "xla_cpu_small_while_loop_byte_threshold"  # which `backends` adds to XLA_FLAGS itself
_FOUND = {
    name: words
    for name in SETTINGS
    if (words := " ".join(word for word in os.environ.get(name, "").split() if _OURS not in word))
}


@functools.cache
def versions() -> dict[str, str]:
    """The versions of everything that a result depends on."""
    found = {"python": platform.python_version()}
    for name in ("pg_theano", "pytensor", "jax", "jaxlib", "gymnasium", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@functools.cache
def processor() -> str:
    """The model of the processor and the name of its architecture: machine code is compiled for this one."""
    model = _told().get("model name") or platform.processor() or "unknown"
    return f"{model} ({platform.machine()})"


def features() -> str:
    """The same, with what this processor can do, where the system tells: machine code is read again for equal ones."""
    return " ".join([processor(), *(_told().get(name, "") for name in ("flags", "Features"))])


@functools.cache
def _told() -> dict[str, str]:
    """What the system tells of its first processor; nothing where it has no /proc."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        lines = file.read(1 << 14).partition("\n\n")[0].splitlines()
        return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {}


def of(backend: str, dtype: str) -> dict[str, Any]:
    """The fingerprint of this process, for a run with this backend and dtype."""
    return {
        "versions": dict(versions()),
        "backend": backend,
        "dtype": dtype,
        "processor": processor(),
        "settings": dict(_FOUND),
    }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(what binds, what does not): "jax 0.10.2, here 0.11.0". A part that was not recorded differs in nothing."""
    binding: list[str] = []
    others: list[str] = []
    for part in now:
        if part not in then:
            continue
        before, here = (value if isinstance(value, dict) else {part: value} for value in (then[part], now[part]))
        found = [
            f"{name} {before.get(name, 'not there')}, here {here.get(name, 'not there')}"
            for name in {**before, **here}
            if before.get(name) != here.get(name)
        ]
        (binding if part in BINDING else others).extend(found)
    return binding, others
