"""How reliably a config learns: every seed trained afresh, then judged in fresh environments on seeds of its own.

    python benchmarks/learning.py                                          # the defaults, seeds 0 to 19
    python benchmarks/learning.py --config configs/classic.yaml --seeds 10 --out benchmarks/learning-classic.md
    python benchmarks/learning.py --config configs/classic.yaml exploration.name=epsilon_greedy

One process a seed, as a user would start it, one after the other; its seconds run from process start to exit, without
the plot. A seed once measured is kept in a file of cells, one JSON line each, and not measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402

from pg_theano.config.reading import read_config, to_dict  # noqa: E402
from pg_theano.evaluate import evaluate  # noqa: E402
from pg_theano.runs import folder as runs  # noqa: E402
from pg_theano.types import UserError  # noqa: E402

EPISODES = 100
OTHER_SEEDS = 1_000_000
"""Added to a run's seed to seed its judgement: no training, evaluation or confirmation used these."""


def measured(config: Path, overrides: list[str], seed: int) -> dict:
    """One seed: trained in a folder of its own by the command, then evaluated from its best checkpoint, greedily."""
    with tempfile.TemporaryDirectory(prefix="pg_theano-learning-") as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "pg_theano.train", str(config), *overrides]
        command += ["--seed", str(seed), "--run-dir", str(run), "--json", "--no-plot"]
        paths = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
        began = time.perf_counter()
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=folder, env=os.environ | {"PYTHONPATH": paths}
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise UserError(f"seed {seed}: exit code {done.returncode}\n{done.stderr.strip()}")
        result = json.loads(done.stdout)
        judged = evaluate(run, episodes=EPISODES, seed=OTHER_SEEDS + seed)
    return {
        "seed": seed,
        "solved": result["status"] == "solved",
        "threshold": result["threshold"],
        "updates": result["updates"],
        "env_steps": result["env_steps"],
        "mean": judged["mean"],
        "std": judged["std"],
        "seconds": seconds,
    }


def key_of(config: Path, overrides: list[str]) -> str:
    """A digest of the resolved config: cells of another config are not taken for this one's."""
    resolved = to_dict(read_config(config, overrides))
    del resolved["seed"]
    return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:16]


def read_cells(path: Path, key: str) -> dict[int, dict]:
    """The finished seeds of this config; a line that a killed process left half written is passed over."""
    cells = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            cell = json.loads(line)
        except ValueError:
            continue
        if cell.get("key") == key:
            cells[cell["seed"]] = cell
    return cells


def row(cell: dict) -> str:
    return (
        f"| {cell['seed']} | {'yes' if cell['solved'] else 'no'} | {cell['updates']:,} | {cell['env_steps']:,} "
        f"| {cell['mean']:.1f} ± {cell['std']:.1f} | {cell['seconds']:.1f} |"
    )


def table(cells: list[dict], title: str, command: str) -> str:
    """The Markdown page: what was reached, each seed, and how it was measured."""
    steps, seconds = ([cell[name] for cell in cells] for name in ("env_steps", "seconds"))
    means = [cell["mean"] for cell in cells]
    low, median, high = np.percentile(steps, [25, 50, 75])
    threshold = cells[0]["threshold"]
    held = "" if threshold is None else f" ({sum(m >= threshold for m in means)} of them at {threshold:g} or more)"
    versions = ", ".join(f"{name} {version}" for name, version in runs.versions().items())
    return "\n".join(
        [
            f"# Learning: {title}",
            "",
            f"- solved: **{sum(cell['solved'] for cell in cells)} of {len(cells)} seeds**",
            f"- env steps to the end: median **{median:,.0f}**, quartiles {low:,.0f} to {high:,.0f}, "
            f"least {min(steps):,}, most {max(steps):,}",
            f"- afterwards, {EPISODES} greedy episodes in fresh environments on other seeds: "
            f"mean over seeds {np.mean(means):.1f}, worst {min(means):.1f}{held}",
            f"- seconds from process start to exit, no plot: median {np.median(seconds):.1f}, most {max(seconds):.1f}",
            "",
            "| seed | solved | updates | env steps | evaluation | seconds |",
            "|---:|---|---:|---:|---:|---:|",
            *map(row, cells),
            "",
            f"Measured {date.today().isoformat()} on {machine()}; {versions}.",
            "",
            f"    {command}",
            "",
        ]
    )


def machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = ""
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else ""
    return f"{model or platform.machine()}, {cores} cores, {platform.system()}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=HERE.parent / "configs" / "cartpole.yaml", metavar="FILE")
    parser.add_argument("--seeds", type=int, default=20, metavar="N", help="seeds first, first+1, ... (20 of them)")
    parser.add_argument("--first", type=int, default=0, metavar="S", help="first seed (0)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the table (benchmarks/learning-<config>.md)")
    parser.add_argument(
        "--cells", type=Path, metavar="FILE", help="finished seeds (runs/<table>.jsonl beside the table)"
    )
    parser.add_argument("overrides", nargs="*", metavar="knob=value", help="knobs set over the config")
    arguments = parser.parse_intermixed_args()
    if arguments.seeds < 1 or arguments.first < 0:
        parser.error("--seeds must be at least 1 and --first at least 0")
    # What changes the config changes the table's name, so that no table overwrites another's.
    changed = "".join("-" + override.rpartition("=")[2] for override in arguments.overrides)
    out = arguments.out or HERE / f"learning-{arguments.config.stem}{changed}.md"
    path = arguments.cells or out.parent / "runs" / f"{out.stem}.jsonl"
    config = arguments.config.resolve()
    try:
        key = key_of(config, arguments.overrides)
        cells = read_cells(path, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            if seed in cells:
                print(f"{row(cells[seed])}  already in {path}, skipped", flush=True)
                continue
            cells[seed] = measured(config, arguments.overrides, seed) | {"key": key}
            with path.open("a") as file:
                file.write(json.dumps(cells[seed]) + "\n")
            print(row(cells[seed]), flush=True)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    wanted = [cells[seed] for seed in range(arguments.first, arguments.first + arguments.seeds)]
    title = " ".join([arguments.config.stem, *arguments.overrides])
    page = table(wanted, title, " ".join(["python benchmarks/learning.py", *sys.argv[1:]]))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    print(f"\n{page}\nwritten to {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
