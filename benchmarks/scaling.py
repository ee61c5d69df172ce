"""What a second worker brings, what sending a task costs, where it stops scaling: the tables of docs/scaling.md.

    python benchmarks/scaling.py               # about two minutes on two cores
    python benchmarks/scaling.py --page        # only write the page again, from benchmarks/results/scaling.json

Tasks compute for a given time (of the processor, so that a shared core shows); the workers are processes of a pool, or
Dask workers of one thread with their scheduler, all on this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import measuring
import numpy as np
from measuring import ROOT, median, table

sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import helpers_distribute as helpers  # noqa: E402

from pg_theano.system import distribute  # noqa: E402

NAME = "scaling"
PAGE = ROOT / "docs/scaling.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
TASKS = {0.001: 1000, 0.01: 120, 0.1: 16, 1.0: 4}  # seconds: how many
DATA = {0: 300, 1_000: 300, 100_000: 100, 1_000_000: 20}  # bytes there and back: tasks
BUSY = ("**The machine was busy with other work meanwhile: these figures say little. Measure again.**", "")
WORKERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
ENDLESS, GENERATION = 1_000_000, 1_000  # tasks of a map in the model


# -- measuring


@contextlib.contextmanager
def each_alone() -> Iterator[None]:
    """No batches."""
    before = distribute.Workers._batch_size
    distribute.Workers._batch_size = lambda *_: 1
    try:
        yield
    finally:
        distribute.Workers._batch_size = before


def bare_processes() -> dict[str, float]:
    """Two processes that know nothing of each other, over one with the work of both: what the machine itself gives."""
    walls = []
    for count, seconds in ((1, 2.0), (2, 1.0)):
        script = f"import time\nwhile time.process_time() < {seconds}: pass"
        began = time.perf_counter()
        running = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(count)]
        for process in running:
            process.wait()
        walls.append(time.perf_counter() - began)
    return {"speed_up": walls[0] / walls[1]}


def wall(workers: distribute.Workers, function: Callable[[Any], Any], tasks: Sequence[Any]) -> float:
    began = time.perf_counter()
    workers.map(function, tasks)
    return time.perf_counter() - began


def busy(seconds: float, count: int, size: int = 0) -> list[dict[str, Any]]:
    return [{"seconds": seconds, "data": np.full(size, i % 251, np.uint8)} for i in range(count)]


def measure(workers: distribute.Workers, scheduler: int | None) -> dict[str, Any]:
    """Seconds of every map. `scheduler`: the process of Dask's, whose processor time is read as well."""
    workers.map(helpers.busy, busy(0.001, 200))  # everybody has imported what it needs
    found: dict[str, Any] = {"batched": {}, "single": {}, "data": {}}
    for seconds, count in TASKS.items():
        found["batched"][str(seconds)] = wall(workers, helpers.busy, busy(seconds, count))
    slices = helpers.population(400, size=4, steps=200)
    found["population"] = wall(workers, helpers.play, slices)
    with each_alone():
        for seconds, count in TASKS.items():
            if seconds < distribute.SECONDS_PER_BATCH:
                found["single"][str(seconds)] = wall(workers, helpers.busy, busy(seconds, count))
        for size, count in DATA.items():
            tasks = busy(0.0, count, size)
            before = time.process_time(), helpers.cpu_time(scheduler) if scheduler else 0.0
            found["data"][str(size)] = {
                "seconds": wall(workers, helpers.busy, tasks) / count,
                "coordinator": (time.process_time() - before[0]) / count,
                "scheduler": (helpers.cpu_time(scheduler) - before[1]) / count if scheduler else 0.0,
            }
        found["round_trip"] = median([wall(workers, helpers.busy, busy(0.0, 1)) for _ in range(20)])
    return found


@contextlib.contextmanager
def dask(count: int) -> Iterator[tuple[distribute.Workers, int]]:
    with measuring.scratch() as folder:
        cluster = helpers.DaskCluster(folder)
        try:
            cluster.workers(count)
            with distribute.opened(cluster=cluster.address) as workers:
                helpers.until(lambda: len(workers._engine._client.nthreads()) == count)
                yield workers, cluster.started[0].pid
        finally:
            cluster.close()


@contextlib.contextmanager
def processes(count: int) -> Iterator[tuple[distribute.Workers, None]]:
    """Also of one, which `opened` would not make."""
    with distribute.Workers(distribute.Processes(count)) as workers:
        yield workers, None


def measured(rounds: int) -> dict[str, Any]:
    """Medians over rounds, engines taking turns: by engine, then as `measure` says; `loop` has no workers at all."""
    found: dict[str, list[Any]] = {}
    makers = {"pool 1": (processes, 1), "pool 2": (processes, 2), "Dask 1": (dask, 1), "Dask 2": (dask, 2)}
    for number in range(rounds):
        for name, (maker, count) in makers.items():
            with distribute.opened() as loop:
                walls = {str(s): wall(loop, helpers.busy, busy(s, n)) for s, n in TASKS.items() if s < 1.0}
                walls["1.0"] = 10 * walls["0.1"] * TASKS[1.0] / TASKS[0.1]
                alone = {
                    "batched": walls,
                    "population": wall(loop, helpers.play, helpers.population(400, size=4, steps=200)),
                }
            with maker(count) as (workers, scheduler):
                values = measure(workers, scheduler)
            values["loop"] = alone | {"bare": bare_processes()}
            found.setdefault(name, []).append(values)
            print(f"  round {number + 1}, {name}: {json.dumps(efficiencies(values, count))}", flush=True)
    return {name: middle(values) for name, values in found.items()}


