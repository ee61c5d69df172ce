"""Files as a failing disk leaves them, and what the programs that read them make of it."""

from helpers_runs import ran

from pg_theano.compiler import cached
from pg_theano.runs import checkpoints
from pg_theano.system import seals
from pg_theano.types import UserError


def damages(whole, rng, *, cuts, flips):
    """Contents that differ from a whole file: cut at random lengths (0 and all but a byte among them), then with one
    bit flipped each."""
    lengths = [0, len(whole) - 1, *rng.integers(0, len(whole), size=cuts - 2)]
    yield from (whole[:length] for length in lengths)
    for place, bit in zip(rng.integers(0, len(whole), size=flips), rng.integers(0, 8, size=flips), strict=True):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        yield bytes(damaged)


def unseen(path, read, rng, *, cuts, flips):
    """How many damages are read as something else than the file says. `read` (path) -> what it says, None if damaged.

    The file is whole again afterwards.
    """
    whole, expected, silent = path.read_bytes(), read(path), 0
    assert expected is not None, path
    try:
        for content in damages(whole, rng, cuts=cuts, flips=flips):
            path.write_bytes(content)  # a reader may take a damaged one away
            found = read(path)
            silent += found is not None and found != expected
    finally:
        path.write_bytes(whole)
    return silent


# -- who reads what; None where it is refused


def checkpoint(path):
    try:
        found = checkpoints.load(path.with_suffix(".npz"))
    except UserError:
        return None
    return {k: (v.dtype.str, v.shape, v.tobytes()) for k, v in found.state.items()}, found.facts


def artifact_of(key):
    return lambda path: cached.read(path, key)


def machine_code_in(folder):
    cache = cached.MachineCode(lambda: folder, lambda said: None)
    return lambda path: cache.get(path.name)


def json_file(path):
    try:
        return seals.read_json(path)
    except UserError:
        return None


def yaml_file(path):
    return path.read_bytes() if seals.yaml_is_whole(path) else None


def files_of_a_run(folder, cache):
    """(name, path, reader) of every file that a run, a set of agents and the compile cache leave.

    `folder` is made and filled by runs here; `cache` is the folder that this process compiles into.
    """
    ran({"budget": {"updates": 2}, "evaluation": {"episodes": 4, "every_updates": 1}}, folder / "one")
    ran(
        {
            "budget": {"updates": 2},
            "evaluation": {"episodes": 4, "every_updates": 1},
            "runs": 2,
            "agents_per_process": 2,
        },
        folder / "set",
    )
    runs = {"run": folder / "one", "agent": folder / "set" / "seed-1"}
    for kind, run in runs.items():
        for which in ("update", "best"):
            path = checkpoints.newest(run / "checkpoints", which).path
            yield f"{kind}: {which} checkpoint, arrays", path, checkpoint
            yield f"{kind}: {which} checkpoint, manifest", path.with_suffix(".json"), checkpoint
        for name in ("run.json", "result.json"):
            yield f"{kind}: {name}", run / name, json_file
        yield f"{kind}: config.yaml", run / "config.yaml", yaml_file
    yield "set: seeds.yaml", folder / "set" / "seeds.yaml", yaml_file
    newest = {}  # of each function, and of what JAX calls it: a cache that is shared holds thousands
    sealed_code = [path for path in cache.glob("xla/*") if path.read_bytes().startswith(cached.MAGIC)]
    for path in sorted([*cache.glob("artifacts/*"), *sealed_code], key=lambda path: path.stat().st_mtime):
        newest[path.name.rpartition("-")[0] if path.parent.name == "xla" else path.name.partition("-")[2]] = path
    for path in newest.values():
        copy = folder / path.parent.name / path.name  # others use the cache
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
        if copy.parent.name == "xla":
            yield f"machine code: {path.name.rpartition('-')[0]}", copy, machine_code_in(copy.parent)
        else:
            manifest = cached.read_manifest(copy)
            yield f"compile cache: {manifest.get('function', 'remembered')}", copy, artifact_of(manifest["key"])
