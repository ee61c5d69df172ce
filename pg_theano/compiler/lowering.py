"""From an artifact to machine code: JAX as it is begun here, XLA's options, and what is kept of what they make."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.compiler import cached, runtime, starting
from pg_theano.system import stopping, versions
from pg_theano.types import NARROW

Run = tuple[Callable[..., Sequence[Any]], list[str], list[str]]
"""Of a function, compiled: a call, and the names of what it takes and gives, in order."""

_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
"""XLA's options for every function. Its default of 256 bits costs the loop over time a sixth of its speed on a machine
that has 512; LLVM takes less where there is less."""

_LOOP_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""... and for one with a loop: a sum that XLA gives to the YNNPACK library (from 4,096 numbers on) would keep the loop
from being one function. Elsewhere the library is quicker."""

_FEW_COLUMNS = {"xla_cpu_multi_thread_eigen": False}
MOST_FEW = 64
"""... and for one that multiplies no more than so many columns at a time, in each step of a rollout: a product that is
offered to other threads waits for their pool, 1 of 4 µs of such a step with 64 x 64 units."""

_IN_HASTE = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
"""... and where JAX is told to optimise little: a third of that time is left."""

_HASTE = "JAX_DISABLE_MOST_OPTIMIZATIONS"

_WHOLE_LOOPS = "xla_cpu_small_while_loop_byte_threshold"
"""XLA on the CPU runs a loop kernel by kernel, some 60 ns each beside what they compute, unless all that the loop
touches is below this many bytes (1,024): then the loop is one function of machine code. Raised, it holds for all of
ours."""

_THREADS = "NPROC"
"""The environment variable from which XLA on the CPU takes its number of threads, as it starts."""

_flags: list[str] = []
"""XLA's flags, as they were when it first compiled in this process; it reads them then, and not again."""


_unknown: set[str] = set()
"""Options that this version of XLA has no longer."""


def set_variables(widths: Sequence[int]) -> None:
    """Set what XLA reads of the environment as it begins, for layers of these widths."""
    # No option of a single function. Of wide layers it would slow the loops down: 1.7 instead of 1.2 ms for 128 steps
    # of 4 episodes with 64 x 64 units.
    if not widths or max(widths) > NARROW:
        return
    # What we compute is too small to share: with two threads a run took 1.1 times as long.
    os.environ.setdefault(_THREADS, "1")
    flags = os.environ.get("XLA_FLAGS", "")
    if _WHOLE_LOOPS not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_extra_options={_WHOLE_LOOPS}={2**40}".strip()


def begun() -> Any:
    """JAX, imported. Errors: `UserError` where the environment keeps it from running."""
    with stopping.deferred(), starting.explained():
        import jax
        import jax.export
        from jax._src import compilation_cache

    jax.config.update("jax_traceback_in_locations_limit", 0)  # artifacts name no file of this machine
    if runtime.is_enough():  # what is compiled is kept by us; what JAX has read from a cache cannot be written again
        if getattr(jax.config, "jax_enable_compilation_cache"):  # noqa: B009 - which no type of JAX has
            jax.config.update("jax_enable_compilation_cache", False)
            compilation_cache.reset_cache()
        return jax
    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", str(cached.xla_folder()))
    # Its own would load damaged machine code, and has no public place for another.
    if not isinstance(compilation_cache._cache, cached.MachineCode):
        own: Any = cached.machine_code()
        compilation_cache._cache, compilation_cache._cache_initialized = own, True
    # The defaults skip what compiles in under a second, which is most of ours.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return jax


def wide(jax: Any, dtype: str) -> contextlib.AbstractContextManager[Any]:
    """64-bit types for float64 programs and for nothing else, whatever PyTensor set when it was imported."""
    return jax.enable_x64(dtype == "float64")


def key_of(artifact: str, function: str, sizes: dict[str, int]) -> str:
    """SHA-256, as text, of what determines the machine code of a function of the artifacts with this key, which holds
    this source, and so XLA's options."""
    flags = _flags[0] if _flags else os.environ.get("XLA_FLAGS", "")
    haste = os.environ.get(_HASTE, "")
    return cached.digest([artifact, function, sizes, flags, haste, versions.features()])


def shapes_of(jax: Any, manifest: dict[str, Any], sizes: dict[str, Any]) -> list[Any]:
    """What a function takes, where the names of sizes stand for these numbers or symbols."""
    return [
        jax.ShapeDtypeStruct([sizes.get(size, size) for size in shape], dtype) for _, dtype, shape in manifest["inputs"]
    ]


def kept(key: str) -> Run | None:
    """A function that is kept under this key, read by jaxlib alone. A damaged file is a miss with a warning."""
    found = cached.machine_code().get(key)
    if found is None:
        return None
    head, _, code = found.partition(b"\n")
    try:
        return _loaded(json.loads(head), code)
    except Exception as error:  # sealed, and yet not of this jaxlib: another than the key says was installed over it
        cached.warn(f"{cached.xla_folder() / key}: not readable by this jaxlib ({error}); compiling it anew")
        return None


def _loaded(facts: dict[str, Any], code: bytes) -> Run:
    takes, gives = ([(kind, shape) for _, kind, shape in facts[way]] for way in ("takes", "gives"))
    names, results = ([name for name, *_ in facts[way]] for way in ("takes", "gives"))
    return runtime.load(code, takes, gives), names, results


def compiled(jax: Any, exported: Any, manifest: dict[str, Any], sizes: dict[str, int], dtype: str, key: str) -> Run:
    """A function of an artifact, compiled for arrays of these sizes, and kept where jaxlib alone can run it."""
    inputs, outputs = [name for name, *_ in manifest["inputs"]], manifest["outputs"]
    shapes = shapes_of(jax, manifest, sizes)
    if not _flags:
        _flags.append(os.environ.get("XLA_FLAGS", ""))
    with wide(jax, dtype):
        options = _OPTIONS | (_LOOP_OPTIONS if manifest["loops"] else {})
        options |= _FEW_COLUMNS if "noise" in inputs and sizes.get("E", 0) <= MOST_FEW else {}
        options |= _IN_HASTE if jax.config.read("jax_disable_most_optimizations") else {}
        lowered = jax.jit(exported.call, keep_unused=True).lower(*shapes)
        run = _with_known(lowered, options)
        # The first call of a function takes longer than all others: it belongs to compiling.
        zeros = [np.zeros(shape.shape, shape.dtype) for shape in shapes]
        if not runtime.is_enough():
            jax.block_until_ready(run(*zeros))
    if runtime.is_enough():
        executable = run.runtime_executable()
        facts = {
            "takes": [[name, str(a.dtype), a.shape] for name, a in zip(inputs, shapes, strict=True)],
            "gives": [[name, str(a.dtype), a.shape] for name, a in zip(outputs, lowered.out_info, strict=True)],
        }
        code = executable.client.serialize_executable(executable)
        loaded = _loaded(facts, code)
        np.asarray(loaded[0](*zeros)[0])
        cached.machine_code().put(key, json.dumps(facts).encode() + b"\n" + code)
        return loaded

    def call(*arguments: Any) -> Sequence[Any]:
        with wide(jax, dtype):
            return run(*arguments)

    return call, inputs, outputs


def _with_known(lowered: Any, options: dict[str, Any]) -> Any:
    """`lowered`, compiled with those of these options that this version of XLA has."""
    for _ in options:
        try:
            return lowered.compile({name: value for name, value in options.items() if name not in _unknown})
        except Exception as error:
            found = re.search(r"No such compile option: '(\w+)'", str(error))
            if found is None:
                raise
            _unknown.add(found[1])
    return lowered.compile()
