"""A run of many updates, and what it takes of memory and disk on its way: `python helpers_long.py KIND UPDATES`.

Prints one JSON object. The quick form is tests/test_long.py, the full one benchmarks/torture/parts/long.py.
"""

from __future__ import annotations

import gc
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pg_theano.training.display import Plain

TINY: dict[str, Any] = {
    "environment": {"id": "probe_environments:ConstantValue-v0", "num_envs": 1},
    "policy": {"hidden": [2]},
    "schedules": {"episodes_per_update": {"initial": 1}},
    "evaluation": {"episodes": 2, "every_updates": 1000},
    "solved": {"stop": False},
    "checkpoint": {"every_updates": 250},
}
COMPILED = {"id": "CartPole-v1", "num_envs": 2}
KINDS: dict[str, dict[str, Any]] = {
    "reinforce": {},
    "ppo": {
        "algorithm": {"name": "ppo", "num_steps": 4, "num_epochs": 1, "num_minibatches": 1},
        "policy": {"hidden": [2]},
        "evaluation": {"episodes": 2, "every_updates": 1000},
    },
    "ppo, compiled": {
        "environment": COMPILED,
        "algorithm": {"name": "ppo", "num_steps": 4, "num_epochs": 1, "num_minibatches": 1},
        "policy": {"hidden": [2]},
        "evaluation": {"episodes": 2, "every_updates": 1000},
    },
    "population": {"algorithm": {"name": "cem", "population_size": 2}, "policy": {"hidden": []}},
    "by hand": {
        "algorithm": {"name": "ppo", "num_steps": 4, "num_epochs": 1, "num_minibatches": 1},
        "gradients": "by_hand",
        "policy": {"hidden": [2]},
    },
}
MOST_BYTES, MOST_OTHER_BYTES = 700, 100_000
"""Of metrics.jsonl an update, and of all other files of a tiny run together: what docs/long-and-large.md says."""

MOST_FILES = 5 + 2 * 2 * 2
"""lock, three of JSON and YAML, metrics.jsonl; two files of each of the two newest and the two best checkpoints."""

EARLY = 1000
"""Updates after which everything that a run keeps is there."""


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Watched(Plain):
    """A screen that shows nothing and looks at the memory after some updates."""

    def __init__(self, at: list[int]):
        super().__init__(io.StringIO())
        self.at, self.updates = set(at), 0
        self.seen: dict[int, int] = {}

    def update(self, record: Mapping[str, Any], budget: float) -> None:
        self.updates += 1
        if self.updates in self.at:
            self.seen[self.updates] = resident()

    def event(self, text: str) -> None:
        pass


def config_of(kind: str, updates: int) -> dict[str, Any]:
    config = json.loads(json.dumps(TINY))
    if kind == "population":
        del config["schedules"]
    if KINDS[kind].get("algorithm", {}).get("num_steps"):
        del config["schedules"]
    for section, knobs in KINDS[kind].items():
        config[section] = {**config.get(section, {}), **knobs} if isinstance(knobs, dict) else knobs
    return config | {"budget": {"updates": updates}}


def figures(kind: str, updates: int, early: int = EARLY) -> dict[str, Any]:
    """Bytes resident after `early` updates and at the end, bytes of each file, seconds; and of the plot."""
    import pg_theano
    from pg_theano.reports import plots

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        watched = Watched([early, *(updates * part // 4 for part in (1, 2, 3, 4))])
        began = time.perf_counter()
        pg_theano.run(config_of(kind, updates), run_dir=run, plot=False, display=lambda title: watched)
        seconds = time.perf_counter() - began
        sizes = {str(path.relative_to(run)): path.stat().st_size for path in run.rglob("*") if path.is_file()}
        began = time.perf_counter()
        plots.draw([run], Path(folder) / "plot.png")
        drawn = time.perf_counter() - began
    first, last = watched.seen[early], watched.seen[updates]
    return {
        "kind": kind,
        "updates": updates,
        "resident": watched.seen,
        "growth": last / first - 1,
        "files": len(sizes),
        "bytes_an_update": sizes["metrics.jsonl"] / updates,
        "other_bytes": sum(sizes.values()) - sizes["metrics.jsonl"],
        "seconds": seconds,
        "plot_seconds": drawn,
    }


def drawn(updates: int) -> dict[str, Any]:
    """Seconds of the plot and the report of a run of so many updates: that of 500, whose records are repeated."""
    import pg_theano
    from pg_theano import report
    from pg_theano.reports import plots

    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        pg_theano.run(config_of("reinforce", 500), run_dir=run, plot=False, display=lambda title: Watched([]))
        records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        with (run / "metrics.jsonl").open("w") as file:
            for update in range(updates):
                record = records[update % 500] | {"update": update, "env_steps": update + 1, "episodes": update + 1}
                file.write(json.dumps(record) + "\n")
        seconds = {}
        for name, draw in (
            ("plot", lambda: plots.draw([run], Path(folder) / "plot.png")),
            ("report", lambda: report.report([run], Path(folder) / "report.html", play=False)),
        ):
            began = time.perf_counter()
            draw()
            seconds[f"{name}_seconds"] = time.perf_counter() - began
        return {"updates": updates, **seconds, "report_bytes": (Path(folder) / "report.html").stat().st_size}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    kind, number, *more = sys.argv[1:]
    found = drawn(int(number)) if kind == "drawn" else figures(kind, int(number), *map(int, more))
    print(json.dumps(found))
