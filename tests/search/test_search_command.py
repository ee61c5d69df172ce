"""`python -m pg_theano.search` from the file to the best config, with real training."""

import json

import pytest
import yaml
from helpers_runs import command
from helpers_search import DISCOUNT, HIDDEN, RATE, REAL, written

from pg_theano.compiler import functions
from pg_theano.config import reading as configs
from pg_theano.search import compare, trials
from pg_theano.search.storage import Trial
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code


@pytest.fixture
def small(elsewhere):
    space = {RATE: {"low": 1e-3, "high": 1.0, "log": True}, HIDDEN: {"choices": [[4], [8]]}}
    return written(
        elsewhere / "s.yaml", "cho", REAL, space=space, budget={"trials": 6}, batch=6, cho={"threshold": 0.4}
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "more"),
    [
        ("evaluation", []),
        ("learning_curve", ["search.seeds_per_trial=2"]),
        ("steps_to_solve", ["budget.env_steps=300"]),
    ],
)
def test_the_best_config_reproduces_the_score_exactly(elsewhere, small, objective, more):
    """Train it as the command says, and work the score out from its result. Caught, when planted: the
    best config with the base's parameters in place of the trial's."""
    words = [f"search.objective={objective}", "solved.threshold=3", "--seed", "3", "--no-plot", "--json", *more]
    code, out, error = command("search", small, *words, cwd=elsewhere)
    assert code == 0, error
    figures = json.loads(out)  # one object, and nothing else on stdout
    assert figures["trials"] == {"complete": 6, "pruned": 0, "failed": 0, "running": 0}
    assert figures["params"].keys() == {RATE, HIDDEN}
    assert figures["best"] == "configs/best-tried.yaml"
    assert configs.from_dict(figures["config"]) == configs.read_config(elsewhere / figures["best"])

    code, out, error = command("train", figures["best"], "--json", "--no-plot", "--run-dir", "again", cwd=elsewhere)
    assert code == 0, error
    result = json.loads(out)
    if objective == "evaluation":
        assert result["evaluation"]["mean"] == figures["score"]
    elif objective == "steps_to_solve":
        assert figures["score"] == (result["env_steps"] if result["status"] == "solved" else 600)
    else:
        folders = [elsewhere / "again" / f"seed-{seed}" for seed in (3, 4)]
        config = configs.read_config(elsewhere / figures["best"])
        areas = []
        for folder in folders:
            records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            areas.append(trials.learning_curve(records, json.loads((folder / "result.json").read_text()), config))
        assert sum(areas) / 2 == figures["score"]


@pytest.mark.slow
def test_it_draws_says_where_things_are_and_goes_on(elsewhere, small):
    code, out, error = command("search", small, cwd=elsewhere)
    assert code == 0, error
    lines = out.splitlines()
    assert sum(line.startswith("trial ") for line in lines) == 6
    assert "6 of at most 6 trials (6 complete)" in out
    assert "to train it: python -m pg_theano.train configs/best-tried.yaml" in out
    assert "to go on: python -m pg_theano.search --resume runs/tried search.budget.trials=..." in out
    assert (elsewhere / "plots" / "tried.png").read_bytes()[:4] == b"\x89PNG"
    code, out, error = command(
        "search", "--resume", "runs/tried", "search.budget.trials=12", "--no-plot", cwd=elsewhere
    )
    assert code == 0, error
    assert "ended: finished" in out


@pytest.mark.slow
def test_pruned_trials_train_less_and_the_others_as_if_nothing_had_been(elsewhere):
    """A trial that passes its rungs has the score of one that was never stopped. Caught, when planted: the resumed run's
    budget left at the rung's."""
    path = written(elsewhere / "s.yaml", "random", REAL, budget={"trials": 8}, batch=8)
    scores = {}
    for pruning in ("none", "successive_halving"):
        words = [f"search.pruning={pruning}", "budget.updates=8", "--run-dir", pruning, "--no-plot", "--json"]
        code, out, error = command("search", path, *words, cwd=elsewhere)
        assert code == 0, error
        results = sorted((elsewhere / pruning / "trials").glob("*/seed-0/result.json"))
        scores[pruning] = [json.loads(one.read_text()) for one in results]
        if pruning != "none":
            assert json.loads(out)["trials"] == {"complete": 2, "pruned": 6, "failed": 0, "running": 0}
    assert sorted(one["updates"] for one in scores["successive_halving"]) == [2, 2, 2, 2, 4, 4, 8, 8]
    for whole, halved in zip(scores["none"], scores["successive_halving"], strict=True):
        if halved["updates"] == 8:
            assert halved["evaluation"] == whole["evaluation"]


@pytest.mark.slow
def test_a_trial_that_cannot_be_trained_is_recorded_and_the_search_goes_on(elsewhere):
    """A learning rate of 1e38 turns the loss into something that is not finite."""
    space = {RATE: {"choices": [0.01, 1e38]}, DISCOUNT: {"low": 0.5, "high": 1.0}}
    path = written(elsewhere / "s.yaml", "grid", REAL, space=space, budget={"trials": 6}, batch=6)
    code, out, error = command("search", path, "--json", "--no-plot", cwd=elsewhere)
    assert code == 0, error
    assert json.loads(out)["trials"] == {"complete": 3, "pruned": 0, "failed": 3, "running": 0}
    assert "not finite" in error


def test_help_shows_an_example_and_every_knob(capsys):
    from pg_theano.search.__main__ import main

    with pytest.raises(SystemExit):
        main(["-h"])
    text = capsys.readouterr().out
    assert "python -m pg_theano.search configs/search-cartpole.yaml" in text
    for knob in ("search.method", "search.cho.shrink", "search.space.KNOB.low", "algorithm.discount"):
        assert f"  {knob} = " in text


