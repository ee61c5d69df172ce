"""A policy in a file of arrays: written, and read as a file from a stranger is."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano import parameters
from pg_theano.environments import spaces
from pg_theano.environments.rows import MOST_NUMBERS, QUICKER_BY_TABLE
from pg_theano.policies.policy import NORMALIZER, About, Policy, said_of, seen_of
from pg_theano.spec import Acting
from pg_theano.spec.reading import acting_of
from pg_theano.system import opening
from pg_theano.types import Array, State, UserError

FORMAT = 1


def arrays_of(policy: Policy) -> dict[str, Array]:
    """What a npz file of a policy holds: its arrays by name, and `about`, JSON."""
    about = {
        "format": FORMAT,
        "spec": policy.acting.plain(),
        "spaces": policy.described,
        "about": policy.about._asdict(),
    }
    named = parameters.views(policy.state["params"], policy.acting.layout)
    kept = {name: array for name, array in policy.state.items() if name != "params"}
    return {"about": np.frombuffer(json.dumps(about).encode(), np.uint8), **named, **kept}


def _check_spaces(described: dict[str, Any]) -> None:
    """Spaces that a file describes are made: they take the memory that all of them together claim."""
    waiting, claimed = [*described.values()], 0
    while waiting:
        data = waiting.pop()
        waiting += [part for _, part in spaces.parts_of(data)]
        sizes = [int(size) for size in data.get("shape", ())]
        choices = [int(n) for n in [data.get("n", 0), *np.ravel(data.get("nvec", 0)), data.get("max_length", 0)]]
        if not all(0 <= one <= MOST_NUMBERS for one in [*sizes, *choices]):
            raise ValueError(f"a space of more than {MOST_NUMBERS:,} numbers")
        tables = sum(n * n // 8 for n in choices if n in QUICKER_BY_TABLE)  # of bools, most often
        claimed += math.prod(sizes) + sum(choices) + tables
        if claimed > MOST_NUMBERS:
            raise ValueError(f"a space of more than {MOST_NUMBERS:,} numbers")


def from_file(path: Path) -> Policy:
    """Read as a file from a stranger is: sizes before memory, nothing evaluated, every shape compared."""
    try:
        content = opening.read(path, opening.most_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected one of python -m pg_theano.export RUN --to npz") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    with said_of(f"{path}: not a policy of python -m pg_theano.export RUN --to npz"):
        arrays = opening.arrays_of(content)
        about = opening.parsed(arrays.pop("about").tobytes())
        if about["format"] != FORMAT:
            raise UserError(f"{path}: got format {about['format']!r:.40}; this version reads {FORMAT}")
        return _checked(about, arrays)


def _checked(about: dict[str, Any], arrays: dict[str, Array]) -> Policy:
    acting = acting_of(about["spec"])
    wanted = {name: shape for name, shape, *_ in acting.layout}
    kept = NORMALIZER if acting.normalize_observations else ()
    shapes = wanted | dict.fromkeys(kept, (acting.num_features,))
    if {name: array.shape for name, array in arrays.items()} != shapes:
        raise ValueError("its arrays have other names or shapes than it says")
    if not all(array.dtype == acting.dtype and np.isfinite(array).all() for array in arrays.values()):
        raise ValueError(f"its arrays are not all finite numbers of {acting.dtype}")
    params = np.concatenate([arrays[name].ravel() for name in wanted])
    state = {"params": params} | {name: arrays[name] for name in kept}
    return sound(acting, state, about["spaces"], About(**about["about"]))


def sound(acting: Acting, state: State, described: dict[str, Any], about: About) -> Policy:
    """A policy that a file describes. Errors: any, where its parts do not belong together."""
    _check_spaces(described)
    size, seen = seen_of(described)
    if not all(0 <= place < size for place in seen or ()):
        raise ValueError(f"it sees places of an observation that has {size:,}")
    fits = spaces.size_of(described["observation"]) == acting.num_features
    if not fits or bool(acting.mask_size) != ("mask" in described):
        raise ValueError("its observation space makes rows of another length than its layers take")
    found = Policy(acting, state, described, about)
    found.probs(np.ones((1, acting.obs_size)))  # what does not fit together says so here
    return found
