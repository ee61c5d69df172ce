"""The user's own parts of a spec, made importable while a graph is built of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from pg_theano.compiler.building import Around
from pg_theano.spec import Spec
from pg_theano.system.importing import fingerprint, importable
from pg_theano.types import UserError


def around(spec: Spec, folders: Sequence[Path]) -> Around:
    """A context in which the user's own parts of a spec can be imported.

    Raises `UserError` where one of them is no longer what the spec was made of: what is built now would be kept under
    the old one's key, and a run would be evaluated with another policy than it trained.
    """
    own, objective, engine = spec.acting.own, spec.learning.objective, spec.engine
    named = [("policy.name", own.name, own.source)] if own else []
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
