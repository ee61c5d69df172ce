"""The functions of a program, built as they are first called: by JAX from artifacts, or by PyTensor's own backends."""

import contextlib
import os
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from pg_theano.compiler import building, starting
from pg_theano.compiler import cached as artifacts
from pg_theano.compiler.building import Around, Shaping
from pg_theano.system import stopping
from pg_theano.types import NARROW, State, UserError

Report = Callable[[str, float], None]
"""Called with what was compiled, and the seconds it took; with 0 seconds before a long compilation begins."""

started: list[ThreadPoolExecutor] = []
"""Threads that compile, for whoever must wait for them."""


class PyTensorFunctions:
    """The functions of a program through PyTensor's Numba or C backend, each compiled when it is first called.

    Nothing is kept between processes: these backends compile each time.
    """

    def __init__(self, module: str, spec: Shaping, first: str, backend: str, report: Report, around: Around):
        if backend == "c" and not (shutil.which("g++") or shutil.which("clang++")):
            raise UserError.of(
                "backend", "got c, but no C++ compiler (g++) is on the PATH; install one, or use backend: jax"
            )
        self.module, self.spec, self.backend, self.report, self.around = module, spec, backend, report, around
        self.compiled: dict[str, Any] = {}
        with around():
            _, self.manifest = building.build(module, first, spec)

    def call(self, function: str, sizes: dict[str, int], state: State, values: dict[str, Any]) -> dict[str, Any]:
        began, first = time.perf_counter(), function not in self.compiled
        if first:
            self.report(f"{function} for {self.backend}: compiling, which takes one to three minutes each time", 0.0)
            self.compiled[function] = self._compile(function)
        run, inputs, outputs = self.compiled[function]
        everything = state | values
        arguments = [
            np.ascontiguousarray(everything[name], dtype).reshape(np.shape(everything[name]))
            for name, dtype, _ in inputs
        ]
        with warnings.catch_warnings():
            if first:  # Numba compiles here, and has views on how PyTensor multiplies
                warnings.simplefilter("ignore")
            results = run(*arguments)
        if first:
            self.report(f"{function} for {self.backend}", time.perf_counter() - began)
        return state_and_rest(outputs, results, state if function == "train" else {})

    def prepare(self, wanted: list[tuple]) -> None:
        """Nothing: each is compiled when it is first called, and one compilation serves all sizes."""

    def _compile(self, function: str) -> tuple[Any, list, list]:
        with self.around():
            graph, manifest = building.build(self.module, function, self.spec)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
            compiled = building.pytensor_function(graph, building.mode_of(self.backend), self.spec.dtype)
        return compiled, manifest["inputs"], manifest["outputs"]


def state_and_rest(outputs: list[str], values: Any, state: State) -> dict[str, Any]:
    """Outputs by name, over the state entries that the function leaves alone."""
    return state | dict(zip(outputs, values, strict=True))


# -- several agents at once

BY_TIME = ("record", "noise", "index", "weight")
"""Arrays that a loop reads or writes a row at a time, time (or gradient steps) first."""


def agent_axis(name: str, dims: Sequence[Any]) -> int:
    """Where the axis of agents stands in an array with these other dimensions: first, or after the time of a loop.

    There a loop takes its row [A, ...] without a copy of the whole: 1.7 instead of 1.4 times as quick as one agent
    after the other, for 125 steps of 16 agents with 16 episodes each.
    """
    return int(name in BY_TIME or (name == "initial_noise" and len(dims) == 3))


