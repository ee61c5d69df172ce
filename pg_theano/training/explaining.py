"""What a policy reacts to: the mean derivative of what it does by each number of its observation.

found = explain("runs/cartpole")                # in a notebook a table with bars
found.names, found.reaction                     # for a figure: plt.barh(found.names, found.reaction)
"""

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.compiler import program
from pg_theano.compiler.building import around
from pg_theano.config import user_code
from pg_theano.environments.features import names_of
from pg_theano.policies import policy
from pg_theano.runs import folder
from pg_theano.spec import Acting, Learning, Spec
from pg_theano.training import programs, seeding
from pg_theano.training.evaluating import evaluator_of
from pg_theano.types import GREEDY, SAMPLE, Array, State, UserError

BATCH = 256
"""Observations of one call: one size is compiled, and the last batch is filled up."""
NOTHING: Array = np.zeros(0)
"""Remembered."""
MOST_STATES, MOST_NUMBERS = 4096, 2**25
"""Of the states met, so many are looked at, evenly spread, and so many numbers of them at most."""
MOST_SHOWN = 20  # features of a table


@dataclass(frozen=True, slots=True)
class Explained:
    """How much a policy reacts to each of F features, over N states that it met.

        slopes_cf  = 1/N Σ_n |∂S_c/∂o_f (o_n)|        S: what it does, a number for each of C parts of an action
        joined_f   = 1/C Σ_c slopes_cf / h_c          h_c: half of the range of a bounded real number; else 1
        reaction_f = joined_f · σ_f                   σ_f: the feature's standard deviation over those states

    A slope is per unit of the feature, so another unit of it would be another figure. The reaction has no such unit: it
    is how far the policy moves when the feature moves as it usually does. So it comes first, and orders.
    """

    names: list[str]  # [F]
    parts: list[str]  # [C]
    slopes: Array  # [C, F]
    joined: Array  # [F]
    std: Array  # [F]
    states: int

    @property
    def reaction(self) -> Array:
        """joined·σ, [F]."""
        return self.joined * self.std

    @property
    def order(self) -> list[int]:
        """Features, those with the largest reaction first."""
        return np.argsort(-self.reaction, kind="stable").tolist()

    @property
    def share(self) -> Array:
        """Of all reaction, the part of each feature [F]; zeros where the policy reacts to nothing."""
        whole = self.reaction.sum()
        return self.reaction / whole if whole > 0 else np.zeros_like(self.reaction)

    @property
    def head(self) -> list[str]:
        """The columns of `rows`."""
        parts = self.parts if 1 < len(self.parts) <= 4 else []
        return ["feature", "share", "reaction", "|slope|", "std", *[f"|slope| of {part}" for part in parts]]

    def rows(self, most: int = MOST_SHOWN) -> list[list[str]]:
        """A table: the features that move the policy most."""
        several = self.slopes if len(self.head) > 5 else self.slopes[:0]
        figures = np.stack([self.reaction, self.joined, self.std, *several], axis=1)
        return [
            [self.names[f], f"{self.share[f]:.0%}", *[f"{value:.3g}" for value in figures[f]]]
            for f in self.order[:most]
        ]

    def plain(self) -> dict[str, Any]:
        """For JSON: a row for each feature, in order."""
        columns = {"reaction": self.reaction, "share": self.share, "slope": self.joined, "std": self.std}
        features = [
            {"name": self.names[f], **{name: float(column[f]) for name, column in columns.items()}}
            | {"slopes": dict(zip(self.parts, self.slopes[:, f].tolist(), strict=True))}
            for f in self.order
        ]
        return {"states": self.states, "features": features}

    def __str__(self) -> str:
        rows = [self.head, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self.head))]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *[c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]])
            for row in rows
        ]
        return "\n".join([*lines, self.said])

    @property
    def said(self) -> str:
        """What the table is of, in a sentence."""
        left = f" The first {MOST_SHOWN} of {len(self.names):,} features." if len(self.names) > MOST_SHOWN else ""
        if not self.reaction.any():
            return f"Over {self.states:,} states the policy reacts to nothing: its actions are certain.{left}"
        return f"Mean over {self.states:,} states that the policy met.{left}"

    def _repr_html_(self) -> str:
        def line(tag: str, cells: Sequence[str]) -> str:
            return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

        body = "".join(line("td", row) for row in self.rows())
        head = f"<thead>{line('th', self.head)}</thead>"
        return f"<table>{head}<tbody>{body}</tbody></table><p>{html.escape(self.said)}</p>"


