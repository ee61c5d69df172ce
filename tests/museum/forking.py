"""Tests against a changed package, quickly: a process that has imported every library forks once for each change.

    with Server() as server:
        outcome = server.run(["tests/test_schedules.py"], {path_of_schedules: changed_text}, timeout=60)

The process keeps a tree of its own: the package and the tests as hard links, all else as symbolic links. A change is
written there, the fork runs pytest in it (processes that a test starts find the changed package too), and the tree is
put back. PyTensor and JAX are imported once for all changes, the package itself only after the fork.

Artifacts of a changed graph have a key of their own, for the key hashes the sources (`artifacts.key_of`). Changed code of
the host could still write something wrong under a key that others use: each fork therefore writes into a folder of its
own, which begins as a copy of the caller's by hard links. XLA's cache, whose key is the program itself, is shared.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[2]
OWN = ("pg_theano", "tests")
LIBRARIES = [
    *["numpy", "scipy.special", "scipy.stats", "pytest", "_pytest.assertion.rewrite", "hypothesis.strategies", "yaml"],
    *["hypothesis.extra.numpy", "pydantic", "gymnasium.envs.classic_control", "pytensor.tensor", "pytensor.scan.op"],
    *["pytensor.link.jax.dispatch", "jax", "jax.export", "jax.numpy", "concurrent.futures", "multiprocessing", "cmaes"],
    *["_hypothesis_pytestplugin", "gymnasium.wrappers", "gymnasium.vector", "unittest.mock", "rich.console"],
]
NO_TESTS = 5  # pytest's exit code where nothing was selected
MOST_MEMORY = 8 << 30  # bytes: a changed loop may ask for all there is


class Outcome(NamedTuple):
    """What the tests said about a change. `failed` are node ids, each with the seconds since the fork."""

    failed: dict[str, float]
    passed: int
    timed_out: bool
    broken: str  # why no test ran ("" where one did): an import that failed, a memory that was not there
    seconds: float
    log: str  # the end of pytest's output

    @property
    def caught(self) -> bool:
        return bool(self.failed or self.timed_out or self.broken)


class Server:
    """The process that forks, from `with` to its end. One change at a time."""

    def __init__(self, repository: Path = REPOSITORY):
        self.repository = repository

    def __enter__(self) -> Server:
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = os.environ | one_thread | {"PG_THEANO_CACHE": str(caller_cache())}
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(self.repository)],
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment},
        )
        return self

    def __exit__(self, *_: Any) -> None:
        with contextlib.suppress(OSError):
            self.process.stdin.close()  # type: ignore[union-attr]
        self.process.wait(timeout=60)

    def run(
        self,
        tests: Sequence[str],
        texts: Mapping[str, str] = {},
        *,
        timeout: float,
        options: Sequence[str] = (),
        examples: int = 100,
    ) -> Outcome:
        """pytest's verdict over node ids or files, with these files of the package changed.

        `examples` is how many cases Hypothesis draws for a test that does not say so itself.
        """
        asked = {"tests": list(tests), "texts": dict(texts), "timeout": timeout, "options": list(options)}
        asked["examples"] = examples
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return Outcome(**json.loads(self.process.stdout.readline()))  # type: ignore[union-attr]


def caller_cache() -> Path:
    """Where the caller keeps artifacts, as `artifacts.cache_folder` has it; made, so that it can be copied."""
    own = os.environ.get("PG_THEANO_CACHE")
    folder = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pg_theano"
    for name in ("artifacts", "xla"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder.resolve()


# -- the process


def serve(repository: Path) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints as it is imported is no answer
    for name in LIBRARIES:
        importlib.import_module(name)
    cache = caller_cache()
    with tempfile.TemporaryDirectory(prefix="museum-") as folder:
        tree = Path(folder) / "tree"
        plant_tree(repository, tree)
        gc.collect()
        gc.freeze()  # a fork neither walks what all share nor copies it
        for line in sys.stdin:
            asked = json.loads(line)
            own_cache = linked_cache(cache, Path(folder) / "cache")
            with changed(tree, asked["texts"]):
                outcome = forked(tree, own_cache, **{k: v for k, v in asked.items() if k != "texts"})
            print(json.dumps(outcome), file=answers, flush=True)


def plant_tree(repository: Path, tree: Path) -> None:
    """Hard links of what may change or hold compiled Python, and symbolic links to the rest."""
    tree.mkdir()
    for path in repository.iterdir():
        if path.name in OWN:
            ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
            shutil.copytree(path, tree / path.name, copy_function=link_or_copy, ignore=ignored)
        elif not path.name.startswith("."):
            (tree / path.name).symlink_to(path)


def link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def linked_cache(cache: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    (target / "artifacts").mkdir(parents=True)
    for path in (cache / "artifacts").iterdir():
        with contextlib.suppress(FileNotFoundError):  # another's temporary file
            link_or_copy(str(path), str(target / "artifacts" / path.name))
    (target / "xla").symlink_to(cache / "xla")
    return target


@contextlib.contextmanager
def changed(tree: Path, texts: Mapping[str, str]):
    """The tree with other texts in some files; compiled Python knows a file by its second and its size only."""
    before = {name: (tree / name).read_bytes() for name in texts}
    try:
        for name, text in texts.items():
            written(tree / name, text.encode())
        yield
    finally:
        for name, content in before.items():
            written(tree / name, content)


def written(path: Path, content: bytes) -> None:
    path.unlink()  # a hard link: the original stays as it is
    path.write_bytes(content)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        compiled.unlink()


def forked(
    tree: Path, cache: Path, *, tests: list[str], timeout: float, options: list[str], examples: int
) -> dict[str, Any]:
    log, report = tree.parent / "log", tree.parent / "report.json"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            code = as_child(tree, cache, log, report, [*options, *tests], examples)
        except BaseException as error:
            log.open("a").write(f"\n{error!r}\n")
            code = 99
        os._exit(code)
    status = waited(child, timeout)
    seconds = time.monotonic() - began
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests started, and what hangs
    if status is None:
        os.waitpid(child, 0)
    found = json.loads(report.read_text()) if report.exists() else {"failed": {}, "passed": 0, "errors": ["no report"]}
    end = log.read_text(errors="replace")[-4000:] if log.exists() else ""
    ran = bool(found["passed"] or found["failed"])
    broken = "" if ran or status in (None, 0, NO_TESTS) else "; ".join(found["errors"])[:300] or f"exit status {status}"
    return {
        **{"failed": found["failed"], "passed": found["passed"], "timed_out": status is None, "broken": broken},
        **{"seconds": round(seconds, 2), "log": end},
    }


def waited(child: int, timeout: float) -> int | None:
    """A child's exit code, None where it is still there after `timeout` seconds."""
    handle = os.pidfd_open(child)
    try:
        if not select.select([handle], [], [], timeout)[0]:
            return None
    finally:
        os.close(handle)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


