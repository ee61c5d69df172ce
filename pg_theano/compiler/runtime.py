"""Machine code run by jaxlib alone: what the cache holds needs no `import jax`, which takes 0.6 CPU seconds.

    if runtime.is_enough():
        run = runtime.load(code, [("float32", [8])], [("float32", [])])    # what it takes, what it gives

All that is private to jaxlib stands here. Where an attribute is missing, or another device than the CPU is asked for,
`is_enough` is false, and JAX does all as it would (`functions.py`).
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pg_theano.compiler import starting

Array = tuple[str, Sequence[int]]
"""Of an array that goes in or out: its type and its shape."""

_HARMLESS = {"JAX_DISABLE_MOST_OPTIMIZATIONS", "JAX_PLATFORMS"}
"""JAX's variables that say nothing to what only runs; the second, where it says cpu. With any other, JAX decides."""

_SMALL, _MOST_SMALL = 256, 64
"""Bytes of an array that is looked up by its content, and how many are held: that takes 0.4 µs, handing over 3 to 10.

What has been missed more often than that in a row, such as noise, is no longer looked up.
"""

_left: list[Machine] = []
"""The machines of processes that this one was forked from. Freeing one would wait for threads that are not here."""


def is_enough() -> bool:
    """Whether jaxlib alone can run what is compiled: on the CPU, which nothing said or installed rules out."""
    asked = {name for name in os.environ if name.startswith("JAX_")}
    if not asked <= _HARMLESS or os.environ.get("JAX_PLATFORMS", "cpu") != "cpu":
        return False
    return (_only_cpu() or "JAX_PLATFORMS" in asked) and _machine(starting.count) is not None


@functools.cache
def _only_cpu() -> bool:
    """Whether JAX has no other device to prefer: such come as its plug-ins, or as the library of TPUs."""
    return not any(importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))


def load(code: bytes, takes: Sequence[Array], gives: Sequence[Array]) -> Callable[..., list[Kept]]:
    """A function of arrays in this order, NumPy's or results of such functions, to results that NumPy reads in place.

    A NumPy array is read in place too, until a result has been read: it must not be changed before. Errors: whatever
    jaxlib raises where it cannot read the code; `TypeError` where an array has another shape than the code takes.
    """
    machine = _machine(starting.count)
    assert machine is not None  # noqa: S101 - asked by `is_enough`
    return machine.load(code, takes, gives)


@functools.lru_cache(maxsize=1)
def _machine(forks: int) -> Machine | None:
    """This process's own; None where this jaxlib has not what it takes."""
    try:
        machine = Machine()
        _left.append(machine)
        one = _Aval("float32", (1,))
        return machine if Kept(machine, one, machine.put(one, np.ones(1, np.float32)))[0] == 1 else None
    except (ImportError, AttributeError, TypeError):
        return None


class Machine:
    """jaxlib's client of the CPU, and how arrays come to it and from it."""

    def __init__(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")  # as JAX does: else it says how many devices it found
        import jaxlib._jax as own
        from jaxlib import xla_client as xla

        self.own, self.xla = own, xla
        client: Any = xla.make_cpu_client()
        (self.device, *_) = client.devices()
        self.client, self.devices = client, xla.DeviceList((self.device,))
        self.sharding = _sharding(xla, self.device)
        self.small: dict[tuple[str, Sequence[int], bytes], Any] = {}  # arrays that were given before

    def load(self, code: bytes, takes: Sequence[Array], gives: Sequence[Array]) -> Callable[..., list[Kept]]:
        executable = self.client.deserialize_executable(code, self.devices)
        given, made = ([_Aval(*array) for array in arrays] for arrays in (takes, gives))
        let_go = self.own.collect_garbage
        handlers = [self._handler(aval) for aval in made]

        def run(*arguments: Any) -> list[Kept]:
            held = [self.put(aval, argument) for aval, argument in zip(given, arguments, strict=True)]
            results = executable.execute_sharded(held).consume_with_handlers(handlers)
            let_go()  # of what earlier calls read in place
            return [Kept(self, aval, result) for aval, result in zip(made, results, strict=True)]

        return run

    def put(self, aval: _Aval, argument: Any) -> Any:
        """An array where the machine takes it: what it is already, where it is a result of this machine."""
        if type(argument) is Kept and argument.machine is self and argument.aval.shape == aval.shape:
            return argument.held
        array = np.asarray(argument, aval.dtype, order="C")
        if array.shape != aval.shape:
            raise TypeError(f"got an array of shape {array.shape}; expected {aval.shape}")
        if array.nbytes > _SMALL or aval.misses > _MOST_SMALL:
            return self._given(aval, array)
        content = (aval.dtype.char, aval.shape, array.tobytes())
        if content in self.small:
            aval.misses = 0
            return self.small[content]
        aval.misses += 1
        if len(self.small) >= _MOST_SMALL:
            self.small.clear()
        self.small[content] = held = self._given(aval, array.copy())  # which nobody else can change
        return held

    def _given(self, aval: _Aval, array: np.ndarray) -> Any:
        return self.own.batched_device_put(aval, self.sharding, [array], [self.device], enable_x64=True)

    def _handler(self, aval: _Aval) -> Any:
        try:
            return self.xla.array_result_handler(aval, self.sharding, True, True)
        except TypeError:  # jaxlib 0.12 asks for one flag less
            return self.xla.array_result_handler(aval, self.sharding, True)


class _Aval:
    """What jaxlib asks of an abstract array."""

    def __init__(self, dtype: str, shape: Sequence[int]):
        self.dtype, self.shape, self.weak_type = np.dtype(dtype), tuple(shape), False
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))
        self.misses = 0  # in a row, of arrays that were looked for among those given before


class Kept:
    """A result, where the machine holds it; NumPy reads it in place, once it is there."""

    __slots__ = ("aval", "held", "machine")

    def __init__(self, machine: Machine, aval: _Aval, held: Any):
        self.machine, self.aval, self.held = machine, aval, held

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = np.asarray(memoryview(self.held), dtype)
        return array.copy() if copy else array

    def __reduce__(self) -> tuple[Any, ...]:
        return np.array, (np.array(self),)  # a copy, and what another process reads, is NumPy's

    def __getitem__(self, place: Any) -> Any:
        return np.asarray(self)[place]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return self.aval.ndim

    @property
    def size(self) -> int:
        return self.aval.size


def _sharding(xla: Any, device: Any) -> Any:
    class Sharding(xla.SingleDeviceSharding):  # type: ignore[misc]
        """What jaxlib asks of where an array lies: whole, on one device."""

        memory_kind, is_fully_replicated, is_fully_addressable = None, True, True
        device_set, _device_assignment = property(lambda self: {device}), property(lambda self: (device,))

        def _to_xla_hlo_sharding(self, ndim: int) -> Any:
            return xla.HloSharding.replicate()

    return Sharding(device)
