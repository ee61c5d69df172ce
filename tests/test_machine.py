"""Other systems than this one: nothing names what only some have, and all is done where it is missing."""

import ast
import functools
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import mypy
import pytest
from test_structure import MODULES, imports_of, tree_of

OPTIMISED = False
ROOT = Path(__file__).parents[1]
STUBS = Path(mypy.__file__).parent / "typeshed" / "stdlib"
ON_BOTH = ["os", "signal", "select", "socket", "time"]
ON_ONE = ["fcntl", "resource", "termios", "pwd", "grp", "pty", "tty", "syslog"]
WORDS = {"pass_fds", "process_group", "preexec_fn", "start_new_session"}
"""What `subprocess` takes on POSIX alone."""


@functools.cache
def names_on(platform, room):
    """What a module of the standard library has on a platform, as its types say."""
    (stub,) = [path for path in (STUBS / f"{room}.pyi", STUBS / room / "__init__.pyi") if path.exists()]
    return set(_names(ast.parse(stub.read_text()).body, platform))


def _names(body, platform):
    here = types.SimpleNamespace(platform=platform, version_info=(3, 14))
    for node in body:
        if isinstance(node, ast.If):
            holds = eval(compile(ast.Expression(node.test), "stub", "eval"), {"sys": here})  # noqa: S307
            yield from _names(node.body if holds else node.orelse, platform)
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def lacking(*platforms):
    """What Linux has and not all of them, room by room."""
    return {
        room: sorted(names_on("linux", room) - set.intersection(*(names_on(one, room) for one in platforms)))
        for room in ON_BOTH
    }


def test_one_module_names_what_only_some_systems_have():
    """By the types of the standard library. Caught, when planted: `import fcntl` in locks.py, `os.getuid()` in
    opening.py, `hasattr(os, "fork")`, `from select import poll`, a `pass_fds=` in children.py."""
    some = {room: set(names) for room, names in lacking("win32", "darwin").items()}
    assert {"fork", "getuid", "pread", "O_NOFOLLOW", "sched_getaffinity", "memfd_create"} <= some["os"]
    assert not {"open", "replace", "O_RDWR", "SEEK_END", "fsync", "cpu_count"} & some["os"]
    found = {}
    for name, path in MODULES.items():
        of_one = set(imports_of(path)) & {*ON_ONE, "msvcrt", "winreg", "posix"}
        for node in ast.walk(tree_of(path)):
            room = word = None
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                room, word = node.value.id, node.attr
            elif isinstance(node, ast.Call) and len(node.args) > 1 and isinstance(node.args[0], ast.Name):
                room, word = node.args[0].id, getattr(node.args[1], "value", None)  # hasattr, getattr
            elif isinstance(node, ast.ImportFrom) and node.module in some:
                of_one |= {alias.name for alias in node.names} & some[node.module]
            elif isinstance(node, ast.keyword):
                of_one |= {node.arg} & WORDS
            if word in some.get(room, ()):
                of_one.add(f"{room}.{word}")
        if of_one:
            found[name] = of_one
    assert set(found) == {"pg_theano.system.machine"}, found


def test_text_is_read_and_written_in_a_stated_encoding():
    """Elsewhere it is another one. Caught, when planted: `path.read_text()` in __main__.py, `open(path, "w")`."""
    bare = [
        f"{name}:{node.lineno}"
        for name, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and _of_text(node) and "encoding" not in {word.arg for word in node.keywords}
    ]
    assert not bare


