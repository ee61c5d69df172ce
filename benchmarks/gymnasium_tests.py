"""Gymnasium's own tests of environments, vectors and wrappers, with our ids in place of its own.

    python benchmarks/gymnasium_tests.py CHECKOUT        # a clone of Gymnasium, of the version that is installed
    python benchmarks/gymnasium_tests.py                 # pip's source distribution, which holds few of the tests

The tests are copied twice into a temporary folder: as they are, and with `CartPole-v1` made `pg_theano/CartPole-v1`,
and so for all five; where a test spells Gymnasium's class or entry point, it spells ours. What passes as it is must
pass with ours. Printed is a table of the tests that made or stepped one of ours, and each that fails; exit code 1 where
one does. Tests whose packages are missing (MuJoCo, Box2D, moviepy, OpenCV) fail in both copies, and say nothing. All of
them take some ten minutes a copy, one after the other: several share a folder of videos.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import gymnasium

import pg_theano.environments
from pg_theano.types import BUILT_IN_DYNAMICS

assert pg_theano.environments  # importing it registers ours
TWINS = [id for id in BUILT_IN_DYNAMICS if "/" not in id]
IDS = re.compile(rf"(?<![\w/.-])({'|'.join(TWINS)})(?![\w-])")
OURS_IDS = re.compile("pg_theano/")
SHARED = re.compile(r"tests\.(envs\.utils|vector\.testing_utils|wrappers\.utils)")  # modules that name ids for others
ROOMS = ("envs", "vector", "wrappers", "utils", "test_core.py")
SKIPPED = ("mujoco", "functional")  # tests of other tasks alone

SPELLED = {
    "isinstance(": (  # where the test has not made it of that class itself, `env_3` and so on
        r"(isinstance\((?!env_\d).*)CartPole(Vector)?Env",
        r"\1Symbolic\2Env",  # names that the tests' conftest.py, below, defines
    ),
    "entry_point=": (r"gymnasium\.envs\..*:CartPoleEnv", "pg_theano.environments.symbolic:SymbolicEnv"),
}
"""In lines of tests with this text: Gymnasium's classes, and ours in their place."""

OTHER_IDS = {
    "test_pprint_registry.py": IDS,  # of registries that it makes up
    "test_make_vec.py": re.compile("Pendulum-v1"),  # as one that has no class for several
}
"""Ids that are not ours, by file."""

OURS = """
import builtins
import functools
import pytest
import pg_theano.environments
from pg_theano.environments import symbolic

builtins.SymbolicEnv, builtins.SymbolicVectorEnv = symbolic.SymbolicEnv, symbolic.SymbolicVectorEnv
used = 0

def counted(function):
    @functools.wraps(function)
    def counting(*given, **named):
        global used
        used += 1
        return function(*given, **named)
    return counting

for one in (symbolic.SymbolicEnv, symbolic.SymbolicVectorEnv):
    for name in ("__init__", "reset", "step"):
        setattr(one, name, counted(getattr(one, name)))

@pytest.fixture(autouse=True)
def note(record_property):
    before = used
    yield
    record_property("ours", used - before)
"""