def explain(run: str | os.PathLike[str], *, episodes: int = 10, seed: int = 0, sampled: bool = False) -> Explained:
    """Which features the best policy of a run reacts to, over the states of some episodes, greedy unless `sampled`.

    The derivative is the graph's own (`graphs/explaining.py`), compiled once for a policy's shape and kept. Errors:
    `UserError`: no run, no checkpoint, no whole number of episodes.
    """
    if not isinstance(run, str | os.PathLike):
        raise UserError.at("run", f"got {run!r:.60}", "a run folder", "explain('runs/cartpole')")
    for name, value, least in (("episodes", episodes, 1), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise UserError.at(name, f"got {value!r:.60}", f"a whole number from {least}", f"{name}={max(least, 10)}")
    path = Path(run)
    trained = folder.trained(path)
    config, facts, spec, checkpoint = trained
    user_code.check_run(config, facts)
    folders = [Path(facts["folder"])]
    evaluator, met = evaluator_of(trained, folders, 1), _Met(spec.acting.obs_size)
    act, choice = programs.acting_alone(config, spec, folders), SAMPLE if sampled else GREEDY

    kept = policy.acting_part(spec, checkpoint.state)

    def recorded(state: State, obs: Array, *others: Any) -> Any:
        done, memory = act(state, obs, *others), others[3:]
        of_policy = memory[0][:, : kept[0].memory_size] if memory else np.zeros((len(obs), 0))
        gone = getattr(evaluator.environment, "waiting", np.zeros(len(obs), bool))  # agents that meet nothing any more
        met.add(obs[~gone], done[0][~gone], of_policy[~gone])
        return done

    try:
        for index in range(episodes):
            sequence = np.random.SeedSequence(seed, spawn_key=(seeding.EVALUATE_COMMAND, index))
            evaluator(recorded, checkpoint.state, episodes=1, seed=sequence, choice=choice)
    finally:
        evaluator.close()
    with policy.said_of(f"{path / 'run.json'}: not what a run records of its spaces"):
        described = (facts.get("task", {}).get("spaces") or {}).get("observation")
        names = names_of(config.environment.dynamics or config.environment.id, spec.acting.num_features, described)
    return of_states(*kept, *met.arrays(), names=names, folders=folders)


class _Met:
    """States met and what was done there. Steps are thinned evenly, each with all of its agents, so that they never
    are too many."""

    def __init__(self, size: int):
        self.most = max(2, min(MOST_STATES, MOST_NUMBERS // size))
        self.steps: list[tuple[Array, Array, Array]] = []
        self.seen, self.every, self.rows = 0, 1, 0

    def add(self, obs: Array, action: Array, memory: Array) -> None:
        """A step: a row of one environment, or one of each agent."""
        if self.seen % self.every == 0:
            self.steps.append((obs.copy(), np.array(action), memory.copy()))
            self.rows += len(obs)
        if self.rows > self.most and len(self.steps) > 1:
            self.rows -= sum(len(obs) for obs, *_ in self.steps[1::2])
            del self.steps[1::2]
            self.every *= 2
        self.seen += 1

    def arrays(self) -> tuple[Array, ...]:
        return tuple(np.concatenate(parts) for parts in zip(*self.steps, strict=True))


def of_states(
    acting: Acting,
    state: State,
    obs: Array,
    action: Array,
    memory: Array = NOTHING,
    *,
    names: list[str],
    folders: Sequence[Path] = (),
) -> Explained:
    """What a policy reacts to at some states. Shapes: `obs` [N, F], N from 1; `action` [N] or [N, C], as drawn;
    `memory` [N, M], before each step, of a policy
    that remembers.
    """
    spec = Spec(acting, Learning("explained"))
    compiled = program.functions(
        "explaining", spec, "slope", report=lambda what, seconds: None, around=around(spec, folders)
    )
    number = compiled.manifest["parts"]
    seen = acting.num_features  # of the mask there is nothing to say
    slopes = np.zeros((number, seen))
    for start in range(0, len(obs), BATCH):
        part = slice(start, start + BATCH)
        values = {"obs": _filled(obs[part].astype(acting.dtype))}
        if acting.action.kind != "box":
            values["action"] = _filled(action[part].astype(np.int32))
        if acting.memory_size:
            values["memory"] = _filled(memory[part].astype(acting.dtype))
        for c, only in enumerate(np.eye(number, dtype=acting.dtype)):
            found = compiled.call("slope", {"E": BATCH}, state, values | {"part": only})["slope"]
            slopes[c] += np.abs(np.asarray(found, np.float64)[: len(obs[part])])[:, :seen].sum(axis=0)
    slopes /= len(obs)
    joined = (slopes / _half_ranges(acting)[:, None]).mean(axis=0)
    return Explained(
        names, _parts(acting, number), slopes, joined, obs[:, :seen].std(axis=0, dtype=np.float64), len(obs)
    )


def _filled(rows: Array) -> Array:
    """Rows of nothing follow, up to a whole batch."""
    return np.concatenate([rows, np.zeros((BATCH - len(rows), *rows.shape[1:]), rows.dtype)])


def _half_ranges(acting: Acting) -> Array:
    """Half of the range of each part of an action [C]; 1 where it has no bounds, or is a probability."""
    if acting.action.kind != "box":
        return np.ones(1)
    half = (np.array(acting.action.high, float) - np.array(acting.action.low, float)) / 2
    return np.where(np.isfinite(half) & (half > 0), half, 1.0)


def _parts(acting: Acting, number: int) -> list[str]:
    if acting.action.kind == "discrete":
        return ["the action taken"]
    return [f"{'action' if acting.action.kind == 'box' else 'part'} {c}" for c in range(number)]