def _of_text(call):
    """Whether a call opens a text: `path.read_text()`, `open(path)`, `os.fdopen(number, "w")`."""
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("read_text", "write_text"):
        ours = ast.unparse(call.func.value) in ("yaml_lines", "seals")  # of that name
        return not ours and "utf-8" not in [getattr(one, "value", None) for one in call.args]
    modes = [one.value for one in call.args[1:] if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    return ast.unparse(call.func) in ("open", "os.fdopen", "io.open") and not any("b" in mode for mode in modes)


# -- the package where it is missing (`elsewhere/sitecustomize.py`)


def elsewhere(folder, code, platform="win32", **said):
    """Run Python where our package finds what another system has."""
    modules = dict.fromkeys(ON_ONE) if platform == "win32" else {"fcntl": ["F_SETSIG", "F_SETOWN"]}
    lacks = lacking(platform) | modules
    path = os.pathsep.join(map(str, (ROOT / "tests" / "elsewhere", ROOT, ROOT / "tests", ROOT / "tests" / "search")))
    facts = {
        "lacks": lacks,
        "msvcrt": platform == "win32",
        "folder": str(folder) if platform == "win32" else "/nowhere",
    }
    environment = os.environ | {"PYTHONPATH": path, "ELSEWHERE": json.dumps(facts | said)}
    words = [sys.executable, "-X", "warn_default_encoding", *(["-c", code] if isinstance(code, str) else code)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


ALL_OF_IT = """
import json, sys
import pg_theano
from helpers_runs import as_arguments, records, small
from pg_theano import check_env, evaluate, report, train
from pg_theano.system import locks

def did(command, *words):
    code = command.main([*words])
    print("did", command.__name__, code, flush=True)

by_hand = as_arguments(small(gradients="by_hand", algorithm={"name": "vpg"}))
did(train, "--seed", "0")                                         # the default command
did(train, *by_hand, "--run-dir", "one", "--no-plot", "budget.updates=2")
did(train, "--resume", "one", "budget.updates=4", "--no-plot")
did(evaluate, "one")
did(report, "one", "runs/cartpole", "--out", "report.html")
print("acts", pg_theano.load("runs/cartpole")([0.0, 0.0, 0.0, 0.0]))
did(train, *by_hand, "--run-dir", "beside", "--no-plot", "environment.workers=2", "budget.updates=4")
did(check_env, "CartPole-v1")
print("same", records("beside") == records("one"))
held = locks.locked(__import__("pathlib").Path("one"))
did(train, "--resume", "one", "budget.updates=6", "--no-plot")    # somebody has it
locks.unlocked(held)
did(train, "--resume", "one", "budget.updates=6", "--no-plot", "--json")
did(train, *by_hand, "--run-dir", "false", "--no-plot", "environment.id=NoSuch-v0")
"""


def test_all_of_it_without_posix(tmp_path):
    """The default command, a run resumed, evaluate, report, load; workers play the same run; who has a folder is named.
    Caught, when planted: `os.pread` in records.py, an `open()` without an encoding, the lock file removed while it is
    open, a folder that is synced."""
    code, out, error = elsewhere(tmp_path, ALL_OF_IT)
    assert code == 0, error
    assert "Traceback" not in error
    codes = [line.split()[1:] for line in out.splitlines() if line.startswith("did ")]
    assert [one[1] for one in codes] == ["0", "0", "0", "0", "0", "0", "0", "2", "0", "2"], out + error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert "in use by process" in lines[0]
    assert len(lines) == 2 and "same True" in out
    assert (tmp_path / "runs/cartpole/result.json").exists() and (tmp_path / "plots").exists()
    assert not (tmp_path / "false").exists()


SIDE_BY_SIDE = """
import sys
from pathlib import Path
import helpers_search
from helpers_runs import as_arguments, small
from pg_theano import train
from pg_theano.search import __main__ as search
import yaml

def did(command, *words):
    print("did", command.main([*words]), flush=True)

if __name__ == "__main__":
    by_hand = small(gradients="by_hand", algorithm={"name": "vpg"})
    if sys.argv[1:] == ["workers"]:
        did(train, *as_arguments(by_hand), "--run-dir", "two", "--no-plot", "environment.workers=2")
    else:
        at_once = ["runs=2", "agents_per_process=2", "budget.updates=2", "evaluation.episodes=4"]
        did(train, *at_once, "--run-dir", "together", "--no-plot")
    plan = helpers_search.REAL | {"search": {"method": "random", "batch": 4, "budget": {"trials": 6},
            "space": {"schedules.learning_rate.initial": {"low": 0.001, "high": 0.1}}}}
    Path("plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    did(search, "plan.yaml", "--run-dir", "found", "search.workers=2")
    did(search, "--resume", "found", "search.budget.trials=8")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("platform", "words"), [("win32", []), ("darwin", ["workers"])])
def test_side_by_side_elsewhere(tmp_path, platform, words):
    """Agents at once and a search with workers without POSIX; where only Linux's own is missing, environments in
    processes too. Caught, when planted: `pthread_sigmask` in processes.py, the link of journal.py without a file in its
    place, `os.memfd_create` in children.py."""
    (tmp_path / "code.py").write_text(SIDE_BY_SIDE)
    code, out, error = elsewhere(tmp_path, ["code.py", *words], platform)
    assert code == 0 and out.splitlines().count("did 0") == 3, out + error
    assert "Traceback" not in error
    if platform == "win32":
        assert (tmp_path / "found" / "study.journal").exists()


FAULTY = """
import os, threading
from pathlib import Path
from test_workers import assert_same, episodes, made

here = episodes(made())
for how in ("hang", "kill"):
    Path(how).touch()
    environment = made(workers=2, on_fault="restart", timeout=0.5, kwargs={"how": how, "token": how})
    assert_same(episodes(environment), here)
    print(environment.told[0], flush=True)
    environment.close()
environment = made(workers=2, timeout=60.0, kwargs={"how": "hang", "share": 1.0})
print(*[child.process.pid for child in environment._children], flush=True)
threading.Timer(1.0, lambda: os.kill(os.getpid(), 9)).start()
episodes(environment)
"""


@pytest.mark.slow
def test_workers_are_replaced_and_end_with_their_parent_elsewhere(tmp_path):
    """Caught, when planted: a pipe that the child does not wait at; a worker that hangs and is not killed."""
    code, out, error = elsewhere(tmp_path, FAULTY)
    assert code == -9, out + error
    hangs, dies, pids = out.splitlines()
    assert "takes longer than environment.timeout = 0.5 s" in hangs and "its process was killed" in dies
    until = time.monotonic() + 10
    while running := [pid for pid in pids.split() if _runs(pid)]:
        assert time.monotonic() < until, running
        time.sleep(0.05)


def _runs(pid):
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
