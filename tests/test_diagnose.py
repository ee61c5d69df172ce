"""Why a run did not learn: runs that were broken on purpose are told their fault first, good ones are told of none."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers_runs import command, merged, ran

from pg_theano.config import reading
from pg_theano.reports.diagnosing import diagnose, standing, tried
from pg_theano.reports.pages import whole
from pg_theano.reports.reasons import Evidence
from pg_theano.spec.reading import spec_of
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

REWARD, CUT, SIZES = "no reward ever seen", "episodes cut by the time limit", "observations of very different sizes"
ENTROPY, STEPS, VALUES = "entropy gone early", "KL or clip fraction too large", "a value network that explains nothing"
AHEAD = "a discount that looks ahead too little"


GOOD = json.loads((Path(__file__).parent / "tables" / "good_runs.json").read_text())


def of(*parts):
    made = {"evaluation": {"episodes": 5, "every_updates": 4}}
    for part in parts:
        made = merged(made, part)
    return made


def task(id, steps, **more):
    return {"environment": {"id": id, "engine": "gymnasium"} | more, "budget": {"env_steps": steps}}


def rate(value):
    return {"schedules": {"learning_rate": {"initial": value}}}


def wrapped(name):
    return {"environment": {"wrappers": [f"probe_environments:{name}"]}}


def algorithm(name, **more):
    return {"algorithm": {"name": name} | more}


CARTPOLE = of(task("CartPole-v1", 10_240), algorithm("ppo"))
PENDULUM = of(task("Pendulum-v1", 10_240), algorithm("ppo"), {"solved": {"threshold": -200}})
BROKEN = {
    "a reward of 0": (of(CARTPOLE, wrapped("NoReward")), REWARD),
    "a goal that is never reached": (of(CARTPOLE, wrapped("LateReward")), REWARD),
    "a learning rate 2000 times too large": (of(CARTPOLE, rate(1.0)), STEPS),
    "steps of any size": (of(CARTPOLE, rate(0.05), algorithm("ppo", clip_range=1e3)), STEPS),
    "a learning rate 100 times too large, without KL": (of({"budget": {"updates": 20}}, rate(5.0)), ENTROPY),
    "and of an actor-critic": (of(task("CartPole-v1", 8192), algorithm("a2c"), rate(1.0)), ENTROPY),
    "no noise": (of(PENDULUM, {"policy": {"initial_log_std": -6.0}}), ENTROPY),
    "an observation of 1e6": (of(CARTPOLE, wrapped("OneHuge")), SIZES),
    "two observations of 1e-5": (of(CARTPOLE, wrapped("TwoTiny")), SIZES),
    "a limit of 20 steps": (of(CARTPOLE, {"environment": {"max_episode_steps": 20}}), CUT),
    "a value network that does not learn": (of(PENDULUM, algorithm("ppo", value_coefficient=0.0)), VALUES),
    "rewards of 1e6": (of(CARTPOLE, wrapped("MuchReward"), {"solved": {"threshold": 475e6}}), VALUES),
    "a discount of 0": (of(CARTPOLE, algorithm("ppo", discount=0.0)), AHEAD),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_run_is_told_its_fault_first(name, tmp_path, functions_kept):
    """Each really trained. Caught, when planted: reasons in another order; the last entropy in place of an early one."""
    config, expected = BROKEN[name]
    ran(config, tmp_path / "run")
    found = diagnose(tmp_path / "run")
    assert found.learned is False, found.said
    assert found.reasons[0].reason == expected, found.reasons
    knob, _, value = found.reasons[0].knob.partition("=")
    known = whole.flattened(reading.to_dict(reading.from_dict(config)))
    assert value.partition(",")[0] != known[knob]


def recorded(name):
    """The evidence of a run that learned, as tests/tables/make_good_runs.py kept it."""
    kept = GOOD[name]
    columns = {name: np.array(values, float) for name, values in kept["columns"].items()}
    config, spec = reading.from_dict(kept["config"]), spec_of(kept["spec"])
    return Evidence(config, spec, kept["task"], columns, kept["result"])


def test_there_are_twenty_good_runs():
    assert len(GOOD) == 20
    assert sum(kept["result"]["status"] == "budget" for kept in GOOD.values()) >= 8


@pytest.mark.parametrize("name", GOOD)
def test_a_good_run_is_told_of_nothing(name):
    """Not by its result either: the second time by its records alone. Caught, when planted: the share of the way counted
    from 0; the evaluation of the best State alone."""
    found = recorded(name)
    assert tried(found).reasons == []
    alone = found._replace(result={"status": "budget", "threshold": found.result["threshold"]})
    judged = tried(alone)
    assert judged.learned is not False, judged.said
    assert judged.reasons == []


def evidence(config=None, *, threshold=475.0, **columns):
    """Of a run of twenty updates of CartPole with PPO."""
    size = len(next(iter(columns.values()))) if columns else 20
    usual = {"update": np.arange(size), "episodes": 10 * np.arange(1, size + 1), "return_mean": np.full(size, 20.0)}
    usual |= {"return_min": np.full(size, 9), "return_max": np.full(size, 30), "return_std": np.full(size, 8.0)}
    every = {"record": np.arange(1, size + 1)} | usual | columns
    columns = {name: np.asarray(column, float) for name, column in every.items()}
    spec = recorded("ppo").spec
    task = {"time_limit": 500, "threshold": threshold}
    return Evidence(reading.from_dict(of(CARTPOLE, config or {})), spec, task, columns, {})


def names(found):
    return [one.reason for one in tried(found).reasons]


def test_whether_it_learned_is_told_by_the_way_it_went():
    """Caught, when planted: the best in place of the last; 0 for a threshold that is missing."""
    rises, falls = np.linspace(20, 200, 20), np.concatenate([np.linspace(20, 400, 10), np.full(10, 20)])
    assert standing(evidence(return_mean=rises))[0] is True
    assert standing(evidence(return_mean=falls))[0] is False
    assert standing(evidence(return_mean=np.full(20, 20.0)))[0] is False
    assert standing(evidence(return_mean=20 + np.linspace(0, 5, 20), threshold=40))[0] is False  # by chance
    assert standing(evidence(return_mean=rises, threshold=None))[0] is True
    assert standing(evidence(return_mean=20 + np.linspace(0, 5, 20), threshold=None))[0] is False
    assert standing(evidence(return_mean=np.full(20, 480.0)))[0] is True
    assert standing(evidence(return_mean=np.linspace(20, 200, 7)))[0] is None
    assert standing(evidence(return_mean=np.full(20, np.nan)))[0] is None
    assert standing(evidence()._replace(result={"status": "solved"})) == (True, "It is solved.")
    evaluated = evidence(evaluation_mean=[np.nan, 20, np.nan, 300] * 5, evaluation_std=[5] * 20)
    assert standing(evaluated)[0] is True
    assert standing(evidence())[1] == "Training returns went from 20 to 20, 0% of the way to 475."


@pytest.mark.parametrize(
    ("columns", "config", "expected"),
    [
        ({"entropy": [0.69] * 20}, {}, []),
        ({"entropy": [0.69] * 15 + [0.0] * 5}, {}, []),  # late
        ({"entropy": [0.69] * 8 + [0.0] * 12}, {}, []),  # not early
        ({"entropy": [0.69, 0.5, 0.01] + [0.001] * 17}, {}, [ENTROPY]),
        ({"entropy": [0.01, 0.01, 0.6] + [0.6] * 17}, {}, []),  # it came back
        ({"kl": [0.01] * 20, "clip_fraction": [0.1] * 20}, {}, []),
        ({"kl": [0.01] * 19 + [0.6], "clip_fraction": [0.1] * 20}, {}, [STEPS]),
        ({"kl": [0.01] * 20, "clip_fraction": [0.5] * 20}, {}, [STEPS]),
        ({"explained_variance": [0.0] * 10 + [0.5] * 10}, {}, []),
        ({"explained_variance": [0.9] * 10 + [0.01] * 10}, {}, [VALUES]),
        ({"length_mean": [500] * 20}, {}, [CUT]),
        ({"length_mean": [500] * 10 + [400] * 10}, {}, []),
        ({"length_mean": [100] * 20}, {"algorithm": {"discount": 0.9}}, []),
        ({"length_mean": [400] * 20}, {"algorithm": {"discount": 0.9}}, [AHEAD]),
        ({"return_min": [0] * 20, "return_max": [0] * 20, "return_mean": [0] * 20}, {}, [REWARD]),
        ({"return_min": [0] * 20, "return_max": [0] * 19 + [1], "return_mean": [0] * 20}, {}, []),
        ({"return_mean": [np.nan] * 9 + [20.0] * 11}, {}, []),
    ],
)
def test_each_reason_has_a_bound(columns, config, expected):
    """Caught, when planted: the bound of each, moved to its other side."""
    assert names(evidence(config, **columns)) == expected


def test_sizes_are_of_what_is_not_normalised():
    """Caught, when planted: the largest number in place of the root mean square; a feature that is always 0 counted."""
    rows = np.random.default_rng(0).normal(size=(50, 4)) * [1.0, 0.0, 1e-2, 30.0]
    assert names(evidence()._replace(met=(rows, list("abcd")))) == [SIZES]
    assert names(evidence({"normalize": {"observations": True}})._replace(met=(rows, list("abcd")))) == []
    assert names(evidence()._replace(met=(rows * [1, 1, 10, 1], list("abcd")))) == []
    assert tried(evidence()._replace(met=(rows, list("abcd")))).reasons[0].figure.endswith("(d)")


def test_a_report_says_it(tmp_path, functions_kept):
    """On its page, in a line, and as JSON; of seeds which; and `evaluate`, too. Caught, when planted: every seed of one
    reason printed; a run that is too short judged; an evaluation that fails where there are no records."""
    broken = of(CARTPOLE, rate(1e-9), {"runs": 2, "environment": {"engine": "auto"}})
    ran(broken, tmp_path / "seeds")
    good = tmp_path / "short"
    ran(of(CARTPOLE, {"budget": {"env_steps": 2048}, "environment": {"engine": "auto"}}), good)
    page = tmp_path / "page.html"
    code, out, _ = command("report", tmp_path / "seeds", good, "--no-play", "--out", page)
    assert code == 0
    said = out.splitlines()
    assert len(said) == 2
    assert said[1].startswith(f"{tmp_path / 'seeds' / 'seed-0'} and 1 more did not learn: The value network")
    shown = page.read_text().partition('<section id="not-learned">')[2].partition("</section>")[0]
    assert "2 of 2 seeds did not: seed-0, seed-1." in shown
    assert "schedules.learning_rate.initial=0.001" in shown
    assert "short" not in shown
    code, out, _ = command("report", tmp_path / "seeds", good, "--no-play", "--json", "--out", page)
    runs = json.loads(out)["runs"]
    assert [one["learned"] for one in runs] == [False, False, None]
    assert runs[0]["reasons"][0]["knob"] == "schedules.learning_rate.initial=0.001"
    assert json.loads(json.dumps(diagnose(tmp_path / "seeds" / "seed-0", play=False).plain())) == {
        name: value for name, value in runs[0].items() if name != "run"
    }
    assert evaluated(good)[0]["learned"] is None
    told, lines = evaluated(tmp_path / "seeds" / "seed-0")
    assert (told["learned"], told["said"]) == (False, runs[0]["said"])
    assert told["reasons"][-1] == runs[0]["reasons"][-1]  # all but what is seen by playing
    assert lines == [f"it did not learn: {told['reasons'][0]['sentence']}"]
    (tmp_path / "seeds" / "seed-0" / "metrics.jsonl").unlink()
    assert evaluated(tmp_path / "seeds" / "seed-0") == (None, [])


def evaluated(run):
    """(what `evaluate --json` says of whether it learned, the lines that it prints below its figures)."""
    as_json, in_words = (
        command("evaluate", run, "--episodes", "1", "--json"),
        command("evaluate", run, "--episodes", "1"),
    )
    assert as_json[0] == in_words[0] == 0
    return json.loads(as_json[1])["diagnosis"], in_words[1].splitlines()[1:]


@pytest.mark.parametrize(("run", "said"), [(3, "run: got 3; expected a run folder"), ("nowhere", "no run folder")])
def test_bad_input_is_one_line(run, said, elsewhere):
    with pytest.raises(UserError, match=said) as error:
        diagnose(run)
    assert "\n" not in str(error.value)
