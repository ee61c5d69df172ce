"""Runs that are killed or starved again and again, cheaply: forks of one process that has imported everything.

    python tests/helpers_killing.py kills 20        # of each kind; prints one JSON object
    python tests/helpers_killing.py naive 20        # the same of one file that is written over
    python tests/helpers_killing.py full 1          # a full disk at every write of a run, one after the other
    python tests/helpers_killing.py starved         # small disks, limits, read-only folders, full outputs

What is trained is NumPy alone (`gradients: by_hand`), because JAX's threads do not survive a fork: so these are always
a process of their own.
"""

import contextlib
import errno
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # a fork has none of its threads

import numpy as np
from helpers_runs import as_arguments, digest

from pg_theano import train
from pg_theano.runs import checkpoints
from pg_theano.system import commands
from pg_theano.training import display, saving
from pg_theano.types import UserError

CONFIG = {
    "environment": {"id": "probe_environments:Lengths-v0", "num_envs": 4},
    "algorithm": {"name": "vpg"},
    "gradients": "by_hand",
    "policy": {"hidden": [32]},
    "schedules": {"episodes_per_update": {"initial": 4}},
    "evaluation": {"episodes": 3, "every_updates": 3},
    "budget": {"updates": 20},
    "checkpoint": {"every_updates": 1},
}
BEGIN = [*as_arguments(CONFIG), "--run-dir", "run", "--no-plot"]
RESUME = ["--resume", "run", "--no-plot"]


class Ended:
    """A child that has ended: how, after how long, and what it said."""

    def __init__(self, status, seconds, folder):
        self.code = os.waitstatus_to_exitcode(status)
        self.seconds = seconds
        self.out, self.err = ((folder / name).read_text() for name in ("out", "err"))
        self.reported = max(
            (int(line.split()[2]) for line in self.out.splitlines() if line.startswith("saved")), default=0
        )


def child(folder, argv, *, prepare=lambda: None, kill_after=None, out=None, err=None):
    """Run the command `train` in a fork, in `folder`; kill it after some seconds if it still runs."""
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            for number, name in ((1, out or "out"), (2, err or "err")):
                os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | (0 if name.startswith("/") else os.O_TRUNC)), number)
            sys.stdout, sys.stderr = (os.fdopen(number, "w") for number in (1, 2))
            # Every checkpoint is reported, not one a second at most.
            display.Plain.saved = lambda self, updates: self.event(f"saved after {updates} updates")
            prepare()
            commands.leave(train.main(argv))
        finally:
            os._exit(99)  # a traceback that nobody caught
    if kill_after is not None:
        time.sleep(max(0.0, kill_after))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    for name in ("out", "err"):
        (folder / name).touch()
    return Ended(status, time.monotonic() - began, folder)


# -- faults inside the system calls that write


