"""Environments: 34 faults found, none invented, and workers that are killed, hang or raise."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import measuring
import numpy as np
from measuring import ROOT
from part import Figures, Part, Row

sys.path.insert(0, str(ROOT / "tests"))
import faulty_environments as faulty
import test_training_faults as training
import test_workers as with_workers

from pg_theano import check_env
from pg_theano.config import knobs
from pg_theano.environments import making
from pg_theano.environments.inspection import NOTE
from pg_theano.types import UserError

OWN = [
    *("CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1", "Acrobot-v1"),
    *("Blackjack-v1", "FrozenLake-v1", "FrozenLake8x8-v1", "CliffWalking-v1", "CliffWalkingSlippery-v1", "Taxi-v4"),
    *("LunarLander-v3", "LunarLanderContinuous-v3", "BipedalWalker-v3", "BipedalWalkerHardcore-v3", "CarRacing-v3"),
]
TIMEOUT, MORE = 2.0, 5.0
SB3 = 19
"""What the checker of Stable-Baselines3 2.9.2 finds of the 34, by `_found_by` where it is installed: it is not here."""


# -- check_env


def faults_found() -> Figures:
    """Every fault by the command's own function: a child, the full steps, the full wait for an end."""
    wrong, seconds = [], []
    for fault in [0, *faulty.FAULTS]:
        report = check_env.check_env(f"faulty_environments:{faulty.name_of(fault)}", timeout=TIMEOUT)
        seconds.append(report.seconds)
        expected = 0 if fault == 0 else 1
        if len(report.findings) != expected or (report.healthy and fault in set(training.SAID) - {18, 27, 31}):
            wrong.append([fault, report.lines()])
    return {"of": len(faulty.FAULTS), "wrong": wrong, "median_seconds": float(np.median(seconds))}


def own_environments() -> Figures:
    found, checked, skipped = {}, [], []
    for id in OWN:
        try:
            report = check_env.check_env(id, timeout=10.0)
        except UserError as error:
            skipped.append(str(error))
            continue
        checked.append(id)
        if said := [one.line(id) for one in report.findings if one.kind != NOTE]:
            found[id] = said
    return {"checked": checked, "false_alarms": found, "skipped": skipped}


def gymnasiums_checker() -> Figures:
    """What `gymnasium.utils.env_checker.check_env` says of each fault that it does not say of the healthy base."""
    from gymnasium.utils.env_checker import check_env as theirs

    gymnasium.logger.min_level = gymnasium.logger.WARN
    return {"found": _found_by(lambda env: theirs(env, skip_render_check=True))}


def _found_by(check: Any) -> list[int]:
    """Faults that a checker raises for or warns of, and the healthy base has not; one that stalls is not found."""

    def said(fault: int) -> set[str]:
        env = gymnasium.make(faulty.name_of(fault), disable_env_checker=True).unwrapped
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            signal.alarm(10)
            try:
                check(env)
                raised = set()
            except BaseException as error:
                raised = set() if isinstance(error, TimeoutError) else {str(error)}
            finally:
                signal.alarm(0)
        return raised | {str(one.message) for one in heard if one.category is not DeprecationWarning}

    def stalls(number: int, frame: Any) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, stalls)
    usual = said(0)
    return [fault for fault in faulty.FAULTS if said(fault) - usual]


def training_says() -> Figures:
    """The faults that a small run names itself, in one line each."""
    from pg_theano.environments import sound

    sound.LONGEST_EPISODE = 2000
    said = {}
    with measuring.scratch() as folder:
        for fault in faulty.FAULTS:
            timeout = 0.5 if fault == 34 else 120.0
            said[fault] = training.trained(faulty.name_of(fault), folder / str(fault), timeout=timeout)
        healthy = training.trained(faulty.name_of(0), folder / "healthy")
    return {"named": [fault for fault, lines in said.items() if len(lines) == 1], "healthy": healthy}


