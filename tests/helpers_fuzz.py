"""The readers of files from strangers, each as a function of bytes that raises nothing but `UserError`.

Shared by tests/test_untrusted.py, which mutates valid files, and benchmarks/torture/fuzzing.py, where atheris does. A
checksum would stop nearly every mutation at the door, so that a reader is given its bytes with seals that agree, and
half of the zip files are made of mutated members, whose CRC agrees: a stranger can compute them too.
"""

import contextlib
import functools
import hashlib
import io
import json
import warnings
import zipfile
from pathlib import Path

import numpy as np

from pg_theano.compiler import cached
from pg_theano.config import reading as configs
from pg_theano.policies import kept, policy
from pg_theano.runs import checkpoints, curves, policy_of_run
from pg_theano.runs import folder as runs
from pg_theano.search import plan, storage, study
from pg_theano.system import seals
from pg_theano.training import specs
from pg_theano.types import UserError

KEY = "0" * 64
BETWEEN = b"\0\n\0"  # two files in one input
MEMBER = b"\0\r\0"  # two members of a zip file, each its name, a line's end, its content


def parts(content, count):
    found = content.split(BETWEEN, count - 1)
    return found + [b""] * (count - len(found))


def with_seal(content, seal="seal"):
    """JSON with the seal that it would have, where it is an object; else as it is."""
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(content)
        if isinstance(found, dict):
            found.pop(seal, None)
            return json.dumps(found | {seal: seals.of(found)}).encode()
    return content


def zipped(content):
    """A zip file as it is, where it begins as one does; else one of the members that it lists."""
    if content.startswith(b"PK"):
        return content
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(buffer, "w") as file:  # a name that is there twice
        for member in content.split(MEMBER)[:50]:
            name, _, inside = member.partition(b"\n")
            with contextlib.suppress(ValueError, UnicodeError):  # a name that zipfile itself would not write
                file.writestr(zipfile.ZipInfo(name.decode("latin-1")), inside)
    return buffer.getvalue()


def members(content):
    """What `zipped` makes a file of these arrays from."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return MEMBER.join(name.encode() + b"\n" + file.read(name) for name in file.namelist())


def config(folder, content):
    path = folder / "config.yaml"
    path.write_bytes(content)
    document = configs.read_data(path)
    if "search" in document.data:
        plan.plan_of(document, folder)
    else:
        configs.from_dict(document.data, document.lines, document.name)


def checkpoint(folder, content):
    facts, arrays = parts(content, 2)
    arrays = zipped(arrays)
    path = folder / "update-00000001.npz"
    path.write_bytes(arrays)
    stated = facts.replace(b'"SHA"', b'"%s"' % hashlib.sha256(arrays).hexdigest().encode(), 1)
    path.with_suffix(".json").write_bytes(with_seal(stated))
    checkpoints.load(path)


def cache(folder, content):
    """An artifact of ours; and a file of machine code, whose seal its own bytes decide."""
    head, line, payload = content.partition(b"\n")
    with contextlib.suppress(ValueError, RecursionError):
        manifest = json.loads(head)
        if isinstance(manifest, dict):
            manifest.pop("sha256", None)
            head = json.dumps(manifest | {"sha256": seals.of(manifest, payload)}, sort_keys=True).encode()
    path = folder / "artifact.stablehlo"
    path.write_bytes(head + line + payload)
    with contextlib.redirect_stderr(io.StringIO()):
        cached.read(path, KEY)
        cached.read_manifest(path)
    cached.MachineCode(lambda: folder, lambda said: None).get(path.name)


def run(folder, content):
    """A run's folder, as `evaluate`, `--resume` and `plot` read it."""
    names = ("config.yaml", "run.json", "result.json", "metrics.jsonl")
    for name, part in zip(names, parts(content, len(names)), strict=True):
        (folder / name).write_bytes(with_seal(part) if name.endswith(".json") else part)
    with contextlib.redirect_stderr(io.StringIO()):
        runs.read_result(folder)
    problem = None
    for read in (lambda: runs.read_run(folder), lambda: drawn_of(folder)):
        try:
            read()
        except UserError as error:
            problem = error
    if problem is not None:
        raise problem


def drawn_of(folder):
    found = curves.read_run(folder)
    curves.outcome(found)
    curves.curve_of_run(found, "env_steps", "return_mean", "return_std")


def search(folder, content):
    """A search's folder, before its study is opened."""
    for name, part in zip(("search.yaml", "search.json"), parts(content, 2), strict=True):
        (folder / name).write_bytes(with_seal(part) if name.endswith(".json") else part)
    study.read_folder(folder)


