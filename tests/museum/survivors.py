"""Mutants that no test kills, each with its reason; a mutant is known by its line of source and its change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Survivor(NamedTuple):
    file: str  # below pg_theano/
    source: str  # the whole line, without the space around it
    change: str  # "old -> new"
    reason: str


SURVIVORS: list[Survivor] = []


def reason_of(fate: Mapping[str, Any]) -> str:
    """Why a mutant lives on, "" where nobody has said."""
    change = f"{fate['old']} -> {fate['new']}"
    where = fate["file"].removeprefix("pg_theano/")
    said = [one.reason for one in SURVIVORS if (one.file, one.source, one.change) == (where, fate["source"], change)]
    return said[0] if said else ""