def cost_of_a_glance() -> Figures:
    """Milliseconds of processor time at start, of an environment of a user's."""
    from pg_theano.environments.inspection import glanced

    env = making.make(knobs.Environment(id="Healthy-v0"), num_envs=2, dtype="float32")
    times = []
    for _ in range(9):
        began = time.process_time()
        glanced("Healthy-v0", env.slots[0].env, env.slots[1].env)
        times.append(time.process_time() - began)
    return {"ms": 1000 * float(np.median(times))}


def cost_of_the_watch() -> Figures:
    """Processor time of a step of 16 environments in this process, µs, with and without a watch: the least of 15."""
    from pg_theano.environments import watchdog

    env = making.make(knobs.Environment(id="Healthy-v0"), num_envs=16, dtype="float32")
    env.begin(np.ones(16, bool), np.arange(16), all_over=True)
    actions = np.zeros(16, np.int32)

    def per_step() -> float:
        began = time.process_time()
        for _ in range(8000):
            env.step(actions)
        return 1e6 * (time.process_time() - began) / 8000

    plain, watched = [], []
    for _ in range(15):
        plain.append(per_step())
        with watchdog.watching(60.0):
            watched.append(per_step())
    return {"us": min(plain), "us_watched": min(watched)}


# -- workers


def worker_faults(how: str, policy: str) -> Figures:
    """Seconds from when the fault begins until it is named; what came of the rest."""
    with measuring.scratch() as folder:
        times, outcomes = [], []
        for attempt in range(5):
            token, began_at = folder / f"token-{attempt}", folder / f"began-{attempt}"
            token.touch()
            kwargs = {"how": how, "token": str(token), "stamp": str(began_at)}
            env = with_workers.made(workers=2, timeout=TIMEOUT, on_fault=policy, kwargs=kwargs)
            named: list[float] = []
            env.report = lambda text, named=named, told=env.told: (named.append(time.time()), told.append(text))
            try:
                played = with_workers.episodes(env)
            except UserError as error:
                named.append(time.time())
                env.told.append(str(error))
                played = None
            times.append(named[0] - float(began_at.read_text()))
            outcomes.append(_as_expected(how, policy, env.told, played))
            env.close()
    return {"seconds": max(times), "as_expected": sum(outcomes), "of": len(outcomes)}


def _as_expected(how: str, policy: str, told: list[str], played: Any) -> bool:
    if len(told) != 1 or not re.search(with_workers.FAULTS[how].replace("0.5", f"{TIMEOUT:g}"), told[0]):
        return False
    if policy == "stop":
        return played is None
    if policy == "skip":
        return len(played.returns) == 11
    with_workers.assert_same(played, with_workers.episodes(with_workers.made()))
    return True


def no_orphans() -> Figures:
    """Processes left two seconds after the parent was killed, in four states of its workers."""
    left = {}
    for how in ("none", "hang", "locked", "spawn"):
        code = with_workers.PARENT.format(path=sys.path, how=how)
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        time.sleep(1.0)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        time.sleep(2.0)
        left[how] = sum(len(with_workers.in_group(pid)) for pid in pids)
    return {"left": left}


GYMNASIUMS = """
import sys, time
sys.path[:0] = {path!r}
import gymnasium, faulty_environments, numpy as np
make = lambda: gymnasium.make("Untrusted-v0", how={how!r}, share=1.0)
if __name__ == "__main__":
    envs = gymnasium.vector.AsyncVectorEnv([make, make])
    print(*[process.pid for process in envs.processes], flush=True)
    envs.reset(seed=[0, 1])
    {then}
"""


