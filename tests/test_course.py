"""The course's exercises: what is right passes however it is written, and what is wrong is named."""

import ast
import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import helpers_course as course
import numpy as np
import pytest

from pg_theano.course import child, exercise, judging, listed, submitting
from pg_theano.course.__main__ import main
from pg_theano.course.listed import EXERCISES, KNOWN
from pg_theano.types import UserError

ROOT = Path(__file__).parents[1]
FUNCTIONS = [number for number, one in enumerate(EXERCISES, 1) if not one.learns]


def test_there_are_twenty_and_each_has_a_solution_and_a_place_in_the_list():
    assert len(EXERCISES) >= 20 and len(KNOWN) == 14
    assert list(course.SOLUTIONS) == list(range(1, len(EXERCISES) + 1))
    assert sorted(name for _, names in KNOWN for name in names) == sorted(one.name for one in EXERCISES)


@pytest.mark.parametrize("number", FUNCTIONS)
def test_no_two_misconceptions_give_the_same_answers_and_none_is_right(number):
    """Else one of them could never be named. Caught, when planted: λ missing twice; a misconception that is right."""
    one = EXERCISES[number - 1]
    cases = exercise.cases_of(one)
    answers = {"": [judging.flat(one.definition(**case)) for case in cases]}
    answers |= {
        wrong.name: [judging.flat(wrong.answer(*case.values())) for case in cases] for wrong in one.misconceptions
    }
    assert len(answers) == 1 + len(one.misconceptions)
    names = list(answers)
    for k, name in enumerate(names):
        for other in names[k + 1 :]:
            same = [judging.near(a, b, 1e-4) for a, b in zip(answers[name], answers[other], strict=True)]
            assert not all(same), (name, other)


def test_every_planted_mistake_is_named(tmp_path):
    """Written into the text of a solution, as a reader would: at least 95 % of at least 60 are named; all are wrong."""
    found = []
    for number, old, new, name in course.PLANTED:
        assert course.SOLUTIONS[number].count(old) >= 1, (number, old)
        said = course.judged(number, course.SOLUTIONS[number].replace(old, new), tmp_path)
        assert not said.right and said.said, (number, old, new)
        found.append((number, name, said.misconception))
    missed = [one for one in found if one[1] != one[2]]
    assert len(found) >= 130
    assert len(missed) <= 0.05 * len(found), missed
    assert {number for number, *_ in found} == set(FUNCTIONS)


def variants():
    for number in FUNCTIONS:
        function = EXERCISES[number - 1].function
        other = "import numpy as np\n\n\n" + textwrap.dedent(course.OTHERS[number])
        for kind, written in (("solution", course.SOLUTIONS[number]), ("other", other)):
            for name, around in course.AROUND.items():
                last = f"\n\n{course.HELPERS}\n\nwritten = {function}\n{function} = {around.format(f='written')}\n"
                yield number, f"{kind}, {name}", written + last


def test_right_answers_pass_however_they_are_written(tmp_path):
    """Loops, einsum, another formula; float32 in and out, lists, a column: 220 of 220.

    Caught, when planted: a tolerance of 1e-10 for float32.
    """
    found = [(number, what, course.judged(number, code, tmp_path)) for number, what, code in variants()]
    assert len(found) >= 200
    assert not [one for one in found if not one[2].right]


def test_every_wrong_answer_has_the_smallest_case_that_shows_it(tmp_path):
    """The issue's own example. Caught, when planted: the first case that differs, not the smallest."""
    said = course.judged(4, course.SOLUTIONS[4].replace("[action] - p", "[action]"), tmp_path)
    assert said.said == "your score does not sum to zero under π: −π(j) is missing"
    assert "1[j = a] − π(j)" in said.advice
    assert said.shown_by.startswith("logits=[[") and "expected [" in said.shown_by and ", got [" in said.shown_by
    sizes = [sum(np.size(one) for one in case.values()) for case in exercise.cases_of(EXERCISES[3])]
    assert said.shown_by.count(".") < 20 and min(sizes) <= 3


SUBMITTED = {
    "loop": ("def score(z, action):\n    while True:\n        pass\n", "took longer than 2 s"),
    "raises": ("def score(z, action):\n    return z[7]\n", "line 2: IndexError"),
    "syntax": ("def score(z, action)\n    return z\n", "line 1: SyntaxError: expected ':'"),
    "nothing": ("x = 3\n", "has no function score; expected score(z, action)"),
    "none": ("def score(z, action):\n    z - 1\n", "returns None"),
    "words": ("def score(z, action):\n    return 'a'\n", "returns str; expected numbers"),
    "shape": ("import numpy as np\ndef score(z, action):\n    return np.zeros((9, 2))\n", "an array of shape [9, 2]"),
    "nan": ("def score(z, action):\n    return z * float('nan')\n", "not finite"),
    "exits": ("import os\nos._exit(3)\n", "ended the process, exit code 3"),
    "leaves": ("raise SystemExit('bye')\n", "SystemExit"),
    "asks": ("def score(z, action):\n    return float(input())\n", "EOFError"),
    "twin": ("from pg_theano.by_hand import policies\n", "imports pg_theano.by_hand; expected NumPy"),
    "unwritten": ("def score(z, action):\n    raise NotImplementedError\n", "line 2: not written yet"),
    "random": ("import numpy as np\ndef score(z, action):\n    return z * np.pi + 1\n", "no misconception fits"),
}


