"""The policy of a run folder, or of a file that was exported: `pg_theano.load`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pg_theano.policies import kept, policy
from pg_theano.types import UserError


def load(path: str | Path) -> policy.Policy:
    """The policy of a run folder's best checkpoint, or of a file that `pg_theano.export --to npz` wrote.

    Errors: `UserError` for no run, no checkpoint, a damaged file, a policy of the user's own (it is a graph).
    """
    if not isinstance(path, str | os.PathLike):
        raise UserError(f"load: got {path!r:.60}; expected a run folder or an .npz file; try load('runs/cartpole')")
    path = Path(path)
    if path.is_file() and path.suffix != ".npz":
        raise UserError(f"{path}: got {path.suffix or 'a file'}; expected a run folder, or .npz; try export --to npz")
    return kept.from_file(path) if path.suffix == ".npz" else _from_run(path)


def _from_run(path: Path) -> policy.Policy:
    from pg_theano.runs import folder  # it brings the config: a file alone needs NumPy and Gymnasium only

    config, facts, spec, checkpoint = folder.trained(path)
    if not spec.acting.in_numpy:
        own = spec.acting.own
        knob, name = ("policy.name", own.name) if own else ("policy.network", spec.acting.own_layers[0].name)
        raise UserError(
            f"{path}: {knob} {name} is a graph of your own, which NumPy cannot follow; use "
            f"pg_theano.evaluate, or python -m pg_theano.export {path} --to stablehlo"
        )
    about = policy.About(
        config.environment.dynamics or config.environment.id,
        config.algorithm.name,
        config.model_dump(mode="json"),
        path.name,
        checkpoint.path.stem,
    )
    with policy.said_of(f"{path / 'run.json'}: not what a run records of its spaces"):
        return kept.sound(*policy.acting_part(spec, checkpoint.state), spaces_from(facts, path), about)


def spaces_from(facts: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The spaces that a run folder recorded."""
    if not facts.get("task", {}).get("spaces"):
        raise UserError(f"{path}: a run of an older version, which does not say its spaces; train it again")
    return facts["task"]["spaces"]
