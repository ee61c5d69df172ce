"""Record what the program does, and compare two recordings: a change of structure must change nothing, bit for bit.

    python benchmarks/golden.py record /tmp/before          # in the checkout of before
    python benchmarks/golden.py record /tmp/after           # in the checkout of after
    python benchmarks/golden.py compare /tmp/before /tmp/after

A recording has one cell a file. Cells that are there are kept, so an interrupted recording goes on; `-k` takes those
whose names contain a word. Nothing here knows a module inside the package: it uses `pg_theano.run`, the commands as
processes, and the files that they write.

What depends on the machine or the moment is left out: seconds, versions, folders, and lines of progress. Everything
runs on one core, as sums may be split up differently on several; so NumPy, whose BLAS counts the cores when it is
imported, must come after that. Each run has a process of its own, forked: XLA takes its settings from the first
program of a process, so a run after another has other last bits than alone. Both recordings must be of one machine
with the same libraries.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PER_MACHINE = {"versions", "fingerprint", "seal", "argv", "metrics_bytes", "metrics_sha256"}
COMMANDS = (
    "by_hand", "cache", "card", "check", "check_env", "compare", "config", "evaluate", "export", "graph", "migrate",
    "plot", "report", "search", "train", "watch",
)  # fmt: skip
BY_GRADIENT = ("reinforce", "vpg", "a2c", "ppo", "npg", "trpo")
SEARCHES = ("cem", "pgpe", "es", "cmaes")
TASKS = {"discrete": "CartPole-v1", "box": "Pendulum-v1"}
SMALL = (
    "budget.updates=3", "environment.num_envs=4", "evaluation.episodes=5", "evaluation.every_updates=2",
    "checkpoint.every_seconds=null",
)  # fmt: skip
SHIPPED = ("budget.updates=3", "evaluation.episodes=10", "evaluation.every_updates=2", "checkpoint.every_seconds=null")
PPO = ("algorithm.name=ppo", "algorithm.num_steps=32")
TWIN = ("gradients=by_hand", "algorithm.name=vpg", "policy.hidden=[8]", "schedules.episodes_per_update.initial=4")
OF_ALGORITHM = {
    **dict.fromkeys(BY_GRADIENT, ("schedules.episodes_per_update.initial=4",)),
    "a2c": ("algorithm.num_steps=32",),
    "ppo": ("algorithm.num_steps=32",),
    **dict.fromkeys(SEARCHES, ("algorithm.population_size=8",)),
}

PARTS = ("import", "compile", "collect", "update", "evaluate", "checkpoint", "plot")
RUNS: dict[str, tuple[str | None, tuple[str, ...]]] = {}
"""Every run by the name of its cell: its config file, if any, and its knobs."""

for _path in sorted([*(ROOT / "configs").glob("*.yaml"), *(ROOT / "docs" / "examples").glob("*.yaml")]):
    if "search:" not in _path.read_text():
        RUNS[f"config/{_path.parent.name}/{_path.stem}"] = (str(_path), SHIPPED)
for _algorithm in (*BY_GRADIENT, *SEARCHES):
    for _engine in ("compiled", "gymnasium"):
        for _space, _task in TASKS.items():
            _knobs = (f"algorithm.name={_algorithm}", f"environment.engine={_engine}", f"environment.id={_task}")
            RUNS[f"algorithm/{_algorithm}/{_engine}/{_space}"] = (
                None,
                (*SMALL, *_knobs, *OF_ALGORITHM[_algorithm]),
            )
RUNS |= {
    f"more/{name}": (None, (*SMALL, *knobs))
    for name, knobs in {
        "by-hand-vpg-discrete": TWIN,
        "by-hand-ppo-discrete": ("gradients=by_hand", *PPO),
        "by-hand-vpg-box": (*TWIN, "environment.id=Pendulum-v1"),
        "by-hand-ppo-box": ("gradients=by_hand", *PPO, "environment.id=Pendulum-v1"),
        "agents-reinforce": ("runs=3", "agents_per_process=3"),
        "agents-ppo": ("runs=2", "agents_per_process=2", *PPO),
        "seeds": ("runs=2", "seed=5", *TWIN),
        "solved": (*TWIN, "solved.threshold=1"),
        "env-steps": (*TWIN, "budget.updates=null", "budget.env_steps=200"),
        "workers": ("environment.workers=2", *TWIN),
        "workers-ppo": ("environment.workers=2", "environment.on_fault=restart", *PPO),
        "generation-by-workers": (
            "distribute.workers=2",
            "algorithm.name=cem",
            "algorithm.population_size=8",
            "environment.engine=gymnasium",
        ),
        "cem-full": ("algorithm.name=cem", "algorithm.population_size=8", "algorithm.covariance=full"),
        "wrapped": (
            "environment.wrappers=[gymnasium.wrappers:TimeAwareObservation]",
            "environment.max_episode_steps=30",
            *TWIN,
        ),
        "float64": ("dtype=float64", "exploration.name=epsilon_softmax", "schedules.exploration_rate.initial=0.3"),
        "epsilon-greedy": (
            "exploration.name=epsilon_greedy",
            "schedules.exploration_rate.initial=0.3",
            "algorithm.baseline=per_timestep",
            "normalize.observations=true",
            "environment.engine=gymnasium",
        ),
        "ppo-shared": (
            *PPO,
            "policy.shared=true",
            "policy.logistic=true",
            "algorithm.value_clip_range=0.2",
            "algorithm.target_kl=0.01",
            "algorithm.entropy_coefficient=0.01",
            "normalize.observations=true",
            "normalize.rewards=true",
        ),
        "ppo-pink-squashed": (
            *PPO,
            "environment.id=Pendulum-v1",
            "environment.engine=gymnasium",
            "policy.noise=pink",
            "policy.squash=true",
            "evaluation.sampled=true",
        ),
        "ppo-state-dependent-spread": (*PPO, "environment.id=Pendulum-v1", "policy.log_std=state_dependent"),
        "vpg-n-step": (
            "algorithm.name=vpg",
            "algorithm.advantage=n_step",
            "optimizer.name=rmsprop",
            "schedules.learning_rate={kind: linear, initial: 0.05, final: 0.0, over_updates: 3}",
        ),
    }.items()
}


class Recording:
    """A folder of cells, and beside them a working folder with the runs that they are of."""

    def __init__(self, folder: Path):
        self.cells, self.work = folder / "cells", folder / "work"
        self.cells.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(exist_ok=True)

    def path(self, key: str) -> Path:
        return self.cells / f"{key.replace('/', '__')}.json"

    def write(self, key: str, found: Any) -> None:
        temporary = self.path(key).with_suffix(".tmp")
        temporary.write_text(json.dumps({"cell": key, "found": found}, indent=1, ensure_ascii=False) + "\n")
        temporary.replace(self.path(key))

    # -- what is recorded of what there is

    def plain(self, value: Any) -> Any:
        """Without what depends on the machine or the moment."""
        if isinstance(value, Mapping):
            return {
                key: self.plain(inner)
                for key, inner in value.items()
                if "second" not in str(key) and key not in PER_MACHINE
            }
        if isinstance(value, list | tuple):
            return [self.plain(inner) for inner in value]
        return self.placed(value) if isinstance(value, str) else value

    def placed(self, text: str) -> str:
        """Text with our folders under names that are the same in every recording."""
        for path, name in ((self.work, "WORK"), (ROOT, "ROOT"), (Path(sys.prefix), "PREFIX")):
            text = text.replace(str(path), name)
        return text

    def lines(self, text: str) -> list[str]:
        """What is said, without seconds and without what is said only now and then."""
        kept = []
        for line in self.placed(text).splitlines():
            line = re.sub(r"[\d,.]+ ?(ms|s|steps/s|seconds|bytes|kB|MB)\b", r"# \1", line.rstrip())
            line = re.sub(r"^(\| seconds, start to end \| ).*", r"\1#", line)
            if not re.match(r"compil|update +\d|evaluat|seconds: |\| made with |\d+ of \d+|trial ", line):
                kept.append(line)
        return kept

    def run(self, folder: Path) -> dict[str, Any]:
        """Everything that a run folder holds, or a folder of seeds."""
        seeds = {path.name: self.run(path) for path in sorted(folder.glob("seed-*"))}
        if seeds:
            return seeds | {"summary": self.plain(json.loads((folder / "summary.json").read_text()))}
        records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return {
            "config": self.plain(yaml.safe_load((folder / "config.yaml").read_text())),
            "metrics": [self.plain(record) for record in records],
            "result": self.plain(json.loads((folder / "result.json").read_text())),
            "checkpoints": [self.checkpoint(path) for kind in ("update", "best") for path in newest(folder, kind)],
        }

    def checkpoint(self, path: Path) -> dict[str, Any]:
        manifest = json.loads(path.with_suffix(".json").read_text())
        return {"file": path.name, "arrays": arrays_of(path), "facts": self.plain(manifest["facts"])}


def newest(folder: Path, kind: str) -> list[Path]:
    return sorted((folder / "checkpoints").glob(f"{kind}-*.npz"))[-1:]


def arrays_of(path: Path) -> dict[str, str]:
    """Type, shape and SHA-256 of each array of an npz."""
    import numpy as np

    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return {
        name: f"{one.dtype} {list(one.shape)} {digest(np.ascontiguousarray(one).tobytes())}"
        for name, one in sorted(arrays.items())
    }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# -- runs


def aside(work: Callable[[], None]) -> str | None:
    """Do this in a process of its own, in which nothing has run. Returns the error that ended it, if any."""
    sys.stdout.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        failed = ""
        try:
            os.close(reader)
            work()
        except BaseException as error:
            failed = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        finally:
            os.write(writer, failed.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        failed = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return failed or (f"ended with {code}" if code else None)


def trained(recording: Recording, key: str) -> Path:
    """The folder of a run, which is trained where it is not there yet."""
    folder = recording.work / "runs" / key.replace("/", "-")
    if not (folder / "said").exists():
        shutil.rmtree(folder, ignore_errors=True)
        config, knobs = RUNS[key]

        def train() -> None:
            said = called(config, *knobs, run_dir=folder, plot=False)
            (folder / "said").write_text(said)

        if failed := aside(train):
            raise RuntimeError(failed)
    return folder


def called(*arguments: Any, **options: Any) -> str:
    """What `pg_theano.run` says."""
    import pg_theano

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        pg_theano.run(*arguments, **options)
    return said.getvalue()


def of_run(recording: Recording, key: str) -> Any:
    folder = trained(recording, key)
    return recording.run(folder) | {"said": recording.lines((folder / "said").read_text())}


def resumed(recording: Recording, key: str, seed: str = "") -> Any:
    """A run, or one of several seeds, that goes on after its budget was raised."""
    folder = fresh(recording, f"resumed-{key.replace('/', '-')}")
    shutil.copytree(trained(recording, key) / seed, folder)
    said = called("budget.updates=5", resume=folder, plot=False)
    return recording.run(folder) | {"said": recording.lines(said)}


def stopped(recording: Recording, key: str) -> Any:
    """A run that a callback stops after its first update, and that goes on."""
    config, knobs = RUNS[key]
    folder = fresh(recording, f"stopped-{key.replace('/', '-')}")
    told = []

    def callback(update: int, metrics: Mapping[str, Any], policy: Any) -> bool:
        told.append([update, recording.plain(metrics), type(policy).__name__])
        return True

    called(config, *knobs, run_dir=folder, plot=False, callbacks=[callback])
    before = recording.run(folder)
    called(resume=folder, plot=False)
    return {"told": told, "stopped": before, "went on": recording.run(folder)}


def loaded(recording: Recording, key: str) -> Any:
    """What a policy does in Python, from its run and from its npz."""
    import numpy as np

    import pg_theano

    folder, npz = trained(recording, key), recording.work / f"{key.replace('/', '-')}.npz"
    process(recording, "export", folder, "--to", "npz", "--out", npz)
    found = {}
    for name, path in (("run", folder), ("npz", npz)):
        policy = pg_theano.load(path)
        obs = np.random.default_rng(0).uniform(-1, 1, (20, *policy.observation_space.shape)).astype(np.float32)
        found[name] = {
            "actions": np.asarray(policy(obs)).tolist(),
            "sampled": np.asarray(policy.sample(obs, 3)).tolist(),
            "probs": [np.asarray(part).tolist() for part in policy.probs(obs)],
            "spaces": [str(policy.observation_space), str(policy.action_space)],
        }
    return found | {"arrays": arrays_of(npz)}


def displayed(recording: Recording, key: str) -> Any:
    """What a notebook shows of several results, but for its pictures and seconds."""
    import pg_theano

    results = []
    for seed in (1, 2):
        folder = fresh(recording, f"beside-{seed}")
        with contextlib.redirect_stdout(io.StringIO()):
            results.append(pg_theano.run(None, *RUNS[key][1], f"seed={seed}", run_dir=folder, plot=False))
    return re.findall(r"<th[^>]*>.*?</th>", pg_theano.beside(*results)._repr_html_())


def fresh(recording: Recording, name: str) -> Path:
    folder = recording.work / "fresh" / name
    shutil.rmtree(folder, ignore_errors=True)
    return folder


# -- commands, as processes


def process(recording: Recording, command: str, *words: Any, cache: Path | None = None) -> subprocess.CompletedProcess:
    environment = os.environ | {"COLUMNS": "100", "SDL_VIDEODRIVER": "dummy"}
    if cache is not None:
        environment["PG_THEANO_CACHE"] = str(cache)
    return subprocess.run(
        [sys.executable, "-m", f"pg_theano.{command}".removesuffix("."), *map(str, words)],
        capture_output=True,
        text=True,
        cwd=recording.work,
        env=environment,
        timeout=600,
    )


def said(recording: Recording, command: str, *words: Any, **options: Any) -> dict[str, Any]:
    """Exit code and both streams of a command; stdout as data where it is one JSON object."""
    done = process(recording, command, *words, **options)
    try:
        out = recording.plain(json.loads(done.stdout))
    except ValueError:
        out = recording.lines(done.stdout)
    return {"exit": done.returncode, "stdout": out, "stderr": recording.lines(done.stderr)}


def evaluated(recording: Recording, key: str) -> Any:
    folder = trained(recording, key)
    first = said(recording, "evaluate", folder, "--episodes", 10, "--json")
    return [first, said(recording, "evaluate", folder, "--episodes", 5, "--seed", 3)]


def sampled(recording: Recording, key: str) -> Any:
    return said(recording, "evaluate", trained(recording, key), "--episodes", 10, "--sampled", "--json")


def exported(recording: Recording, key: str, kind: str) -> Any:
    """The file's own bytes where they are the same each time, or what it holds."""
    out = recording.work / f"exported-{key.replace('/', '-')}.{kind}"
    found = said(recording, "export", trained(recording, key), "--to", kind, "--out", out)
    if kind == "csv":
        rows = list(csv.DictReader(out.read_text().splitlines()))
        return found | {"rows": [recording.plain(row) for row in rows]}
    return found | {"arrays": arrays_of(out)} if kind == "npz" else found | {"sha256": digest(out.read_bytes())}


