"""Comparisons of runs: what is read, grouped, scaled, estimated, said and drawn."""

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
from helpers_runs import command, merged, ran, small
from scipy import stats

from pg_theano import compare
from pg_theano.compare import compare as compared
from pg_theano.config import tables
from pg_theano.config.reading import from_dict, to_dict
from pg_theano.reports.comparing import comparing, estimating, figure, results, scales
from pg_theano.system import seals
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept", "fewer")


@pytest.fixture
def fewer(monkeypatch):
    """Fewer resamples than the command's: tests/test_aggregates.py holds intervals to what they should be."""
    monkeypatch.setattr(comparing, "RESAMPLES", 1000)
    monkeypatch.setattr(estimating, "RESAMPLES_OF_CURVES", 100)


def write_run(
    folder, *, evaluation=100.0, curve=((100, 10.0), (200, 50.0)), status="budget", seed=0, result=(), **knobs
):
    """A run as the trainer leaves it, whose figures are given: `curve` is (env steps, evaluation) pairs."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    seals.write_json(folder / "run.json", {"folder": str(folder), "spec": {}, "sealed": ["config.yaml"]})
    seals.write_yaml(folder / "config.yaml", to_dict(from_dict({"seed": seed} | knobs)))
    lines = [
        {"update": i, "env_steps": steps, "return_mean": value - 1, "evaluation_mean": value}
        for i, (steps, value) in enumerate(curve)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    if status is not None:
        ended = {"name": folder.name, "status": status, "environment": "x", "threshold": 475.0, "updates": len(curve)}
        ended |= {"env_steps": curve[-1][0], "evaluation": {"mean": evaluation, "std": 1.0, "n": 100}}
        seals.write_json(folder / "result.json", merged(ended, dict(result)))
    return folder


def write_group(name, values, *, task="CartPole-v1", threshold=475.0, **options):
    """One run a value, of an algorithm, a task, and seeds from 0."""
    return [
        write_run(
            f"runs/{name}-{task}-{seed}", evaluation=value, seed=seed, algorithm={"name": name},
            environment={"id": task}, result={"threshold": threshold}, **options,
        )
        for seed, value in enumerate(values)
    ]  # fmt: skip


PPO = [410.0, 500.0, 480.0, 470.0, 495.0, 500.0, 450.0, 490.0]
VPG = [120.0, 300.0, 480.0, 90.0, 500.0, 260.0, 310.0, 220.0]


@pytest.fixture
def two():
    return [*write_group("ppo", PPO), *write_group("vpg", VPG)]


# -- figures


def test_the_figures_of_one_task_are_those_of_its_scores(two):
    """Against scipy, in returns, with the gap to the threshold. Caught, when planted: a gap to
    1; the worse of a pair named as the better."""
    found = compared(two)
    assert [group.name for group in found.groups] == ["ppo", "vpg"]
    assert (found.by, found.normalised, found.target) == (["algorithm.name"], "none", 475.0)
    for group, values in zip(found.groups, (PPO, VPG), strict=True):
        assert group.scores == {"CartPole-v1": values}
        assert group.iqm.value == pytest.approx(stats.trim_mean(values, 0.25))
        assert group.median.value == pytest.approx(np.median(values))
        assert group.mean.value == pytest.approx(np.mean(values))
        assert group.gap.value == pytest.approx(475 - np.mean(np.minimum(values, 475)))
        for one in (group.iqm, group.median, group.mean, group.gap):
            assert one.low < one.value < one.high
    (pair,) = found.improvements
    assert (pair.better, pair.worse) == ("ppo", "vpg")
    share = np.mean([(x > y) + (x == y) / 2 for x in PPO for y in VPG])
    assert pair.probability.value == pytest.approx(share)
    assert 0.5 < pair.probability.low < share < pair.probability.high <= 1
    assert not found.left_out and not found.warnings
    assert results.plain(compared(two)) == results.plain(found)


def test_the_order_of_a_pair_changes_no_interval(two):
    """Of the same runs, the other way round: the complement's interval, turned about, to the resamples' noise.

    Caught, when planted: the interval of the worse."""
    one, other = (compared(paths).improvements[0] for paths in (two, two[::-1]))
    assert one.better == other.better == "ppo"
    assert other.probability == pytest.approx(one.probability, abs=0.04)


def test_several_tasks_are_measured_from_random_play_to_solved():
    """Pooled, each task alike. Caught, when planted: the threshold alone as the unit; one task's bounds for all."""
    paths = [*write_group("ppo", PPO[:4]), *write_group("vpg", VPG[:4])]
    acrobot = {"ppo": [-80.0, -90.0, -100.0, -500.0], "vpg": [-500.0, -300.0, -200.0, -90.0]}
    for name, values in acrobot.items():
        paths += write_group(name, values, task="Acrobot-v1", threshold=-100.0)
    found = compared(paths)
    assert (found.normalised, found.target) == ("solved", 1.0)
    each = ", ".join(f"{name} (4 on {task})" for name in acrobot for task in ("CartPole-v1", "Acrobot-v1"))
    assert found.warnings[0].startswith(f"fewer than five seeds: {each}; ")
    assert found.bounds == {"CartPole-v1": (22.1, 475.0), "Acrobot-v1": (-498.1, -100.0)}
    for group, cartpole in zip(found.groups, (PPO[:4], VPG[:4]), strict=True):
        first = (np.array(cartpole) - 22.1) / (475 - 22.1)
        second = (np.array(acrobot[group.name]) + 498.1) / 398.1
        assert group.iqm.value == pytest.approx(stats.trim_mean([*first, *second], 0.25))
        assert group.median.value == pytest.approx((first.mean() + second.mean()) / 2)
        assert group.gap.value == pytest.approx(1 - np.minimum([first, second], 1).mean())
    assert found.steps == "share of the task's environment steps"
    given = compared(paths, bounds=["Acrobot-v1=-500,0"])
    assert given.bounds["Acrobot-v1"] == (-500.0, 0.0)
    ranged = compared(paths, normalise="range")
    assert ranged.bounds == {"CartPole-v1": (90.0, 500.0), "Acrobot-v1": (-500.0, -80.0)}


