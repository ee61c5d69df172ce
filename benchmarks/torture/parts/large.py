"""Large: 4,096 environments, width 1,024, episodes of 10,000 steps"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from measuring import ROOT
from part import Figures, Part, Row

COMMON = ["environment.id=Pendulum-v1", "environment.max_episode_steps=10000", "environment.num_envs=4096"]
COMMON += ["policy.hidden=[1024]", "budget.updates=1", "evaluation.episodes=1", "solved.stop=false", "--no-plot"]
EPISODES = "schedules.episodes_per_update.initial="
TIMEOUT = 3600  # 41 million steps of width 1,024 on one core, forward and back
SCRIPT = """
import sys
from pathlib import Path
from pg_theano import memory, train
measured, check = memory.needed, memory.check
def told(config, spec):
    Path("needed").write_text(repr(sum(measured(config, spec).values())))
    check(config, spec)
memory.check = told
sys.exit(train.main(sys.argv[1:]))
"""


def measured(*words: str) -> Figures:
    """One update: whether it works, or is refused before it starts; bytes at its height, and as they were estimated."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        try:
            done = subprocess.run(
                [sys.executable, "-c", SCRIPT, *COMMON, *words],
                cwd=folder,
                capture_output=True,
                text=True,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not over after {TIMEOUT} seconds"}
        seconds = time.perf_counter() - began
        result = Path(folder) / "runs" / "pendulum" / "result.json"
        updates = json.loads(result.read_text())["updates"] if result.exists() else 0
        needed = float((Path(folder) / "needed").read_text())
    said = done.stderr.strip()
    refused = done.returncode == 2 and re.search(r"which needs [\d,.]+ [MGTP]B of memory", said) is not None
    return {
        "works": done.returncode == 0 and updates == 1,
        "refused": refused and updates == 0,
        "code": done.returncode,
        "said": said[-400:],
        "needed": needed,
        "peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,  # of the largest child so far
        "seconds": seconds,
    }


def alone(*words: str) -> Figures:
    """`measured` in a process of its own: the height of its children is then that of one."""
    script = f"import sys, json; sys.path[:0] = {sys.path[:3]!r}; from parts import large; "
    script += f"print(json.dumps(large.measured(*{words!r})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=2 * TIMEOUT)
    return json.loads(done.stdout) if done.returncode == 0 else {"error": done.stderr[-500:]}


def rows(found: Mapping[str, Figures]) -> list[Row]:
    works = {cell: one for cell, one in found.items() if one["works"]}
    refused = {cell: one for cell, one in found.items() if one["refused"]}
    neither = sorted(found.keys() - works.keys() - refused.keys())
    over = {cell: (one["peak"] - BASE) / max(one["needed"], 1) for cell, one in works.items() if one["needed"] > BASE}
    slowest = max((one["seconds"] for one in refused.values()), default=0.0)
    return [
        Row(
            "4,096 environments, width 1,024, episodes of 10,000 steps, every algorithm on both engines: each works, "
            "or is refused before it starts with the memory that it needs",
            f"{len(works)} work, {len(refused)} are refused (within {slowest:.1f} s), "
            f"{len(neither)} do neither{': ' + ', '.join(neither) if neither else ''}",
            bool(found) and not neither,
        ),
        Row(
            "the memory that is named is that which is taken (where it is 0.5 GB or more: within half and twice)",
            ", ".join(f"{cell}: {share:.2f}" for cell, share in over.items()) or "–",
            all(0.5 <= share <= 2 for share in over.values()),
        ),
    ]


BASE = 0.5e9
"""Bytes of a process that does hardly anything, JAX included."""

CELLS: dict[str, list[str]] = {}
for engine in ("compiled", "gymnasium"):
    own = [f"environment.engine={engine}"]
    for name in ("reinforce", "vpg", "npg", "trpo"):
        words = [*own, f"algorithm.name={name}", *(["algorithm.num_epochs=1"] if name != "reinforce" else [])]
        CELLS[f"{name}, {engine}, 16 episodes"] = words
        CELLS[f"{name}, {engine}, 4,096 episodes"] = [*words, f"{EPISODES}4096"]
    for name in ("a2c", "ppo"):
        words = [*own, f"algorithm.name={name}", *(["algorithm.num_epochs=1"] if name == "ppo" else [])]
        CELLS[f"{name}, {engine}"] = words
        CELLS[f"{name}, {engine}, 10,000 steps an update"] = [*words, "algorithm.num_steps=10000"]
    for name in ("cem", "pgpe", "es", "cmaes"):
        CELLS[f"{name}, {engine}"] = [*own, f"algorithm.name={name}"]
CELLS["cem, compiled, 4,096 candidates"] = [
    "environment.engine=compiled",
    "algorithm.name=cem",
    "algorithm.population_size=4096",
]
CELLS["ppo by hand"] = ["algorithm.name=ppo", "algorithm.num_epochs=1", "gradients=by_hand"]

PART = Part({cell: lambda words=words: alone(*words) for cell, words in CELLS.items()}, rows)