# -- the fork


_replace = os.replace  # which a test may stand in for


class Noted:
    """A pytest plugin that writes down what failed as soon as it did, for whoever may not wait for the end."""

    def __init__(self, report: Path):
        self.report, self.began = report, time.monotonic()
        self.found: dict[str, Any] = {"failed": {}, "passed": 0, "errors": []}
        self.write()

    def write(self) -> None:
        beside = self.report.with_suffix(".new")  # a fork that is out of time is killed anywhere, here too
        beside.write_text(json.dumps(self.found))
        _replace(beside, self.report)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.found["failed"].setdefault(report.nodeid, round(time.monotonic() - self.began, 2))
        self.found["passed"] += report.when == "call" and report.passed
        self.write()

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.found["errors"].append(f"{report.nodeid}: {str(report.longrepr).strip().splitlines()[-1]}")
            self.write()


def as_child(tree: Path, cache: Path, log: Path, report: Path, arguments: list[str], examples: int) -> int:
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_MEMORY, MOST_MEMORY))
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(tree)
    os.environ |= {"PG_THEANO_TESTS_PLAIN": "1"}  # this fork ends sooner than a server of its own has begun
    os.environ |= {"PG_THEANO_CACHE": str(cache), "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'tests'}"}
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[name]  # of the pytest that asks: a worker of xdist, say
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(tree), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]

    import hypothesis
    import pytest

    # The first failure is enough: no shrinking; and no deadline, because a slow machine is no fault.
    phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
    hypothesis.settings.register_profile(
        "museum", phases=phases, deadline=None, database=None, derandomize=True, max_examples=examples
    )
    hypothesis.settings.load_profile("museum")

    import pg_theano

    if not Path(pg_theano.__file__).is_relative_to(tree):
        raise RuntimeError(f"pg_theano came from {pg_theano.__file__}; expected {tree}")
    # Of the plugins that are installed only Hypothesis's: each costs a fork what it takes to import.
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    plugins = ["_hypothesis_pytestplugin", "no:cacheprovider", "no:faulthandler", "no:unraisableexception"]
    options = [part for name in plugins for part in ("-p", name)]
    return int(pytest.main([*options, "--tb=line", "--disable-warnings", *arguments], plugins=[Noted(report)]))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