def test_errors_are_one_line_and_exit_code_two(elsewhere, capsys):
    from pg_theano.search.__main__ import main

    for words in (
        [],
        ["nothing.yaml"],
        ["--resume", "nothing"],
        ["--resume", "x", "--seed", "3"],
        ["a.yaml", "b.yaml"],
    ):
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1


# -- objectives


def config_with(**budget):
    return configs.from_dict({"budget": {"updates": None, **budget}})


def test_the_learning_curve_by_hand():
    """Returns 2, 4, none, 8 of updates that end at env steps 10, 30, 60, 100, of a budget of 200: none holds the 4, and
    the last return, or the evaluation that solved it, lasts to the end. Caught, when planted: the area to the last
    record alone; an update without an episode left out."""
    returns, steps = [2, 4, None, 8], [10, 30, 60, 100]
    records = [{"return_mean": r, "env_steps": s} for r, s in zip(returns, steps, strict=True)]
    figures = {"status": "budget", "evaluation": {"mean": 50.0}}
    config = config_with(env_steps=200)
    held = 2 * 10 + 4 * 20 + 4 * 30 + 8 * 40
    assert trials.learning_curve(records, figures, config) == pytest.approx((held + 8 * 100) / 200)
    solved = figures | {"status": "solved"}
    assert trials.learning_curve(records, solved, config) == pytest.approx((held + 50 * 100) / 200)
    by_updates = (2 + 4 + 4 + 8 + 8 * 4) / 8
    assert trials.learning_curve(records, figures, config_with(updates=8)) == pytest.approx(by_updates)
    with pytest.raises(UserError, match="no episode ended"):
        trials.learning_curve(records[2:3], figures, config)


def test_steps_to_solve():
    figures = {"status": "solved", "env_steps": 70, "threshold": 3.0, "environment": "E"}
    config = config_with(env_steps=200)
    assert trials.steps_to_solve(figures, config) == 70
    assert trials.steps_to_solve(figures | {"status": "budget"}, config) == 400
    with pytest.raises(UserError, match=r"no registered threshold; set solved.threshold"):
        trials.steps_to_solve(figures | {"threshold": None}, config)


# -- the comparison


@pytest.mark.slow
def test_a_comparison_writes_its_table(elsewhere):
    path = written(elsewhere / "s.yaml", "random", REAL, space={RATE: {"low": 0.01, "high": 1}}, budget={"trials": 3})
    code, out, error = command(
        "search", "--compare", path, "--seeds", "2", "--page", "page.md", "--json", cwd=elsewhere
    )
    assert code == 0, error
    methods = json.loads(out)
    assert list(methods) == list(compare.METHODS)
    page = (elsewhere / "page.md").read_text()
    assert all(f"| {method} | " in page for method in compare.METHODS)
    assert "--seeds 2" in page
    low, high = methods["random"]["score"]["interval"]
    assert low <= methods["random"]["score"]["mean"] <= high


def test_intervals_and_the_best_so_far():
    """The bootstrap of 40 draws from N(0, 1): half-width near 1.96/√40. Caught, when planted: the std of the values."""
    import numpy as np

    values = np.random.default_rng(2).normal(size=40)
    low, high = compare.interval(values)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 40**0.5, rel=0.1)
    scores = [None, 3.0, 1.0, None, 4.0]
    found = [Trial(i, {}, "failed" if one is None else "complete", one) for i, one in enumerate(scores)]
    assert compare.best_so_far(found, True)[1:] == [3.0, 3.0, 3.0, 4.0]
    assert compare.best_so_far(found, False)[1:] == [3.0, 1.0, 1.0, 1.0]


def test_a_best_config_says_where_it_came_from(elsewhere):
    """And has the seeds of its own trial, a repeat's. Caught, when planted: the base's seed."""
    from helpers_search import plan_of

    from pg_theano.search import study

    trial = Trial(7, {RATE: 0.1, DISCOUNT: 0.9, HIDDEN: [8]}, "complete", 1.5, {"seeds": [4, 5]})
    path = study.write_best(plan_of("random"), trial, elsewhere / "runs", 20)
    text = path.read_text()
    assert text.startswith("# Trial 7 of 20")
    assert yaml.safe_load(text)["seed"] == 4
    assert yaml.safe_load(text)["runs"] == 2


@pytest.mark.slow
def test_trials_that_share_a_graph_share_its_functions(elsewhere, monkeypatch):
    """In one process a second trial reads no artifact and compiles nothing; its figures are those of a process of its
    own. Caught, when planted: functions kept by the algorithm's name alone."""
    from pg_theano.compiler import program

    monkeypatch.setattr(program, "_kept", None)
    made = []
    real = functions.JaxFunctions.__init__
    monkeypatch.setattr(
        functions.JaxFunctions, "__init__", lambda self, *a, **k: (made.append(a[0]), real(self, *a, **k))[1]
    )

    def score(number, rate, hidden):
        task = {"number": number, "base": {"budget": {"updates": 2}, "evaluation": {"episodes": 2}}, "seeds": [0]}
        task |= {"path": str(elsewhere / str(number)), "folder": ".", "objective": "evaluation", "share": 1.0}
        result = trials.evaluate(task | {"params": {RATE: rate, HIDDEN: hidden}})
        assert "reason" not in result
        return result["score"]

    first = [score(0, 0.05, [4]), score(1, 0.5, [4]), score(2, 0.05, [5]), score(3, 0.05, [4])]
    assert len(made) == 2
    program._kept = {}
    assert [score(4, 0.5, [4]), score(5, 0.05, [5])] == first[1:3]
    assert first[3] == first[0]
