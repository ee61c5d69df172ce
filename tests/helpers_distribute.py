"""What the tests of distribution and `benchmarks/scaling.py` map: slices of a population on Gymnasium, and what kills."""

import contextlib
import functools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium
import numpy as np

from pg_theano.system import distribute

HERE = Path(__file__).resolve().parent


@functools.cache
def made(id):
    """Once a process, as a compiled function would be."""
    return gymnasium.make(id)


def play(task):
    """Returns of linear policies, one episode each: {id, steps, seeds [P], params [P, D]} -> [P]."""
    env = made(task["id"])
    space, features = env.action_space, env.observation_space.shape[0]
    outputs = space.n if isinstance(space, gymnasium.spaces.Discrete) else space.shape[0]
    returns = np.zeros(len(task["seeds"]))
    for row, (seed, params) in enumerate(zip(task["seeds"], task["params"], strict=True)):
        weights = params[: features * outputs].reshape(features, outputs)
        obs, _ = env.reset(seed=int(seed))
        for _ in range(task["steps"]):
            scores = np.asarray(obs, np.float64) @ weights + params[features * outputs :]
            if isinstance(space, gymnasium.spaces.Discrete):
                action = int(np.argmax(scores))
            else:
                action = np.clip(scores, space.low, space.high).astype(space.dtype)
            obs, reward, terminated, truncated, _ = env.step(action)
            returns[row] += reward
            if terminated or truncated:
                break
    return returns


def population(count, *, id="CartPole-v1", size=2, steps=60, seed=0):
    """`count` slices of `size` candidates, each a task for `play`."""
    env = made(id)
    discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    outputs = env.action_space.n if discrete else env.action_space.shape[0]
    dimension = (env.observation_space.shape[0] + 1) * outputs
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    return [
        {
            "id": id,
            "steps": steps,
            "seeds": rng.integers(2**31, size=size),
            "params": rng.standard_normal((size, dimension)),
        }
        for _ in range(count)
    ]


class Program:
    """What unpickles as a call, which leaves the process's number in a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return trace_of_this_process, (self.folder,)


def trace_of_this_process(folder):
    Path(folder, str(os.getpid())).touch()
    return RuntimeError("unpickled")


class ProgramError(Program, Exception):
    pass


def gives_a_program(folder):
    return Program(folder)


def raises_a_program(folder):
    raise ProgramError(folder)


def watched(task):
    """Any function, as one that takes a while and leaves a trace: {folder, function, task, seconds}."""
    trace = Path(task["folder"]) / f"begun-{os.getpid()}-{time.monotonic_ns()}"
    trace.touch()
    spin(task["seconds"])
    result = task["function"](task["task"])
    trace.rename(trace.with_name(trace.name.replace("begun", "done")))
    return result


def spin(seconds):
    """Seconds of computing, however many share the core: a sleeping process would not be seen at work."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


@contextlib.contextmanager
def killed_in_the_middle(pids, *, cpu_seconds=0.06, at_work=lambda pid: True):
    """One of the worker processes `pids` gets SIGKILL once it has worked for so long inside the `with`, and is at work.

    Whatever is inside may be any search or any generation that evaluates with these workers. Yields the list that will
    hold the pid; asserts at the end that somebody was killed.
    """
    before = {pid: cpu_time(pid) for pid in pids}
    killed, ended = [], threading.Event()

    def watch():
        while not ended.wait(0.005):
            for pid in pids:
                if cpu_time(pid) - before[pid] >= cpu_seconds and at_work(pid):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()
    assert killed, "nobody was killed: too little was done inside"


def cpu_time(pid):
    """Seconds, or 0 where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class DaskCluster:
    """A scheduler on a free port of this machine, and workers, started as Dask's documentation does. Ends with `close`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.started = []
        file = self.folder / "scheduler.json"
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file)
        self.address = until(lambda: file.exists() and file.read_text() and json.loads(file.read_text())["address"])

    def start(self, what, *words, path=()):
        """`dask scheduler ...` or `dask worker ...`; `path` stands first on its PYTHONPATH."""
        folders = [*map(str, path), str(HERE.parent), str(HERE)]
        with open(self.folder / f"{what}.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", what, *map(str, words)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(folders)},
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def workers(self, count, *words, path=()):
        one_thread = ("--nworkers", count, "--nthreads", 1, "--no-dashboard")
        return self.start("worker", self.address, "--host", "127.0.0.1", *one_thread, *words, path=path)

    def close(self):
        for process in reversed(self.started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Lent:
    """Workers that outlive the run, or the search, that they are given to."""

    def __init__(self, workers):
        self.map, self.count = workers.map, workers.count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass


@contextlib.contextmanager
def workers_of(who, folder):
    """(workers, their pids): two "processes", or three of a "dask" cluster."""
    cluster = DaskCluster(folder) if who == "dask" else None
    try:
        if cluster:
            cluster.workers(3)
        with distribute.opened(**({"cluster": cluster.address} if cluster else {"workers": 2})) as workers:

            def pids():
                if cluster:
                    return list(workers._engine._client.run(os.getpid).values())
                return [child.pid for child in multiprocessing.active_children()]

            yield Lent(workers), lambda: until(lambda: len(pids()) == (3 if cluster else 2) and pids())
    finally:
        if cluster:
            cluster.close()


def until(found, seconds=30.0):
    """What `found()` returns, as soon as it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"still not after {seconds} seconds")


def seen_at_work(workers, count):
    """The pids that have answered, once there are `count`: on a busy machine one worker may do what is there for all."""
    seen = set()

    def all_seen():
        seen.update(pid for pid, _ in workers.map(process_and_environment, range(2 * count), seconds_per_task=1.0))
        return len(seen) >= count

    until(all_seen)
    return seen


def square(number):
    return number * number


def waits_for(path):
    """Ends when there is a file of this name."""
    if path:
        until(lambda: os.path.exists(path))
    return path


def late_at_first(number):
    """The earlier a task, the later it ends."""
    time.sleep(0.15 if number < 2 else 0.0)
    return number


def suicide_at_7(number):
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


class Awkward(Exception):
    """It can be sent, but not received."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fails_from_5(number):
    if number == 5:
        time.sleep(0.2)
    if number >= 5:
        raise ValueError(f"task {number}")
    return number


def awkward(number):
    raise Awkward(number, 2)


def process_and_environment(_):
    time.sleep(0.1)
    return os.getpid(), {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}


def busy(task):
    """{seconds, data} -> data."""
    spin(task["seconds"])
    return task["data"]


INTERRUPTED = """
import sys, time, multiprocessing
sys.path.insert(0, {here!r})
import helpers_distribute
from pg_theano.system import distribute

if __name__ == "__main__":
    with distribute.opened(workers=2) as workers:
        workers.map(helpers_distribute.square, range(4))
        print(*(child.pid for child in multiprocessing.active_children()), flush=True)
        workers.map(time.sleep, [60, 60, 60])
"""


@contextlib.contextmanager
def coordinator_at_work(folder):
    """(a process whose two workers have a minute's work, their pids)."""
    script = Path(folder) / "coordinator.py"
    script.write_text(INTERRUPTED.format(here=str(HERE)))
    process = subprocess.Popen(
        [sys.executable, script],
        env=os.environ | {"PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        pids = [int(word) for word in process.stdout.readline().split()]
        time.sleep(0.3)  # the work is on its way
        yield process, pids
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def consent_here(task):
    """What a worker knows of what the user has said of code of their own."""
    from pg_theano.system import importing

    return {**importing.consent(), "task": task}