def test_a_task_without_a_threshold_is_measured_by_its_runs_and_it_is_said():
    """Caught, when planted: nothing said."""
    paths = []
    for name, shift in (("ppo", 0), ("vpg", -200)):
        paths += write_group(name, [shift - 200.0 - 10 * i for i in range(5)], task="Pendulum-v1", threshold=None)
        paths += write_group(name, PPO[:5] if name == "ppo" else VPG[:5])
    found = compared(paths)
    assert found.normalised == "range"
    assert found.bounds == {"Pendulum-v1": (-440.0, -200.0), "CartPole-v1": (90.0, 500.0)}
    assert any("known of Pendulum-v1" in one and "--bounds Pendulum-v1=LOW,HIGH" in one for one in found.warnings)
    with pytest.raises(UserError, match="--normalise solved: got Pendulum-v1"):
        compared(paths, normalise="solved")
    told = compared(paths, bounds=["Pendulum-v1=-1230,-200"])
    assert told.normalised == "solved" and not told.warnings


def test_steps_to_solve_are_better_where_they_are_fewer():
    """An unsolved run counts as twice the most that any had. Caught, when planted: higher is better; its own budget."""
    paths = []
    for name, steps in (("ppo", [100, 150, 120, 130, 140]), ("vpg", [300, 400, None, 350, 500])):
        for seed, one in enumerate(steps):
            status = "solved" if one else "budget"
            curve = ((50, 10.0), (one or 450, 100.0))
            paths.append(write_run(f"{name}-{seed}", status=status, curve=curve, seed=seed, algorithm={"name": name}))
    found = compared(paths, score="steps_to_solve")
    assert found.lower_is_better and found.target is None
    assert found.groups[1].scores == {"CartPole-v1": [300.0, 400.0, 1000.0, 350.0, 500.0]}
    (pair,) = found.improvements
    assert (pair.better, pair.probability.value) == ("ppo", 1.0)
    assert found.groups[0].profile.middle[-1] == 1.0  # all solved within the most steps
    assert found.groups[0].profile.middle[0] == 0.0
    ranged = compared(paths, score="steps_to_solve", normalise="range")
    assert not ranged.lower_is_better and ranged.improvements[0].better == "ppo"
    assert ranged.bounds == {"CartPole-v1": (1000.0, 100.0)}


