"""A search under fire, and what must be left of it: shared by the quick tests and by `benchmarks/torture`.

Its trials train by hand on `Fragile-v0`, which compiles nothing: a tenth of a second each. A tenth of its candidates
raise, a tenth are paid NaN, and which ones follows from the candidate alone.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import helpers_forking as forking
import optuna
import yaml
from helpers_search import plain
from optuna.storages.journal import JournalFileBackend

from pg_theano.search import storage, study

TESTS = Path(__file__).resolve().parent.parent
PLACE = "environment.kwargs.place"
BASE = {
    "gradients": "by_hand",
    "environment": {"id": "helpers_fragile:Fragile-v0", "num_envs": 2},
    "algorithm": {"name": "vpg", "num_epochs": 1},
    "policy": {"hidden": [2]},
    "schedules": {"episodes_per_update": {"initial": 2}},
    "evaluation": {"episodes": 2, "every_updates": 2},
    "budget": {"updates": 2},
}


def written(folder, trials, *, method="random", batch=8, **search):
    """The config file of the search, in a folder."""
    settings = {
        "method": method,
        "space": {PLACE: {"low": 0.0, "high": 1.0}, "algorithm.discount": {"low": 0.5, "high": 1.0}},
        "batch": batch,
        "budget": {"trials": trials},
        "grid": {"points": max(3, int(trials**0.5))},
        **search,
    }
    path = folder / f"{method}-{trials}.yaml"
    path.write_text(yaml.safe_dump({"name": "fragile", **BASE, "search": settings}))
    return path


def begun(*arguments, cwd, said):
    """The command, begun in a process group of its own; what it says is appended to the file `said`."""
    path = os.pathsep.join([str(TESTS / "search"), str(TESTS), str(TESTS.parent)])
    with open(said, "ab") as file:
        return forking.Popen(
            [sys.executable, "-m", "pg_theano.search", *map(str, arguments), "--no-plot"],
            stdout=file, stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True,
            env=os.environ | {"PYTHONPATH": path},
        )  # fmt: skip


def workers_of(coordinator):
    """Process ids of its workers."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == coordinator and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return sorted(found)


def operations(folder):
    lines = (folder / storage.JOURNAL).read_bytes().splitlines() if (folder / storage.JOURNAL).exists() else []
    found = []
    for line in lines:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def begun_in(run):
    """How many of its trials a worker has begun."""
    return sum(1 for _ in (run / "trials").iterdir()) if (run / "trials").exists() else 0


def left_in(folder):
    plan = study.read_folder(folder)
    return plain(storage.Store(folder, plan.search.storage, plan.name, plan.axes, plan.maximise).trials())


def under_fire(folder, path, *, workers, trials, worker_kills, coordinator_kills, seed, timeout=900):
    """Run the search with SIGKILLs at random moments, and resume it until it ends; returns what happened as figures."""
    rng = random.Random(seed)
    run, said = folder / "killed", folder / "said.txt"
    at = sorted(rng.sample(range(2, max(4, trials - trials // 8)), worker_kills + coordinator_kills))
    hits = ["worker"] * worker_kills + ["coordinator"] * coordinator_kills
    rng.shuffle(hits)
    strikes = list(zip(at, hits, strict=True))
    killed, resumes, until = [], 0, time.monotonic() + timeout
    process = begun(path, "--run-dir", run, f"search.workers={workers}", cwd=folder, said=said)
    ever = set()
    while True:
        assert time.monotonic() < until, said.read_text()[-2000:]
        alive = workers_of(process.pid)
        ever |= set(alive)
        code = process.poll()
        if code is not None and code != -signal.SIGKILL:
            break
        if code is None and strikes and begun_in(run) >= strikes[0][0] and (run / study.PLAN).exists():
            if strikes[0][1] == "coordinator":
                time.sleep(rng.uniform(0.0, 0.3))
                process.kill()
                process.wait()
            elif alive:
                victim = rng.choice(alive)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
            else:
                continue
            killed.append(strikes.pop(0)[1])
        if process.poll() == -signal.SIGKILL:
            resumes += 1
            process = begun("--resume", run, f"search.workers={workers}", cwd=folder, said=said)
        time.sleep(0.02)
    time.sleep(1.0)
    return {
        "exit_code": code,
        "killed": sorted(killed),
        "resumes": resumes,
        "said_kept": said.read_text().count("trials kept"),
        "orphans": sum(Path(f"/proc/{one}").exists() for one in ever),
        "seconds": round(timeout - (until - time.monotonic()), 1),
        **accounted(run),
    }


def accounted(run):
    """How the trials stand in our eyes, in the journal's, and in Optuna's own."""
    found, logs = left_in(run), operations(run)
    backend = optuna.storages.JournalStorage(JournalFileBackend(str(run / storage.JOURNAL)))
    theirs = optuna.load_study(study_name="fragile", storage=backend)
    ended = [one["trial_id"] for one in logs if one["op_code"] == 6]
    return {
        **study.counted(found),
        "begun_in_journal": sum(one["op_code"] == 4 for one in logs),
        "ended_twice": len(ended) - len(set(ended)),
        "numbers": [one.number for one in found] == list(range(len(found))),
        "optuna": sum(one.state.is_finished() for one in theirs.trials),
        "best": theirs.best_trial.number == study.best(found, True).number,
    }


def whole(figures, trials):
    """Whether none was lost, stuck or counted twice."""
    return (
        figures["exit_code"] == 0
        and figures["complete"] + figures["failed"] == trials
        and figures["running"] == figures["pruned"] == figures["ended_twice"] == figures["orphans"] == 0
        and figures["begun_in_journal"] == figures["optuna"] == trials
        and figures["said_kept"] == figures["resumes"]
        and figures["numbers"]
        and figures["best"]
    )


def raced(folder, path, *, name, resume):
    """Two processes begin, or resume, one search at the same moment; returns how each ended and what it said."""
    run = folder / name
    if resume:
        first = begun(path, "--run-dir", run, cwd=folder, said=folder / f"{name}-made.txt")
        assert first.wait(timeout=120) == 0
    arguments = ["--resume", run, "search.budget.trials=24"] if resume else [path, "--run-dir", run]
    both = [begun(*arguments, cwd=folder, said=folder / f"{name}-{i}.txt") for i in range(2)]
    codes = [one.wait(timeout=120) for one in both]
    said = [(folder / f"{name}-{i}.txt").read_text() for i in range(2)]
    return codes, said, [one.pid for one in both]


def one_won(codes, said, pids):
    """Whether one process searched and the other was told which process did."""
    if sorted(codes) != [0, 2]:
        return False
    winner = codes.index(0)
    return f"in use by process {pids[winner]} on " in said[1 - winner]
