"""Seconds per env step and peak memory as environments, timesteps and width grow: a log-log plot, exponents printed.

    python benchmarks/growth.py

On CartPole how long episodes are depends on what has been learned, and the rest of a block is idle; so the others are
measured on MountainCar, whose episodes all last to the time limit until a policy is good. Seconds are of collecting and
updating; memory is the process's largest resident set.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measuring
from measuring import Cells, median, table

NAME = "growth"
MOST_ALLOWED = 0.25
GROWING = {64: 60, 128: 50, 256: 40, 512: 30, 1024: 20, 2048: 15, 4096: 12}  # size: updates
FIXED = ["environment.id=MountainCar-v0"]
AXES: dict[str, dict[str, Any]] = {
    "environments": {
        "sizes": GROWING,
        "title": "CartPole, width 8, by number of environments",
        "words": lambda size: [],
        "envs": lambda size: size,
    },
    "environments, all steps real": {
        "sizes": GROWING,
        "title": "MountainCar (episodes of 200 steps), width 8, by number of environments",
        "words": lambda size: FIXED,
        "envs": lambda size: size,
    },
    "timesteps": {
        "sizes": GROWING,
        "title": "MountainCar, 64 environments, width 8, by steps of an episode",
        "words": lambda size: [*FIXED, f"environment.max_episode_steps={size}"],
        "envs": lambda size: 64,
    },
    "width": {
        "sizes": {8: 30, 16: 30, 32: 30, 64: 30, 128: 20, 256: 15, 512: 10},
        "title": "MountainCar (episodes of 200 steps), 64 environments, by hidden width",
        "words": lambda size: [*FIXED, f"policy.hidden=[{size}]", f"schedules.learning_rate.initial={0.4 / size}"],
        "envs": lambda size: 64,
    },
}


def measure(options: argparse.Namespace, axis: str, size: int, updates: int, seed: int, cache: Path) -> dict[str, Any]:
    facts = AXES[axis]
    more = [*facts["words"](size), f"environment.engine={options.engine}"]
    words = measuring.training_words(envs=facts["envs"](size), updates=updates, seed=seed, more=more)
    result, seen = measuring.train(options, words, cache)
    if result is None:
        return measuring.failure(seen)
    seconds = result["seconds"]
    return {
        "seconds_per_step": (seconds["collect"] + seconds["update"]) / result["env_steps"],
        "collect_per_step": seconds["collect"] / result["env_steps"],
        "update_per_step": seconds["update"] / result["env_steps"],
        "memory_bytes": seen.memory,
        "env_steps": result["env_steps"],
        "episode_steps": result["env_steps"] / result["episodes"],
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """k of value ≈ c·sizeᵏ, by least squares of the logarithms."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, a seed each; medians are shown")
    parser.add_argument("--only", default=";".join(AXES), help="axes, with semicolons")
    parser.add_argument("--engine", default="auto", help="environment.engine")
    options = parser.parse_args(argv)
    cells = Cells(options, NAME)
    code = measuring.fingerprint(options.source / "pg_theano", Path(__file__))
    wanted = [
        (axis, size, updates) for axis in options.only.split(";") for size, updates in AXES[axis]["sizes"].items()
    ]
    found: dict[tuple[str, int], list[dict[str, Any]]] = {(axis, size): [] for axis, size, _ in wanted}
    with measuring.scratch() as cache:
        warmed = set()

        def cell(axis: str, size: int, updates: int, seed: int) -> dict[str, Any]:
            if (axis, size) not in warmed:
                warmed.add((axis, size))
                measure(options, axis, size, updates, 1000, cache)
            return measure(options, axis, size, updates, seed, cache)

        for seed in range(1, options.rounds + 1):
            print(f"round {seed}")
            for what in wanted:
                key = {"axis": what[0], "size": what[1], "updates": what[2], "seed": seed, "code": code}
                key["engine"] = options.engine
                found[what[:2]].append(cells.get(key, lambda what=what, seed=seed: cell(*what, seed)))
    data = {"rounds": options.rounds, "axes": {}, "facts": measuring.facts(options)}
    for (axis, size), values in found.items():
        data["axes"].setdefault(axis, []).append({"size": size} | middle(values))
    draw(data, options.results / "growth.png")
    measuring.write(options, NAME, data, section)


def middle(values: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over rounds; an error stays an error."""
    failed = next((value for value in values if "error" in value), None)
    if failed:
        return failed
    return {
        name: median([v[name] for v in values]) for name, number in values[0].items() if not isinstance(number, str)
    }


def whole(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [cell for cell in cells if "error" not in cell]


def section(data: dict[str, Any]) -> str:
    text = ["## Growth", "", f"Medians of {data['rounds']} rounds, on one core.", ""]
    for axis, cells in data["axes"].items():
        text += [f"{AXES[axis]['title']}:", ""]
        rows, before = [], None
        for cell in cells:
            if "error" in cell:
                rows.append([cell["size"], cell["error"], None, None, None, None, None])
                continue
            now = cell["seconds_per_step"]
            rise = f"{now / before - 1:+.0%}" if before else None
            nanoseconds = [1e9 * cell[name] for name in ("seconds_per_step", "collect_per_step", "update_per_step")]
            rows.append(
                [
                    cell["size"],
                    nanoseconds[0],
                    rise,
                    *nanoseconds[1:],
                    cell["episode_steps"],
                    cell["memory_bytes"] / 2**20,
                ]
            )
            before = now
        head = [axis, "ns per env step", "rise", "collect, ns", "update, ns", "mean episode", "peak memory, MiB"]
        text += [table(head, rows), ""]
        good = whole(cells)
        if len(good) > 1:
            sizes = [cell["size"] for cell in good]
            costs = [cell["seconds_per_step"] for cell in good]
            powers = [exponent(sizes, [cell[name] for cell in good]) for name in ("seconds_per_step", "memory_bytes")]
            rise = max(b / a - 1 for a, b in zip(costs[:-1], costs[1:], strict=True))
            verdict = "" if not axis.startswith("environments") else f" (wanted: at most {MOST_ALLOWED:+.0%})"
            text += [
                f"Exponents: seconds per env step {powers[0]:+.2f}, peak memory {powers[1]:+.2f}. Largest rise of the "
                f"cost from one size to the next: {rise:+.0%}{verdict}.",
                "",
            ]
    text += ["![Seconds per env step and peak memory, log-log](results/growth.png)", ""]
    return "\n".join(text)


def draw(data: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = {axis: whole(cells) for axis, cells in data["axes"].items() if len(whole(cells)) > 1}
    if not axes:
        return
    figure, grid = plt.subplots(2, len(axes), figsize=(4 * len(axes), 6.5), squeeze=False, layout="constrained")
    for column, (axis, cells) in enumerate(axes.items()):
        sizes = [cell["size"] for cell in cells]
        for row, (name, unit, scale) in enumerate(
            (("seconds_per_step", "nanoseconds per env step", 1e9), ("memory_bytes", "peak memory, MiB", 2**-20))
        ):
            values = [cell[name] * scale for cell in cells]
            power = exponent(sizes, values)
            panel = grid[row][column]
            panel.loglog(sizes, values, "o-", base=10)
            panel.set_title(f"exponent {power:+.2f}", fontsize=10)
            panel.set_xlabel(axis)
            panel.set_ylabel(unit)
            panel.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=45)
            panel.minorticks_off()
            low, high = min(values), max(values)
            ticks = sorted({float(f"{low * (high / low) ** (i / 3):.2g}") for i in range(4)})
            panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            panel.set_ylim(0.8 * low, 1.25 * high)
            panel.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
