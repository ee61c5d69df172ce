"""Processes of Python that begin with the libraries imported: forks of one process that has imported them once.

    done = run([sys.executable, "-m", "pg_theano.train", *words], capture_output=True, text=True)
    process = Popen([sys.executable, "-c", code], cwd=folder, stdout=PIPE)

The names and arguments of `subprocess`; what comes is a process as real as its own: a pid, signals, an exit code, pipes,
threads and an XLA of its own. Only the imports are not done again, which take 0.3 to 0.9 s of each.

What must begin as a user's process does is started by `subprocess`: tests of imports, of start-up, of kills (/proc shows a
fork under the name and with the environment of the process that forked it), and one of each pair that must be equal (the
forks hash strings alike, so that an order taken from a set is the same in all). So does, by itself, what is not plain
`-m`, `-c` or a script, what is asked for with other variables that libraries read as they are imported, what would find
another copy of us, and all where there is no Linux or where PG_THEANO_TESTS_PLAIN is set, as by the museum.
"""

import gc
import importlib
import inspect
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

COMMANDS = ["pg_theano.train", "pg_theano.evaluate", "pg_theano.search.__main__", "pg_theano.by_hand.__main__"]
LIBRARIES = [
    *["numpy", "scipy.special", "yaml", "pydantic", "rich.console", "rich.live", "gymnasium.envs.classic_control"],
    *["gymnasium.vector", "gymnasium.wrappers", "pytensor.tensor", "pytensor.scan.op", "pytensor.link.jax.dispatch"],
    *["jax", "jax.export", "concurrent.futures", "multiprocessing", "unittest.mock", "matplotlib.figure"],
    *["matplotlib.backends.backend_agg", *COMMANDS],
    *["pg_theano.reports.screen", "pg_theano.reports.shown_run"],
    *["pg_theano.search.study", "pg_theano.reports.plots", "pg_theano.compiler.pictures", "pg_theano.by_hand.program"],
]
READ_AT_IMPORT = ("PYTHON", "JAX", "PYTENSOR", "MPL", "LANG", "LC_", "TF_")
MODE = "JAX_DISABLE_MOST_OPTIMIZATIONS"
ANY = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", MODE)  # which a fork sees to itself
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")  # BLAS's, in all forks
HERE = Path(__file__).resolve()


class Popen(subprocess.Popen):
    """subprocess.Popen, by a fork of the server where that can serve."""

    _status = None

    def _execute_child(self, *given):
        asked = inspect.signature(super()._execute_child).bind(*given).arguments
        wanted = _wanted(asked)
        if wanted is None:
            return super()._execute_child(*given)
        ours = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        self._status, theirs = os.pipe()
        streams = [fd if fd != -1 else number for number, fd in enumerate(ours)]
        socket.send_fds(_server().line, [json.dumps(wanted).encode()], [*streams, theirs])
        os.close(theirs)
        self.pid, self._child_created = int(self._line()), True
        return self._close_pipe_fds(*[asked[name] for name in _PIPES])

    def _line(self):
        found = b""
        while (byte := os.read(self._status, 1)) not in (b"", b"\n"):
            found += byte
        return found

    def _try_wait(self, wait_flags):
        if self._status is None:
            return super()._try_wait(wait_flags)
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        said = self._line()
        os.close(self._status)
        return self.pid, int(said or 9)

    def _internal_poll(self, *given, **options):
        if self._status is None:
            return super()._internal_poll(*given, **options)
        if self.returncode is None and self._waitpid_lock.acquire(False):
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid:
                        self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


