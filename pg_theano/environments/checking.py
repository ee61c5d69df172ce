"""Faults of an environment, looked for in a process of its own before anything is trained on it."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pg_theano.config import reading as configs
from pg_theano.config import user_code
from pg_theano.config.knobs import Config
from pg_theano.environments import given
from pg_theano.environments.inspection import FAULT, Finding
from pg_theano.system import children
from pg_theano.types import UserError

STARTING = 60.0
"""Seconds in which the child must have begun: it imports Gymnasium and the environment's module."""


class Report(NamedTuple):
    """What was found in an environment."""

    environment: str
    findings: list[Finding]
    seconds: float

    @property
    def healthy(self) -> bool:
        """No fault; questions and notes are none."""
        return not any(one.kind == FAULT for one in self.findings)

    def lines(self) -> list[str]:
        return [f"{one.kind}: {one.line(self.environment)}" for one in self.findings]


def check_env(
    config: Config | Mapping[str, Any] | str | Any = None, *, overrides: Sequence[str] = (), timeout: float = 10.0
) -> Report:
    """Play an environment in a process of its own, and say what is wrong with it: that of a config, of a Gymnasium id,
    or one as Python has it: a class, a function that makes one, an environment.

    `timeout`: seconds that one step or reset may take. Errors: `UserError` where it cannot be made at all.
    """
    if not (config is None or isinstance(config, Config | Mapping | str)):
        with given.given(config) as own:
            return check_env({"environment": own}, overrides=overrides, timeout=timeout)
    if not timeout > 0:
        raise UserError(f"timeout: got {timeout}; expected seconds above 0; try 10")
    id = config if isinstance(config, str) and not config.endswith((".yaml", ".yml")) else None
    found = configs.resolved({"environment": {"id": id}} if id else config, overrides)
    folder, environment = found.folder, found.config.environment
    user_code.check(found.config, [folder], user_code.to_stderr)
    began = time.monotonic()
    findings = _played(environment.model_dump(mode="json"), str(folder), timeout)
    return Report(environment.dynamics or environment.id, findings, time.monotonic() - began)


def _played(knobs: dict[str, Any], folder: str, timeout: float) -> list[Finding]:
    memory = children.Memory()
    place = np.frombuffer(memory.map(24), np.int64, 3)
    setup = {"environment": knobs, "folders": [folder], "given": given.packed(knobs["id"])}
    child = children.Child("pg_theano.environments.inspection", setup, memory)
    findings: list[Finding] = []
    call, since = 0, time.monotonic()

    def where() -> tuple[int | None, int | None]:
        return (int(place[1]), int(place[2])) if place[0] else (None, None)

    try:
        while True:
            if child.line.ready(min(0.1, timeout / 4)):
                kind, content = child.line.receive()
                if kind == b"k":
                    return findings
                if kind == b"x":
                    raise children.error_of(content)
                findings.append(Finding(*json.loads(content)))
            elif place[0] != call:
                call, since = int(place[0]), time.monotonic()
            elif time.monotonic() - since > (timeout if call else STARTING):
                what = ("step" if place[1] else "reset") if call else "making it"
                got = f"{what} takes longer than {timeout if call else STARTING:g} s"
                advice = "look for what it waits for; if it only is slow, give --timeout more seconds"
                return [*findings, Finding(FAULT, "stalls", *where(), got, "an answer", advice)]
    except EOFError:
        how = children.how_it_ended(child.end(seconds=1.0))
        return [*findings, Finding(FAULT, "dies", *where(), f"its process {how}", "an answer", "mend what ends it")]
    finally:
        child.end()
        memory.close()
