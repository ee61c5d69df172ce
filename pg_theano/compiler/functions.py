"""The functions of a program, built as they are first called: by JAX from artifacts, or by PyTensor's own backends."""

import functools
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.compiler import building, lowering, runtime, starting
from pg_theano.compiler import cached as artifacts
from pg_theano.compiler.building import Around, Shaping
from pg_theano.system import collector
from pg_theano.types import State, UserError

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

_SIZES = ("E", "T", "B", "A", "S")
"""Of a function's key, after its name; None where it has no such dimension."""


class Artifact:
    """A function as StableHLO, with its manifest and where it came from; made JAX's own where it must be compiled."""

    def __init__(self, manifest: dict[str, Any], exported: Callable[[], Any], origin: str):
        self.manifest, self._exported, self.origin = manifest, functools.cache(exported), origin

    @property
    def exported(self) -> Any:
        return self._exported()


class JaxFunctions:
    """The functions of a program as StableHLO artifacts, compiled by JAX and run by jaxlib.

    An artifact has E symbolic and T fixed: one file a function and T. Each concrete (E, T) is lowered and compiled
    ahead of time, and its machine code is kept: read from there, it is ready in some 20 ms and needs no JAX. That of
    several agents is a file of its own, with their number A symbolic too.
    """

    def __init__(
        self, module: str, spec: Shaping, first: str, *, steps: int | None, report: Report, around: Around, agents: bool
    ):
        self.module, self.spec, self.report, self.around, self.agents = module, spec, report, around, agents
        self.key, self.meaning = artifacts.key_of(module, spec), artifacts.meaning_of(module, spec)
        self.artifacts: dict[str, Artifact] = {}
        self.jit_functions: dict[str, Any] = {}
        self.graph_seconds = 0.0  # spent on building graphs so far, which is reported as it is spent
        self._begin()
        self.manifest = self.artifact(first, steps).manifest

    def _begin(self) -> None:
        """Have nothing compiled, and threads of this process: a forked child can use nothing of its parent's."""
        self.compiled: dict[tuple, lowering.Run] = {}
        self.pending: dict[tuple, Future[lowering.Run]] = {}
        self.threads = ThreadPoolExecutor(max_workers=2)
        started.append(self.threads)
        self.forks = starting.count
        lowering.set_variables(self.spec.widths)

    @property
    def jax(self) -> Any:
        return lowering.begun()

    def call(self, function: str, sizes: dict[str, int], state: State, values: dict[str, Any]) -> dict[str, Any]:
        if self.forks != starting.count:
            self._begin()
        key = (function, *map(sizes.get, _SIZES))
        if key not in self.compiled:
            self.compiled[key] = self._wait(key)
        run, inputs, outputs = self.compiled[key]
        everything = state | values
        results = run(*[everything[name] for name in inputs])
        return state_and_rest(outputs, results, state if function == "train" else {})

    def prepare(self, wanted: list[tuple]) -> None:
        """Have (function, E, T), with B and A where there are, compiled side by side, before they are called.

        Graphs are built here and in turn, because PyTensor is not thread-safe; XLA works on those already built
        meanwhile, without Python's lock. What is kept is read at once: that takes a hundredth of a second.
        """
        began, read = time.perf_counter(), 0
        for key in [(*key, *[None] * (1 + len(_SIZES) - len(key))) for key in wanted]:
            if key in self.compiled or key in self.pending:
                continue
            sizes = {name: size for name, size in zip(_SIZES, key[1:], strict=True) if size is not None}
            code = lowering.key_of(self.key, self._name(key[0], key[2]), sizes)
            kept = lowering.kept(code) if runtime.is_enough() else None
            if kept is not None:
                self.compiled[key], read = kept, read + 1
                continue
            jax, artifact = self.jax, self.artifact(key[0], key[2])
            self.pending[key] = self.threads.submit(
                lowering.compiled, jax, artifact.exported, artifact.manifest, sizes, self.spec.dtype, code
            )
        if read > 1:
            self.report(f"{read} functions, from the cache", time.perf_counter() - began)

    def _wait(self, key: tuple) -> lowering.Run:
        began, graphs = time.perf_counter(), self.graph_seconds
        self.prepare([key])  # which has said itself how long a graph took
        pending = self.pending.pop(key, None)
        compiled = self.compiled[key] if pending is None else pending.result()
        seconds = time.perf_counter() - began - (self.graph_seconds - graphs)
        function, sizes = key[0], zip(_SIZES, key[1:], strict=True)
        size = ", ".join(f"{name}={number}" for name, number in sizes if number is not None)
        origin = "from the cache" if pending is None else self.artifact(function, key[2]).origin
        self.report(f"{function} [{size}] to machine code, {origin}", max(seconds, 1e-9))
        return compiled

    def _name(self, function: str, steps: int | None) -> str:
        of_agents = "-agents" if self.agents and function in ("rollout", "train") else ""
        return (function if steps is None else f"{function}-T{steps}") + of_agents

    def artifact(self, function: str, steps: int | None) -> Artifact:
        """A function as StableHLO, from memory, the cache folder, or built now."""
        name = self._name(function, steps)
        if name not in self.artifacts:
            path = artifacts.cache_folder() / "artifacts" / f"{self.key[:32]}-{name}.stablehlo"
            found = artifacts.read(path, self.key) or artifacts.shipped(self.meaning, name)
            self.artifacts[name] = (
                self._built(function, steps, name, path)
                if found is None
                else Artifact(found[0], lambda: self._read(function, steps, name, path, found[1]), "from the cache")
            )
        return self.artifacts[name]

    def _read(self, function: str, steps: int | None, name: str, path: Path, payload: bytes) -> Any:
        try:
            return self.jax.export.deserialize(bytearray(payload))
        except Exception as error:  # written by a JAX that this one does not understand, though the key agreed
            artifacts.warn(f"{path}: not readable by this JAX ({error}); building it anew")
            return self._built(function, steps, name, path).exported

    def _built(self, function: str, steps: int | None, name: str, path: Path) -> Artifact:
        with collector.seldom():
            exported, manifest = self._export(function, steps, name.endswith("-agents"))
        facts = manifest | {"function": name, "key": self.key, "meaning": self.meaning, "about": self.spec.about}
        artifacts.write(path, facts, exported.serialize())
        return Artifact(facts, lambda: exported, "anew")

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
        sizes = dict(zip("AEBS", jax.export.symbolic_shape("A, E, B, S"), strict=True)) | {"T": steps}
        shapes = lowering.shapes_of(jax, manifest, sizes)
        with lowering.wide(jax, self.spec.dtype), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Explicitly requested dtype")
            return jax.export.export(jax.jit(jit_function))(*shapes), manifest
