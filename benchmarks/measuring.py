"""What the benchmarks share: running a program pinned to a core, keeping finished cells, facts about the machine."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import hashlib
import json
import math
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = HERE / "peers"


class Outcome(NamedTuple):
    """A program that has ended, as the parent saw it."""

    code: int
    wall: float  # seconds from just before the fork to its end
    cpu: float  # user and system seconds, its own children included
    memory: int  # ru_maxrss in bytes; never below what this parent had at the fork
    out: str
    error: str


def run(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], core: int | None, timeout: float) -> Outcome:
    """Run a program to its end, on one core unless `core` is None."""

    def pin() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        began = time.perf_counter()
        child = subprocess.Popen(
            list(command), cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=error, preexec_fn=pin
        )
        usage, status = _wait(child, began + timeout)
        wall = time.perf_counter() - began
        texts = []
        for stream in (out, error):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
    cpu = usage.ru_utime + usage.ru_stime
    return Outcome(os.waitstatus_to_exitcode(status), wall, cpu, usage.ru_maxrss * 1024, *texts)


def _wait(child: subprocess.Popen, deadline: float) -> tuple[Any, int]:
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return usage, status
        if time.perf_counter() > deadline:
            child.kill()
            deadline = math.inf
        time.sleep(0.002)


# -- surroundings


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--python", default=str(ROOT / ".venv/bin/python"), help="interpreter that has pg_theano's needs"
    )
    parser.add_argument("--peer-python", default=str(ROOT / ".venv-bench/bin/python"), help="... and the peers'")
    parser.add_argument("--source", type=Path, default=ROOT, help="folder that holds the pg_theano to measure")
    parser.add_argument(
        "--core", type=int, default=max(os.sched_getaffinity(0)), help="the core that all are pinned to"
    )
    parser.add_argument("--results", type=Path, default=HERE / "results", help="where results are kept")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds after which a program is ended")
    parser.add_argument("--fresh", action="store_true", help="forget the finished cells of an earlier run")


def environment(source: Path, cache: Path) -> dict[str, str]:
    """The environment of every measured program: one thread, and each cache inside `cache`.

    Bytecode files are left where installing and warming up put them, as for a user; the operating system's page cache
    is not dropped.
    """
    dropped = ("PYTHONPATH", "PYTHONDONTWRITE", "XLA_FLAGS", "JAX_", "PYTENSOR_FLAGS", "PG_THEANO", "MPLCONFIG", "XDG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return kept | threads | {
        "PYTHONPATH": str(source),
        "PG_THEANO_CACHE": str(cache / "pg_theano"),
        "JAX_COMPILATION_CACHE_DIR": str(cache / "jax"),
        "MPLCONFIGDIR": str(cache / "matplotlib"),
        "XDG_CACHE_HOME": str(cache / "xdg"),
        "PYTENSOR_FLAGS": f"base_compiledir={cache / 'pytensor'}",
        "JAX_PLATFORMS": "cpu",
    }  # fmt: skip


def ours(options: argparse.Namespace, words: Sequence[str]) -> list[str]:
    return [options.python, "-m", "pg_theano.train", *words]


def train(options: argparse.Namespace, words: Sequence[str], cache: Path) -> tuple[dict[str, Any] | None, Outcome]:
    """One run of our trainer: its result.json (None where it failed), and what the parent saw."""
    with scratch() as folder:
        command = ours(options, [*words, "--json", "--no-plot", "--run-dir", "run"])
        seen = run(
            command, cwd=folder, env=environment(options.source, cache), core=options.core, timeout=options.timeout
        )
        written = folder / "run" / "result.json"
        result = json.loads(written.read_text()) if seen.code == 0 and written.exists() else None
    return result, seen


def training_words(*, envs: int, updates: int, seed: int, more: Sequence[str] = ()) -> list[str]:
    """A run of exactly `updates` updates, one episode of each environment in each, never evaluated before the end.

    `more` comes last, and so has the last word.
    """
    return [
        f"environment.num_envs={envs}",
        f"schedules.episodes_per_update.initial={envs}",
        f"budget.updates={updates}",
        "solved.stop=false",
        "evaluation.every_updates=1000000",
        "evaluation.episodes=1",
        *more,
        f"--seed={seed}",
    ]


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="pg_theano-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# -- finished cells


class Cells:
    """Finished measurements, one JSON line each; a rerun prints and skips them, unless the measured code changed."""

    def __init__(self, options: argparse.Namespace, name: str):
        self.path = options.results / f"{name}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if options.fresh:
            self.path.unlink(missing_ok=True)
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.done = {json.dumps(cell["key"]): cell["values"] for cell in map(json.loads, lines)}

    def get(self, key: Mapping[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The cell of `key`, measured if it is not there; one that failed (has `error`) is not kept."""
        text = json.dumps(key)
        shown = " ".join(str(value) for name, value in key.items() if name != "code")
        if text in self.done:
            print(f"  kept      {shown}: {summary(self.done[text])}", flush=True)
            return self.done[text]
        values = measure() | {"at": now(), "load": os.getloadavg()[0]}
        print(f"  measured  {shown}: {summary(values)}", flush=True)
        if "error" not in values:
            self.done[text] = values
            with self.path.open("a") as file:
                file.write(json.dumps({"key": key, "values": values}) + "\n")
        return values


