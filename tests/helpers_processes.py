"""Whole processes of the command `train` that are repeated, stopped and killed, and what they leave.

python tests/helpers_processes.py stop PHASE DELAY SIGNAL words...     # trains, and strikes itself in that phase
"""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import helpers_forking as forking
from helpers_runs import as_arguments, digest

HERE = Path(__file__).resolve().parent
MARK = "PG_THEANO_TEST_TOKEN"
EACH = {"checkpoint": {"every_updates": 5}, "solved": {"stop": False}}
LENGTHS = {"environment": {"id": "probe_environments:Lengths-v0", "num_envs": 4}, "policy": {"hidden": [8]}}
STRETCHES = {"algorithm": {"name": "ppo", "num_steps": 16, "num_epochs": 2, "num_minibatches": 2}}
ENGINES = {  # name: a config whose run takes a second or two once it is compiled
    "compiled": {"budget": {"updates": 100}, "evaluation": {"episodes": 20, "every_updates": 20}},
    "gymnasium": LENGTHS | STRETCHES | {"budget": {"updates": 120}, "evaluation": {"episodes": 3, "every_updates": 20}},
    "does not replay": LENGTHS
    | STRETCHES
    | {
        "environment": {"id": "probe_environments:WildLater-v0", "num_envs": 4},  # wild after ten steps
        "algorithm": STRETCHES["algorithm"] | {"num_steps": 8},
        "budget": {"updates": 60},
        "evaluation": {"episodes": 3, "every_updates": 1000},
    },
    "by hand": LENGTHS
    | {
        "algorithm": {"name": "vpg"},
        "gradients": "by_hand",
        "budget": {"updates": 120},
        "evaluation": {"episodes": 3, "every_updates": 20},
    },
    "population": LENGTHS
    | {
        "algorithm": {"name": "cem", "population_size": 8},
        "distribute": {"workers": 2},
        "budget": {"updates": 30},
        "evaluation": {"episodes": 3, "every_updates": 10},
    },
    "agents": {
        "runs": 2,
        "agents_per_process": 2,
        "budget": {"updates": 40},
        "evaluation": {"episodes": 10, "every_updates": 10},
    },
    "seeds": LENGTHS
    | {"runs": 2, "algorithm": {"name": "vpg"}, "gradients": "by_hand", "budget": {"updates": 60}}
    | {"evaluation": {"episodes": 3, "every_updates": 20}},
}


def words_of(engine, **changes):
    return [*as_arguments(EACH | ENGINES[engine] | changes), "--run-dir", "run", "--no-plot"]


RESUME = ["--resume", "run", "--no-plot"]


def surroundings(token, **more):
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    return os.environ | {"PYTHONPATH": path, MARK: token, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | more


def started(folder, words, *, token="", before=("-m", "pg_theano.train"), **more):
    """A process of the command, which says nothing here but into `folder`/out and /err."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored, and so its children
    out, err = open(folder / "out", "w"), open(folder / "err", "w")
    with out, err:
        start = subprocess.Popen if token else forking.Popen  # whose environment shows in /proc
        return start(
            [sys.executable, *before, *words], cwd=folder, env=surroundings(token, **more), stdout=out, stderr=err
        )


def ran_whole(folder, words, **more):
    process = started(folder, words, **more)
    assert process.wait(300) == 0, (folder / "err").read_text()
    return digest(folder / "run")


def on_a_terminal(folder, words):
    """The same on a terminal of its own, with the live display."""
    parent, child = pty.openpty()
    process = forking.Popen(
        [sys.executable, "-m", "pg_theano.train", *words],
        cwd=folder,
        env=surroundings("", TERM="xterm-256color"),
        stdin=child,
        stdout=child,
        stderr=child,
        close_fds=True,
    )
    os.close(child)
    shown = b""
    with contextlib.suppress(OSError):  # the terminal is gone with its last process
        while block := os.read(parent, 65536):
            shown += block
    os.close(parent)
    assert process.wait(300) == 0, shown[-2000:]
    assert b"\x1b[" in shown  # it was a live display
    return digest(folder / "run")


def orphans(token, within=10.0):
    """Processes that have this token in their environment, once they have had some seconds to end."""
    until = time.monotonic() + within
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{MARK}={token}".encode() in (process / "environ").read_bytes():
                    status = (process / "stat").read_text().rpartition(")")[2].split()[0]
                    found += [int(process.name)] if status != "Z" else []
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.05)


# -- interrupted from outside, at random


def interrupted(engine, times, rng, seconds):
    """Interrupt a run `times` times at random moments of the `seconds` that it takes, each time resumed; its digest, and
    by which signals it was stopped."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, stopped = Path(scratch), []
        argv = words_of(engine)
        while True:
            process = started(folder, argv)
            if len(stopped) < times:
                time.sleep(rng.uniform(0.2, seconds))
                process.send_signal(rng.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL]))
            code = process.wait(120)
            if code not in (0, 130, 143, -9, -2, -15):
                raise AssertionError(f"exit code {code}: {(folder / 'err').read_text()}")
            begun = any((folder / "run" / name).exists() for name in ("config.yaml", "seeds.yaml"))
            if code:
                stopped.append(code)
            elif not code:
                return digest(folder / "run"), stopped
            argv = RESUME if begun else words_of(engine)