def gymnasiums_async() -> Figures:
    """Gymnasium's AsyncVectorEnv: seconds to close beside a hanging step; what is left when its parent is killed."""
    found: dict[str, Any] = {}
    stepping = "[envs.step(np.zeros(2, int)) for _ in range(4)]; envs.step_async(np.zeros(2, int)); time.sleep(1); "
    code = GYMNASIUMS.format(path=sys.path, how="hang", then=stepping + "envs.close()")
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, process_group=0
    )
    began = time.monotonic()
    try:
        parent.wait(60)
        found["close"] = time.monotonic() - began
    except subprocess.TimeoutExpired:
        found["close"] = None
    os.killpg(parent.pid, signal.SIGKILL)
    code = GYMNASIUMS.format(path=sys.path, how="hang", then=stepping + "time.sleep(60)")
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, process_group=0
    )
    assert parent.stdout is not None
    pids = parent.stdout.readline().split()
    time.sleep(4.0)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    time.sleep(2.0)
    found["left"] = sum(_runs(int(pid)) for pid in pids)
    os.killpg(parent.pid, signal.SIGKILL)
    return found


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def close_beside_a_hanging_close() -> Figures:
    env = with_workers.made(workers=2, kwargs={"how": "hangs in close"})
    began = time.monotonic()
    env.close()
    return {"seconds": time.monotonic() - began}


# -- what it costs


def cost_of_a_step(id: str) -> Figures:
    """Microseconds a step of 16 environments: here, in workers, and by Gymnasium's two; medians of seven, in turns."""
    ours = {
        f"workers={count}": making.make(
            knobs.Environment(id=id, workers=count), num_envs=16, dtype="float32", single_environments=True
        )
        for count in (0, 1, 2)
    }
    make = functools.partial(gymnasium.make, id, disable_env_checker=True)
    theirs = {
        "SyncVectorEnv": gymnasium.vector.SyncVectorEnv([make] * 16),
        "AsyncVectorEnv": gymnasium.vector.AsyncVectorEnv([make] * 16, context="spawn"),
    }
    seeds, actions = np.arange(16), np.zeros(16, np.int64)
    for one in ours.values():
        one.begin(np.ones(16, bool), seeds, all_over=True)
    for one in theirs.values():
        one.reset(seed=0)
    times: dict[str, list[float]] = {}
    for _ in range(7):
        for name, one in {**ours, **theirs}.items():
            began = time.perf_counter()
            for _ in range(300):
                results = one.step(actions)
                over = results[2] | results[3]
                if name in ours and over.any():
                    one.begin(over, seeds)
            times.setdefault(name, []).append(1e6 * (time.perf_counter() - began) / 300)
    for one in [*ours.values(), *theirs.values()]:
        one.close()
    return {"us": {name: float(np.median(values)) for name, values in times.items()}}


def same_bits() -> Figures:
    """Whole episodes and stretches of 40 random sizes: in workers and here."""
    rng, equal = np.random.default_rng(0), 0
    for _ in range(20):
        number, count = int(rng.integers(1, 9)), int(rng.integers(1, 5))
        spread, here = with_workers.made(num_envs=number, workers=count), with_workers.made(num_envs=number)
        episodes, steps = int(rng.integers(1, 30)), int(rng.integers(1, 30))
        with_workers.assert_same(with_workers.episodes(spread, episodes), with_workers.episodes(here, episodes))
        with_workers.assert_same_stretches(
            with_workers.stretches(spread, steps=steps), with_workers.stretches(here, steps=steps)
        )
        spread.close()
        equal += 2
    return {"equal": equal}


# -- the rows

WORKER_CELLS = {f"worker: {how}, {policy}": (how, policy) for how in ("kill", "hang", "raise") for policy in
                ("stop", "skip", "restart")}  # fmt: skip


def _row(found: Mapping[str, Figures], cell: str, made: Any) -> list[Row]:
    return [made(found[cell])] if cell in found else []


