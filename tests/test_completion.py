"""Completion, in real shells: what TAB gives is what parsers and knobs have, and starts no Python."""

import os
import re
import select
import shutil
import subprocess
import time

import pytest

from pg_theano import completion
from pg_theano.config import tables
from pg_theano.config.completing import knobs
from pg_theano.config.reading import resolved
from pg_theano.system import commands
from pg_theano.types import UserError

pty, resource = pytest.importorskip("pty"), pytest.importorskip("resource")
needs = {
    shell: pytest.mark.skipif(not shutil.which(shell), reason=f"no {shell} here") for shell in ("bash", "zsh", "fish")
}


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with runs, configs and each shell's script."""
    folder = tmp_path_factory.mktemp("completion")
    for name in (
        "runs/cartpole/config.yaml",
        "runs/my run/seeds.yaml",
        "runs/searched/search.yaml",
        "runs/deeper/x.txt",
    ):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    for name in ("configs/a.yaml", "configs/b.yml", "configs/c.txt", ".hidden.yaml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    with pytest.MonkeyPatch.context() as patch:
        for shell in ("bash", "zsh", "fish"):
            patch.setattr("sys.stdout", open(folder / shell, "w"))
            assert completion.main([shell]) == 0
    return folder


BASH = r"""
source ./bash
while IFS= read -r line; do
    COMP_LINE=$line COMP_POINT=${#line} COMP_WORDS=(pg-theano) COMPREPLY=()
    _pg_theano
    printf '%s\n' "${COMPREPLY[@]}"
    echo END
done
"""
FISH = "source ./fish; while read -l line; complete -C $line; echo END; end"


def completed(shell, lines, here):
    """What the last word of each line may become, without the space behind it, or a description."""
    words = ["bash", "--norc", "-c", BASH] if shell == "bash" else ["fish", "--no-config", "-c", FISH]
    done = subprocess.run(words, cwd=here, input="".join(f"{line}\n" for line in lines), capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    answers = [one.splitlines() for one in done.stdout.split("END\n")[:-1]]
    stems = [re.search(r"(?:\S*[=:])?", line.rpartition(" ")[2])[0] if shell == "bash" else "" for line in lines]
    return [
        {stem + one.partition("\t")[0].rstrip(" ").replace("\\", "") for one in found if one}
        for stem, found in zip(stems, answers, strict=True)
    ]


CASES = {
    "ev": {"evaluate"},
    "plot runs/c": {"runs/cartpole"},
    "evaluate ": {"runs/cartpole", "runs/my run", "runs/searched", "runs/deeper/"},
    "--debug train --resume runs/my": {"runs/my run"},
    "train conf": {"configs/"},
    "train configs/": {"configs/a.yaml", "configs/b.yml"},
    "train policy.hid": {"policy.hidden="},
    "train pol": {"policy."},
    "train policy.activation=": {f"policy.activation={word}" for word in ("sigmoid", "tanh", "relu")},
    "train --seed 3 policy.activation=t": {"policy.activation=tanh"},
    "train schedules.learning_rate": {"schedules.learning_rate."},
    "train schedules.learning_rate.kind=l": {"schedules.learning_rate.kind=linear"},
    "train normalize.observations=": {"normalize.observations=true", "normalize.observations=false"},
    "check-env environment.api=gymn": {"environment.api=gymnasium"},
    "train search.m": set(),
    "search search.bat": {"search.batch="},
    "train --live ": {"configs/", "runs/", "bash", "fish", "zsh"},
    "search search.method=c": {"search.method=cho"},
    "compare --by algorithm.na": {"algorithm.name"},
    "export runs/cartpole --to ": {"npz", "onnx", "stablehlo", "csv"},
    "export --to=o": {"--to=onnx"},
    "train --log t": {"tensorboard", "trackio"},
    "evaluate --ep": {"--episodes"},
    "train --seed ": set(),
    "train --run-dir ru": {"runs/"},
    "completion z": {"zsh"},
    "nosuch ": set(),
}


@pytest.mark.parametrize("shell", [pytest.param(one, marks=needs[one]) for one in ("bash", "fish")])
def test_a_word_is_completed(shell, here):
    """Caught, when planted: `=` taken for a part of bash's word; the knobs of a search left out; hidden files offered."""
    assert dict(zip(CASES, completed(shell, [f"pg-theano {line}" for line in CASES], here), strict=True)) == CASES


@needs["bash"]
def test_every_option_and_every_knob_is_completed(here):
    """Caught, when planted: `append` options left out, a schedule without its parts."""
    names = list(commands.sources())
    for name, found in zip(names, completed("bash", [f"pg-theano {name} -" for name in names], here), strict=True):
        said = commands.parser_of(name).format_usage() + " --help"
        assert found == {"-h", *re.findall(r"--[\w-]+", said)}, name
    keys = set(tables.known_keys())
    keys -= {key for key in keys if f"{key}.kind" in keys}
    for key, found in zip(keys, completed("bash", [f"pg-theano train {key}" for key in keys], here), strict=True):
        assert f"{key}=" in found, (key, found)


def test_every_word_of_a_knob_is_one():
    """Caught, when planted: a type that is no choice among words taken apart at its `|`."""
    for key, (_, words) in knobs("train").items():
        for word in words:
            try:
                resolved(None, [f"{key}={word}"])
                said = ""
            except UserError as error:  # of what other knobs are
                said = str(error)
            assert "expected one of" not in said and "expected true" not in said, (key, word, said)


@needs["bash"]
def test_to_press_tab_takes_no_time(here):
    """Must: 0.2 s. Caught, when planted: a script that asks Python."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    completed("bash", ["pg-theano train policy.hid"] * 20, here)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20 * 0.03


@needs["zsh"]
def test_in_zsh(here, tmp_path):
    """By a terminal, as zsh completes nowhere else; the script lies in its fpath. Caught, when planted: the status of the
    last kind alone returned, so that it rang the bell."""
    shutil.copy(here / "zsh", tmp_path / "_pg-theano")
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(here)
        os.execvpe(  # noqa: S606
            "zsh",
            ["zsh", "-f", "-i"],
            {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", "PS1": "READY"},
        )

    def said(text, until):
        os.write(terminal, text.encode())
        out, end = "", time.monotonic() + 30
        while until not in out and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                out += os.read(terminal, 65536).decode(errors="replace")
        return out

    said("fpath+=~; autoload -Uz compinit; compinit -u -D; print DO'NE'\n", "DONE")
    for line, whole in {
        "ev": "evaluate ",
        "train policy.hid": "policy.hidden=",
        "train policy.activation=t": "policy.activation=tanh ",
        "train configs/a": "configs/a.yaml ",
        "search search.method=c": "search.method=cho ",
        "export --to=o": "--to=onnx ",
        "evaluate runs/c": "runs/cartpole/",
        "evaluate --ep": "--episodes ",
    }.items():
        out = said(f"\x15pg-theano {line}\t", whole)
        assert whole in out and "\a" not in out, out
    os.write(terminal, b"\x15exit\n")
    os.close(terminal)
    os.waitpid(process, 0)


@pytest.mark.parametrize("shell", [pytest.param(one, marks=needs[one]) for one in ("bash", "zsh", "fish")])
def test_it_is_the_shells_syntax(shell, here):
    assert subprocess.run([shell, "-n", here / shell], capture_output=True, text=True).stderr == ""


def test_another_shell_is_one_line(capsys):
    assert completion.main(["tcsh"]) == 2
    assert "argument shell: invalid choice: 'tcsh'" in capsys.readouterr().err