def run(words, *, input=None, capture_output=False, timeout=None, check=False, **options):
    """subprocess.run, likewise."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    if capture_output:
        options["stdout"] = options["stderr"] = subprocess.PIPE
    with Popen(words, **options) as process:
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done


def _wanted(asked):
    """What the server must know of a process, or None where it must be another one."""
    if not sys.platform.startswith("linux") or os.environ.get("PG_THEANO_TESTS_PLAIN"):
        return None
    words = asked["args"]
    special = [asked["preexec_fn"], asked["pass_fds"], asked["shell"], asked["executable"]]
    if any(special) or isinstance(words, str) or len(words) < 2:
        return None
    words = [os.fsdecode(word) for word in words]
    environment = dict(os.environ if asked["env"] is None else asked["env"])
    cwd = os.path.abspath(asked["cwd"] or ".")
    first = {"-m": cwd, "-c": ""}.get(words[1], os.path.dirname(os.path.join(cwd, words[1])))
    path = [first, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    same = _read_at_import(environment) == _read_at_import(_server().environment)
    ours = next((place for place in path if Path(cwd, place, "pg_theano").is_dir()), None)
    if words[0] != sys.executable or not same or (words[1].startswith("-") and words[1] not in ("-m", "-c")):
        return None
    if ours is None or Path(cwd, ours).resolve() != HERE.parents[1]:
        return None
    session = asked["start_new_session"]
    return {"words": words[1:], "environment": environment, "cwd": cwd, "path": path, "session": session}


def _read_at_import(environment):
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_IMPORT) and name not in ANY}


# -- the server, as the tests see it


class _Server:
    def __init__(self):
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.environment = dict(os.environ)
        path = os.pathsep.join([str(HERE.parents[1]), str(HERE.parent)])
        self.process = subprocess.Popen(
            [sys.executable, str(HERE), str(theirs.fileno())],
            env=self.environment | ONE_THREAD | {"PYTHONPATH": path},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()


_started = []


def _server():
    if not _started:
        _started.append(_Server())
    return _started[0]


def end():
    """Of the session: the server has gone, and what it took has been counted."""
    while _started:
        server = _started.pop()
        server.line.close()
        server.process.wait(60)


# -- the server


def serve(line):
    """Forks what is asked for. Comes back in each fork, with what that is; ends with the one who asks."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for name in COMMANDS:  # run anew by who asks for one; what they import stays
        package, _, last = name.rpartition(".")
        del sys.modules[name]
        delattr(sys.modules[package], last)
    gc.collect()
    gc.freeze()
    children = {}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the tests are told, and end us
    while True:
        ready, _, _ = select.select([line, *children], [], [])
        for handle in [one for one in ready if one in children]:
            pid, status = children.pop(handle)
            os.write(status, b"%d\n" % os.waitpid(pid, 0)[1])
            os.close(status)
            os.close(handle)
        if line not in ready:
            continue
        asked, fds, _, _ = socket.recv_fds(line, 1 << 20, 4)
        if not asked:
            sys.exit()
        pid = os.fork()
        if pid == 0:
            return json.loads(asked), fds
        os.write(fds[3], b"%d\n" % pid)
        children[os.pidfd_open(pid)] = pid, fds[3]
        for fd in fds[:3]:
            os.close(fd)


def become(asked, fds):
    """Make this fork what a new interpreter is, up to the code that it runs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if asked["session"]:
        os.setsid()
    for number, fd in enumerate(fds[:3]):
        os.dup2(fd, number)
    os.closerange(3, max(fds) + 1)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:] = [*asked["path"], *sys.path[3:]]  # without our folder and our PYTHONPATH, of two
    importlib.invalidate_caches()
    sys.modules["jax"].config.update(MODE.lower(), os.environ.get(MODE) == "1")
    for number, (name, mode) in enumerate([("stdin", "r"), ("stdout", "w"), ("stderr", "w")]):
        old = getattr(sys, name)
        raw = io.FileIO(number, mode, closefd=False)
        buffered = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        lines = mode == "w" and (number == 2 or os.isatty(number))
        new = io.TextIOWrapper(buffered, old.encoding, old.errors, line_buffering=lines)
        new.mode = mode
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
    sys.modules["__main__"] = types.ModuleType("__main__")


def execute(kind, *words):
    main = sys.modules["__main__"].__dict__
    if kind == "-m":
        sys.argv[:] = words
        runpy._run_module_as_main(words[0])
    elif kind == "-c":
        sys.argv[:] = ["-c", *words[1:]]
        exec(compile(words[0], "<string>", "exec"), main)  # noqa: S102
    else:
        sys.argv[:] = [kind, *words]
        main |= {"__file__": kind, "__cached__": None}
        exec(compile(Path(kind).read_bytes(), kind, "exec"), main)  # noqa: S102


if __name__ == "__main__":
    become(*(asked := serve(socket.socket(fileno=int(sys.argv[1])))))
    execute(*asked[0]["words"])