def carded(recording: Recording, key: str) -> Any:
    out = fresh(recording, f"card-{key.replace('/', '-')}")
    found = said(recording, "card", trained(recording, key), "--out", out, "--episodes", 5)
    files = sorted(path.name for path in out.iterdir())
    gif = digest((out / "replay.gif").read_bytes()) if "replay.gif" in files else None
    return found | {"files": files, "gif": gif, "card": recording.lines((out / "README.md").read_text())}


def watched(recording: Recording, key: str) -> Any:
    out = recording.work / f"watched-{key.replace('/', '-')}.gif"
    found = said(recording, "watch", trained(recording, key), "--gif", out)
    return found | {"sha256": digest(out.read_bytes())}


def compared(recording: Recording, keys: Sequence[str], *words: str) -> Any:
    page = recording.work / "compared.md"
    page.unlink(missing_ok=True)
    folders = [trained(recording, key) for key in keys]
    found = said(recording, "compare", *folders, *words, "--no-plot", "--page", page, "--json")
    return found | {"page": recording.lines(page.read_text()) if page.exists() else None}


def reported(recording: Recording, folders: Sequence[Path], *words: str) -> Any:
    """The words of the page: its headings, and the heads and first cells of its tables, but for the parts of a run
    that took time: a part that took none has no row."""
    out = recording.work / "report.html"
    out.unlink(missing_ok=True)
    found = said(recording, "report", *folders, "--out", out, *words)
    page = recording.placed(out.read_text())
    words_of = re.findall(r"<(h1|h2|h3|th|summary|figcaption)\b[^>]*>(.*?)</\1>", page, re.S)
    plain = [re.sub(r"<[^>]+>|[\d,.]+ ?m?s\b", "", text).strip() for _, text in words_of]
    return found | {"words": [text for text in plain if text not in PARTS]}


