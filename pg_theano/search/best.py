"""The best trial as a config that `python -m pg_theano.train` runs, and that reproduces its score exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pg_theano.search.plan import Plan, with_params
from pg_theano.search.stored import Trial
from pg_theano.system.console import printable
from pg_theano.system.writing import write_atomically


def by_itself(base: dict[str, Any]) -> dict[str, Any]:
    """A base whose runs train one after the other."""
    return {key: value for key, value in base.items() if key != "agents_per_process"}


def config_of(plan: Plan, trial: Trial) -> dict[str, Any]:
    """The base with the trial's parameters and its seeds; several seeds become the runs of one command."""
    seeds = trial.facts["seeds"]
    data = with_params(by_itself(plan.base), trial.params) | {"seed": seeds[0]}
    return {"name": f"best-{plan.name}"[:64], **data, **({"runs": len(seeds)} if len(seeds) > 1 else {})}


def write(plan: Plan, trial: Trial, folder: Path, trials: int) -> Path:
    """Write `configs/best-<search>.yaml`; it replaces an earlier one."""
    path = Path("configs") / f"best-{plan.name}.yaml"
    score = f"{trial.score:.10g}"
    seeds = trial.facts["seeds"]
    mean = "" if len(seeds) == 1 else f" in the mean of seeds {seeds[0]} to {seeds[-1]}"
    text = (
        f"# Trial {trial.number} of {trials}, the best that {plan.search.method} found in {printable(str(folder))}.\n"
        f"# {plan.search.objective}: {score}{mean}. The score is of the seeds that chose it; on others expect less.\n"
        f"#\n#   python -m pg_theano.train {path}\n\n"
    )
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, (text + yaml.safe_dump(config_of(plan, trial), sort_keys=False)).encode())
    return path