OLD_SEARCH = Path(__file__).parent / "old_runs" / "search"


@functools.cache
def plan_of_old_search():
    return study.read_folder(OLD_SEARCH)


def journal(folder, content):
    """The journal of a search, as a report reads it."""
    (folder / storage.JOURNAL).write_bytes(content)
    found = plan_of_old_search()
    storage.read(folder, None, found.name, found.axes)


def export(folder, content):
    """A policy that was exported to npz."""
    path = folder / "policy.npz"
    path.write_bytes(zipped(content))
    policy_of_run.load(path)


READERS = {
    "config": config,
    "checkpoint": checkpoint,
    "cache": cache,
    "run": run,
    "search": search,
    "journal": journal,
    "export": export,
}


# -- valid files, as the product writes them

SEARCH = b"name: s\nsearch: {method: random, space: {optimizer.beta1: {low: 0.1, high: 0.9}}}\nbudget: {updates: 3}\n"


def spec_of_run():
    """(spec, task) of a small policy."""
    settings_of_run = configs.from_dict({"policy": {"hidden": [2]}})
    environment = specs.environment_of(settings_of_run, [])
    return specs.spec_of(settings_of_run, environment.task, environment), environment.task


def exported():
    """A small policy, as `pg_theano.export --to npz` writes it."""
    spec, task = spec_of_run()
    state = {"params": np.zeros(spec.acting.num_params, np.float32)}
    about = policy.About(task.id, "reinforce", {}, "run", "best-1")
    made = policy.Policy(*policy.acting_part(spec, state), task.spaces, about)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **kept.arrays_of(made))
    return buffer.getvalue()


def without_comments(content):
    """A mutated comment is a comment: nine in ten mutations would be for nothing."""
    bare = (line.partition(b" #")[0].rstrip() for line in content.splitlines() if line[:1] != b"#")
    return b"".join(line + b"\n" for line in bare if line)


def corpus(folder):
    """{reader: [valid inputs]}; checkpoints and caches with names that State has, runs as they are recorded."""
    root = Path(__file__).parent.parent
    every = [without_comments(path.read_bytes()) for path in sorted((root / "configs").glob("*.yaml"))]
    yaml = [content for content in every if not content.startswith(b"base:") and b"\nbase:" not in content]
    state = {"params": np.arange(6, dtype=np.float32), "optimizer/m": np.zeros((2, 3)), "n": np.int64(3)}
    facts = {"counters": {"updates": 1, "seconds": 0.5, "best": None}, "seed": 0, "metrics_bytes": 10}
    path = checkpoints.save(folder, "update-00000001", state, facts)
    manifest = {"format": checkpoints.FORMAT, "arrays": "SHA", "facts": facts}
    stated, policy_file = json.dumps(manifest).encode() + BETWEEN, exported()
    artifact = {"key": KEY, "function": "train", "inputs": [["obs", "float32", ["E", 64, 4]]], "loops": False}
    record = {"update": 0, "env_steps": 10, "episodes": 2, "return_mean": 3.0, "return_std": 1.0, "cost": 0.1}
    result = {"name": "a", "status": "solved", "environment": "A-v0", "updates": 2, "env_steps": 20}
    judged = {"mean": 1.0, "std": 0.1, "min": 0.9, "max": 1.1, "n": 5}
    lines = (OLD_SEARCH / storage.JOURNAL).read_bytes().splitlines(keepends=True)
    files = [
        b"environment: {id: CartPole-v1}\n",
        json.dumps({"folder": "/", "spec": spec_of_run()[0].plain(), "sealed": []}).encode(),
        json.dumps(result | {"threshold": 475.0, "evaluation": judged}).encode(),
        b"".join(json.dumps(record | {"update": number}).encode() + b"\n" for number in range(2)),
    ]
    return {
        "config": [*yaml, SEARCH],
        "checkpoint": [stated + path.read_bytes(), stated + members(path.read_bytes())],
        "cache": [json.dumps(artifact).encode() + b"\n" + b"StableHLO", cached.MAGIC + b"0" * 64 + b"\ncode"],
        "run": [BETWEEN.join(files)],
        "export": [policy_file, members(policy_file)],
        "journal": [b"".join(one for one in lines if len(one) < 5_000)],  # all but what says whose it is
        "search": [SEARCH + BETWEEN + b'{"folder": "/", "versions": {}}'],
    }
