"""The bridge: graph -> gradient -> few rewrites -> machine code -> artifact. The only caller of `pytensor.function`.

On a cache hit neither PyTensor nor `graphs/` is imported: the artifact carries, beside its StableHLO, a manifest
of all that the host must know. An artifact file is one JSON line (the manifest, with the SHA-256 of everything
else in the file) and then the bytes: one file, so that it is written or not, never half of a pair.

    program = load(spec, backend="jax", report=print)
    state = program.init(rng)
    state, metrics = program.train(state, rollout, knobs)
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano import machine_code, parameters, stopping, untrusted
from pg_theano.types import GREEDY, NARROW, Program, Record, State, UserError

Report = Callable[[str, float], None]
"""Called with what was compiled, and the seconds it took; with 0 seconds before a long compilation begins."""

Around = Callable[[], contextlib.AbstractContextManager[None]]

FIRST_BUCKET = 64
FORMAT = 1
MOST_KEPT = 64
_threads: list[ThreadPoolExecutor] = []
_kept: dict[tuple[str, str, bool], _JaxFunctions] | None = None  # functions of earlier runs of this process; see `keep`


def cache_folder() -> Path:
    """Where artifacts and machine code are kept: $PG_THEANO_CACHE, else the user's cache folder."""
    own = os.environ.get("PG_THEANO_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pg_theano"


def _xla_folder() -> Path:
    return cache_folder() / "xla"


def check_cache() -> None:
    """Refuse a cache folder that others may have written to: what is in it runs. Errors: `UserError`."""
    folder = cache_folder()
    for one in (folder, folder / "artifacts", folder / "xla"):
        problem = untrusted.others_may_write(one)
        if problem:
            raise UserError(
                f"{one}: {problem}, and what is in it runs as code; expected a folder that is yours alone: "
                "chmod go-w, or name another in $PG_THEANO_CACHE"
            )


def bucket(steps: int, limit: int | None) -> int:
    """T of the ladder 64, 128, ... up to the time limit, that holds an episode of `steps`."""
    size = FIRST_BUCKET
    while size < steps:
        size *= 2
    return min(size, limit) if limit and limit >= steps else size


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below `number`."""
    return 1 << max(number - 1, 0).bit_length()


def functions(
    spec: dict[str, Any],
    first: str,
    *,
    report: Report,
    around: Around = contextlib.nullcontext,
    backend: str = "jax",
    agents: bool = False,
) -> _JaxFunctions | _PyTensorFunctions:
    """The functions of a spec, each built when it is first called; `first`, whose manifest is read now.

    `around` is a context in which a user's own module can be imported, entered only while a graph is built. With
    `agents`, what collects and learns does so for several agents at once (see `agent_axis`).
    """
    if backend != "jax":
        return _PyTensorFunctions(spec, first, backend, report, around)
    check_cache()
    if _kept is None:
        return _JaxFunctions(spec, first, report, around, agents)
    key = (_key(spec), first, agents)
    if key not in _kept:
        while len(_kept) >= MOST_KEPT:
            _kept.pop(next(iter(_kept))).threads.shutdown(wait=False)
        _kept[key] = _JaxFunctions(spec, first, report, around, agents)
    _kept[key].report, _kept[key].around = report, around  # of the run that uses them now
    return _kept[key]


def keep() -> None:
    """From now on this process keeps its JAX functions, for runs in turn (not at once) that share a graph."""
    global _kept
    _kept = {} if _kept is None else _kept


def finish() -> None:
    """Wait for compilations under way, and begin no more."""
    for threads in _threads:
        threads.shutdown(wait=True, cancel_futures=True)


def load(
    spec: dict[str, Any],
    *,
    backend: str,
    report: Report,
    around: Around = contextlib.nullcontext,
    rows: int = 1,
    first: str = "train",
    agents: bool = False,
) -> Program:
    """The program of a spec, from the cache where it is there, else built now.

    With `agents` (backend jax), `rollout` and `train` are those of A agents at once: every array has a further axis
    (see `agent_axis`), and `knobs` is a list of A.

    `spec` is plain data: all of the config that shapes the graph (see `graphs/skeleton.py`). `rows` is the number of
    environments, of which State may keep something each; `first` is the function built now, "act" where nothing will
    be trained. Errors: `UserError` where the backend cannot work on this
    machine.
    """
    compiled = functions(spec, first, report=report, around=around, backend=backend, agents=agents)
    manifest = compiled.manifest
    dtype = spec["dtype"]

    def init(rng: np.random.Generator) -> State:
        made = {"zeros": np.zeros, "ones": np.ones}
        return {
            name: parameters.initial(rng, spec["layout"], dtype)
            if how == "layout"
            else made[how]([rows if size == "E" else size for size in shape], dtype)
            for name, shape, how in manifest["state"]
        }

    def vector(knobs: dict[str, float]) -> np.ndarray:
        with np.errstate(over="ignore"):  # a rate beyond float32 is infinite, and stops the run as such
            return np.array([knobs[name] for name in manifest["knobs"]], dtype)

    def vectors(knobs: Any) -> np.ndarray:
        return np.stack([vector(one) for one in knobs]) if agents else vector(knobs)

    def act(state, obs, noise, knobs, choice):
        values = {"obs": obs, "noise": noise, "knobs": vector(knobs), "choice": np.asarray(choice, "int32")}
        out = compiled.call("act", {"E": obs.shape[0]}, state, values)
        return np.asarray(out["action"]), np.asarray(out["log_prob"])

    def block(rollout):
        if isinstance(rollout, Record):
            steps, *number, _, episodes = rollout.values.shape
            return {"record": rollout.values}, {"E": episodes, "T": steps} | ({"A": number[0]} if agents else {})
        episodes, steps = rollout.mask.shape
        return rollout._asdict(), {"E": episodes, "T": steps}

    def train(state, rollout, knobs, minibatches=None):
        values, sizes = block(rollout)
        if minibatches:
            values, sizes = values | minibatches, sizes | {"B": minibatches["index"].shape[-1]}
        out = compiled.call("train", sizes, state, values | {"knobs": vectors(knobs)})
        rows = np.asarray(out.pop("metrics")).reshape(-1, len(manifest["metrics"])).tolist()
        metrics = [dict(zip(manifest["metrics"], row, strict=True)) for row in rows]
        return out, metrics if agents else metrics[0]

    def gradient(state, rollout, knobs, at=None):
        values, sizes = block(rollout)
        values |= {"knobs": vector(knobs), "at": state["params"] if at is None else at}
        out = compiled.call("gradient", sizes, state, values)
        return {name: np.asarray(value) for name, value in out.items()}

    def rollout(state, knobs, values):
        *number, _, episodes = values["env_state"].shape
        sizes = {"E": episodes} | ({"A": number[0]} if agents else {})
        return compiled.call("rollout", sizes, state, values | {"knobs": vectors(knobs)})

    return Program(init, act, train, gradient, rollout, compiled.prepare, manifest)


def likeliest_action(
    spec: dict[str, Any], state: State, finish: Callable[[Any, Any], Any], *, around: Around = contextlib.nullcontext
) -> bytes:
    """StableHLO of obs [E, F] to the likeliest action of each, E symbolic, the parameters inside it.

    `finish(jax.numpy, action)` makes of the policy's numbers what the environment takes. Read it with
    `jax.export.deserialize`; it needs neither PyTensor nor us.
    """
    compiled = functions(spec, "act", report=lambda what, seconds: None, around=around)
    assert isinstance(compiled, _JaxFunctions)  # noqa: S101 - of backend jax
    jax, exported, manifest = compiled.jax, *compiled._artifact("act", None)[:2]
    shapes = {name: shape for name, _, shape in manifest["inputs"]}
    given = {name: np.asarray(state[name]) for name in shapes if name in state}
    given |= {"knobs": np.zeros(len(manifest["knobs"]), spec["dtype"]), "choice": np.asarray(GREEDY, "int32")}

    def act(obs: Any) -> Any:
        noise = jax.numpy.full((obs.shape[0], *shapes["noise"][1:]), 0.5, spec["dtype"])
        values = given | {"obs": obs, "noise": noise}
        return finish(jax.numpy, exported.call(*[values[name] for name in shapes])[0])

    with _wide(jax, spec["dtype"]):
        (episodes,) = jax.export.symbolic_shape("E")
        rows = jax.ShapeDtypeStruct((episodes, spec["obs_size"]), spec["dtype"])
        return bytes(jax.export.export(jax.jit(act))(rows).serialize())


# -- PyTensor, imported only when something must be built


def _import_pytensor() -> None:
    """Before the clock of a compilation starts: this takes a second or two, once a process."""
    with stopping.deferred():
        import pytensor.link.jax.dispatch
        import pytensor.tensor  # noqa: F401


def _build(spec: dict[str, Any], function: str) -> Any:
    """The symbolic inputs and outputs of one function of the spec's algorithm."""
    import pytensor

    with pytensor.config.change_flags(floatX=spec["dtype"]):
        module = importlib.import_module(f"pg_theano.graphs.{spec['algorithm']}")
        return getattr(module, function)(spec), module


def _describe(spec: dict[str, Any], graph: Any, module: Any) -> dict[str, Any]:
    """The manifest of one function: what goes in and out, and what the host must know of the program."""
    return {
        "loops": _only_narrow_loops(graph),
        "inputs": [[name, v.type.dtype, graph.dims[name]] for name, v in graph.inputs.items()],
        "outputs": list(graph.outputs),
        **module.describe(spec),
    }


def _only_narrow_loops(graph: Any) -> bool:
    """Whether a graph has loops, none of which multiplies matrices.

    XLA makes one function of such a loop, which is quick; of one with matrix products too, if it is let, and then does
    these without its library: 45 instead of 4 ms for an update of PPO on 64 x 64 units.
    """
    from pytensor.graph.traversal import ancestors
    from pytensor.scan.op import Scan
    from pytensor.tensor.math import Dot

    ops = [v.owner.op for v in ancestors(graph.outputs.values()) if v.owner]
    loops = [op for op in ops if isinstance(op, Scan)]
    inner = [node.op for loop in loops for node in loop.fgraph.apply_nodes]
    return bool(loops) and not any(isinstance(getattr(op, "core_op", op), Dot) for op in inner)


def _pytensor_function(graph: Any, mode: Any, dtype: str) -> Any:
    import pytensor

    with pytensor.config.change_flags(floatX=dtype), warnings.catch_warnings():
        # PyTensor's constants are int64 and float64 here and there; JAX says of each that it keeps 32 bits.
        warnings.filterwarnings("ignore", message="Explicitly requested dtype")
        warnings.filterwarnings("ignore", message="Skipping (Assert|CheckAndRaise)")  # JAX checks shapes by itself
        return pytensor.function(
            list(graph.inputs.values()),
            list(graph.outputs.values()),
            mode=mode,
            trust_input=True,
            on_unused_input="ignore",
        )


def graphs_of(spec: dict[str, Any], function: str, *, around: Around = contextlib.nullcontext) -> tuple[Any, Any]:
    """One function's graph as it is built and differentiated, and as rewriting leaves it for JAX, to be looked at."""
    _import_pytensor()
    with around():
        graph, _ = _build(spec, function)
    from pg_theano.graphs import pictures

    rewritten = _pytensor_function(graph, _few_rewrites(), spec["dtype"]).maker.fgraph
    return pictures.before_rewriting(graph), pictures.named(rewritten, graph.outputs)


class _PyTensorFunctions:
    """The functions of a program through PyTensor's Numba or C backend, each compiled when it is first called.

    Nothing is kept between processes: these backends compile each time.
    """

    def __init__(self, spec: dict[str, Any], first: str, backend: str, report: Report, around: Around):
        if backend == "c" and not (shutil.which("g++") or shutil.which("clang++")):
            raise UserError(
                "backend: got c, but no C++ compiler (g++) is on the PATH; install one, or use backend: jax"
            )
        self.spec, self.backend, self.report, self.around = spec, backend, report, around
        self.compiled: dict[str, Any] = {}
        with around():
            graph, module = _build(spec, first)
            self.manifest = _describe(spec, graph, module)

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
        import pytensor

        with self.around():
            graph, module = _build(self.spec, function)
            manifest = _describe(self.spec, graph, module)
        mode = pytensor.compile.mode.get_mode({"numba": "NUMBA", "c": "CVM"}[self.backend])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")
            compiled = _pytensor_function(graph, mode, self.spec["dtype"])
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


class _JaxFunctions:
    """The functions of a program as StableHLO artifacts, run by JAX.

    An artifact has E symbolic and T fixed: one file a function and T. Each concrete (E, T) is lowered and compiled
    ahead of time, which JAX's persistent cache answers in 0.03 to 0.06 s when it has seen it before. That of several
    agents is a file of its own, with their number A symbolic too.
    """

    def __init__(self, spec: dict[str, Any], first: str, report: Report, around: Around, agents: bool):
        self.spec, self.report, self.around, self.agents = spec, report, around, agents
        self.key = _key(spec)
        self.exported: dict[str, Any] = {}
        self.compiled: dict[tuple, Any] = {}
        self.pending: dict[tuple, Future] = {}
        self.threads = ThreadPoolExecutor(max_workers=2)
        _threads.append(self.threads)
        self.jit_functions: dict[str, Any] = {}
        self.graph_seconds = 0.0  # spent on building graphs so far, which is reported as it is spent
        self.jax = _jax(spec)
        steps = (spec["chunk"] or bucket(1, spec["time_limit"])) if first == "train" else None
        self.manifest = self._artifact(first, steps)[1]

    def call(self, function: str, sizes: dict[str, int], state: State, values: dict[str, Any]) -> dict[str, Any]:
        key = (function, *(sizes.get(name) for name in _SIZES))
        if key not in self.compiled:
            self.compiled[key] = self._wait(key)
        run, inputs, outputs = self.compiled[key]
        everything = state | values
        with _wide(self.jax, self.spec["dtype"]):
            results = run(*[everything[name] for name in inputs])
        return state_and_rest(outputs, results, state if function == "train" else {})

    def prepare(self, wanted: list[tuple]) -> None:
        """Have (function, E, T), with B and A where there are, compiled side by side, for whoever will call them soon.

        Graphs are built here and in turn, because PyTensor is not thread-safe; XLA works on those already built
        meanwhile, without Python's lock. What comes from the cache is waited for: it takes a tenth of a second, and
        would take it from the training that begins right after.
        """
        wanted = [(*key, *[None] * (1 + len(_SIZES) - len(key))) for key in wanted]
        for key in wanted:
            if key not in self.compiled and key not in self.pending:
                artifact = self._artifact(key[0], key[2])
                sizes = dict(zip(_SIZES, key[1:], strict=True))
                self.pending[key] = self.threads.submit(self._compile, artifact, sizes)
        began = time.perf_counter()
        cached = [key for key in wanted if key in self.pending and self._cached(key)]
        wait([self.pending[key] for key in cached])
        if len(cached) > 1:
            self.report(f"{len(cached)} functions, from the cache", time.perf_counter() - began)

    def _cached(self, key: tuple) -> bool:
        return self._artifact(key[0], key[2])[2] == "from the cache"

    def _wait(self, key: tuple) -> tuple[Any, list, list]:
        began, graphs = time.perf_counter(), self.graph_seconds
        self.prepare([key])  # which has said itself how long a graph took
        compiled = self.pending.pop(key).result()
        seconds = time.perf_counter() - began - (self.graph_seconds - graphs)
        function, sizes = key[0], zip(_SIZES, key[1:], strict=True)
        size = ", ".join(f"{name}={number}" for name, number in sizes if number is not None)
        origin = self._artifact(function, key[2])[2]
        self.report(f"{function} [{size}] to machine code, {origin}", max(seconds, 1e-9))
        return compiled

    def _compile(self, artifact: tuple[Any, dict[str, Any], str], sizes: dict[str, Any]) -> tuple[Any, list, list]:
        exported, manifest, _ = artifact
        with _wide(self.jax, self.spec["dtype"]):
            shapes = self._shapes(manifest, sizes)
            options = _COMPILER_OPTIONS | (_LOOP_OPTIONS if manifest["loops"] else {})
            run = self.jax.jit(exported.call).lower(*shapes).compile(options)
            # The first call of a function takes 10 ms longer than all others: it belongs to compiling.
            self.jax.block_until_ready(run(*[np.zeros(shape.shape, shape.dtype) for shape in shapes]))
        return run, [name for name, *_ in manifest["inputs"]], manifest["outputs"]

    def _artifact(self, function: str, steps: int | None) -> tuple[Any, dict[str, Any], str]:
        """(exported function, manifest, where it came from), from memory, the cache folder, or built now."""
        agents = self.agents and function in ("rollout", "train")
        name = (function if steps is None else f"{function}-T{steps}") + ("-agents" if agents else "")
        if name not in self.exported:
            path = cache_folder() / "artifacts" / f"{self.key[:32]}-{name}.stablehlo"
            found = _read_artifact(path, self.key)
            if found is not None:
                try:
                    self.exported[name] = (self.jax.export.deserialize(bytearray(found[1])), found[0], "from the cache")
                except Exception as error:  # written by a JAX that this one does not understand, though the key agreed
                    _warn(f"{path}: not readable by this JAX ({error}); building it anew")
            if name not in self.exported:
                exported, manifest = self._export(function, steps, agents)
                facts = manifest | {"function": name, "key": self.key, "about": _about(self.spec)}
                _write_artifact(path, facts, exported.serialize())
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
            _import_pytensor()
            began = time.perf_counter()
            with self.around():
                graph, module = _build(self.spec, function)
                described = _describe(self.spec, graph, module)
            compiled = _pytensor_function(graph, _few_rewrites(), self.spec["dtype"])
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
        with _wide(jax, self.spec["dtype"]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Explicitly requested dtype")
            return jax.export.export(jax.jit(jit_function))(*shapes), manifest


_COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
"""XLA's options for every function. Its default of 256 bits costs the loop over time a sixth of its speed on a machine
that has 512; LLVM takes less where there is less."""

_LOOP_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
"""... and for one with a loop: a sum that XLA gives to the YNNPACK library (from 4,096 numbers on) would keep the loop
from being one function. Elsewhere the library is quicker."""

_WHOLE_LOOPS = "xla_cpu_small_while_loop_byte_threshold"
"""XLA on the CPU runs a loop kernel by kernel, some 60 ns each beside what they compute, unless all that the loop
touches is below this many bytes (1,024): then the loop is one function of machine code. Raised, it holds for all of
ours."""


_THREADS = "NPROC"
"""The environment variable from which XLA on the CPU takes its number of threads, as it starts."""


def _few_rewrites() -> Any:
    """PyTensor's mode for JAX with few rewrites: they are pure Python and never cached, and XLA fuses by itself."""
    from pytensor.compile.mode import Mode
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery
    from pytensor.link.jax.linker import JAXLinker

    include = ["fast_compile", "jax", "scan_sit_sot_to_untraced"]  # the last: a carry is not kept for every step
    query = RewriteDatabaseQuery(include=include, exclude=["cxx_only", "BlasOpt", "fusion", "inplace"])
    return Mode(JAXLinker(), query)


def _jax(spec: dict[str, Any]) -> Any:
    # Read when XLA first runs, and not at all by one that is running already; it is no option of a single function.
    # Of wide layers it would slow the loops down: 1.7 instead of 1.2 ms for 128 steps of 4 episodes with 64 x 64 units.
    flags = os.environ.get("XLA_FLAGS", "")
    widths = [shape[0] for _, shape, *_ in spec.get("layout", ()) if len(shape) == 2]
    narrow = bool(widths) and max(widths) <= NARROW
    if narrow:  # what we compute is too small to share: with two threads a run took 1.1 times as long
        os.environ.setdefault(_THREADS, "1")
    if _WHOLE_LOOPS not in flags and narrow:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_backend_extra_options={_WHOLE_LOOPS}={2**40}".strip()
    with stopping.deferred():
        import jax
        import jax.export
        from jax._src import compilation_cache

    jax.config.update("jax_compilation_cache_dir", str(_xla_folder()))
    # Its own would load damaged machine code, and has no public place for another.
    if not isinstance(compilation_cache._cache, machine_code.Cache):
        own: Any = machine_code.Cache(_xla_folder, _warn)
        compilation_cache._cache, compilation_cache._cache_initialized = own, True
    # The defaults skip what compiles in under a second, which is most of ours.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return jax


def _wide(jax: Any, dtype: str) -> contextlib.AbstractContextManager[Any]:
    """64-bit types for float64 programs and for nothing else, whatever PyTensor set when it was imported."""
    return jax.enable_x64(dtype == "float64")


def _key(spec: dict[str, Any]) -> str:
    """SHA-256 of what determines the graph and of what determines its meaning."""
    # Where parameters start is no part of the graph: another initial value compiles nothing.
    shaping = spec | {"layout": [entry[:2] for entry in spec.get("layout", [])]}
    return hashlib.sha256(json.dumps([FORMAT, shaping], sort_keys=True).encode() + _surroundings()).hexdigest()


@functools.cache  # they are imported, or will be, once a process: 10 ms
def _surroundings() -> bytes:
    """SHA-256 of the sources and the versions that make a graph of a spec."""
    package = Path(__file__).parent
    own = [package / name for name in ("compiling.py", "parameters.py", "types.py")]
    sources = [*sorted((package / "graphs").rglob("*.py")), *own]
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for name in ("pg_theano", "pytensor", "jax", "jaxlib", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            digest.update(f"{name}={importlib.metadata.version(name)};".encode())
    digest.update(f"python={sys.version_info[:3]};{platform.machine()}".encode())
    return digest.digest()


def remembered(facts: dict[str, Any], make: Callable[[], Any]) -> Any:
    """Plain data that only a user's code can say, kept beside the artifacts under the facts that it follows from."""
    key = hashlib.sha256(json.dumps([FORMAT, facts, sys.version_info[:3]], sort_keys=True).encode()).hexdigest()
    check_cache()
    path = cache_folder() / "artifacts" / f"{key[:32]}.json"
    found = _read_artifact(path, key)
    if found is not None:
        return found[0]["value"]
    value = json.loads(json.dumps(make()))  # the same from now as later from the file
    _write_artifact(path, {"key": key, "value": value}, b"")
    return value


def _about(spec: dict[str, Any]) -> str:
    """A program in a few words, for whoever lists the cache."""
    names = ("algorithm", "dynamics", "exploration", "signal", "baseline", "optimizer", "dtype")
    words = [str(spec[name]).rpartition(".")[2] for name in names if spec.get(name)]
    return " ".join([*words, f"{spec['num_params']} parameters"] if "num_params" in spec else words)


def read_manifest(path: Path) -> dict[str, Any] | None:
    """The manifest of an artifact file, None where it is damaged."""
    try:
        head, _, payload = untrusted.read(path, untrusted.most_bytes()).partition(b"\n")
        manifest = _manifest(head)
        return manifest if manifest.pop("sha256") == _checksum(manifest, payload) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError, UserError):
        return None


def _read_artifact(path: Path, key: str) -> tuple[dict[str, Any], bytes] | None:
    """(manifest, bytes) of an artifact, or None. A damaged or foreign file is a miss with a warning."""
    try:
        head, _, payload = untrusted.read(path, untrusted.most_bytes()).partition(b"\n")
    except FileNotFoundError:
        return None
    except (OSError, UserError) as error:
        _warn(f"{getattr(error, 'strerror', None) or error}; building {path} anew")
        return None
    try:
        manifest = _manifest(head)
        stated = manifest.pop("sha256")
        if stated == _checksum(manifest, payload) and manifest["key"] == key:
            return manifest, payload
    except (ValueError, KeyError, AttributeError, TypeError):
        pass
    _warn(f"{path}: damaged, or not ours; building it anew")
    return None


def _manifest(head: bytes) -> Any:
    if len(head) > untrusted.MOST_JSON:
        raise ValueError
    return untrusted.parsed(head)


def _write_artifact(path: Path, manifest: dict[str, Any], payload: bytes) -> None:
    """A folder that cannot be written costs a warning."""
    head = json.dumps(manifest | {"sha256": _checksum(manifest, payload)}, sort_keys=True).encode()
    try:
        machine_code.write_whole(path, head + b"\n" + payload)
    except OSError as error:
        _warn(f"{path.parent}: {error.strerror}; nothing is kept for the next run")


def _checksum(manifest: dict[str, Any], payload: bytes) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode() + b"\n" + payload).hexdigest()


def _warn(message: str) -> None:
    untrusted.say(f"warning: {message}", sys.stderr)
