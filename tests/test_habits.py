"""What surrounds the code: the Makefile on other systems, hooks, continuous integration, what is asked of a report."""

import importlib.util
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


def read(name):
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def targets():
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))


@pytest.mark.skipif(not shutil.which("make"), reason="no make here")
@pytest.mark.parametrize(("system", "python"), [("", "bin/python"), ("Windows_NT", "Scripts/python.exe")])
def test_make_finds_the_environments_programs(system, python, tmp_path):
    """Under Windows they stand in another folder. Caught, when planted: `bin/ruff` called by its name."""
    words = ["make", "-n", "lint", "fast", "train", f"OS={system}", f"VENV={tmp_path}/v"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
    called = re.findall(rf"{tmp_path}/v/(\S+) -m (\w+)", done.stdout)
    assert {path for path, _ in called} == {python}
    assert {"ruff", "mypy", "pytest", "pg_theano"} <= {module for _, module in called}
    assert not re.findall(rf"{tmp_path}/v/(?!{re.escape(python)})\w+/\S+", done.stdout)


def test_hooks_are_the_linters_of_the_gate():
    """ruff and mypy, by make, so that they are those of the environment. Caught, when planted: a target renamed."""
    (repository,) = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = {hook["id"]: hook["entry"].split() for hook in repository["hooks"]}
    assert set(entries) == {"ruff", "mypy"}
    assert all(words[0] == "make" and words[1] in targets() for words in entries.values())
    gate = re.search(r"^lint: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split()
    assert {words[1] for words in entries.values()} == set(gate)


def test_every_system_and_python_is_tried():
    """And those that must pass are those that the package says it is for. Caught, when planted: a Python without its
    quotes (3.1 for 3.10); a classifier for one that may fail."""
    jobs = read(".github/workflows/ci.yml")["jobs"]
    job, matrix = jobs["fast"], jobs["fast"]["strategy"]["matrix"]
    assert jobs["installed"]["strategy"]["matrix"] == matrix
    assert "continue-on-error" not in jobs["installed"]
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    may_fail = set(re.findall(r"matrix\.python == '([\d.]+)'", job["continue-on-error"]))
    said = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    assert set(said) == set(matrix["python"]) - may_fail
    said = [step.get("run", "") for one in jobs.values() for step in one["steps"]]
    made = [word for line in said if line.startswith("make ") for word in line.split()[1:] if word.isalpha()]
    assert {"fast", "lint", "systems", "dist"} == set(made) <= targets()


def test_a_report_of_a_bug_has_its_run():
    """Caught, when planted: run.json that may be left out."""
    form = read(".github/ISSUE_TEMPLATE/bug.yml")
    assert {"name", "description", "body"} <= set(form)
    asked = {part["id"]: part for part in form["body"] if "id" in part}
    assert asked["run"]["attributes"]["label"] == "run.json" and asked["run"]["validations"]["required"] is True
    for name in re.findall(r"\b(?:docs/)?[\w-]+\.md\b", (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text()):
        assert (ROOT / name).exists(), name


def test_it_can_be_cited():
    found = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= set(found)
    licence = re.search(r'^license = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert found["license"] == licence


def test_the_example_of_a_commit_is_one():
    """Caught, when planted: a subject of 80 characters; no empty line."""
    (example,) = re.findall(r"^```text\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.S | re.M)
    subject, empty, *why = example.splitlines()
    assert 0 < len(subject) <= 72 and empty == "" and why


def test_the_wheel_has_every_file_that_is_no_python():
    """Caught, when planted: a second style sheet that pyproject.toml does not name."""
    package = ROOT / "pg_theano"
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["pg_theano"]
    there = {path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path for path in there if path.suffix != ".py"} <= {path for one in globs for path in package.glob(one)}


def test_a_container_has_what_the_package_is_built_from():
    """Caught, when planted: setup.py or the licence not copied; the package in .dockerignore; root as the user; a Python
    that the package does not name; a module that is none."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) == 10
    said = {}
    for name, rest in (line.split(" ", 1) for line in lines):
        said.setdefault(name, []).append(rest)
    copied = {source for rest in said["COPY"] for source in rest.split()[:-1]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"pyproject.toml", "setup.py", "pg_theano", project["readme"], *project["license-files"]} == copied
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*" and {f"!{one}" for one in copied} == {one for one in ignored if one.startswith("!")}
    (version,) = re.findall(r"^python:(3\.\d+)-slim$", said["FROM"][0])
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    assert said["USER"] not in (["root"], ["0"])
    assert importlib.util.find_spec(json.loads(said["CMD"][0])[0])
    if shutil.which("hadolint"):
        subprocess.run(["hadolint", "Dockerfile"], cwd=ROOT, check=True)