def plotted(recording: Recording, keys: Sequence[str]) -> Any:
    out = recording.work / "plotted.png"
    found = said(recording, "plot", *[trained(recording, key) for key in keys], "--out", out, "--json")
    return found | {"magic": out.read_bytes()[:8].hex()}


def drawn(recording: Recording, function: str, *words: str) -> Any:
    out = recording.work / f"graph-{function}.txt"
    found = said(recording, "graph", *words, "--function", function, "--out", out, "--json")
    texts = sorted(recording.work.glob(f"graph-{function}*.txt"))
    return found | {"texts": {path.name: digest(path.read_bytes()) for path in texts}}


def searched(recording: Recording, name: str, *words: str) -> Any:
    """A small search; `name` is that of its folder."""
    folder = fresh(recording, f"search-{name}")
    config = ROOT / "configs" / "search-cartpole.yaml"
    small = (
        "budget.updates=2",
        "evaluation.episodes=5",
        "search.budget.trials=6",
        "search.batch=3",
        f"name=search-{name}",
    )
    own = ("search.space={schedules.learning_rate.initial: {low: 0.01, high: 1, log: true}}",)
    words = (*small, *own, *words)
    found = [said(recording, "search", config, *words, "--run-dir", folder, "--no-plot", "--json")]
    if name == "cho":
        found.append(said(recording, "search", "--resume", folder, "search.budget.trials=8", "--no-plot", "--json"))
        found.append(reported(recording, [folder], "--no-play"))
        best = next((recording.work / "configs").glob(f"best-search-{name}.yaml"), None)
        found.append(best and recording.lines(best.read_text()))
    return found