class Faulty:
    """Counts the points at which a process may be hit while it writes, and strikes at one of them (or from there on).

    A point is before or after a call of the system, or in the middle of a write, when half of it is done.
    """

    CALLS = ("fsync", "replace", "chmod", "unlink", "ftruncate", "mkdir")

    def __init__(self, at, strike, *, stays=False):
        self.passed, self.at, self.strike, self.stays = 0, at, strike, stays

    def point(self):
        self.passed += 1
        if self.passed == self.at or (self.stays and self.at and self.passed > self.at):
            self.strike()

    def install(self):
        for name in self.CALLS:
            setattr(os, name, self.around(getattr(os, name)))
        pwrite, fdopen, opened = os.pwrite, os.fdopen, os.open
        faulty = self

        def half_pwrite(descriptor, content, offset):
            faulty.point()
            first = pwrite(descriptor, bytes(content[: (len(content) + 1) // 2]), offset)
            faulty.point()
            return first

        class HalfFile:
            def __init__(self, *arguments):
                self.file = fdopen(*arguments)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                self.file.close()

            def write(self, content):
                faulty.point()
                self.file.write(content[: len(content) // 2])
                self.file.flush()
                faulty.point()
                self.file.write(content[len(content) // 2 :])

            def __getattr__(self, name):
                return getattr(self.file, name)

        created = self.around(opened)  # of the files that are opened those alone that are new

        def open_or_create(path, flags, *mode, **options):
            return (created if flags & os.O_EXCL else opened)(path, flags, *mode, **options)

        os.pwrite, os.fdopen, os.open = half_pwrite, HalfFile, open_or_create

    def around(self, original):
        def called(*arguments, **options):
            try:
                self.point()
                found = original(*arguments, **options)
                self.point()
                return found
            except OSError as error:  # the system's own names the path that it was given
                if error.filename is None and arguments and not isinstance(arguments[0], int):
                    error.filename = str(arguments[0])
                raise

        return called


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def disk_full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def count_points(folder, argv, before=lambda: None):
    """How many points a whole run passes."""

    def prepare():
        before()
        faulty = Faulty(None, die)
        faulty.install()
        leave = commands.leave
        commands.leave = lambda code: (Path("points").write_text(str(faulty.passed)), leave(code))

    assert child(folder, argv, prepare=prepare).code == 0
    return int((folder / "points").read_text())


# -- what is left


def unreadable(folder):
    """How many checkpoints have a manifest and cannot be loaded."""
    count = 0
    for path in (folder / "checkpoints").glob("*.json"):
        try:
            checkpoints.load(path.with_suffix(".npz"))
        except UserError:
            count += 1
    return count


def newest(folder):
    """Updates of the newest checkpoint; 0 where there is none."""
    if not any((folder / "checkpoints").glob("update-*.json")):
        return 0
    return checkpoints.newest(folder / "checkpoints").facts["counters"]["updates"]


def kills(count, seed=0):
    """Kill runs `count` times from outside at random moments and `count` times inside writes, each resumed after it.

    What was left: checkpoints that cannot be read, and those older than the last that was reported; the runs that came
    to their end meanwhile, and how many of them equal the one that was never killed, with no temporary file left.
    """
    rng = random.Random(seed)
    found = dict.fromkeys(("outside", "in_writes", "unreadable", "older", "temporaries", "runs", "equal", "other"), 0)
    with tempfile.TemporaryDirectory() as scratch:
        whole, expected = straight(scratch)
        points, folder, reported = count_points(new(scratch), BEGIN), new(scratch), 0
        while found["outside"] + found["in_writes"] < 2 * count:
            argv = RESUME if (folder / "run" / "config.yaml").exists() else BEGIN
            how = "in_writes" if found["in_writes"] < found["outside"] else "outside"
            if how == "in_writes":
                ended = child(folder, argv, prepare=Faulty(rng.randrange(1, points // 2), die).install)
            else:
                ended = child(folder, argv, kill_after=rng.uniform(0, 0.6 * whole.seconds))
            reported = max(reported, ended.reported)
            if ended.code == -signal.SIGKILL:
                found[how] += 1
                found["temporaries"] += len(temporaries(folder))
                found["unreadable"] += unreadable(folder / "run")
                found["older"] += newest(folder / "run") < reported
                if not (folder / "run" / "result.json").exists():
                    continue
            if ended.code in (0, -signal.SIGKILL):  # the run was over before it was struck, or when it was
                found["runs"] += 1
                found["equal"] += digest(folder / "run") == expected and not (ended.code == 0 and temporaries(folder))
            else:
                found["other"] += 1
                print(f"exit code {ended.code}: {ended.err[-500:]}", file=sys.stderr)
            folder, reported = new(scratch), 0
    return found


def naive(count, seed=0):
    """The same of a program that writes over its one file: how many of its kills left one that cannot be read."""
    rng = random.Random(seed)
    found = {"outside": 0, "in_writes": 0, "unreadable": 0}

    def prepare():
        def save(self, now):
            self.setting.folder.flush()
            with os.fdopen(os.open("one.npz", os.O_RDWR | os.O_CREAT | os.O_TRUNC), "w+b") as file:
                np.savez(file, allow_pickle=False, **now.state)
                file.flush()
                os.fsync(file.fileno())
            self.setting.display.saved(now.counters.updates)

        saving.Saver.save = save

    with tempfile.TemporaryDirectory() as scratch:
        whole = child(new(scratch), BEGIN, prepare=prepare)
        assert whole.code == 0, whole.err
        points = count_points(new(scratch), BEGIN, prepare)
        while found["outside"] + found["in_writes"] < 2 * count:
            folder = new(scratch)
            how = "in_writes" if found["in_writes"] < found["outside"] else "outside"
            if how == "in_writes":
                faulty = Faulty(rng.randrange(1, points), die)
                ended = child(folder, BEGIN, prepare=lambda faulty=faulty: (prepare(), faulty.install()))
            else:
                ended = child(folder, BEGIN, prepare=prepare, kill_after=rng.uniform(0, whole.seconds))
            if ended.code != -signal.SIGKILL or not ended.reported:
                continue
            found[how] += 1
            try:
                with np.load(folder / "one.npz", allow_pickle=False) as file:
                    found["unreadable"] += not {name: file[name] for name in file.files}
            except (OSError, ValueError, EOFError, zipfile.BadZipFile):
                found["unreadable"] += 1
    return found


def full(every=1, stays=True, updates=4):
    """A run whose disk is full at every `every`-th point at which it writes (and from there on, if it `stays` full).

    `refused`: one line that names what is full, and exit code 2; `unharmed`: the call had no need of the disk, and the
    run came to its end; `intact`: every checkpoint can be read, and none is older than what was reported; `equal`: once
    there is room, the run goes on and comes out as the one that always had it.
    """
    found = dict.fromkeys(("points", "refused", "unharmed", "intact", "equal", "not_begun"), 0)
    argv = [*BEGIN, f"budget.updates={updates}"]
    with tempfile.TemporaryDirectory() as scratch:
        _, expected = straight(scratch, argv)
        for at in range(1, count_points(new(scratch), argv) + 1, every):
            folder = new(scratch)
            ended = child(folder, argv, prepare=Faulty(at, disk_full, stays=stays).install)
            (folder / "run").mkdir(exist_ok=True)
            found["points"] += 1
            lines = ended.err.splitlines()
            refused = len(lines) == 1 and re.fullmatch(r"error: (\S+: .*)No space left on device.*", lines[0])
            found["refused"] += ended.code == 2 and refused is not None
            if ended.code != 0 and refused is None:
                print(f"at {at}: {ended.code}: {ended.err}", file=sys.stderr)
            found["unharmed"] += ended.code == 0 and not lines
            found["intact"] += unreadable(folder / "run") == 0 and newest(folder / "run") >= ended.reported
            begun = (folder / "run" / "config.yaml").exists()
            found["not_begun"] += not begun
            if not (folder / "run" / "result.json").exists() or digest(folder / "run") != expected:
                again = child(folder, RESUME if begun else argv)
                if again.code != 0 or digest(folder / "run") != expected:
                    print(f"at {at}: {ended.code}: {ended.err}; then {again.code}: {again.err}", file=sys.stderr)
                    continue
            found["equal"] += 1
    return found


def starved(updates=12):
    """What a run makes of a small disk, a limit to the size of files, a folder that is read-only, outputs that are full.

    By case: exit code, the lines on stderr, whether every checkpoint can be read and none is older than was reported,
    and whether it goes on, once it may, to what a run comes to that was never starved.
    """
    found = {}
    argv = [*BEGIN[: BEGIN.index("--run-dir")], f"budget.updates={updates}", "--no-plot"]
    with tempfile.TemporaryDirectory() as scratch:
        _, expected = straight(scratch, [*argv, "--run-dir", "run"])

        def tried(name, run=None, release=lambda: None, words=None, **options):
            folder = new(scratch)
            run = run or folder / "run"
            ended = child(folder, words or [*argv, "--run-dir", str(run)], **options)
            release()
            run.mkdir(exist_ok=True)
            intact = unreadable(run) == 0 and newest(run) >= ended.reported
            begun = (run / "config.yaml").exists()
            if not (run / "result.json").exists() or digest(run) != expected:
                go_on = ["--resume", str(run), f"budget.updates={updates}", "--no-plot"]
                child(folder, go_on if begun else [*argv, "--run-dir", str(run)])
            found[name] = {
                "code": ended.code,
                "lines": ended.err.splitlines(),
                "intact": intact,
                "equal": digest(run) == expected,
            }

        for size in (600, 1_000, 2_000, 3_000, 4_000, 5_000, 8_000):
            limit = (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
            tried(f"files of {size} bytes", prepare=lambda pair=limit: resource.setrlimit(resource.RLIMIT_FSIZE, pair))
        tried("stdout is full", out="/dev/full")
        tried("stderr is full", err="/dev/full")
        tried("both are full", out="/dev/full", err="/dev/full")
        if os.geteuid() == 0:
            for kib in (4, 8, 12, 16, 24, 32, 40, 48):
                mount = new(scratch)
                if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", mount]).returncode:
                    break
                more = ["mount", "-o", "remount,size=9m", mount]
                tried(f"a disk of {kib} KiB", mount / "run", lambda more=more: subprocess.run(more, check=True))
                subprocess.run(["umount", mount], check=True)
            else:
                mount = new(scratch)
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", mount], check=True)
                child(new(scratch), [*argv, "budget.updates=3", "--run-dir", str(mount / "run")])
                more = ["mount", "-o", "remount,rw", mount]
                for name, words in (
                    ("resumed, read-only", ["--resume", str(mount / "run"), f"budget.updates={updates}", "--no-plot"]),
                    ("new, read-only", [*argv, "--run-dir", str(mount / "other")]),
                ):
                    subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
                    where = mount / ("run" if "resumed" in name else "other")
                    tried(name, where, lambda more=more: subprocess.run(more, check=True), words)
                subprocess.run(["umount", mount], check=True)
    return found


def straight(scratch, argv=BEGIN):
    """A run that nothing happens to: (how it ended, its digest)."""
    folder = new(scratch)
    ended = child(folder, argv)
    assert ended.code == 0, ended.err
    return ended, digest(folder / "run")


def new(scratch):
    return Path(tempfile.mkdtemp(dir=scratch))


def temporaries(folder):
    return list((folder / "run").rglob(".*.tmp"))


def main(what, *numbers):
    print(json.dumps({"kills": kills, "naive": naive, "full": full, "starved": starved}[what](*map(int, numbers))))


if __name__ == "__main__":
    main(*sys.argv[1:])