def rows(found: Mapping[str, Figures]) -> list[Row]:
    theirs = found.get("Gymnasium's checker")
    beside = f"Gymnasium's checker {len(theirs['found'])}, " if theirs else ""
    made = _row(
        found,
        "check_env",
        lambda f: Row(
            f"check_env finds at least 33 of {f['of']} faults, and none in the healthy base",
            f"{f['of'] - len(f['wrong'])} (18 as a question, 27 and 31 as notes); {f['median_seconds']:.1f} s each",
            f["of"] - len(f["wrong"]) >= 33 and all(fault for fault, _ in f["wrong"]),
            f"{beside}Stable-Baselines3's {SB3}",
        ),
    )
    made += _row(
        found,
        "own environments",
        lambda f: Row(
            "check_env: no false alarm on Gymnasium's own (classic control, toy text, Box2D)",
            f"{len(f['checked'])} checked, false alarms: {', '.join(f['false_alarms']) or 'none'}"
            + (f"; {len(f['skipped'])} cannot be made here" if f["skipped"] else ""),
            not f["false_alarms"],
        ),
    )
    made += _row(
        found,
        "training",
        lambda f: Row(
            "training names faults itself, in one line each",
            f"{len(f['named'])} of 34; of the healthy base: {len(f['healthy'])} lines",
            len(f["named"]) >= 32 and not f["healthy"],
        ),
    )
    made += _row(
        found,
        "a glance",
        lambda f: Row("the cheap part takes a few milliseconds as training starts", f"{f['ms']:.1f} ms", f["ms"] < 15),
    )
    made += _row(
        found,
        "the watch",
        lambda f: Row(
            "a watch over environments in this process costs a step nothing measurable",
            f"{f['us']:.1f} µs a step of 16 without, {f['us_watched']:.1f} µs with",
            f["us_watched"] < 1.05 * f["us"],
        ),
    )
    for cell in WORKER_CELLS:
        made += _row(
            found,
            cell,
            lambda f, cell=cell: Row(
                f"{cell}: named with environment, step, seed and action within the timeout ({TIMEOUT:g} s) plus 5 s",
                f"{f['as_expected']} of {f['of']} as described; at most {f['seconds']:.2f} s",
                f["as_expected"] == f["of"] and f["seconds"] <= (TIMEOUT if "hang" in cell else 0) + MORE,
            ),
        )
    gyms = found.get("AsyncVectorEnv")
    close = "–"
    orphans = "–"
    if gyms:
        took = "does not return in 60 s" if gyms["close"] is None else f"{gyms['close']:.0f} s"
        close, orphans = f"AsyncVectorEnv beside a hanging step: {took}", f"AsyncVectorEnv: {gyms['left']} of 2 left"
    made += _row(
        found,
        "no orphans",
        lambda f: Row(
            "parent killed with SIGKILL: no process left after 2 s (waiting, hanging, holding the lock, with children)",
            ", ".join(f"{how}: {number}" for how, number in f["left"].items()),
            not any(f["left"].values()),
            orphans,
        ),
    )
    made += _row(
        found,
        "close",
        lambda f: Row(
            "close returns within 4 s beside environments that hang in theirs",
            f"{f['seconds']:.1f} s",
            f["seconds"] < 4,
            close,
        ),
    )
    made += _row(
        found,
        "same bits",
        lambda f: Row("in workers and in this process: the same, bit for bit", f"{f['equal']} of 40", f["equal"] == 40),
    )
    for id in ("CartPole-v1", "LunarLander-v3"):
        made += _row(
            found,
            f"cost, {id}",
            lambda f, id=id: Row(
                f"a step of 16 {id}, µs",
                ", ".join(f"{name} {us:.0f}" for name, us in f["us"].items() if "=" in name),
                True,
                ", ".join(f"{name} {us:.0f}" for name, us in f["us"].items() if "=" not in name),
            ),
        )
    return made


PART = Part(
    {
        "check_env": faults_found,
        "own environments": own_environments,
        "Gymnasium's checker": gymnasiums_checker,
        "training": training_says,
        "a glance": cost_of_a_glance,
        "the watch": cost_of_the_watch,
        **{cell: functools.partial(worker_faults, *which) for cell, which in WORKER_CELLS.items()},
        "no orphans": no_orphans,
        "AsyncVectorEnv": gymnasiums_async,
        "close": close_beside_a_hanging_close,
        "same bits": same_bits,
        **{f"cost, {id}": functools.partial(cost_of_a_step, id) for id in ("CartPole-v1", "LunarLander-v3")},
    },
    rows,
)