# -- stopped by itself, in a phase


def strike_in(phase, delay, number):
    """Have this process send itself a signal, `delay` seconds after it enters a phase for the second time (compiling:
    the first), and say so."""
    from pg_theano.runs import checkpoints
    from pg_theano.training import agents, begun, evaluating, loop, shared_calls

    entered = []

    def strike():
        os.write(2, f"struck {time.time()}\n".encode())
        os.kill(os.getpid(), number)

    def enter():
        entered.append(1)
        if len(entered) == (1 if phase == "compile" else 2):
            if delay:
                threading.Timer(delay, strike).start()
            else:
                strike()

    def around(owner, name):
        original = getattr(owner, name)

        def entering(*arguments, **options):
            enter()
            return original(*arguments, **options)

        setattr(owner, name, entering)

    if phase == "compile":
        around(begun, "compiled")
        around(agents, "load")
    elif phase == "evaluation":
        around(evaluating.Evaluator, "__call__")
        around(agents, "_evaluate")
    elif phase == "save":
        around(checkpoints, "save")
    elif phase in ("rollout", "update"):
        around(shared_calls, {"rollout": "collect", "update": "learn"}[phase])
        original = loop.Trainer.begin

        def begin(self):
            if phase == "rollout":
                around(self.collector, "collect")
            else:
                train_ = self.program.train
                self.program = self.program._replace(train=lambda *given: (enter(), train_(*given))[1])
            original(self)

        loop.Trainer.begin = begin


def stopped_in(phase, delay, number, engine, expected, **more):
    """Strike a run in a phase; what came of it. `expected`: the digest of the run that was left alone."""
    token = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        script = (str(HERE / "helpers_processes.py"), "stop", phase, str(delay), str(int(number)))
        process = started(folder, words_of(engine), token=token, before=script, **more)
        code = process.wait(300)
        ended = time.time()
        said, err = (folder / "out").read_text(), (folder / "err").read_text()
        struck = [float(line.split()[1]) for line in err.splitlines() if line.startswith("struck")]
        seconds = ended - struck[0] if struck else None
        left = orphans(token)
        again = started(folder, RESUME, **more)
        again.wait(300)
        same = digest(folder / "run") == expected if again.returncode == 0 else False
        if code not in (130, 143) or not same or left:
            print(
                f"{engine}, {phase}: {code}, {again.returncode}, {left}, {said[-300:]}, {err[-300:]}", file=sys.stderr
            )
        return {
            "code": code,
            "seconds": seconds,
            "says": "--resume run" in said,
            "orphans": len(left),
            "equal": same,
        }


# -- a second Ctrl-C, killed parents, races