def source(named: str | None, folder: Path) -> Path:
    """The folder with Gymnasium's tests: a checkout that is named, or pip's source distribution."""
    if named:
        return Path(named) / "tests"
    version = f"gymnasium=={gymnasium.__version__}"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder),
        version,
    ]
    subprocess.run(command, check=True)
    with tarfile.open(next(folder.glob("gymnasium-*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.glob("gymnasium-*/tests"))


def with_ours(tests: Path) -> None:
    """Put our ids in place of Gymnasium's, and have every process that imports the tests register them."""
    (tests.parent / "conftest.py").write_text(OURS)
    for path in tests.rglob("*.py"):
        other = OTHER_IDS.get(path.name)
        ours_of = lambda id, other=other: id[0] if other and other.match(id[0]) else f"pg_theano/{id[0]}"  # noqa: E731
        text = IDS.sub(ours_of, path.read_text())
        for there, (theirs, ours) in SPELLED.items():
            lines = text.splitlines(keepends=True)
            text = "".join(re.sub(theirs, ours, line) if there in line else line for line in lines)
        if path == tests / "envs" / "utils.py":  # which tests no entry point of others
            text = text.replace(
                '"gymnasium.envs." in env_spec.entry_point',
                'env_spec.entry_point.startswith(("gymnasium.envs.", "pg_theano."))',
            )
        path.write_text(text)
    init = tests / "__init__.py"
    init.write_text("import pg_theano.environments\n" + (init.read_text() if init.exists() else ""))


def chosen(tests: Path) -> list[str]:
    """The files of tests that name one of the five tasks."""
    files = [path for path in sorted(tests.rglob("test_*.py")) if path.relative_to(tests).parts[0] in ROOMS]
    files = [path for path in files if not set(path.parts) & set(SKIPPED)]
    return [str(path) for path in files if any(one.search(path.read_text()) for one in (IDS, OURS_IDS, SHARED))]


def results(folder: Path) -> dict[str, tuple[str, bool]]:
    """Of each test by its name: how it ended, and whether it used one of ours. What `--keep` has kept is not run."""
    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", str(report)]
    command += chosen(folder / "tests")
    command += ["--continue-on-collection-errors", "-o", "faulthandler_timeout=60"]
    quiet = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy"}
    root = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    environment = os.environ | quiet | {"PYTHONPATH": root}
    if not report.exists():
        with (folder / "output.txt").open("w") as output:
            subprocess.run(command, cwd=folder, env=environment, stdout=output, stderr=output, check=False)
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314, pytest has just written it
        ends = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        used = any(one.get("name") == "ours" and one.get("value") != "0" for one in case.iter("property"))
        found[f"{case.get('classname')}::{case.get('name')}"] = (ends[0] if ends else "passed", used)
    return found


def compared(theirs: dict[str, tuple[str, bool]], ours: dict[str, tuple[str, bool]]) -> tuple[Counter, list[str]]:
    """(counts by room, the tests that pass with Gymnasium's own task and not with ours)."""
    counts: Counter = Counter()
    worse = []
    for name, (end, used) in ours.items():
        before = theirs.get(name.replace("pg_theano/", ""), ("missing", False))[0]
        if not used and end in ("passed", "skipped"):
            continue
        if before != "passed":
            continue
        room = name.split(".")[1].partition("::")[0]
        counts[room, "theirs"] += 1
        counts[room, "ours"] += end == "passed"
        if end != "passed":
            worse.append(f"{name} ({end})")
    run = {name.replace("pg_theano/", "") for name in ours}
    worse += [f"{name} (not run)" for name, (end, _) in theirs.items() if end == "passed" and name not in run]
    return counts, worse


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", nargs="?", help="a clone of Gymnasium; default: pip's source distribution")
    parser.add_argument("--keep", help="a folder for the two copies and what pytest printed")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        tests = source(options.checkout, folder)
        for copy in ("theirs", "ours"):
            shutil.copytree(tests, folder / copy / "tests", dirs_exist_ok=True)
        with_ours(folder / "ours" / "tests")
        for id in TWINS:  # compiled before: three tests stop the clock, which JAX reads when it compiles
            env = gymnasium.make(f"pg_theano/{id}")
            env.reset()
            env.step(env.action_space.sample())
        counts, worse = compared(*(results(folder / copy) for copy in ("theirs", "ours")))
    print("| tests of | pass with Gymnasium's task | and with ours |\n|---|---:|---:|")
    for room in sorted({room for room, _ in counts}):
        print(f"| {room} | {counts[room, 'theirs']} | {counts[room, 'ours']} |")
    for name in worse:
        print(f"WORSE: {name}")
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