def trained_by_command(recording: Recording) -> Any:
    words = (*SMALL, *TWIN, "--no-plot", "--run-dir", fresh(recording, "by-command"))
    found = [said(recording, "train", *words, "--json")]
    found.append(said(recording, "train", *SMALL, *TWIN, "--no-plot", "--run-dir", fresh(recording, "by-command-2")))
    page = recording.work / "live.html"
    words = (*SMALL, *TWIN, "--no-plot", "--run-dir", fresh(recording, "by-command-3"), "--live", page)
    return [*found, said(recording, "train", *words), page.exists()]


def in_an_empty_cache(recording: Recording) -> Any:
    empty = fresh(recording, "cache")
    empty.mkdir(parents=True)
    return said(recording, "cache", "--json", cache=empty)


ERRORS: dict[str, tuple[str, ...]] = {
    "unknown-knob": ("train", "algorithm.clip_rage=0.1"),
    "out-of-range": ("train", "environment.num_envs=-3"),
    "foreign-knob": ("train", "algorithm.clip_range=0.1"),
    "contradiction": ("train", "algorithm.name=ppo", "algorithm.baseline=none"),
    "no-twin": ("train", "gradients=by_hand"),
    "no-file": ("train", "nothing.yaml"),
    "no-environment": ("train", "environment.id=Nothing-v0"),
    "not-for-the-task": ("train", "policy.squash=true", "gradients=by_hand", "algorithm.name=vpg"),
    "no-run": ("evaluate", "nothing"),
    "no-run-to-compare": ("compare", "nothing"),
    "no-search": ("search", "algorithm.name=ppo"),
    "unknown-option": ("report", "--nothing"),
}