def _of_agents(jax: Any, jit_function: Any, manifest: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A function, and its manifest, with a leading axis of agents on everything that goes in and out."""
    inputs = [(name, dtype, list(dims), agent_axis(name, dims)) for name, dtype, dims in manifest["inputs"]]
    mapped = jax.vmap(
        jit_function,
        in_axes=[axis for *_, axis in inputs],
        out_axes=tuple(agent_axis(name, ()) for name in manifest["outputs"]),
    )
    with_agents = [[name, dtype, [*dims[:axis], "A", *dims[axis:]]] for name, dtype, dims, axis in inputs]
    return mapped, manifest | {"inputs": with_agents}


# -- JAX: artifacts

_SIZES = ("E", "T", "B", "A")
"""Of a function's key, after its name; None where it has no such dimension."""


class JaxFunctions:
    """The functions of a program as StableHLO artifacts, run by JAX.

    An artifact has E symbolic and T fixed: one file a function and T. Each concrete (E, T) is lowered and compiled
    ahead of time, which JAX's persistent cache answers in 0.03 to 0.06 s when it has seen it before. That of several
    agents is a file of its own, with their number A symbolic too.
    """

    def __init__(
        self, module: str, spec: Shaping, first: str, *, steps: int | None, report: Report, around: Around, agents: bool
    ):
        self.module, self.spec, self.report, self.around, self.agents = module, spec, report, around, agents
        self.key = artifacts.key_of(module, spec)
        self.exported: dict[str, Any] = {}
        self.jit_functions: dict[str, Any] = {}
        self.graph_seconds = 0.0  # spent on building graphs so far, which is reported as it is spent
        self._begin()
        self.manifest = self.artifact(first, steps)[1]

    def _begin(self) -> None:
        """Have nothing compiled, and threads of this process: a forked child can use nothing of its parent's."""
        self.compiled: dict[tuple, Any] = {}
        self.pending: dict[tuple, Future] = {}
        self.threads = ThreadPoolExecutor(max_workers=2)
        started.append(self.threads)
        self.jax, self.forks = _jax(self.spec.widths), starting.count

    def call(self, function: str, sizes: dict[str, int], state: State, values: dict[str, Any]) -> dict[str, Any]:
        if self.forks != starting.count:
            self._begin()
        key = (function, *map(sizes.get, _SIZES))
        if key not in self.compiled:
            self.compiled[key] = self._wait(key)
        run, inputs, outputs = self.compiled[key]
        everything = state | values
        with wide(self.jax, self.spec.dtype):
            results = run(*[everything[name] for name in inputs])
        return state_and_rest(outputs, results, state if function == "train" else {})

    def prepare(self, wanted: list[tuple]) -> None:
        """Have (function, E, T), with B and A where there are, compiled side by side, before they are called.

        Graphs are built here and in turn, because PyTensor is not thread-safe; XLA works on those already built
        meanwhile, without Python's lock. What comes from the cache is waited for: it takes a tenth of a second, and
        would take it from the training that begins right after.
        """
        wanted = [(*key, *[None] * (1 + len(_SIZES) - len(key))) for key in wanted]
        for key in wanted:
            if key not in self.compiled and key not in self.pending:
                artifact = self.artifact(key[0], key[2])
                sizes = dict(zip(_SIZES, key[1:], strict=True))
                self.pending[key] = self.threads.submit(self._compile, artifact, sizes)
        began = time.perf_counter()
        waited_for = [key for key in wanted if key in self.pending]
        cached = [key for key in waited_for if self.artifact(key[0], key[2])[2] == "from the cache"]
        wait([self.pending[key] for key in cached])
        if len(cached) > 1:
            self.report(f"{len(cached)} functions, from the cache", time.perf_counter() - began)

    def _wait(self, key: tuple) -> tuple[Any, list, list]:
        began, graphs = time.perf_counter(), self.graph_seconds
        self.prepare([key])  # which has said itself how long a graph took
        compiled = self.pending.pop(key).result()
        seconds = time.perf_counter() - began - (self.graph_seconds - graphs)
        function, sizes = key[0], zip(_SIZES, key[1:], strict=True)
        size = ", ".join(f"{name}={number}" for name, number in sizes if number is not None)
        origin = self.artifact(function, key[2])[2]
        self.report(f"{function} [{size}] to machine code, {origin}", max(seconds, 1e-9))
        return compiled

    def _compile(self, artifact: tuple[Any, dict[str, Any], str], sizes: dict[str, Any]) -> tuple[Any, list, list]:
        exported, manifest, _ = artifact
        with wide(self.jax, self.spec.dtype):
            shapes = self._shapes(manifest, sizes)
            haste = self.jax.config.read("jax_disable_most_optimizations")
            options = _COMPILER_OPTIONS | (_LOOP_OPTIONS if manifest["loops"] else {}) | (_IN_HASTE if haste else {})
            run = self.jax.jit(exported.call).lower(*shapes).compile(options)
            # The first call of a function takes 10 ms longer than all others: it belongs to compiling.
            self.jax.block_until_ready(run(*[np.zeros(shape.shape, shape.dtype) for shape in shapes]))
        return run, [name for name, *_ in manifest["inputs"]], manifest["outputs"]

    def artifact(self, function: str, steps: int | None) -> tuple[Any, dict[str, Any], str]:
        """(exported function, manifest, where it came from), from memory, the cache folder, or built now."""
        agents = self.agents and function in ("rollout", "train")
        name = (function if steps is None else f"{function}-T{steps}") + ("-agents" if agents else "")
        if name not in self.exported:
            path = artifacts.cache_folder() / "artifacts" / f"{self.key[:32]}-{name}.stablehlo"
            found = artifacts.read(path, self.key)
            if found is not None:
                try:
                    self.exported[name] = (self.jax.export.deserialize(bytearray(found[1])), found[0], "from the cache")
                except Exception as error:  # written by a JAX that this one does not understand, though the key agreed
                    artifacts.warn(f"{path}: not readable by this JAX ({error}); building it anew")
            if name not in self.exported:
                with building.seldom_collected(), building.in_64_bits(self.jax):
                    exported, manifest = self._export(function, steps, agents)
                facts = manifest | {"function": name, "key": self.key, "about": self.spec.about}
                artifacts.write(path, facts, exported.serialize())
                self.exported[name] = (exported, facts, "anew")
        return self.exported[name]

    def _shapes(self, manifest: dict[str, Any], sizes: dict[str, Any]) -> list[Any]:
        return [
            self.jax.ShapeDtypeStruct([sizes.get(size, size) for size in shape], dtype)
            for _, dtype, shape in manifest["inputs"]
        ]

    def _export(self, function: str, steps: int | None, agents: bool) -> tuple[Any, dict[str, Any]]:
        jax = self.jax
        if function not in self.jit_functions:
            self.report(f"{function}: building, differentiating and rewriting its graph", 0.0)
            building.import_pytensor()
            began = time.perf_counter()
            with self.around():
                graph, described = building.build(self.module, function, self.spec)
            compiled = building.pytensor_function(graph, building.few_rewrites(), self.spec.dtype)
            # The JAX function under a compiled PyTensor function has no public name.
            self.jit_functions[function] = (compiled.vm.jit_fn, described)
            seconds = time.perf_counter() - began
            self.graph_seconds += seconds
            self.report(f"the graph of {function}", seconds)
        jit_function, manifest = self.jit_functions[function]
        if agents:
            jit_function, manifest = _of_agents(jax, jit_function, manifest)
        number, episodes, batch = jax.export.symbolic_shape("A, E, B")
        shapes = self._shapes(manifest, {"A": number, "E": episodes, "T": steps, "B": batch})
        with wide(jax, self.spec.dtype), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Explicitly requested dtype")
            return jax.export.export(jax.jit(jit_function))(*shapes), manifest


_COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
"""XLA's options for every function. Its default of 256 bits costs the loop over time a sixth of its speed on a machine
that has 512; LLVM takes less where there is less."""

_LOOP_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""... and for one with a loop: a sum that XLA gives to the YNNPACK library (from 4,096 numbers on) would keep the loop
from being one function. Elsewhere the library is quicker."""

_IN_HASTE = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
"""... and where JAX is told to optimise little (JAX_DISABLE_MOST_OPTIMIZATIONS=1): a third of that time is left."""

_WHOLE_LOOPS = "xla_cpu_small_while_loop_byte_threshold"
"""XLA on the CPU runs a loop kernel by kernel, some 60 ns each beside what they compute, unless all that the loop
touches is below this many bytes (1,024): then the loop is one function of machine code. Raised, it holds for all of
ours."""

_THREADS = "NPROC"
"""The environment variable from which XLA on the CPU takes its number of threads, as it starts."""


def _jax(widths: Sequence[int]) -> Any:
    # Read when XLA first runs, and not at all by one that is running already; it is no option of a single function.
    # Of wide layers it would slow the loops down: 1.7 instead of 1.2 ms for 128 steps of 4 episodes with 64 x 64 units.
    flags = os.environ.get("XLA_FLAGS", "")
    narrow = bool(widths) and max(widths) <= NARROW
    if narrow:  # what we compute is too small to share: with two threads a run took 1.1 times as long
        os.environ.setdefault(_THREADS, "1")
    if _WHOLE_LOOPS not in flags and narrow:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_extra_options={_WHOLE_LOOPS}={2**40}".strip()
    with stopping.deferred(), starting.explained():
        import jax
        import jax.export
        from jax._src import compilation_cache

    jax.config.update("jax_compilation_cache_dir", str(artifacts.xla_folder()))
    # Its own would load damaged machine code, and has no public place for another.
    if not isinstance(compilation_cache._cache, artifacts.MachineCode):
        own: Any = artifacts.MachineCode(artifacts.xla_folder, artifacts.warn)
        compilation_cache._cache, compilation_cache._cache_initialized = own, True
    # The defaults skip what compiles in under a second, which is most of ours.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return jax


def wide(jax: Any, dtype: str) -> contextlib.AbstractContextManager[Any]:
    """64-bit types for float64 programs and for nothing else, whatever PyTensor set when it was imported."""
    return jax.enable_x64(dtype == "float64")
