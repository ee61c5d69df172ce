"""The bridge: graph -> gradient -> few rewrites -> machine code -> artifact; here, the program that is made of it.

On a cache hit neither PyTensor nor JAX nor `graphs/` is imported: the artifact carries, beside its StableHLO, a
manifest of all that the host must know.

    program = load(spec, backend="jax", report=print)
    state = program.init(rng)
    state, metrics = program.train(state, rollout, knobs)
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from pg_theano import parameters
from pg_theano.compiler import cached
from pg_theano.compiler.building import Around, Shaping
from pg_theano.compiler.functions import JaxFunctions, PyTensorFunctions, Report, started
from pg_theano.compiler.lowering import wide
from pg_theano.spec import Spec
from pg_theano.system import commands
from pg_theano.types import GREEDY, Program, Record, State

MOST_KEPT = 64
_kept: dict[tuple[str, str, bool], JaxFunctions] | None = None  # functions of earlier runs of this process; see `keep`


def functions(
    module: str,
    spec: Shaping,
    first: str,
    *,
    report: Report,
    around: Around = contextlib.nullcontext,
    backend: str = "jax",
    agents: bool = False,
) -> JaxFunctions | PyTensorFunctions:
    """The functions of a module of graphs/ for a spec, each built when it is first called.

    The manifest of `first` is read now. In the context `around` a
    user's own module can be imported; it is entered only while a graph is built. With `agents`, what collects and
    learns does so for several agents at once (see `agent_axis`).
    """
    if backend != "jax":
        return PyTensorFunctions(module, spec, first, backend, report, around)
    cached.check_cache()

    def made() -> JaxFunctions:
        steps = steps_of(spec) if first == "train" and isinstance(spec, Spec) else None
        return JaxFunctions(module, spec, first, steps=steps, report=report, around=around, agents=agents)

    if _kept is None:
        return made()
    key = (cached.key_of(module, spec), first, agents)
    if key not in _kept:
        while len(_kept) >= MOST_KEPT:
            _kept.pop(next(iter(_kept))).threads.shutdown(wait=False)
        _kept[key] = made()
    _kept[key].report, _kept[key].around = report, around  # of the run that uses them now
    return _kept[key]


def steps_of(spec: Spec) -> int:
    """T of the first rollout that an update is likely to learn from, as it is padded."""
    if spec.engine:
        return spec.engine.chunk
    return spec.learning.num_steps or bucket(1, spec.learning.time_limit)


def keep() -> None:
    """From now on this process keeps its JAX functions, for runs in turn (not at once) that share a graph."""
    global _kept
    _kept = {} if _kept is None else _kept


def finish() -> None:
    """Wait for compilations under way, and begin no more."""
    for threads in started:
        threads.shutdown(wait=True, cancel_futures=True)


commands.waited_for.append(finish)


def load(
    spec: Spec,
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

    `rows` is the number of environments, of which State may keep something each; `first` is the function built now,
    "act" where nothing will be trained. Errors: `UserError` where the backend cannot work on this machine.
    """
    compiled = functions(spec.module, spec, first, report=report, around=around, backend=backend, agents=agents)
    manifest, dtype = compiled.manifest, spec.dtype

    def init(rng: np.random.Generator) -> State:
        made, state = {"zeros": np.zeros, "ones": np.ones}, {}
        for name, shape, how in manifest["state"]:
            if how == "layout":
                state[name] = parameters.initial(rng, spec.acting.layout, dtype)
            elif how == "value":  # as the value network, whose parameters are the last
                state[name] = state["params"][-shape[0] :].copy()
            else:
                state[name] = made[how]([rows if size == "E" else size for size in shape], dtype)
        return state

    def vector(knobs: dict[str, float]) -> np.ndarray:
        with np.errstate(over="ignore"):  # a rate beyond float32 is infinite, and stops the run as such
            return np.array([knobs[name] for name in manifest["knobs"]], dtype)

    def vectors(knobs: Any) -> np.ndarray:
        return np.stack([vector(one) for one in knobs]) if agents else vector(knobs)

    def act(state, obs, noise, knobs, choice, *memory):
        seen = np.asarray(obs, spec.acting.obs_dtype)  # a spec of before there were pixels has others than its rows
        values = {"obs": seen, "noise": noise, "knobs": vector(knobs), "choice": np.asarray(choice, "int32")}
        values |= dict(zip(("memory",), memory, strict=False))
        out = compiled.call("act", {"E": obs.shape[0]}, state, values)
        after = [np.array(out["memory"]) for _ in memory]  # whoever collects writes to it
        return np.asarray(out["action"]), np.asarray(out["log_prob"]), *after

    def block(rollout):
        if isinstance(rollout, Record):
            steps, *number, _, episodes = rollout.values.shape
            values = {"record": rollout.values} | ({} if rollout.memory is None else {"memory": rollout.memory})
            return values, {"E": episodes, "T": steps} | ({"A": number[0]} if agents else {})
        episodes, steps = rollout.mask.shape
        last = {} if rollout.last_obs is None else {"S": rollout.last_obs.shape[1]}
        return rollout._asdict(), {"E": episodes, "T": steps} | last

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
    spec: Spec,
    state: State,
    finish: Callable[[Any, Any], Any],
    picked: tuple[int, list[int] | None],
    *,
    around: Around = contextlib.nullcontext,
) -> bytes:
    """StableHLO of obs [E, F] to the likeliest action of each, E symbolic, the parameters inside it.

    Of a policy that remembers, of (obs, memory [E, M]) to (action, memory); it is zeros where an episode begins.

    `finish(jax.numpy, action)` makes of the policy's numbers what the environment takes. `picked`: how many numbers an
    observation has, all of which are given, and the places of those that the policy sees (None: all). Read it with
    `jax.export.deserialize`; it needs neither PyTensor nor us.
    """
    compiled = functions(spec.module, spec, "act", report=lambda what, seconds: None, around=around)
    assert isinstance(compiled, JaxFunctions)  # noqa: S101 - of backend jax
    jax, artifact = compiled.jax, compiled.artifact("act", None)
    exported, manifest = artifact.exported, artifact.manifest
    shapes = {name: shape for name, _, shape in manifest["inputs"]}
    given = {name: np.asarray(state[name]) for name in shapes if name in state}
    given |= {"knobs": np.zeros(len(manifest["knobs"]), spec.dtype), "choice": np.asarray(GREEDY, "int32")}
    of_values = spec.acting.memory_of("value")  # which comes last, and which no action needs
    remembered = spec.acting.memory_size - of_values

    def act(obs: Any, *memory: Any) -> Any:
        values = given | {"obs": obs if picked[1] is None else obs[:, np.array(picked[1])]}
        values |= {"memory": jax.numpy.pad(memory[0], ((0, 0), (0, of_values)))} if memory else {}
        if "noise" in shapes:
            values["noise"] = jax.numpy.full((obs.shape[0], *shapes["noise"][1:]), 0.5, spec.dtype)
        else:  # the graph of a population: a column of parameters for each row
            values["params"] = jax.numpy.broadcast_to(given["params"][:, None], (spec.acting.num_params, obs.shape[0]))
        action, *others = exported.call(*[values[name] for name in shapes])
        taken = finish(jax.numpy, action)
        return (taken, others[-1][:, :remembered]) if memory else taken

    with wide(jax, spec.dtype):
        (episodes,) = jax.export.symbolic_shape("E")
        shapes_of_rows = ((picked[0], spec.acting.obs_dtype), (remembered, spec.dtype))
        rows = [jax.ShapeDtypeStruct((episodes, size), kind) for size, kind in shapes_of_rows if size]
        return bytes(jax.export.export(jax.jit(act))(*rows).serialize())


# -- sizes that arrays are padded to, so that few of them are compiled for


FIRST_BUCKET = 64


def bucket(steps: int, limit: int | None) -> int:
    """T of the ladder 64, 128, ... up to the time limit, that holds an episode of `steps`."""
    size = FIRST_BUCKET
    while size < steps:
        size *= 2
    return min(size, limit) if limit and limit >= steps else size


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below `number`."""
    return 1 << max(number - 1, 0).bit_length()
