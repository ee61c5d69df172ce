"""Several runs that differ in nothing but their seed: in turn, each in a run folder of its own, and their summary."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from pg_theano import checkpoints, runs
from pg_theano.config import Config, from_dict, to_dict
from pg_theano.types import UserError
from pg_theano.yaml_lines import read_file

PLAN = "seeds.yaml"
"""The config of all of them, in the folder above theirs; beside it `summary.json` at the end."""


def begin(config: Config, path: Path, folder_of_config: Path) -> None:
    """Write the plan, from which an interrupted set goes on; last, as without `run.json` it could not be read."""
    facts = json.dumps({"folder": str(folder_of_config), "versions": runs.versions()}, indent=1)
    checkpoints.write_atomically(path / "run.json", facts.encode() + b"\n")
    checkpoints.write_atomically(path / PLAN, yaml.safe_dump(to_dict(config), sort_keys=False).encode())


def read_plan(path: Path) -> tuple[Config, Path]:
    """(config, folder of the config) of a set of seeds. Errors: `UserError` where there is none."""
    document = read_file(path / PLAN)
    try:
        facts = json.loads((path / "run.json").read_text())
        return from_dict(document.data, document.lines, document.name), Path(facts["folder"])
    except (OSError, ValueError, KeyError):
        raise UserError(f"{path / 'run.json'}: missing or damaged; expected what `pg_theano.train` wrote") from None


def play(
    config: Config,
    path: Path,
    one: Callable[[Config, Path], dict[str, Any]],
    resume: Callable[[Path], dict[str, Any]],
) -> list[dict[str, Any]]:
    """The figures of every seed, in order: read where it is finished, resumed where it was begun, else run now.

    Stops after one that was interrupted.
    """
    figures: list[dict[str, Any]] = []
    for number in range(config.runs):
        seed = config.seed + number
        folder = path / f"seed-{seed}"
        finished = result_of(folder)
        if finished is not None and finished["status"] in ("solved", "budget"):
            figures.append(finished)
        elif (folder / "config.yaml").exists():
            figures.append(resume(folder))
        else:
            folder.mkdir(exist_ok=True)
            figures.append(one(config.model_copy(update={"seed": seed, "runs": 1}), folder))
        if figures[-1]["status"] == "interrupted":
            break
    return figures


def result_of(folder: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((folder / "result.json").read_text())
    return None