def cells() -> dict[str, Callable[[Recording], Any]]:
    """Every cell by its name."""
    found: dict[str, Callable[[Recording], Any]] = {}
    for key in RUNS:
        found[f"run/{key}"] = lambda recording, key=key: of_run(recording, key)
    one = "algorithm/{}/{}/{}".format
    ppo, box, population = one("ppo", "compiled", "discrete"), one("ppo", "gymnasium", "box"), "more/cem-full"
    twin, seeds = "more/by-hand-vpg-discrete", "more/seeds"
    each = {"ppo": ppo, "ppo-box": box, "cem": population, "by-hand": twin}
    for key in (ppo, box, population, twin, one("reinforce", "gymnasium", "discrete")):
        found[f"resumed/{key}"] = lambda recording, key=key: resumed(recording, key)
    found["resumed/agent"] = lambda recording: resumed(recording, "more/agents-reinforce", "seed-1")
    for name, key in each.items():
        found[f"stopped/{name}"] = lambda recording, key=key: stopped(recording, key)
        found[f"loaded/{name}"] = lambda recording, key=key: loaded(recording, key)
        found[f"evaluate/{name}"] = lambda recording, key=key: evaluated(recording, key)
        for kind in ("npz", "onnx", "stablehlo", "csv"):
            if (name, kind) not in (("by-hand", "stablehlo"), ("cem", "onnx")):
                found[f"export/{kind}/{name}"] = lambda recording, key=key, kind=kind: exported(recording, key, kind)
    found |= {
        "beside": lambda recording: displayed(recording, twin),
        "evaluate/sampled": lambda recording: sampled(recording, box),
        "card/by-hand": lambda recording: carded(recording, twin),
        "card/wrapped": lambda recording: carded(recording, "more/wrapped"),
        "watch": lambda recording: watched(recording, ppo),
        "compare/algorithms": lambda recording: compared(recording, [ppo, one("a2c", "compiled", "discrete")]),
        "compare/tasks": lambda recording: compared(recording, [ppo, box, twin]),
        "compare/curves": lambda recording: compared(recording, [seeds, ppo], "--score", "learning_curve"),
        "report/run": lambda recording: reported(recording, [trained(recording, ppo)], "--no-play"),
        "report/played": lambda recording: reported(recording, [trained(recording, twin)]),
        "report/seeds": lambda recording: reported(
            recording, [trained(recording, seeds), trained(recording, population)], "--no-play"
        ),
        "plot": lambda recording: plotted(recording, [ppo, seeds]),
        "check/reinforce": lambda recording: said(recording, "check", "--json"),
        "check/ppo": lambda recording: said(recording, "check", "algorithm.name=ppo", "policy.hidden=[4]", "--json"),
        "check-env/cartpole": lambda recording: said(recording, "check_env", "CartPole-v1", "--json"),
        "check-env/pendulum": lambda recording: said(recording, "check_env", "Pendulum-v1"),
        "graph/act": lambda recording: drawn(recording, "act"),
        "graph/train": lambda recording: drawn(recording, "train", "algorithm.name=vpg"),
        "graph/rollout": lambda recording: drawn(recording, "rollout", "environment.id=Pendulum-v1", *PPO),
        "by-hand": lambda recording: [
            said(recording, "by_hand", "--algo", name, "--max-episodes", 40, "--json", "--no-plot", *rest)
            for name, rest in (("vpg", ()), ("ppo", ("--gae",)))
        ],
        "cache": in_an_empty_cache,
        "train": trained_by_command,
        "schema": lambda recording: said(recording, "config", "--schema"),
        "commands": lambda recording: sorted(
            re.sub(r"^  \w+ +", "", line) for line in process(recording, "").stdout.splitlines()
        ),
    }
    for path in sorted((ROOT / "docs" / "examples" / "zoo").glob("*.yml")):
        for id in [key for key in yaml.safe_load(path.read_text()) if isinstance(key, str)]:
            found[f"migrate/{path.stem}/{id.replace('/', '-')}"] = lambda recording, path=path, id=id: said(
                recording, "migrate", "sb3-zoo", path, id, "--json"
            )
    methods: dict[str, tuple[str, ...]] = {
        **{name: (f"search.method={name}",) for name in ("cho", "bayesian", "tpe", "gp", "random", "grid")},
        "workers": ("search.method=random", "search.workers=2", "search.objective=evaluation"),
        "agents": ("search.method=random", "agents_per_process=3"),
        "pruned": (
            "search.method=random",
            "search.pruning=successive_halving",
            "search.objective=evaluation",
            "budget.updates=4",
        ),
    }
    for name, words in methods.items():
        found[f"search/{name}"] = lambda recording, name=name, words=words: searched(recording, name, *words)
    for name in COMMANDS:
        found[f"help/{name}"] = lambda recording, name=name: said(recording, name, "-h")
    for name, words in ERRORS.items():
        found[f"error/{name}"] = lambda recording, words=words: said(recording, *words)
    return found