def summary(values: Mapping[str, Any]) -> str:
    if "error" in values:
        return "FAILED: " + values["error"]
    numbers = {name: value for name, value in values.items() if isinstance(value, (int, float)) and name != "load"}
    return ", ".join(f"{name} {shown(value)}" for name, value in numbers.items())


def failure(seen: Outcome) -> dict[str, Any]:
    said = [line for line in seen.error.splitlines() if line.strip()]
    return {"error": f"exit code {seen.code}: {said[-1][:300] if said else 'nothing on stderr'}"}


def fingerprint(*paths: Path) -> str:
    """A hash of source files and of all Python files in folders."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


# -- facts, tables


def facts(options: argparse.Namespace) -> dict[str, Any]:
    """Where, when, with what and how this was measured."""
    cpu = [line for line in _text("/proc/cpuinfo").splitlines() if line.startswith("model name")]
    memory = [line for line in _text("/proc/meminfo").splitlines() if line.startswith("MemTotal")]
    return {
        "date": now(),
        "command": shlex.join([Path(sys.executable).name, os.path.relpath(sys.argv[0], ROOT), *sys.argv[1:]]),
        "machine": {
            "processor": cpu[0].partition(":")[2].strip() if cpu else platform.processor(),
            "cores": os.cpu_count(),
            "pinned_to_core": options.core,
            "memory_gib": round(int(memory[0].split()[1]) / 2**20) if memory else None,
            "system": platform.platform(),
        },
        "load_average_at_the_end": os.getloadavg()[0],
        "commit": facts_of_commit(),
        "versions": {"ours": _versions(options.python), "peers": _versions(options.peer_python)},
    }


def facts_of_commit() -> str:
    return _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"])


def _versions(python: str) -> dict[str, str]:
    script = (
        "import importlib.metadata as m, json, platform\n"
        "names = 'pytensor jax jaxlib numpy gymnasium stable-baselines3 torch gymnax optax cma'.split()\n"
        "found = {d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()}\n"
        "print(json.dumps({'python': platform.python_version()} | {n: found[n] for n in names if n in found}))"
    )
    said = _said([python, "-c", script])
    return json.loads(said) if said else {}


def _said(command: Sequence[str]) -> str:
    try:
        return subprocess.run(list(command), capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def median(values: Sequence[float | None]) -> float | None:
    """Where None stands for "never" and counts as infinitely long."""
    middle = statistics.median([math.inf if value is None else value for value in values])
    return None if math.isinf(middle) else middle


def shown(value: float | str | None, digits: int = 3) -> str:
    """A figure for a table: 3 significant digits, thousands set apart."""
    if value is None or isinstance(value, str):
        return "–" if value is None else value
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0 or not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000:
        places = max(0, int(math.log10(abs(value))) + 1 - digits)
        return f"{round(value / 10**places) * 10**places:,.0f}"
    if abs(value) < 1e-3:
        return f"{value:.{digits}g}"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[float | str | None]]) -> str:
    """A Markdown table; every column but the first stands right."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join(['---'] + ['---:'] * (len(head) - 1))}|"]
    return "\n".join(lines + [f"| {' | '.join(shown(value) for value in row)} |" for row in rows])


def write(
    options: argparse.Namespace, name: str, data: dict[str, Any], section: Callable[[dict[str, Any]], str]
) -> None:
    """`results/<name>.json`, and the same as Markdown beside it and on the screen."""
    options.results.mkdir(parents=True, exist_ok=True)
    (options.results / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")
    text = section(data)
    (options.results / f"{name}.md").write_text(text)
    print("\n" + text)
