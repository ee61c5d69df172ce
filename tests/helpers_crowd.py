"""Several runs that start at once on one cache folder and one runs folder, both empty: `python helpers_crowd.py NUMBER`.

Prints one JSON object. The quick form is tests/test_crowd.py, the full one benchmarks/torture/parts/crowd.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import helpers_forking as forking

HERE = Path(__file__).resolve().parent
CONFIG = """\
environment: {max_episode_steps: 125}
policy: {hidden: [2]}
schedules: {episodes_per_update: {initial: 4}}
evaluation: {episodes: 4, every_updates: 5}
budget: {updates: 10}
solved: {stop: false}
"""


def begun(folder: Path, cache: Path) -> subprocess.Popen:
    surroundings = os.environ | {"PG_THEANO_CACHE": str(cache), "PYTHONPATH": os.pathsep.join([str(HERE.parent)])}
    words = [sys.executable, "-m", "pg_theano.train", "mine.yaml", "--no-plot"]
    return forking.Popen(words, cwd=folder, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def learned(run: Path) -> tuple[Any, Any]:
    """(records, parameters) of a run, bit for bit, without what says when they were."""
    from pg_theano.runs import checkpoints

    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    state = checkpoints.newest(run / "checkpoints").state
    return (
        [{key: value for key, value in one.items() if "second" not in key} for one in records],
        {name: (str(value.dtype), value.tobytes()) for name, value in state.items()},
    )


def cached(cache: Path) -> dict[str, Any]:
    """Artifacts that are whole and those that are not, files of XLA, and temporary ones that were left."""
    from pg_theano.compiler.cached import read_manifest

    artifacts = sorted(cache.glob("artifacts/*.stablehlo"))
    return {
        "artifacts": len(artifacts),
        "damaged": [path.name for path in artifacts if read_manifest(path) is None],
        "temporary": [path.name for path in cache.rglob("*.tmp")],
        "machine_code": sum(path.is_file() for path in cache.glob("xla/*")),
    }


def figures(number: int) -> dict[str, Any]:
    """What became of `number` runs at once, beside one that was alone, and of one that came after them."""
    with tempfile.TemporaryDirectory() as folder:
        crowd, alone = Path(folder) / "crowd", Path(folder) / "alone"
        for place in (crowd, alone):
            place.mkdir()
            (place / "mine.yaml").write_text(CONFIG)
        lone = begun(alone, alone / "cache")
        lone.communicate(timeout=600)
        began = time.perf_counter()
        processes = [begun(crowd, crowd / "cache") for _ in range(number)]
        said = [process.communicate(timeout=1800) for process in processes]
        seconds = time.perf_counter() - began
        expected = learned(alone / "runs" / "mine")
        runs = sorted((crowd / "runs").iterdir())
        found = cached(crowd / "cache")
        after = begun(crowd, crowd / "cache")
        out, err = after.communicate(timeout=600)
        return {
            "number": number,
            "codes": [process.returncode for process in processes],
            "said": [err for _, err in said if err],
            "runs": [run.name for run in runs],
            "equal": sum(learned(run) == expected for run in runs),
            "seconds": seconds,
            **found,
            "after": {"code": after.returncode, "built": "building" in out, "said": err},
        }


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    print(json.dumps(figures(int(sys.argv[1]))))
