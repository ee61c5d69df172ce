"""Graphs built, described and compiled by PyTensor, which is imported only when something must be built.

The only caller of `pytensor.function`.
"""

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from pg_theano.spec import Spec
from pg_theano.system import stopping
from pg_theano.system.importing import fingerprint, importable
from pg_theano.types import UserError

Around = Callable[[], contextlib.AbstractContextManager[None]]
"""A context in which a user's own module can be imported, entered only while a graph is built."""


class Shaping(Protocol):
    """What shapes the graphs of one module: a `Spec`, or the few facts that a smaller module needs."""

    @property
    def dtype(self) -> str: ...
    @property
    def widths(self) -> Sequence[int]:
        """How many numbers each layer is given."""

    @property
    def about(self) -> str:
        """The program in a few words, as the list of the cache shows it."""

    def shaping(self) -> dict[str, Any]:
        """All that a graph depends on, as plain data, for the cache's key."""


def import_pytensor() -> None:
    """Before the clock of a compilation starts: this takes a second or two, once a process."""
    with stopping.deferred():
        from pg_theano.compiler import convolving  # noqa: F401  it tells JAX of our Op


_UNSIGNED: dict[str, Any] = {"traceback__limit": 0}
"""PyTensor does not note of every node where it was made, which takes a twentieth of the time that a graph takes."""


def build(module: str, function: str, spec: Shaping) -> tuple[Any, dict[str, Any]]:
    """One function of a module of graphs/, as a graph, and its manifest."""
    import pytensor

    with pytensor.config.change_flags(floatX=spec.dtype, **_UNSIGNED):
        found = importlib.import_module(f"pg_theano.graphs.{module}")
        graph = getattr(found, function)(spec)
        return graph, _manifest(graph, found.describe(spec))


def _manifest(graph: Any, described: dict[str, Any]) -> dict[str, Any]:
    """What goes in and out of one function, and what the host must know of the program."""
    return {
        "loops": _only_narrow_loops(graph),
        "inputs": [[name, v.type.dtype, graph.dims[name]] for name, v in graph.inputs.items()],
        "outputs": list(graph.outputs),
        **described,
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


def pytensor_function(graph: Any, mode: Any, dtype: str) -> Any:
    import pytensor

    with pytensor.config.change_flags(floatX=dtype, **_UNSIGNED), warnings.catch_warnings():
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


def graphs_of(spec: Spec, function: str, *, around: Around = contextlib.nullcontext) -> tuple[Any, Any]:
    """One function's graph as it is built and differentiated, and as rewriting leaves it for JAX, to be looked at."""
    import_pytensor()
    with around():
        graph, _ = build(spec.module, function, spec)
    from pg_theano.compiler import pictures

    rewritten = pytensor_function(graph, few_rewrites(), spec.dtype).maker.fgraph
    return pictures.before_rewriting(graph), pictures.named(rewritten, graph.outputs)


def few_rewrites() -> Any:
    """PyTensor's mode for JAX with few rewrites: they are pure Python and never cached, and XLA fuses by itself."""
    from pytensor.compile.mode import Mode
    from pytensor.graph.rewriting.db import RewriteDatabaseQuery
    from pytensor.link.jax.linker import JAXLinker

    include = ["fast_compile", "jax", "scan_sit_sot_to_untraced"]  # the last: a carry is not kept for every step
    exclude = ["cxx_only", "BlasOpt", "fusion", "inplace", *_OF_SPECIAL_MATRICES]
    query = RewriteDatabaseQuery(include=include, exclude=exclude)
    return Mode(JAXLinker(), query)


_OF_SPECIAL_MATRICES = [
    *["useless_symmetric_transpose", "dot_diag_to_elemwise", "orthogonal_dot_transpose_to_eye"],
    "selection_dot_to_indexing",
]
"""Rewrites that ask of every product and transpose whether a factor is diagonal, orthogonal, ...; none of ours is."""


def mode_of(backend: str) -> Any:
    """PyTensor's own mode for one of its own backends."""
    from pytensor.compile.mode import get_mode

    return get_mode({"numba": "NUMBA", "c": "CVM"}[backend])


def around(spec: Spec, folders: Sequence[Path]) -> Around:
    """A context in which the user's own parts of a spec can be imported.

    Raises `UserError` where one of them is no longer what the spec was made of: what is built now would be kept under
    the old one's key, and a run would be evaluated with another policy than it trained.
    """
    own, objective, engine = spec.acting.own, spec.learning.objective, spec.engine
    named = [("policy.name", own.name, own.source)] if own else []
    named += [("policy.network", layer.name, layer.source) for layer in spec.acting.own_layers]
    named += [("algorithm.objective", objective.name, objective.source)] if objective else []
    named += [("environment.dynamics", engine.dynamics, engine.source)] if engine else []

    @contextlib.contextmanager
    def entered() -> Iterator[None]:
        for knob, name, source in named:
            if source is not None and fingerprint(name, folders, knob=knob) != source:
                got = f"{name} has changed since, and what was compiled of it is not kept here"
                raise UserError.of(knob, got)
        with importable(folders, [name for _, name, _ in named]):
            yield

    return entered
