"""Masks of environments that are stepped in one call: vectorised classes, and symbolic environments."""

from typing import Any

import numpy as np

from pg_theano.environments.masks import INFO, METHOD, NONE, Source, checked, choices_of, shown, source_of, without
from pg_theano.environments.rows import Outside
from pg_theano.types import Array, Record, UserError


def of_dynamics(masks: bool, config: Any) -> Source | None:
    """The mask of a symbolic environment. Errors: `UserError` where one is wanted that it has not."""
    if config.action_mask not in ("auto", "none") and not (masks and config.action_mask == INFO):
        id = config.dynamics or config.id
        got = f"got {config.action_mask}, and {id} has {'no other mask than' if masks else 'no'} action_mask(state)"
        raise UserError.of("policy.action_mask", got, "auto or none", "def action_mask(state)")
    return Source("state", INFO) if masks and config.action_mask != "none" else None


class Batches:
    """The masks of a vectorised environment: of a key of its observations, of a method, or of its infos."""

    def __init__(self, envs: Any, config: Any):
        id, dynamics = config.dynamics or config.id, getattr(envs, "dynamics", None)
        if dynamics is None:
            self.source = source_of(envs, config.action_mask, id)
        else:
            self.source = of_dynamics(dynamics.masks, config)
        self.envs, self.id = envs, id
        self.seen = shown(envs.single_observation_space, self.source, id)
        self.choices = choices_of(envs.single_action_space)
        self.size = sum(self.choices) if self.source else 0
        self.described = {"mask": self.source._asdict()} if self.source else {}

    def parted(self, obs: Any) -> tuple[Any, Any]:
        """(a batch of what is seen, the masks in it)."""
        if self.source is None or self.source.kind != "key":
            return obs, None
        return without(obs, self.source.name), obs[self.source.name]

    def of(self, found: Any, infos: Any, over: Array | None, before: Array) -> Array:
        """The masks [N, A] after a reset or a step; `before`: of rows that it left alone. Errors: `Outside`."""
        assert self.source is not None  # noqa: S101  of whom this is asked
        told = np.ones(len(before), bool)
        if self.source.kind == "method":
            own = getattr(self.envs, METHOD, None)
            found = own() if own is not None else self.envs.call(METHOD)
        elif self.source.kind != "key":
            if self.source.name not in infos:
                raise Outside(f"{self.source.place} is missing; expected it of every reset and step; {NONE}")
            found, told = infos[self.source.name], infos.get(f"_{self.source.name}", told)
        rows = [
            checked(
                part, self.choices, f"{self.source.place}, environment {row},", over is not None and bool(over[row])
            )
            if told[row]
            else before[row]
            for row, part in enumerate(found)
        ]
        return np.array(rows)


def check_masks(record: Record, where: str, mask_size: int, *, before: int = 0) -> None:
    """Errors: `UserError` for a step of a compiled environment, of a real episode, whose mask allows nothing."""
    start, size = record.columns["obs"]
    allowed = np.asarray(record.values)[:, start + size - mask_size : start + size].max(axis=1)  # [T, E]
    real = record.field("mask") if "mask" in record.columns else np.ones_like(allowed)
    if ((allowed == 0) & (real > 0)).any():
        step, column = np.argwhere((allowed == 0) & (real > 0))[0]
        got = "action_mask(state) allows nothing"
        raise UserError(
            f"{where} {column}, step {before + step + 1}: {got}; expected an action that is allowed; try terminated "
            "where nothing can be done"
        )
