"""Artifacts of the graphs that are shipped: built before a wheel is, so that a first run needs no PyTensor.

    python benchmarks/shipped.py                    # fills pg_theano/shipped; `make dist` does, and clears it again

Each algorithm with its defaults, and each config of a task that needs no extra, is trained for a few updates with a
cache of its own; the artifacts that it leaves are sealed again under what they mean (`cached.meaning_of`), whatever the
versions. Built with the oldest JAX that we support: newer ones read what older ones wrote.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pg_theano.compiler import cached  # noqa: E402
from pg_theano.config.algorithms import ALGORITHMS  # noqa: E402

FOLDER = ROOT / "pg_theano" / cached.SHIPPED
PLAIN = ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1", "Taxi-v4")
FEW = ["budget.updates=3", "evaluation.episodes=2", "evaluation.every_updates=3"]


def runs() -> list[list[str]]:
    """The words of `pg_theano.train`: all of the default run, whose episodes grow; few updates of others."""
    found = [[]]
    found += [[f"algorithm.name={name}", *FEW] for name in ALGORITHMS]
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        if said.get("environment", {}).get("id") in PLAIN and not path.name.startswith("search"):
            found.append([str(path), *FEW, "runs=1", "agents_per_process=1"])
    return found


def fill(folder: Path = FOLDER, wanted: list[list[str]] | None = None) -> list[Path]:
    """Build what the runs need, into an empty folder. Errors: `SystemExit` with the words of a run that fails."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, words in enumerate(runs() if wanted is None else wanted):
        with tempfile.TemporaryDirectory(prefix="pg-theano-shipped-") as there:
            env = os.environ | {"PG_THEANO_CACHE": f"{there}/cache", "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "pg_theano.train", *words, "--no-plot", "--run-dir", f"run-{number}"]
            done = subprocess.run(command, cwd=there, env=env, capture_output=True, text=True)
            if done.returncode not in (0, 1):
                sys.exit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
            for path in sorted(Path(there, "cache/artifacts").glob("*.stablehlo")):
                manifest = cached.read_manifest(path)
                assert manifest is not None
                found = cached.read(path, manifest["key"])
                assert found is not None
                meaning, name = manifest["meaning"], manifest["function"]
                cached.write(folder / f"{meaning[:32]}-{name}.stablehlo", manifest | {"key": meaning}, found[1])
    return sorted(folder.iterdir())


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    made = fill()
    print(f"{len(made)} artifacts, {sum(path.stat().st_size for path in made) / 1e6:.2f} MB, in {FOLDER}")


if __name__ == "__main__":
    main()
