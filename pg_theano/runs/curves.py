"""Runs read back: `metrics.jsonl` as columns, curves over seeds, an outcome in words. NumPy only."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from pg_theano.runs import records
from pg_theano.runs.folder import read_result
from pg_theano.types import Array, UserError

POINTS = 1000  # a curve never has more: longer runs are binned
MOST_FIELDS = 200  # of the records of one file: each is a column in memory
EVALUATION_POINTS = 60  # more markers than these cover each other


class Run(NamedTuple):
    """What is drawn in one colour: a run, or a group of runs that differ in their seed."""

    name: str
    seeds: list[dict[str, Array]]  # the columns of each run; exactly one unless `is_group`
    results: list[dict[str, Any]]  # their `result.json`; empty where there is none yet
    is_group: bool


Named = TypeVar("Named", bound=Any)
"""A run, or anything else with a name."""


class Curve(NamedTuple):
    """A line with a band around it. All [N], N <= POINTS, finite, x rising."""

    x: Array
    middle: Array
    low: Array
    high: Array


# Reading


def read_metrics(folder: Path) -> dict[str, Array]:
    """The columns of `folder/metrics.jsonl`, float64 [number of records] each; NaN where a field is missing or null.

    A torn last line is ignored. Where a resumed run wrote an update a second time, the later record counts.
    Raises UserError where there is no such file, no record in it, or a line that is not JSON.
    """
    path = Path(folder) / "metrics.jsonl"
    if not path.is_file():
        raise UserError.at(folder, "no metrics.jsonl in it", "a run folder such as runs/cartpole")
    blocks = [_columns(path, block) for block in records.blocks(path)]
    if not blocks:
        raise UserError.at(path, "no records yet", hint="plot again after the first update")
    names = dict.fromkeys(name for block in blocks for name in block)
    sizes = [next(iter(block.values())).size for block in blocks]
    columns = {
        name: np.concatenate([b.get(name, np.full(n, np.nan)) for b, n in zip(blocks, sizes, strict=True)])
        for name in names
    }
    update = columns.get("update", columns["record"])
    earliest_after = np.minimum.accumulate(np.append(update[1:], np.inf)[::-1])[::-1]
    is_last = ~(update >= earliest_after)
    columns = {name: column[is_last] for name, column in columns.items()}
    columns["record"] = np.arange(1.0, is_last.sum() + 1)
    return columns


def _columns(path: Path, block: list[dict]) -> dict[str, Array]:
    """One float64 array a field; fields that hold no numbers are left out."""
    columns = {"record": np.zeros(len(block))}
    names = {name for names in {tuple(record) for record in block} for name in names}
    if len(names) > MOST_FIELDS:
        raise UserError.at(path, f"records of {len(names):,} different fields", f"at most {MOST_FIELDS}")
    for name in names:
        with suppress(TypeError, ValueError, OverflowError):
            column = np.array([record.get(name) for record in block], dtype=np.float64)  # None becomes NaN
            if column.ndim == 1:
                columns[name] = column
    return columns


def sound(result: dict[str, Any]) -> dict[str, Any]:
    """The fields of a result that a figure shows. Fields of another type than a run writes are left out."""
    words = {name: result[name] for name in ("name", "status", "environment") if isinstance(result.get(name), str)}
    evaluation = result.get("evaluation")
    inner = {"evaluation": numbers(evaluation, ("mean", "std", "n"))} if isinstance(evaluation, dict) else {}
    return words | numbers(result, ("threshold", "updates", "env_steps")) | inner


def numbers(found: dict[str, Any], names: Sequence[str]) -> dict[str, float]:
    return {
        name: found[name]
        for name in names
        if isinstance(found.get(name), (int, float)) and abs(found[name]) < 1e300  # which no NaN is
    }


def read_run(folder: Path) -> Run:
    """A run folder, or a folder of `seed-*/` run folders (those without a record yet are left out)."""
    folder = Path(folder)
    subfolders = sorted(path for path in folder.glob("seed-*") if path.is_dir())
    if (folder / "metrics.jsonl").exists() or not subfolders:
        result = sound(read_result(folder, check=False) or {})
        return Run(result.get("name") or folder.resolve().name, [read_metrics(folder)], [result], False)
    begun = [path for path in subfolders if _has_records(path)]
    if not begun:
        raise UserError.at(
            folder, f"no records yet in any of its {len(subfolders)} seed folders", hint="plot again later"
        )
    results = [sound(read_result(path, check=False) or {}) for path in begun]
    return Run(folder.resolve().name, [read_metrics(path) for path in begun], results, True)


def _has_records(folder: Path) -> bool:
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return False
    return records.is_json(next(records.lines(path), ""))


# Curves


def bin_curve(curve: Curve, points: int = POINTS) -> Curve:
    """At most `points` points: the mean of x and of the line, the lowest low and the highest high of each bin."""
    if curve.x.size <= points:
        return curve
    edges = np.linspace(0, curve.x.size, points + 1).astype(int)[:-1]
    counts = np.diff(np.append(edges, curve.x.size))
    return Curve(
        np.add.reduceat(curve.x, edges) / counts,
        np.add.reduceat(curve.middle, edges) / counts,
        np.minimum.reduceat(curve.low, edges),
        np.maximum.reduceat(curve.high, edges),
    )


def curve_of(columns: dict[str, Array], x: str, y: str, spread: str | None = None) -> Curve | None:
    """One run's column `y` over its column `x`, binned; None where it has no finite value.

    The band is y ± `spread`, kept inside the smallest and largest value seen where these are known; without a
    `spread`, the range of y inside each bin.
    """
    if x not in columns or y not in columns:
        return None
    middle = columns[y]
    low = high = middle
    if spread in columns:
        width = np.nan_to_num(columns[spread])
        low = np.fmax(middle - width, columns.get(y.replace("mean", "min"), middle - width))
        high = np.fmin(middle + width, columns.get(y.replace("mean", "max"), middle + width))
    real = np.isfinite(columns[x]) & np.isfinite(middle)
    if not real.any():
        return None
    return bin_curve(Curve(columns[x][real], middle[real], low[real], high[real]))


def over_seeds(curves: Sequence[Curve]) -> Curve:
    """The mean, lowest and highest of several runs on a common axis.

    Between its points a run is interpolated linearly; after its end it counts with its last value, so that the
    mean does not drop when the quick runs have been solved.
    """
    x = np.linspace(min(c.x[0] for c in curves), max(c.x[-1] for c in curves), POINTS)
    return Curve(
        x,
        np.mean([np.interp(x, c.x, c.middle) for c in curves], axis=0),
        np.min([np.interp(x, c.x, c.low) for c in curves], axis=0),
        np.max([np.interp(x, c.x, c.high) for c in curves], axis=0),
    )


def curve_of_run(run: Run, x: str, y: str, spread: str | None = None) -> Curve | None:
    """The curve of a run; for a group, the mean of its runs in a band from the lowest run to the highest."""
    if not run.is_group:
        return curve_of(run.seeds[0], x, y, spread)
    curves = [curve for columns in run.seeds if (curve := curve_of(columns, x, y)) is not None]
    return over_seeds(curves) if curves else None


def evaluations_of_run(run: Run, x: str) -> Curve | None:
    """The greedy evaluations of all its seeds, in the order of x, binned where there are many."""
    curves = [curve for columns in run.seeds if (curve := curve_of(columns, x, "evaluation_mean")) is not None]
    if not curves:
        return None
    pooled = Curve(*(np.concatenate(parts) for parts in zip(*curves, strict=True)))
    order = np.argsort(pooled.x, kind="stable")
    return bin_curve(Curve(*(part[order] for part in pooled)), EVALUATION_POINTS)


# Words


def number(value: float) -> str:
    """`475.0` -> '475', `1234.56` -> '1,234.6', `0.7421` -> '0.74'."""
    text = f"{value:,.{1 if abs(value) >= 10 else 2}f}".replace("-", "−")
    return text.rstrip("0").rstrip(".") if "." in text else text


def outcome(run: Run) -> str:
    """'solved after 41 updates, 62,000 steps; 100 greedy episodes: 498.2 ± 5', or the like for a group."""
    return _outcome_of_group(run) if run.is_group else _outcome_of_one(run.seeds[0], run.results[0])


def _outcome_of_one(columns: dict[str, Array], result: dict[str, Any]) -> str:
    status = {"budget": "budget spent", None: "no result yet"}.get(result.get("status"), result.get("status"))
    updates = _last(columns, result, "updates", "update")
    steps = _last(columns, result, "env_steps", "env_steps")
    counts = [
        f"{value:,.0f} {unit}{'' if value == 1 else 's'}"
        for value, unit in ((updates, "update"), (steps, "step"))
        if value is not None
    ]
    words = f"{status} after {', '.join(counts)}" if counts else str(status)
    evaluation = result.get("evaluation") or {}
    if evaluation.get("mean") is not None:
        words += f"; {evaluation.get('n', '')} greedy episodes: ".replace("  ", " ") + number(evaluation["mean"])
        if evaluation.get("std") is not None:
            words += f" ± {number(evaluation['std'])}"
    return words


def _outcome_of_group(run: Run) -> str:
    solved = [i for i, result in enumerate(run.results) if result.get("status") == "solved"]
    words = f"{len(solved)} of {len(run.seeds)} seeds solved"
    every = [_last(run.seeds[i], run.results[i], "env_steps", "env_steps") for i in solved]
    steps = [value for value in every if value is not None]
    if steps:
        words += f", after {np.median(steps):,.0f} steps (median)"
    judged = [(result.get("evaluation") or {}).get("mean") for result in run.results]
    means = [float(mean) for mean in judged if mean is not None]
    if means:
        mean = number(float(np.mean(means)))
        words += f"; greedy evaluations: {mean}, from {number(min(means))} to {number(max(means))}"
    return words


def _last(columns: dict[str, Array], result: dict[str, Any], key: str, column: str) -> float | None:
    """A count as the result tells it, else as the last record does."""
    if result.get(key) is not None:
        return result[key]
    last = columns.get(column, np.array([np.nan]))[-1]
    return None if np.isnan(last) else last


def distinct(runs: list[Named], folders: Sequence[Path]) -> list[Named]:
    """Runs of the same name are called by their folder instead."""
    names = [run.name for run in runs]
    pairs = zip(runs, folders, strict=True)
    return [run._replace(name=str(folder)) if names.count(run.name) > 1 else run for run, folder in pairs]