def test_the_learning_curve_is_the_area_over_the_steps_of_the_task(two):
    """Over the longest run's steps, for all. Caught, when planted: each over its own."""
    longer = write_run("runs/ppo-long", curve=((100, 10.0), (400, 50.0)), seed=9, algorithm={"name": "ppo"})
    found = compared([*two, longer], score="learning_curve")
    assert found.groups[0].scores["CartPole-v1"][0] == pytest.approx((9 * 100 + 49 * 100 + 49 * 200) / 400)
    assert found.groups[0].scores["CartPole-v1"][-1] == pytest.approx((9 * 100 + 49 * 300) / 400)
    assert any("not the same env steps for all: ppo 400, vpg 200" in one for one in found.warnings)


def test_the_sample_efficiency_curve_is_the_interquartile_mean_at_each_step():
    """Four runs: at 200 steps 20, 30, 40, 50; one was solved there and holds 60, its final evaluation.

    Caught, when planted: the mean; a solved run dropped after its end; the last value held past the budget.
    """
    ends = [(300, 40.0, "budget"), (300, 50.0, "budget"), (300, 60.0, "budget"), (200, 50.0, "solved")]
    paths = [
        write_run(
            f"ppo-{i}", curve=((100, 0.0), (200, 20.0 + 10 * i), *([(300, last)] if status == "budget" else [])),
            status=status, evaluation=60.0, seed=i, algorithm={"name": "ppo"},
        )
        for i, (_, last, status) in enumerate(ends)
    ]  # fmt: skip
    paths += [
        write_run(f"vpg-{i}", curve=((100, 0.0), (250, 1.0)), seed=i, algorithm={"name": "vpg"}) for i in range(4)
    ]
    ppo, vpg = (group.efficiency for group in compared(paths).groups)
    assert (ppo.x[0], ppo.x[-1], vpg.x[-1]) == (100, 300, 250)
    assert np.interp(150, ppo.x, ppo.middle) == pytest.approx(17.5, abs=0.5)
    assert ppo.middle[-1] == pytest.approx(stats.trim_mean([40, 50, 60, 60], 0.25))
    assert np.all(ppo.low <= ppo.middle) and np.all(ppo.middle <= ppo.high)
    trained = compared(paths, curve="return").groups[0].efficiency
    assert trained.middle[0] == -1.0


# -- groups


@pytest.mark.parametrize(
    ("word", "knob"),
    [
        ("algorithm", "algorithm.name"),
        ("learning_rate.initial", "schedules.learning_rate.initial"),
        ("learning_rate", "schedules.learning_rate"),
        ("hidden", "policy.hidden"),
        ("gae_lambda", "algorithm.gae_lambda"),
        ("environment.kwargs.gravity", "environment.kwargs.gravity"),
        ("run", "run"),
    ],
)
def test_a_knob_is_named_in_full_or_by_its_end(word, knob):
    from pg_theano.reports.comparing import reading

    assert reading.knobs_of(word) == [knob]
    assert reading.knobs_of(f"{word}, algorithm") == [knob, "algorithm.name"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("algoritm", "unknown knob; did you mean --by algorithm?"),
        ("schedules.learning_rat.initial", "did you mean --by schedules.learning_rate.initial?"),
        ("every_updates", "got several knobs; expected one of evaluation.every_updates, checkpoint.every_updates"),
        ("seed", "got what is averaged over"),
        ("environment.id", "got what is averaged over"),
        ("qqqq", "unknown knob; try --by algorithm"),
    ],
)
def test_a_word_that_is_no_knob_gets_the_nearest(word, message):
    with pytest.raises(UserError) as error:
        compared(["."], by=word)
    assert message in str(error.value)