def test_what_a_submission_does_wrong_is_one_line(tmp_path):
    """Each in a process of its own, in a folder at once. Caught, when planted: no limit of time; an exception of the
    child's that is a traceback of the parent's."""
    for name, (code, _) in SUBMITTED.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "exercise_3.py").write_text(code)
    found = {one.path.parent.name: one for one in submitting.judged_all(submitting.submissions(tmp_path))}
    assert set(found) == set(SUBMITTED)
    for name, (_, said) in SUBMITTED.items():
        assert said in found[name].verdict.said and "\n" not in found[name].verdict.said, found[name]
        assert not found[name].verdict.right


def test_the_command_from_start_to_a_checked_exercise(tmp_path, monkeypatch, capsys):
    """Two commands; what is there is not overwritten; an answer within two seconds of computing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAKELEVEL", "1")
    assert main(["start", "4"]) == 0
    assert 'fill in score, then make course ARGS="check 4"' in capsys.readouterr().out
    monkeypatch.delenv("MAKELEVEL")
    assert main(["start", "3"]) == 0
    assert "then python -m pg_theano.course check 3" in capsys.readouterr().out
    assert "pg_theano.course check 3" in (tmp_path / "exercise_3.py").read_text()
    assert main(["start", "3"]) == 2
    assert "exercise_3.py: is there already; expected a new name" in capsys.readouterr().err
    assert main(["check", "3"]) == 1
    assert "wrong: line " in capsys.readouterr().out
    (tmp_path / "exercise_3.py").write_text(course.SOLUTIONS[3].replace("action - 1", "1 - 1"))
    assert main(["check", "bernoulli-score"]) == 1
    said = capsys.readouterr().out
    assert "you take log π(1) for every row" in said and "try: " in said and "seen with z=" in said
    (tmp_path / "exercise_3.py").write_text(course.SOLUTIONS[3])
    began = time.process_time()
    assert main(["check", "3", "--json"]) == 0
    assert time.process_time() - began < 2
    assert json.loads(capsys.readouterr().out)["right"] is True
    assert main(["check", "all", "--json"]) == 1
    known = json.loads(capsys.readouterr().out)["known"]
    assert len(known) == 14 and not any(one["known"] for one in known)
    assert main([]) == 0
    assert capsys.readouterr().out.count("\n") == len(EXERCISES) + 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["check"], "got no exercise"),
        (["check", "99"], "got 99; expected a number from 1 to 24"),
        (["check", "softmax-scor"], "try softmax-score"),
        (["check", "5"], "exercise_5.py: no such file; try python -m pg_theano.course start 5"),
        (["check", "all", "nowhere"], "nowhere"),
        (["check", "3", "--no-user-code"], "--no-user-code"),
    ],
)
def test_bad_words_are_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_teacher_checks_a_folder_at_once(tmp_path, capsys):
    for name, code in (("ada", course.SOLUTIONS[4]), ("bob", course.SOLUTIONS[4].replace(" - p", ""))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "exercise_4.py").write_text(code)
    assert main(["check", "all", str(tmp_path), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)["submissions"]
    assert [(Path(row["file"]).parent.name, row["right"], row["misconception"]) for row in rows] == [
        ("ada", True, ""),
        ("bob", False, "−π missing"),
    ]
    assert main(["check", "4", str(tmp_path)]) == 1
    assert "bob/exercise_4.py  exercise 4: wrong: your score" in capsys.readouterr().out


def test_nothing_of_an_answer_comes_from_the_twin_or_from_the_graphs():
    """The definitions are the course's own. Caught, when planted: `from pg_theano.by_hand import advantages` in critics.py."""
    for path in sorted((ROOT / "pg_theano" / "course").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                own = name.startswith(("pg_theano.course", "pg_theano.types", "pg_theano.system"))
                lazy = name == "gymnasium" and path.name == "child.py"  # in which two exercises are played
                assert own or lazy or not name.startswith(("pg_theano", "gymnasium", "jax", "pytensor", "scipy")), (
                    path,
                    name,
                )


def test_checking_needs_neither_pytest_nor_jax_nor_pytensor(tmp_path):
    """Nor pydantic, nor Gymnasium. Caught, when planted: `from pg_theano.config import tables` in the command."""
    (tmp_path / "exercise_3.py").write_text(course.SOLUTIONS[3])
    code = (
        "import sys; from pg_theano.course.__main__ import main; main(['check', '3', sys.argv[1]]); "
        "print(sorted({'pytest', 'jax', 'pytensor', 'pydantic', 'gymnasium', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "exercise_3.py")]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines() == ["exercise 3: right", "[]"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [number for number, one in enumerate(EXERCISES, 1) if one.learns])
def test_the_two_that_learn_solve_cartpole_on_five_seeds(number, tmp_path):
    """And with the ends merged the second still learns, but its `gae` is named: a curve proves nothing."""
    path = tmp_path / f"exercise_{number}.py"
    path.write_text(course.SOLUTIONS[number])
    assert submitting.judged(path, number).verdict.right


def test_what_is_written_and_not_learned_is_said(tmp_path):
    """Caught, when planted: a policy of the author's own."""
    learned = {"untrained": 500.0, "trained": [500.0] * 5}
    own = EXERCISES[22]
    answers = [child.packed(own.definition(**case)) for case in exercise.cases_of(own)]
    said = judging.verdict(own, {"answers": answers, "learned": learned})
    assert said.misconception == "not learned"
    some = judging.verdict(
        own, {"answers": answers, "learned": {"untrained": 9.0, "trained": [500, 500, 80, 500, 500]}}
    )
    assert some.said.startswith("solves 4 of 5 seeds")


def test_numbers_and_names_are_the_same_exercise():
    assert listed.numbered("17") == listed.numbered("gae")
    with pytest.raises(UserError, match="expected a number from 1 to 24"):
        listed.numbered("0")