def second_ctrl_c(engine, number):
    """Ask a run to stop whose disk takes a minute a checkpoint, then once more by Ctrl-C: (exit code, seconds)."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        process = started(folder, words_of(engine), before=(str(HERE / "helpers_processes.py"), "slow", "", "0", "0"))

        def saving(times):
            until = time.monotonic() + 60
            while (folder / "err").read_text().count("saving") < times:
                assert time.monotonic() < until and process.poll() is None, (folder / "err").read_text()
                time.sleep(0.01)

        saving(1)
        process.send_signal(number)
        saving(2)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        return process.wait(60), time.monotonic() - began


def killed_parent(engine, delay):
    """SIGKILL a run while its workers are busy; how many processes are left after ten seconds."""
    token = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        process = started(folder, words_of(engine), token=token)
        until = time.monotonic() + 60
        while len(orphans(token, within=0)) < 3:
            assert time.monotonic() < until and process.poll() is None, (folder / "err").read_text()
            time.sleep(0.01)
        time.sleep(delay)
        alive = len(orphans(token, within=0))
        process.kill()
        process.wait()
        return {"before": alive, "left": len(orphans(token))}


SLOW = {
    "environment": {"id": "probe_environments:Slow-v0", "num_envs": 4},
    "policy": {"hidden": [4]},
    "algorithm": {"name": "vpg"},
    "gradients": "by_hand",
    "schedules": {"episodes_per_update": {"initial": 4}},
    "evaluation": {"episodes": 3, "every_updates": 1000},
    "budget": {"updates": 12},
}


def race(resume):
    """Start two processes at once on one folder: whether one wins, and the other says who has it."""
    with tempfile.TemporaryDirectory() as scratch:
        words = [*as_arguments(SLOW), "--run-dir", "../run", "--no-plot"]
        if resume:
            before = Path(scratch, "before")
            before.mkdir()
            first = started(before, [*words, "budget.updates=1"])
            assert first.wait(60) == 0, (before / "err").read_text()
            words = ["--resume", "../run", "--no-plot", "budget.updates=12"]
        places = [Path(scratch, name) for name in "ab"]
        for place in places:
            place.mkdir()
        both = [started(place, words) for place in places]
        codes = [process.wait(120) for process in both]
        errors = [(place / "err").read_text() for place in places]
        if sorted(codes) != [0, 2]:
            print(codes, errors, file=sys.stderr)
            return False
        winner, loser = codes.index(0), codes.index(2)
        host = re.escape(socket.gethostname())
        said = rf"error: \S*run: in use by process {both[winner].pid} on {host}; .*\n"
        if not re.fullmatch(said, errors[loser]):
            print(errors[loser], both[winner].pid, file=sys.stderr)
            return False
        return True


# -- searches


SEARCH = """
name: tried
gradients: by_hand
environment: {id: "probe_environments:Lengths-v0", num_envs: 4}
algorithm: {name: vpg, num_epochs: 2}
policy: {hidden: [4]}
schedules: {episodes_per_update: {initial: 4}}
evaluation: {episodes: 5, every_updates: 5}
budget: {updates: 30}
search:
  method: random
  batch: 4
  budget: {trials: 12}
  space:
    schedules.learning_rate.initial: {low: 0.001, high: 1.0, log: true}
"""


def stopped_search(workers, delay, number):
    """Strike a search `delay` seconds after its first trial began; then resume it: as `stopped_in` says."""
    token = uuid.uuid4().hex
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "search.yaml").write_text(SEARCH)
        begin = ["search.yaml", f"search.workers={workers}", "--run-dir", "run", "--no-plot", "--json"]
        process = started(folder, begin, token=token, before=("-m", "pg_theano.search"))
        until = time.monotonic() + 60
        while not any(folder.glob("run/trials/*/seed-0/config.yaml")):
            assert time.monotonic() < until and process.poll() is None, (folder / "err").read_text()
            time.sleep(0.005)
        time.sleep(delay)
        began = time.monotonic()
        process.send_signal(number)
        code = process.wait(120)
        seconds = time.monotonic() - began
        left = orphans(token)
        said = (folder / "err").read_text()
        again = started(folder, ["--resume", "run", "--no-plot", "--json"], before=("-m", "pg_theano.search"))
        again.wait(300)
        found = json.loads((folder / "out").read_text()) if again.returncode == 0 else {}
        return {
            "code": code,
            "seconds": seconds,
            "says": "--resume run" in said,
            "orphans": len(left),
            "outcome": {key: found.get(key) for key in ("score", "trial", "params", "trials")},
        }


def main(what, phase, delay, number, *words):
    from pg_theano import train
    from pg_theano.runs import checkpoints
    from pg_theano.system import commands

    if what == "slow":
        checkpoints.save = lambda *given: (os.write(2, b"saving\n"), time.sleep(60))
    else:
        strike_in(phase, float(delay), int(number))
    commands.leave(train.main(list(words)))


if __name__ == "__main__":
    main(*sys.argv[1:])