def test_groups_by_any_knob(two):
    rates = [
        write_run(f"rate-{rate}-{seed}", seed=seed, schedules={"learning_rate": {"initial": rate}})
        for rate in (0.1, 0.01)
        for seed in range(5)
    ]
    assert [group.name for group in compared(rates, by="learning_rate").groups] == ["0.1", "0.01"]
    assert [group.name for group in compared(rates, by="learning_rate.initial").groups] == ["0.1", "0.01"]
    both = compared([*two, *rates], by="algorithm,learning_rate.initial")
    assert [group.name for group in both.groups] == ["ppo, 0.0005", "vpg, 0.02", "reinforce, 0.1", "reinforce, 0.01"]
    mixed = compared([*two, *rates])
    assert "schedules.learning_rate.initial" in mixed.also_differ
    said = (
        "reinforce, CartPole-v1: its runs differ in schedules.learning_rate.initial too, and are averaged all the same"
    )
    assert said in mixed.warnings


def test_other_physics_are_another_task_unless_they_make_the_group():
    runs = [
        write_run(f"{g}-{seed}", seed=seed, environment={"id": "Pendulum-v1", "kwargs": {"g": g}})
        for g in (5.0, 10.0)
        for seed in range(5)
    ]
    with pytest.raises(UserError, match=r"got one group, reinforce; .* differ in environment\.kwargs"):
        compared(runs)
    found = compared(runs, by="environment.kwargs.g")
    assert [group.name for group in found.groups] == ["5", "10"]
    assert list(found.bounds) == ["Pendulum-v1"]


# -- what is not compared


def test_only_tasks_that_all_have_are_compared_and_the_rest_is_named(two):
    alone = write_group("ppo", [-100.0], task="Acrobot-v1", threshold=-100.0)
    found = compared([*two, *alone])
    assert list(found.bounds) == ["CartPole-v1"]
    assert found.left_out == [f"{alone[0]}: vpg: no run of its task, Acrobot-v1"]
    with pytest.raises(UserError, match="no task that every group has: ppo has Acrobot-v1; vpg has CartPole-v1"):
        compared([*alone, *two[len(PPO) :]])


def test_runs_without_a_score_are_named_with_the_reason(two):
    """Unfinished, interrupted, failed, damaged, no run, a search, without records, a copy. Caught, when planted: a
    failure not warned of; a damaged result read for none; a copy counted as another seed."""
    ppo = {"algorithm": {"name": "ppo"}}
    folders = {
        "unfinished": write_run("odd/unfinished", status=None, seed=20, **ppo),
        "interrupted": write_run("odd/interrupted", status="interrupted", seed=21, **ppo),
        "failed": write_run("odd/failed", status="failed", seed=22, **ppo),
        "damaged": write_run("odd/damaged", seed=23, **ppo),
        "changed": write_run("odd/changed", seed=24, **ppo),
        "torn": write_run("odd/torn", seed=25, **ppo),
        "copy": write_run("odd/copy", evaluation=1.0, seed=0, **ppo),
    }
    path = folders["damaged"] / "result.json"
    path.write_text(path.read_text().replace("100.0", "500.0"))
    path = folders["changed"] / "config.yaml"
    path.write_text(path.read_text().replace("seed: 24", "seed: 26"))
    (folders["torn"] / "metrics.jsonl").write_text("")
    Path("odd/empty").mkdir()
    Path("odd/search").mkdir()
    Path("odd/search/search.yaml").write_text("")
    found = compared([*two, *folders.values(), "odd/empty", "odd/search"])
    said = dict(one.split(": ", 1) for one in found.left_out)
    assert said["odd/unfinished"] == "has not ended"
    assert said["odd/interrupted"] == "was interrupted"
    assert said["odd/failed"] == "failed"
    assert said["odd/empty"] == "is no run"
    assert said["odd/search"] == "is a search"
    assert said["odd/copy"] == f"has the config and the seed of {two[0]}"
    for name, words in (
        ("damaged/result.json", "checksum"),
        ("changed/config.yaml", "checksum"),
        ("torn", "no records"),
    ):
        assert any(f"odd/{name}" in one and words in one for one in found.left_out), (name, found.left_out)
    assert len(found.left_out) == 9
    assert len(found.groups[0].scores["CartPole-v1"]) == len(PPO)
    assert any("1 run that failed is left out, which flatters" in one for one in found.warnings)


