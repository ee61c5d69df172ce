"""What was learned as one file for elsewhere: npz, ONNX, StableHLO, CSV."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pg_theano.compiler import building
from pg_theano.config import user_code
from pg_theano.config.declared import declared
from pg_theano.policies import kept, policy
from pg_theano.runs import folder, policy_of_run, records
from pg_theano.spec import Spec
from pg_theano.system import writing
from pg_theano.types import State, UserError

KINDS = ("npz", "onnx", "stablehlo", "csv")


def export(run: str | Path, kind: str, out: str | Path | None = None) -> Path:
    """Write the policy of a run's best checkpoint to a file; returns its path (by default `<run>.<kind>`, here).

    npz        arrays and their description: `pg_theano.load`, or twenty lines of NumPy (docs/hand-over.md)
    onnx       obs to action and probabilities, for any ONNX runtime
    stablehlo  obs [E, F] to action, E symbolic, for JAX; a policy of one's own too
    csv        the run's metrics: a line an update, a column a figure, empty where it was not measured
    Errors: `UserError`: no run, a policy that the kind cannot hold, a missing library, a file that cannot be written.
    """
    if kind not in KINDS:
        raise UserError(f"--to: got {kind}; expected {', '.join(KINDS)}")
    path = Path(run)
    target = Path(out) if out is not None else Path(f"{path.resolve().name}.{kind}")
    if target.suffix.lower() in {f".{one}" for one in KINDS} - {f".{kind}"}:
        better = target.with_suffix(f".{kind}")
        raise UserError(f"{target}: got {target.suffix} for --to {kind}; expected .{kind}; try {better}")
    if target.exists() and path.resolve() in target.resolve().parents:
        raise UserError(f"{target}: is a file of the run; expected a new one; try {path.resolve().name}.{kind}")
    if not target.resolve().parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}; make it first")
    writing.write_atomically(target, {"npz": _npz, "onnx": _onnx, "stablehlo": _stablehlo, "csv": _csv}[kind](path))
    return target


def _npz(path: Path) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **kept.arrays_of(policy_of_run.load(path)))
    return buffer.getvalue()


def _onnx(path: Path) -> bytes:
    from pg_theano.policies import onnx

    return onnx.model_of(policy_of_run.load(path))


def _csv(path: Path) -> bytes:
    folder.read_run(path)  # which says what it is, where it is none
    found = records.read(path / "metrics.jsonl")
    columns = list(dict.fromkeys(name for record in found for name in record))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(record.get(name)) for name in columns] for record in found)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """A value of a table. Text that a program would take for a formula, and run, begins with a quote."""
    if isinstance(value, list | dict):
        try:
            value = json.dumps(value)
        except RecursionError:
            value = "nested too deeply"
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@"):
        return "'" + value
    return value


def _stablehlo(path: Path) -> bytes:
    config, facts, spec, checkpoint = folder.trained(path)
    user_code.check_run(config, facts)
    described = policy_of_run.spaces_from(facts, path)
    return stablehlo_of(declared(config, spec), checkpoint.state, described, [Path(facts["folder"])])


def stablehlo_of(spec: Spec, state: State, described: dict[str, Any], folders: Sequence[Path]) -> bytes:
    """The likeliest action of rows [E, F], as the environment takes it, but for its dtype where that is whole.

    F are all numbers of an observation, also where only some are seen, and then those of a mask.
    """
    from pg_theano.compiler import program

    def finish(np: Any, action: Any) -> Any:
        taken = described["action"]
        if spec.acting.action.kind == "box":
            low, high = np.array(spec.acting.action.low), np.array(spec.acting.action.high)
            inside = low + (high - low) / 2 * (np.tanh(action) + 1) if spec.acting.squash else action
            action = np.minimum(np.maximum(inside, low), high)
            action = np.rint(action) if taken["dtype"].lstrip("<|>=")[0] in "iub" else action
        action = action.reshape(action.shape[0], *taken["shape"])
        return action + np.array(taken["start"]) if "start" in taken else action

    picked = policy.picked_of(described)
    return program.likeliest_action(spec, state, finish, picked, around=building.around(spec, folders))