# -- record, compare


def record(folder: Path, word: str) -> int:
    """Record the cells that are not there yet. One that cannot be made here is passed over, with its reason."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.environ.setdefault("PG_THEANO_CACHE", str(folder.resolve() / "cache"))
    sys.path[:] = [str(ROOT), *[path for path in sys.path if path != str(Path(__file__).parent)]]
    recording = Recording(folder.resolve())
    os.chdir(recording.work)
    import pg_theano

    warnings.filterwarnings("ignore", "os.fork")  # JAX is only imported here; it runs in the forked processes
    importlib.import_module("jax")
    assert Path(pg_theano.__file__).is_relative_to(ROOT), pg_theano.__file__
    began, skipped = time.perf_counter(), 0
    chosen = {key: cell for key, cell in cells().items() if word in key}
    for key, cell in chosen.items():
        if recording.path(key).exists():
            continue
        start = time.perf_counter()
        failed = aside(lambda key=key, cell=cell: recording.write(key, cell(recording)))
        skipped += failed is not None
        print(
            f"{key}: " + (f"not recorded: {failed}" if failed else f"{time.perf_counter() - start:.1f} s"), flush=True
        )
    print(f"{len(chosen) - skipped} cells recorded, {skipped} not, in {time.perf_counter() - began:.0f} s")
    return 0


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(where, what) of everything in a cell."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{place}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def without_files(text: str) -> str:
    """Text without the names of our own source files."""
    return re.sub(r"[\w./]*\w+\.py\b", "FILE.py", text)


def compare(before: Path, after: Path, word: str) -> int:
    """Print each difference on one line. Returns 1 if there is any but in the names of source files."""
    paths = [{path.name: path for path in (folder / "cells").glob("*.json")} for folder in (before, after)]
    equal = named = differ = 0
    for name in sorted({*paths[0], *paths[1]}):
        key = name.removesuffix(".json").replace("__", "/")
        if word not in key:
            continue
        if missing := [one for one, found in zip((before, after), paths, strict=True) if name not in found]:
            print(f"{key}: not in {missing[0]}")
            differ += 1
            continue
        first, second = (dict(leaves(json.loads(found[name].read_text())["found"])) for found in paths)
        differences = [where for where in {**first, **second} if first.get(where) != second.get(where)]
        for where in differences:
            got = [one.get(where, "nothing") for one in (first, second)]
            only_named = without_files(got[0]) == without_files(got[1])
            named += only_named
            differ += not only_named
            kind = "a file's name, " if only_named else ""
            print(f"{key}: {where}: {kind}before {got[0][:160]}, after {got[1][:160]}")
        equal += not differences
    print(f"{equal} cells equal, {named} names of files, {differ} differences")
    return int(differ > 0)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recorder = commands.add_parser("record", help="record what the package of this checkout does")
    recorder.add_argument("folder", type=Path)
    comparer = commands.add_parser("compare", help="print what differs between two recordings")
    comparer.add_argument("before", type=Path)
    comparer.add_argument("after", type=Path)
    for one in (recorder, comparer):
        one.add_argument("-k", dest="word", default="", metavar="WORD", help="only cells whose names contain it")
    arguments = parser.parse_args(argv)
    if arguments.command == "record":
        return record(arguments.folder, arguments.word)
    return compare(arguments.before, arguments.after, arguments.word)


if __name__ == "__main__":
    sys.exit(main())