@pytest.mark.parametrize("make", ["nothing", "missing", "unfinished"])
def test_without_a_finished_run_there_is_nothing_to_compare(make):
    if make == "nothing":
        Path("runs").mkdir()
    if make == "unfinished":
        write_run("runs", status=None)
    with pytest.raises(UserError) as error:
        compared(["runs"])
    expected = {"nothing": "runs is no run", "missing": "no such folder", "unfinished": "runs has not ended"}
    assert expected[make] in str(error.value) and "expected" in str(error.value) and "try" in str(error.value)


def test_one_group_is_no_comparison_and_what_would_be_one_is_said(two):
    with pytest.raises(
        UserError, match=r"--by algorithm\.name: got one group, ppo; .* nothing but their seed; try --by run"
    ):
        compared(two[: len(PPO)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds": ["CartPole-v1=1"]}, "--bounds CartPole-v1=1: got no two different numbers"),
        ({"bounds": ["CartPole-v1=nan,1"]}, "got no two different numbers"),
        ({"bounds": ["Pendulum-v1=0,1"]}, "--bounds Pendulum-v1: no such task; expected one of CartPole-v1"),
        ({"bounds": ["CartPole-v1=0,1"], "normalise": "none"}, "--bounds: got with --normalise none"),
        ({"normalise": "no"}, "--normalise no: got no such scale"),
        ({"score": "no"}, "compare: got 'no'; expected one of evaluation, learning_curve, steps_to_solve"),
        ({"curve": "no"}, "compare: got 'no'; expected one of evaluation, return"),
    ],
)
def test_bad_options_are_said_in_one_line(two, options, message):
    with pytest.raises(UserError) as error:
        compared(two, **options)
    assert message in str(error.value) and "\n" not in str(error.value)


# -- warnings


def test_fewer_than_five_seeds_are_warned_of(two):
    """Caught, when planted: fewer than four."""
    assert not compared([*two[:5], *two[8:13]]).warnings
    (said,) = compared([*two[:5], *two[8:12]]).warnings
    assert said.startswith("fewer than five seeds: vpg (4 on CartPole-v1); ")
    found = compared([*two[:1], *two[8:13]])
    assert found.groups[0].iqm == (PPO[0], None, None)
    assert found.improvements[0].probability.low is None
    assert "nothing can be said" in results.markdown(found)


def test_runs_that_stopped_when_they_were_solved_are_warned_of(two):
    solved = write_run("solved", status="solved", seed=30, algorithm={"name": "ppo"})
    (said,) = compared([*two, solved]).warnings
    assert said.startswith("1 of 17 runs stopped when they were solved")
    never = write_run("never", seed=31, algorithm={"name": "ppo"}, solved={"stop": False})
    found = compared([*two, solved, never], score="steps_to_solve")
    assert f"{never}: solved.stop=false: when it was solved is not recorded" in found.left_out


# -- the command, the table, the figure


