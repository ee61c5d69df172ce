"""What the tests of runs share: a small run, and what it left."""

import hashlib
import io
import json
import sys
from pathlib import Path

import helpers_forking as forking
import numpy as np

import pg_theano
from pg_theano.runs import checkpoints
from pg_theano.training.display import Quiet
from pg_theano.training.playing import compiled

SMALL = {
    "environment": {"id": "probe_environments:Lengths-v0", "num_envs": 4},
    "policy": {"hidden": [4]},
    "schedules": {"episodes_per_update": {"initial": 4}},
    "evaluation": {"episodes": 5, "every_updates": 2},
    "budget": {"updates": 6},
}


def merged(base, changes):
    return base | {
        key: merged(base.get(key, {}), value) if isinstance(value, dict) else value for key, value in changes.items()
    }


def small(**changes):
    """A config of a run that takes a fraction of a second."""
    return merged(SMALL, changes)


def as_arguments(config, prefix=""):
    """A config as `a.b=value` words."""
    words = []
    for key, value in config.items():
        if isinstance(value, dict) and value:
            words += as_arguments(value, f"{prefix}{key}.")
        else:
            words.append(f"{prefix}{key}={value}" if isinstance(value, str) else f"{prefix}{key}={json.dumps(value)}")
    return words


def ran(config, folder, **options):
    """Train in this process, without a plot and without a word."""
    return pg_theano.run(config, run_dir=folder, plot=False, display=Quiet, **options)


def resumed(folder, *overrides, **options):
    return pg_theano.run(resume=folder, overrides=overrides, plot=False, display=Quiet, **options)


def command(name, *arguments, **options):
    """(exit code, stdout, stderr) of `python -m pg_theano.<name>`."""
    done = forking.run(
        [sys.executable, "-m", f"pg_theano.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        **options,
    )
    return done.returncode, done.stdout, done.stderr


def records(folder, without=()):
    """The records of metrics.jsonl, without what may differ between equal runs."""
    lines = (Path(folder) / "metrics.jsonl").read_text().splitlines()
    return [
        {
            key: value
            for key, value in json.loads(line).items()
            if "second" not in key and not key.startswith(tuple(without))
        }
        for line in lines
    ]


def result(folder):
    found = json.loads((Path(folder) / "result.json").read_text())
    found.pop("seal", None)  # which says that the file is whole, and is no part of the result
    return found


def assert_equal_runs(a, b):
    """Bit for bit: what was recorded, what was learned, what was kept as best, what it reached."""
    assert records(a) == records(b)
    for kind in ("update", "best"):
        first, second = (checkpoints.newest(Path(folder) / "checkpoints", kind) for folder in (a, b))
        assert first.path.name == second.path.name
        assert_equal_states(first.state, second.state)
        if kind == "update":  # the other's say when it was written
            counters = [one.facts["counters"] | {"seconds": 0} for one in (first, second)]
            assert counters[0] == counters[1]
    for key in (
        "status",
        "stop_reason",
        "updates",
        "env_steps",
        "episodes",
        "evaluation",
        "best_update",
        "seed",
        "threshold",
    ):
        assert result(a)[key] == result(b)[key], key


def digest(folder):
    """One number for all that `assert_equal_runs` compares, of a run or of a set of seeds."""
    found = hashlib.sha256()
    for run in sorted(Path(folder).glob("seed-*")) or [Path(folder)]:
        found.update(json.dumps(records(run), sort_keys=True).encode())
        for kind in ("update", "best"):
            if any((run / "checkpoints").glob(f"{kind}-*.json")):
                checkpoint = checkpoints.newest(run / "checkpoints", kind)
                found.update(checkpoint.path.name.encode())
                for name, value in sorted(checkpoint.state.items()):
                    found.update(f"{name} {value.dtype} {value.shape}".encode() + value.tobytes())
        ended = result(run)
        keys = ("status", "stop_reason", "updates", "env_steps", "episodes", "evaluation", "best_update", "seed")
        found.update(json.dumps([ended[key] for key in keys]).encode())
    return found.hexdigest()


def assert_equal_states(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes(), name


def arrays_in(content):
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def played_compiled(program, state, knobs, **options):
    """Whole episodes on a compiled environment: `options` are those of `episodes_compiled`."""
    playing = compiled.episodes_compiled(program.manifest["environment"], **options)
    return compiled.drive(playing, lambda values: program.rollout(state, knobs, values))


def whole_and_resumed(config, folder):
    """The folder of a run of four updates, which equals one that was stopped after two, bit for bit."""
    whole, part = folder / "whole", folder / "part"
    ran(config | {"budget": {"updates": 4}}, whole)
    ran(config | {"budget": {"updates": 2}}, part)
    resumed(part, "budget.updates=4")
    assert_equal_runs(whole, part)
    return whole