def middle(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        return {name: middle([value[name] for value in values]) for name in values[0]}
    return median(values)


def efficiencies(values: dict[str, Any], count: int) -> dict[str, float]:
    loop = values["loop"]
    shares = {t: loop["batched"][t] / seconds / count for t, seconds in values["batched"].items()}
    shares["population"] = loop["population"] / values["population"] / count
    return {name: round(share, 3) for name, share in shares.items()}


# -- the model


def costs(found: dict[str, Any], engine: str) -> dict[str, float]:
    """What the model takes from the measurements, in seconds."""
    one, two = found[f"{engine} 1"], found[f"{engine} 2"]
    count = TASKS[0.01]
    return {
        "serial": max(two["data"]["1000"]["coordinator"], two["data"]["1000"]["scheduler"]),
        "gap": max(0.0, (one["single"]["0.01"] - one["loop"]["batched"]["0.01"]) / count),
        "round_trip": two["round_trip"],
    }


def map_seconds(workers: int, tasks: int, seconds: float, batched: bool, cost: dict[str, float]) -> float:
    """T = r + max(n·c, ⌈n/W⌉·(b·t + g)), with n = ⌈N/b⌉ batches of b = min(⌈s/t⌉, ⌈N/W⌉) tasks.

    W workers, N tasks of t seconds, batches of s = max(0.1, 0.005·W) seconds; c serial seconds a batch, g the worker's
    gap between two batches, r the round trip at the end.
    """
    size = 1
    if batched:
        wanted = max(distribute.SECONDS_PER_BATCH, distribute.SECONDS_A_WORKER * workers)
        size = min(math.ceil(wanted / seconds), math.ceil(tasks / workers))
    count = math.ceil(tasks / size)
    busiest = math.ceil(count / workers) * (size * seconds + cost["gap"])
    return cost["round_trip"] + max(count * cost["serial"], busiest)


def modelled(workers: int, tasks: int, seconds: float, batched: bool, cost: dict[str, float]) -> float:
    """Efficiency: N·t / (W·T)."""
    return tasks * seconds / (workers * map_seconds(workers, tasks, seconds, batched, cost))


def most_workers(tasks: int, seconds: float, batched: bool, cost: dict[str, float], wanted: float) -> int:
    """As many as keep the efficiency at `wanted` or more; it is looked for among 1, 2, ... 1,000."""
    grid = sorted({int(10 ** (k / 40)) for k in range(121)})
    good = [w for w in grid if modelled(w, tasks, seconds, batched, cost) >= wanted]
    return max(good, default=0)


# -- the page


def in_units(seconds: float) -> str:
    return (
        f"{seconds:g} s" if seconds >= 1 else f"{1e3 * seconds:g} ms" if seconds >= 1e-3 else f"{1e6 * seconds:.0f} µs"
    )


def rounded(seconds: float) -> str:
    return in_units(float(f"{seconds:.2g}"))


def section(data: dict[str, Any]) -> str:
    found, facts = data["found"], data["facts"]
    machine = facts["machine"]
    engines = list(found)
    bare = median([values["loop"]["bare"]["speed_up"] for values in found.values()]) or math.nan
    shares = {name: efficiencies(values, int(name[-1])) for name, values in found.items()}
    rows: list[list[Any]] = [[in_units(t), *(f"{shares[name][str(t)]:.0%}" for name in engines)] for t in TASKS]
    rows.append(["population", *(f"{shares[name]['population']:.0%}" for name in engines)])
    text = [
        f"*{facts['date']}; {machine['processor']}, {machine['cores']} cores; load average at the end "
        f"{facts['load_average_at_the_end']:.1f}; commit {facts['commit'] or 'unknown'}; medians of {data['rounds']} "
        f"rounds.* `{facts['command']}`",
        "",
        "Efficiency: seconds of a plain loop over (workers x seconds of the map), in batches. `population` is 400 "
        + "slices of four linear policies, an episode of CartPole each. Two workers of Dask share two cores with the "
        + f"scheduler and the coordinator. Meanwhile two bare processes were {bare:.2f} times as fast as one, so that "
        + f"two workers could reach about {bare / 2:.0%}.",
        "",
        *(BUSY if facts["load_average_at_the_end"] > 3.5 else ()),
        table(["task time", *engines], rows),
        "",
        "The same without batches, each task sent alone:",
        "",
    ]
    single = [
        [
            in_units(t),
            *(f"{v['loop']['batched'][str(t)] / v['single'][str(t)] / int(n[-1]):.0%}" for n, v in found.items()),
        ]
        for t in (0.001, 0.01)
    ]
    text += [
        table(["task time", *engines], single),
        "",
        "What an empty task costs, sent alone, data there and back:",
        "",
    ]
    rows = []
    for size in DATA:
        cells: list[Any] = [f"{size:,} bytes"]
        for name in ("pool 2", "Dask 2"):
            cost = found[name]["data"][str(size)]
            cells += [rounded(cost["seconds"]), rounded(cost["coordinator"])]
        rows.append([*cells, rounded(found["Dask 2"]["data"][str(size)]["scheduler"])])
    head = ["data", "pool: all", "of it coordinator's CPU", "Dask: all", "of it coordinator's CPU", "scheduler's CPU"]
    text += [table(head, rows), "", "### The model", "", model_text(found), ""]
    return "\n".join(text)


def model_text(found: dict[str, Any]) -> str:
    cost = {name: costs(found, name) for name in ("pool", "Dask")}
    symbols = [
        ("c, serial seconds a batch", "serial", "the greater of coordinator's and scheduler's CPU, 1,000 bytes"),
        ("g, gap between two batches of a worker", "gap", "one worker, tasks of 10 ms sent alone, over the loop"),
        ("r, round trip of a map", "round_trip", "one empty task, two workers"),
    ]
    rows = [[what, *(rounded(cost[e][name]) for e in ("pool", "Dask")), how] for what, name, how in symbols]
    lines = [table(["taken from the measurements", "pool", "Dask", "how"], rows), ""]
    check = [
        [f"{name}, {in_units(t)}", f"{modelled(int(name[-1]), TASKS[t], t, True, cost[name.split()[0]]):.0%}",
         f"{efficiencies(values, int(name[-1]))[str(t)]:.0%}"]
        for name, values in found.items() for t in (0.01, 0.1)
    ]  # fmt: skip
    lines += ["The model beside what was measured:", "", table(["workers, task time", "model", "measured"], check), ""]
    rows = []
    for tasks, kind in ((ENDLESS, "endless (1,000,000 tasks)"), (GENERATION, "a generation of 1,000 tasks")):
        for t in TASKS:
            for batched in (True, False):
                shares = [f"{modelled(w, tasks, t, batched, cost['Dask']):.0%}" for w in (10, 100, 1000)]
                most = most_workers(tasks, t, batched, cost["Dask"], 0.8)
                words = "yes" if batched else "no"
                rows.append(
                    [
                        kind,
                        in_units(t),
                        words,
                        *shares,
                        f"{float(f'{most:.2g}'):,.0f}" if most < 1000 else "1,000 or more",
                    ]
                )
    head = ["map", "task time", "batches", "10 workers", "100", "1,000", "workers at 80%"]
    lines += ["Dask, efficiency as modelled, and the most workers that keep 80%:", "", table(head, rows), ""]
    return "\n".join([*lines, "![Speed-up against workers, log-log](scaling.png)"])


def draw(data: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found, cost = data["found"], costs(data["found"], "Dask")
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
    for panel, (tasks, title) in zip(
        panels, ((ENDLESS, "without end"), (GENERATION, "a generation of 1,000 tasks")), strict=True
    ):
        panel.loglog(WORKERS, WORKERS, color="0.7", linewidth=5, alpha=0.5, label="ideal")
        for number, t in enumerate(TASKS):
            for batched, style in ((True, "-"), (False, "--")):
                speed = [w * modelled(w, tasks, t, batched, cost) for w in WORKERS]
                label = f"{in_units(t)}{'' if batched else ', sent alone'}"
                panel.loglog(WORKERS, speed, style, color=f"C{number}", label=label, linewidth=1.5)
            measured_speed = [n * efficiencies(found[f"Dask {n}"], n)[str(t)] for n in (1, 2)]
            panel.loglog((1, 2), measured_speed, "o", color=f"C{number}", markersize=5)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("workers")
        panel.grid(alpha=0.3)
        panel.set_ylim(0.2, 1500)
    panels[0].set_ylabel("speed-up over one core")
    panels[0].legend(fontsize=8, title="task time (dots: measured)", title_fontsize=8)
    figure.suptitle("Dask on one scheduler, as modelled from the costs measured here", fontsize=11)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def write_page(data: dict[str, Any]) -> None:
    """The part of docs/scaling.md between the two marks, and the figure beside it."""
    text = PAGE.read_text()
    marked = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"{PAGE}: lacks {BEGIN} ... {END}")
    PAGE.write_text(marked.sub(lambda _: f"{BEGIN}\n\n{section(data)}\n{END}", text))
    draw(data, PAGE.with_suffix(".png"))
    print(f"wrote {os.path.relpath(PAGE)}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measuring.add_options(parser)
    parser.add_argument("--rounds", type=int, default=2, help="medians of so many are shown")
    parser.add_argument("--page", action="store_true", help="measure nothing; write the page from the last results")
    options = parser.parse_args(argv)
    if options.page:
        write_page(json.loads((options.results / f"{NAME}.json").read_text()))
        return
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    data = {"rounds": options.rounds, "found": measured(options.rounds), "facts": measuring.facts(options)}
    measuring.write(options, NAME, data, section)
    write_page(data)


if __name__ == "__main__":
    main()