def test_the_command_prints_a_table_and_draws(two, capsys):
    assert compare.main([*map(str, two), "--by", "algorithm", "--page", "page.md"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "| ppo   | 8    | 483.8 [" in out
    assert "| ppo over vpg | 0." in out and "| better" in out
    assert out.endswith("wrote plots/compare.png\n")
    assert Path("plots/compare.png").read_bytes().startswith(b"\x89PNG")
    assert Path("page.md").read_text().strip() == out.partition("\n\nwrote")[0].strip()
    widths = {len(line) for line in out.splitlines() if line.startswith(("| group", "| ppo   ", "| vpg   "))}
    assert len(widths) == 1


def test_json_is_one_object_and_nothing_else(two, capsys):
    """What is left out and the warnings too, on stderr as well. Caught, when planted: the table before it."""
    unfinished = write_run("odd", status=None, algorithm={"name": "ppo"})
    words = [*map(str, two[:10]), str(unfinished), "--json", "--no-plot"]
    assert compare.main(words) == 0
    out, err = capsys.readouterr()
    found = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert out.count("\n") == 1
    assert found["groups"]["ppo"]["iqm"]["value"] == pytest.approx(stats.trim_mean(PPO, 0.25))
    assert set(found["groups"]["ppo"]["efficiency"]) == {"x", "middle", "low", "high"}
    assert found["improvements"][0]["better"] == "ppo"
    assert found["left_out"] == ["odd: has not ended"] and found["figure"] is None
    assert err.splitlines() == ["left out: odd: has not ended", f"warning: {found['warnings'][0]}"]
    assert not Path("plots").exists()


def test_bad_input_is_one_line_and_exit_code_2(capsys):
    assert compare.main(["nowhere"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "nowhere: no such folder" in err


@pytest.mark.slow
def test_names_of_strangers_are_text(capsys):
    """Folders and kwargs with escapes, pipes and dollars. Caught, when planted: a label as
    it is, in the table or in the figure; a pipe that ends a cell."""
    names = ["\x1b[2J$a^{$", "b|c", "long " * 200]
    runs = [
        write_run(f"{i}-{seed}", seed=seed, environment={"kwargs": {"x": name}})
        for i, name in enumerate(names)
        for seed in range(2)
    ]
    odd = write_run("\x1b[31modd", status=None)
    assert compare.main([*map(str, [*runs, odd]), "--by", "environment.kwargs.x"]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert r"b\|c" in out and r"\x1b[31modd" in err
    assert max(len(line) for line in out.splitlines() if line.startswith("| ")) < 250


ODD = [0, -1, 1e299, -1e299, 1e-300, float("nan"), float("inf"), "x", None, True, [], {}, 10**400, 500]


@pytest.mark.slow
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_whatever_the_figures_of_a_run_are_there_is_an_answer_or_one_line(capsys):
    """40 comparisons of six runs, some with one odd value each in `result.json`, `metrics.jsonl`, or both.

    Caught, when planted: scores that are not finite kept.
    """
    draw, answered = random.Random(0), 0
    for i in range(40):
        paths = []
        for number in range(6):
            curve = [(draw.choice([100, 300, 1e299, -5, 0]), draw.choice([1.0, -1e299, 0])) for _ in range(3)]
            status, name = draw.choice(["budget", "solved"]), ("ppo", "vpg")[number % 2]
            path = write_run(f"{i}/{number}", status=status, curve=curve, seed=number, algorithm={"name": name})
            result, metrics = path / "result.json", path / "metrics.jsonl"
            if draw.random() < 0.5:
                ended = json.loads(result.read_text()) | {"seal": None}
                inside = draw.choice([ended, ended["evaluation"]])
                inside[draw.choice(sorted(inside))] = draw.choice(ODD)
                result.write_text(json.dumps({key: value for key, value in ended.items() if key != "seal"}))
            if draw.random() < 0.5:
                rows = [json.loads(line) for line in metrics.read_text().splitlines()]
                rows[1][draw.choice(sorted(rows[1]))] = draw.choice(ODD)
                metrics.write_text("\n".join(map(json.dumps, rows)))
            paths.append(str(path))
        score = draw.choice(["evaluation", "learning_curve", "steps_to_solve"])
        code = compare.main([*paths, "--score", score, "--json", *(["--no-plot"] if i % 8 else [])])
        out, err = capsys.readouterr()
        if code == 0:
            json.loads(out, parse_constant=lambda name: pytest.fail(name))
        else:
            assert code == 2 and out == "" and err.count("error: ") == 1
        answered += code == 0
    assert answered > 20


def test_the_figure_shows_every_group_and_statistic(two):
    found = compared(two)
    drawn = figure.figure_of(found)
    titles = [axes.get_title() for axes in drawn.axes if axes.get_title()]
    assert titles == ["interquartile mean", "median", "optimality gap to 475", "probability of improvement"]
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["ppo (8 runs)", "vpg (8 runs)"]
    assert {axes.get_ylabel() for axes in drawn.axes} >= {"share of runs over τ", "greedy evaluation"}
    drawn.canvas.draw()
    boxes = [
        text.get_window_extent() for axes in drawn.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)
    ]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= drawn.bbox.x1 for box in boxes if box.width)


def test_random_play_is_what_it_is_said_to_be():
    """A hundred episodes of two of them: within four standard errors."""
    import gymnasium

    for id, episodes in (("CartPole-v1", 300), ("MountainCar-v0", 3)):
        env = gymnasium.make(id)
        env.action_space.seed(1)
        returns = []
        for seed in range(episodes):
            env.reset(seed=10_000 + seed)
            total, ended = 0.0, False
            while not ended:
                _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
                total, ended = total + float(reward), terminated or truncated
            returns.append(total)
        error = np.std(returns) / np.sqrt(episodes)
        assert abs(np.mean(returns) - scales.RANDOM[id]) <= 4 * error + 1e-9


@pytest.mark.slow
def test_sets_of_seeds_that_were_trained_are_compared(tmp_path):
    """End to end: two learning rates, three seeds each, one set trained together; from the command line."""
    for rate, together in ((0.05, 1), (0.1, 3)):
        made = small(
            environment={"id": "CartPole-v1"}, runs=3, agents_per_process=together,
            schedules={"learning_rate": {"initial": rate}},
        )  # fmt: skip
        ran(made, tmp_path / "runs" / f"rate-{rate}")
    code, out, err = command("compare", "runs/rate-0.05", "runs/rate-0.1", "--by", "learning_rate.initial", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert list(found["groups"]) == ["0.05", "0.1"]
    for name, rate in (("0.05", "rate-0.05"), ("0.1", "rate-0.1")):
        results = [
            json.loads(path.read_text()) for path in sorted((tmp_path / "runs" / rate).glob("seed-*/result.json"))
        ]
        means = [one["evaluation"]["mean"] for one in results]
        assert found["groups"][name]["scores"] == {"CartPole-v1": means}
        assert found["groups"][name]["iqm"]["value"] == pytest.approx(
            (0.25 * min(means) + sorted(means)[1] + 0.25 * max(means)) / 1.5
        )
        assert found["groups"][name]["efficiency"]["x"][-1] <= min(one["env_steps"] for one in results)
    assert "fewer than five seeds" in err
    assert Path("plots/compare.png").exists()
    (tmp_path / "runs" / "rate-0.1" / "seed-2" / "result.json").write_text("{")
    found = compared(["runs/rate-0.05", "runs/rate-0.1"], by="run")
    assert [group.name for group in found.groups] == ["rate-0.05", "rate-0.1"]
    assert len(found.groups[1].scores["CartPole-v1"]) == 2 and len(found.left_out) == 1


def test_the_python_of_the_page_on_comparing_runs(two, capsys):
    """As it stands there. Caught, when planted: a field renamed."""
    page = (Path(__file__).parents[1] / "docs" / "comparing.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(code.replace("runs/reinforce", str(two[8])).replace("runs/ppo", str(two[0])), {})  # noqa: S102 - our own
    assert "ppo" in capsys.readouterr().out


def test_every_knob_can_be_grouped_by():
    """No knob's name stands in the way of its own. Caught, when planted: ends looked for before whole names."""
    from pg_theano.reports.comparing import reading

    run = reading.Finished(Path("x"), "x", from_dict({}), dict(reading.flattened(to_dict(from_dict({})))), {}, {})
    for key in tables.known_keys():
        if key in ("seed", "runs") or key.startswith(("environment.id", "environment.dynamics")):
            continue
        assert reading.knobs_of(key) == [key]
        assert reading.label(run, [key])
