"""The wheel and the sdist, built and looked into, and the wheel tried where nothing else is installed.

    make dist                                       # with every Python from 3.11 that is found here
    make dist ARGS="--python /opt/python3.14/bin/python3"

What is shipped compiled (`shipped.py`) is built first. For each Python a fresh environment: `pip install` of the wheel;
in an empty folder the default command, which must not build a graph, and its report;
from another one `pg_theano.load`; and in a folder that cannot be written, one line and exit code 2.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

import shipped

ROOT = Path(__file__).resolve().parents[1]
KNOWN = ("3.11", "3.12", "3.13", "3.14")
LOADED = "import sys, pg_theano; print(pg_theano.load(sys.argv[1])([0.0, 0.0, 0.0, 0.0]))"


def done(*words, code=0, **options):
    """What a command writes. Errors: `SystemExit` with its words, where it ends otherwise than expected."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    options |= {"env": clean | options.get("env", {}), "encoding": "utf-8", "errors": "replace"}
    found = subprocess.run(list(map(str, words)), capture_output=True, **options)
    if found.returncode != code:
        sys.exit(f"{' '.join(map(str, words))}: exit code {found.returncode}\n{found.stdout}{found.stderr}")
    return found.stdout if code == 0 else found.stderr


def built(folder):
    """The wheel. Errors: `SystemExit` where twine complains, or the wheel holds anything but the package."""
    made = shipped.fill()
    try:
        done(sys.executable, "-m", "build", "--outdir", folder, ROOT)
        return looked_into(folder, {path.relative_to(ROOT).as_posix() for path in made})
    finally:  # a checkout builds its own, of the sources that it has
        shutil.rmtree(shipped.FOLDER)


def looked_into(folder, made):
    done(sys.executable, "-m", "twine", "check", "--strict", *folder.iterdir())
    (wheel,) = folder.glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    globs = ["**/*.py", *tool["setuptools"]["package-data"]["pg_theano"]]
    wanted = {path.relative_to(ROOT).as_posix() for one in globs for path in (ROOT / "pg_theano").glob(one)} | made
    if held != wanted:
        sys.exit(f"{wheel.name}: {sorted(held - wanted)} too many, {sorted(wanted - held)} missing")
    return wheel


def pythons():
    """Every known Python that is found, by its version: on the path, or pyenv's."""
    for version in KNOWN:
        pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/python"))
        for python in filter(None, (*pyenv, shutil.which(f"python{version}"))):
            asked = [python, "-c", "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"]
            if subprocess.run(asked, capture_output=True, text=True).stdout.strip() == version:
                yield str(python)
                break


def read_only(folder):
    """A folder in which nobody can make one, root neither; None on Windows, where folders are not marked so."""
    if os.name == "nt":
        return None
    if hasattr(os, "getuid") and os.getuid() == 0 and Path("/proc/self").exists():
        return Path("/proc")
    folder.mkdir()
    folder.chmod(0o555)
    return folder


def tried(python, wheel, folder):
    """A row of what was seen."""
    began = time.monotonic()
    done(python, "-m", "venv", folder / "venv")
    (here,) = [path for path in (folder / "venv/bin/python", folder / "venv/Scripts/python.exe") if path.exists()]
    done(here, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    done(here, "-m", "pip", "check")
    installed, empty, other = time.monotonic() - began, folder / "empty", folder / "other"
    empty.mkdir()
    other.mkdir()
    cache = {"PG_THEANO_CACHE": str(folder / "cache")}
    seconds = []
    for words in ([here, "-m", "pg_theano.train"], [here.parent / "pg-theano", "train"]):  # with no cache, and with one
        began = time.monotonic()
        done(*words, cwd=empty, env=cache)
        seconds.append(time.monotonic() - began)
    if anew := [path.name for path in (folder / "cache/artifacts").glob("*.stablehlo")]:
        sys.exit(f"{python}: the default run built {anew}, which should have come with the wheel")
    result = json.loads((empty / "runs/cartpole-2/result.json").read_text(encoding="utf-8"))
    done(here, "-m", "pg_theano.report", cwd=empty, env=cache)
    acted = done(here, "-c", LOADED, empty / "runs/cartpole", cwd=other, env=cache).strip()
    fixed = read_only(folder / "fixed")
    line = done(here, "-m", "pg_theano.train", code=2, cwd=fixed, env=cache) if fixed else "none"
    ok = (empty / "report.html").stat().st_size > 100_000 and (empty / "plots/cartpole.png").exists()
    if not ok or result["status"] != "solved" or acted not in "01" or len(line.splitlines()) != 1:
        sys.exit(f"{python}: {result['status']}, acted {acted!r}, in a read-only folder: {line!r}, report {ok}")
    versions = result["fingerprint"]["versions"]
    words = [f"{versions[name]:<9}" for name in ("python", "pytensor", "jax", "numpy")]
    size = sum(path.stat().st_size for path in (folder / "venv").rglob("*") if path.is_file()) / 1e6
    return "  ".join([*words, f"{installed:6.0f} s {size:6.0f} MB", *(f"{one:8.1f} s" for one in seconds)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", action="append", help="an interpreter; may be given again")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the two files go")
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    wheel = built(arguments.out)
    print(f"{wheel}: {wheel.stat().st_size / 1e6:.2f} MB, and its sdist; twine: passed")
    print("python     pytensor   jax        numpy        installed      first run   second run")
    for python in arguments.python or pythons():
        with tempfile.TemporaryDirectory(prefix="pg-theano-dist-") as folder:
            print(tried(python, wheel, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
