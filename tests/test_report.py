"""The report page: what it says, that it says it to nobody but its reader, and that nothing in it runs."""

import importlib
import io
import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from pg_theano import parameters, report, types
from pg_theano.config import reading
from pg_theano.microscope import __main__ as microscope
from pg_theano.policies import acting, policy
from pg_theano.reports import live
from pg_theano.reports.pages import figures, gradient, html, policies, policy_section, training, whole
from pg_theano.runs import policy_of_run, seeds
from pg_theano.runs.curves import Curve
from pg_theano.spec.reading import acting_of
from pg_theano.system import seals
from pg_theano.training.display import Plain
from pg_theano.training.population import learner

OPTIMISED = False  # see conftest.machine_code

EVIL = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


def flat(x, y):
    y = np.asarray(y, float)
    return Curve(np.asarray(x, float), y, y, y)


def test_text_is_shown_and_not_interpreted():
    """Caught, when planted: `text` returning `str(value)`; a table that escapes its cells but not its heading."""
    shown = html.table(["a", EVIL], [[EVIL, EVIL]]) + html.section(EVIL, EVIL) + html.details(EVIL)
    shown += figures.chart(EVIL, [figures.Mark("line", flat([0, 1], [1, 2]), 0, EVIL)], x=EVIL, y=EVIL)
    shown += figures.bars(EVIL, [EVIL], [1.0], EVIL)
    assert "<script" not in shown
    assert "<img" not in shown


def test_data_for_the_script_cannot_end_its_element():
    """Caught, when planted: `json.dumps` alone."""
    packed = html.data("id", {"a": "</script><script>alert(1)</script><!--"})
    assert packed.count("<") == 2
    assert json.loads(packed.partition(">")[2].rpartition("<")[0])["a"].startswith("</script>")


def test_the_page_allows_its_own_script_and_style_only():
    """Caught, when planted: `'unsafe-inline'` in the policy, a style attribute in a section."""
    page = html.page("title", "", [])
    allowed = page.partition('Content-Security-Policy" content="')[2].partition('"')[0]
    assert allowed.startswith("default-src 'none'")
    assert "unsafe" not in allowed
    assert "http" not in allowed
    assert " style=" not in page.partition("<body")[2].partition("<script>")[0]


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-300, 1e300, -3.2, 5e-324, 1.0000000001])
def test_a_figure_of_anything_finite_has_an_end(value):
    """Constant, tiny, huge: every range has ticks, and every place in the drawing is a number."""
    drawn = figures.chart("t", [figures.Mark("line", flat([0, 1, 2], [value] * 3), 0, "s")], x="x")
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert drawn.count("<text") > 2


def test_a_picture_is_a_png_that_others_read():
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    assert np.array_equal(np.asarray(image.open(io.BytesIO(figures.png(pixels)))), pixels)


SPECS = [
    {"kind": "discrete", "size": 1, "choices": [3]},
    {"kind": "multi_discrete", "size": 2, "choices": [2, 3]},
    {"kind": "multi_binary", "size": 2, "choices": []},
    {"kind": "box", "size": 2, "choices": []},
]


def a_policy(action, **knobs):
    spec = {"obs_size": 3, "action": {**action, "low": [-1.0] * 2, "high": [1.0] * 2}, "squash": False}
    spec |= {"log_std": "state_independent", "noise": "white", "logistic": False, "activation": "tanh"}
    spec |= {"exploration": "softmax", "normalize_observations": False, "dtype": "float64"} | knobs
    width = {"discrete": 3, "multi_discrete": 5, "multi_binary": 2, "box": 2}[action["kind"]]
    width += 2 if spec["log_std"] == "state_dependent" else 0
    layout = [["policy/w1", [3, 4], ""], ["policy/b1", [4], ""], ["policy/w2", [4, width], ""]]
    layout.append(["policy/b2", [width], ""])
    if action["kind"] == "box" and spec["log_std"] != "state_dependent" and not knobs.get("searched"):
        layout.append(["policy/log_std", [4, 2] if spec["noise"] == "state_dependent" else [2], ""])
    size = sum(int(np.prod(shape)) for _, shape, _ in layout)
    state = {"params": np.random.default_rng(1).normal(size=size)}
    state |= {"normalizer/mean": np.array([1.0, 0.0, -1.0]), "normalizer/variance": np.array([4.0, 1.0, 0.25])}
    found = object.__new__(policy.Policy)
    found.acting, found.state = acting_of(spec | {"layout": layout}), state
    found.about, found.described = policy.About("Some-v0", "ppo", {}, "run", "best"), {"action": {}}
    return found


ALL = [
    *[(action, {}) for action in SPECS],
    (SPECS[0], {"activation": "sigmoid", "normalize_observations": True}),
    (SPECS[0], {"activation": "relu"}),
    (SPECS[3], {"log_std": "state_dependent"}),
    (SPECS[3], {"noise": "state_dependent", "activation": "sigmoid"}),
    (SPECS[3], {"searched": True}),  # by a search of its parameters: it has no log-std
]


@pytest.mark.parametrize(("action", "knobs"), ALL)
def test_a_map_has_every_channel_and_no_more(action, knobs):
    found = a_policy(action, **knobs)
    over = policies.values(found, np.zeros((4, 3)))
    assert over.shape == (4, len(policies.channels(found)))
    drawn = policies.maps(found, np.random.default_rng(0).normal(size=(50, 3)))
    assert drawn.count('class="map"') == sum(one.shown for one in policies.channels(found))


def test_the_dimensions_drawn_first_are_those_that_matter():
    """A policy that reads dimensions 0 and 2 alone. Caught, when planted: the two with the widest range."""
    found = a_policy(SPECS[0])
    named = parameters.views(found.state["params"], found.acting.layout)
    named["policy/w1"][1] = 0.0
    rows = np.random.default_rng(0).normal(size=(200, 3)) * [1, 50, 1]
    assert policies.chosen(found, rows) == (0, 2)
    assert acting.probs(found.acting, found.state, rows).shape == (200, 3)


# -- of folders


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    import pg_theano

    folder = tmp_path_factory.mktemp("runs") / "cart"
    given = {"budget": {"updates": 3}, "evaluation": {"every_updates": 2, "episodes": 4}, "solved": {"stop": False}}
    pg_theano.run(given, run_dir=folder, plot=False)
    return folder


def test_a_report_says_what_the_run_was_and_did(run, tmp_path):
    out = report.report([run], tmp_path / "r.html", play=False)
    page = out.read_text()
    for said in ("CartPole-v1", "reinforce", "budget spent", "Norm of the gradient", "budget.updates", "evaluate"):
        assert said in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")


def test_what_the_microscope_saw_of_a_run_is_a_part_of_its_page(run, tmp_path, capsys):
    """Its own estimator is marked; a run that was not examined has no such part; a damaged file is one line."""
    assert gradient.section([training.read(run)]) == ""
    examined = tmp_path / "examined"
    shutil.copytree(run, examined)
    assert microscope.main([str(examined), "--episodes", "64"]) == 0
    assert "update 3" in capsys.readouterr().out
    shown = gradient.section([training.read(examined)])
    assert microscope.main([str(examined), "seed=3"]) == 2
    assert "got seed=3 beside a run; expected a run folder alone" in capsys.readouterr().err
    points = len(seals.read_json(examined / gradient.FILE)["points"])
    assert points > 1
    assert shown.count('<figure class="chart"') == points
    assert shown.count('<tr class="differs"><th scope="row">mean_so_far</th>') == points
    page = report.report([examined], tmp_path / "r.html", play=False).read_text()
    assert "How good its gradient was" in page
    seen = seals.read_json(examined / gradient.FILE)
    del seen["sizes"]
    seals.write_json(examined / gradient.FILE, seen)
    with pytest.raises(types.UserError, match="not what the microscope writes; try"):
        gradient.section([training.read(examined)])


def test_of_two_runs_what_differs_comes_first_and_is_marked(run, tmp_path):
    """Caught, when planted: marks by position instead of by name."""
    found = training.read(run)
    other = found._replace(name="b", config=json.loads(json.dumps(found.config)) | {"seed": 7})
    shown = whole.config_section([found, other])
    assert "1 knob differs" in shown
    assert shown.count('<tr class="differs"><th scope="row">seed</th>') == 2
    assert shown.count('class="differs"') == 2


@pytest.mark.parametrize("algorithm", ["ppo", "cem"])
def test_the_defaults_are_those_of_the_algorithm(run, algorithm):
    """Caught, when planted: those of REINFORCE, from which PPO's alone differ in ten."""
    made = reading.from_dict({"algorithm": {"name": algorithm}, "seed": 3})
    shown = whole.config_section([training.read(run)._replace(config=reading.to_dict(made))])
    assert "2 knobs are not at their default" in shown
    assert shown.count('<tr class="differs"><th scope="row">algorithm.name</th>') == 2


@pytest.mark.slow
@pytest.mark.parametrize("play", [False, True])
def test_no_pytensor_and_no_matplotlib_for_a_report(run, tmp_path, play):
    """Nor JAX: the derivative by which a policy reacts is in the cache once a policy of its shape was shown.

    By a process as this one: XLA's variables are those of what a process compiled first, and are part of the key.
    """
    code = (
        f"import sys; from pg_theano import report; report.report([sys.argv[1]], sys.argv[2], play={play});"
        "print(sorted({'jax', 'pytensor', 'matplotlib', 'optuna'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(run), str(tmp_path / "r.html")]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_page_says_what_the_policy_reacts_to(run, monkeypatch, functions_kept):
    """Caught, when planted: another order than that of the shares; a page lost where JAX cannot run."""
    shown = policy_section.part(run)
    table = shown.partition("What the policy reacts to")[2].partition("As numbers")[0]
    shares = [float(cell.partition(" %")[0]) for cell in table.split("<td>") if " %</td>" in cell]
    assert len(shares) == 4
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.3)

    def refused(*given, **named):
        raise types.UserError("the cache: others may write it")

    monkeypatch.setattr(policy_section.explaining.program, "functions", refused)
    shown = policy_section.part(run)
    assert "could not be computed here: the cache" in shown
    assert 'class="map"' in shown


@pytest.mark.parametrize(
    ("paths", "out", "said"),
    [(["none"], "r.html", "no run folder"), (["none"], "r.txt", ".html"), (["none"], "no/r.html", "no such folder")],
)
def test_what_cannot_be_reported_is_one_line(paths, out, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(types.UserError, match=said):
        report.report(paths, out)
    assert not list(tmp_path.iterdir())


def test_every_metric_has_a_chart_and_no_knob_is_lost(run):
    found = training.read(run)
    drawn = training.curves_section([found])
    drawable = {n for n in found.run.seeds[0] if n not in training.NOT_DRAWN and not n.startswith(("return_", "evalu"))}
    assert drawn.count('<figure class="chart"') == len(drawable) + 2
    every = whole.config_section([found])
    assert all(name in every for name in whole.flattened(reading.to_dict(reading.Config())))


def test_a_page_says_that_the_cost_is_no_measure(run):
    """And where it rose while the return did, from what to what. Caught, when planted: said of a search; of a run whose
    cost fell."""
    found = training.read(run)
    steps = np.arange(20.0)
    for cost, rose in ((steps, True), (-steps, False)):
        columns = found.run.seeds[0] | {"cost": cost, "return_mean": 10 + steps, "env_steps": steps, "update": steps}
        columns = {name: values for name, values in columns.items() if len(values) == 20}
        drawn = training.curves_section([found._replace(run=found.run._replace(seeds=[columns]))])
        assert "its value is no measure" in drawn
        assert ("it rose from 0.5 to 18.5 while the return rose from 10.5 to 28.5" in drawn) == rose


def test_a_population_shows_how_wide_its_distribution_is(run):
    found = training.read(run)
    count = found.run.seeds[0]["update"].size
    columns = found.run.seeds[0] | {name: np.linspace(1, 0.1, count) for name in ("spread", "fitness_elites")}
    drawn = training.curves_section([found._replace(run=found.run._replace(seeds=[columns]))])
    assert "Width of the distribution" in drawn
    assert ">generation</text>" in drawn
    assert drawn.count("<figcaption>Fitness: best quarter of a generation, against") == 2


def test_a_run_without_a_result_says_how_far_it_came(run):
    """It goes on, or was killed. Caught, when planted: only "no result yet"; its threshold left out."""
    found = training.read(run)
    shown = training.overview([found._replace(results=[{}])])
    steps, seconds = (found.run.seeds[0][name][-1] for name in ("env_steps", "seconds"))
    assert f"3 updates, {steps:,.0f} steps, {seconds:.2f} s of training; last greedy evaluation" in shown
    assert "<dt>solved at</dt><dd>475</dd>" in shown


def test_a_search_of_parameters_has_no_gradient_and_no_rates(run):
    """Caught, when planted: the columns that every record has, under the names that a gradient's have."""
    found = training.read(run)
    data = json.loads(json.dumps(found.config))
    data["algorithm"]["name"] = "cem"
    drawn = training.curves_section([found._replace(config=data)])
    assert "Step of the distribution&#x27;s mean" in drawn or "Step of the distribution's mean" in drawn
    assert not any(name in drawn for name in ("Norm of the gradient", "Learning rate", "Exploration rate"))


def test_a_threshold_is_drawn_where_its_task_is(run):
    """Caught, when planted: those of all runs in every figure."""
    found = training.read(run)
    count = found.run.seeds[0]["update"].size
    columns = {"update": np.arange(count), "env_steps": np.arange(count), "fitness_elites": np.arange(count) * 1.0}
    other = found._replace(name="b", threshold=90.0, results=[{}], run=found.run._replace(seeds=[columns]))
    charts = training.curves_section([found, other]).split("<figure")
    (one,) = [chart for chart in charts if "Return of an episode, against environment steps" in chart]
    (two,) = [chart for chart in charts if "best quarter of a generation, against environment steps" in chart]
    assert one.count('class="level"') == two.count('class="level"') == 1


def test_one_point_is_a_dot_and_a_figure_keeps_four_digits():
    """Caught, when planted: a line of one point, which is nothing; a tenth of a unit, which is 499.5 for 500."""
    drawn = figures.chart("t", [figures.Mark("line", flat([5.0], [500.0]), 0, "s")], x="x")
    assert 'class="line lone c0"' in drawn and len(set(drawn.partition('points="')[2].partition('"')[0].split())) == 1
    values = np.random.default_rng(0).uniform(-1700, 500, 50)
    drawn = figures.chart("t", [figures.Mark("line", flat(np.arange(50), values), 0, "s")], x="x")
    low, high = map(float, drawn.partition('data-range="')[2].partition('"')[0].split()[2:])
    heights = [float(pair.split(",")[1]) for pair in drawn.partition('points="')[2].partition('"')[0].split()]
    top, bottom = figures.TOP, figures.HEIGHT - figures.BOTTOM
    read_back = high + (np.array(heights) - top) / (bottom - top) * (low - high)
    np.testing.assert_allclose(read_back, values, atol=0.01)


def test_what_is_left_out_of_a_page_is_said(run):
    """Caught, when planted: more maps, bars and policies cut than are named."""
    found = training.read(run)
    shown = policy_section.section([found], [run.parent / "other"])
    assert "Only those of the first 1 runs; of another: python -m pg_theano.report" in shown
    wide = a_policy({"kind": "multi_discrete", "size": 3, "choices": [4, 4, 4]})
    wide.acting.layout[2:] = [("policy/w2", (4, 12), ""), ("policy/b2", (12,), "")]
    wide.state["params"] = np.random.default_rng(0).normal(size=3 * 4 + 4 + 4 * 12 + 12)
    assert f"The first {policies.MOST_MAPS} of 12 maps." in policies.maps(wide, np.zeros((0, 3)))


def test_actions_are_called_as_the_environment_calls_them():
    """Caught, when planted: the start of a Discrete space left out; a mean that says not of what."""
    found = a_policy(SPECS[0])
    found.described = {"action": {"start": -1}}
    assert [one.label for one in policies.channels(found)] == ["P(action -1)", "P(action 0)", "P(action 1)"]
    assert policies.channels(a_policy(SPECS[3]))[0].label == "mean of action 0, before clipping"
    assert policies.channels(a_policy(SPECS[3], squash=True))[0].label == "mean of action 0, before squashing"


# -- while it trains


def test_a_live_page_begins_at_once_and_says_which_seed_it_is_at(tmp_path, monkeypatch):
    """Caught, when planted: the page of the run before until the first update; the budget of one seed for that of all."""
    clock = [0.0]
    monkeypatch.setattr(live.time, "perf_counter", lambda: clock[0])
    page, made = live.Page(tmp_path / "l.html"), reading.from_dict({"runs": 3})
    (tmp_path / "l.html").write_text("the run before")
    shown = page.around(lambda title: Plain(io.StringIO()))("t")
    (tmp_path / "all").mkdir()
    seeds.begin(made, tmp_path / "all", tmp_path, None)
    for seed, budget in ((0, 0.5), (1, 0.25)):
        (tmp_path / "all" / f"seed-{seed}").mkdir()
        shown.begins(made, tmp_path / "all" / f"seed-{seed}")
        if seed == 0:
            assert "Starting: nothing is recorded yet" in (tmp_path / "l.html").read_text()
        clock[0] += 60.0
        told = {
            "update": 0,
            "env_steps": 9,
            "episodes": 1,
            "return_mean": 1.0,
            "return_std": 0.0,
            "cost": 1.0,
            "entropy": 0.5,
        }
        shown.update(told | {"seconds": 0.1}, budget)
        said = (tmp_path / "l.html").read_text()
        assert f"Training: seed {seed + 1} of 3, of which {100 * budget:.0f} % of the budget is spent." in said
        assert "<title>all" in said and "where this time stands still, nothing trains any more" in said
    page = live.Page(tmp_path / "m.html")
    page.write(False)
    assert "ended before its first update" in (tmp_path / "m.html").read_text()


def seen_of(tmp_path, count):
    seen = live.Seen(reading.Config(), tmp_path)
    for update in range(count):
        seen.add({"update": update, "env_steps": update, "return_mean": 1.0 * update, "seconds": 0.1 * update})
    return seen


def test_what_a_live_page_remembers_is_bounded_and_goes_from_the_first_to_the_last(tmp_path):
    """Caught, when planted: every second record dropped without recording fewer of those that come."""
    seen = seen_of(tmp_path, 50_000)
    updates = [record["update"] for record in seen.records]
    assert live.MOST_RECORDS / 4 < len(updates) <= live.MOST_RECORDS
    assert updates[0] == 0
    assert updates[-1] > 49_000
    assert len(set(np.diff(updates))) == 1


def test_records_after_a_resume_take_the_place_of_those_that_were_lost(tmp_path):
    """Caught, when planted: records only added."""
    seen = seen_of(tmp_path, 20)
    seen.add({"update": 10, "env_steps": 10})
    assert [record["update"] for record in seen.records] == list(range(11))


def test_a_live_page_takes_its_share_of_the_time_and_no_more(tmp_path, monkeypatch):
    """A page that takes a second to draw is drawn every eighty. Caught, when planted: `EVERY` alone."""
    clock, drawn = [0.0], []
    monkeypatch.setattr(live.time, "perf_counter", lambda: clock[0])
    page = live.Page(tmp_path / "l.html")

    def write(goes_on):
        drawn.append(clock[0])
        clock[0] += 1.0

    monkeypatch.setattr(page, "write", write)
    while clock[0] < 1000:
        clock[0] += 0.01
        page.draw_when_due()
    assert len(drawn) <= 1000 * live.SHARE + 1


def test_a_live_page_that_cannot_be_written_stops_nothing(tmp_path, capsys):
    """It is said once. Caught, when planted: the error let through."""
    (tmp_path / "l.html").mkdir()
    page = live.Page(tmp_path / "l.html")
    page.seen[tmp_path] = seen_of(tmp_path, 3)
    page.write(True)
    page.write(True)
    assert capsys.readouterr().err.count("cannot be written") == 1
    assert not list(tmp_path.glob(".l*"))


@pytest.mark.slow
def test_a_run_with_a_live_page_learns_the_same(run, tmp_path):
    """Its records are those of the same run without one, and the page is the report in the end."""
    import pg_theano

    given = {"budget": {"updates": 3}, "evaluation": {"every_updates": 2, "episodes": 4}, "solved": {"stop": False}}
    pg_theano.run(given, run_dir=tmp_path / "cart", plot=False, live=tmp_path / "l.html")
    records = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in open(folder / "metrics.jsonl")]
        for folder in (run, tmp_path / "cart")
    ]
    assert records[0] == records[1]
    page = (tmp_path / "l.html").read_text()
    assert "budget spent" in page
    assert "data-refresh" not in page


def test_a_page_that_cannot_be_made_fails_no_training(tmp_path, capsys, monkeypatch):
    """Neither while it goes, nor in the end. Caught, when planted: only what is expected to go wrong taken."""

    def broken(*given, **named):
        raise KeyError(EVIL)

    for broken_part, ends in (
        ("overview", lambda page: page.draw_when_due()),
        ("read", lambda page: page.finish(tmp_path)),
    ):
        page = live.Page(tmp_path / "l.html")
        page.seen[tmp_path] = seen_of(tmp_path, 3)
        with monkeypatch.context() as planted:
            planted.setattr(live.training if broken_part == "overview" else live.whole, broken_part, broken)
            ends(page)
            ends(page)
        assert capsys.readouterr().err.count("the page cannot be made (KeyError: ") == 1


def test_an_environment_that_takes_long_to_be_made_is_played(run, tmp_path, monkeypatch):
    """And one whose reset does. Caught, when planted: making it counted as playing."""
    made = policy_section.making.single

    def slow(*given, **named):
        time.sleep(policy_section.SECONDS + 0.1)
        return made(*given, **named)

    monkeypatch.setattr(policy_section.making, "single", slow)
    found, (read, _) = policy_of_run.load(run), policy_section.runs.read_run(run)
    assert len(policy_section.played(found, read.environment, [])[0]) > 10


def test_an_environment_that_breaks_leaves_the_rest_of_the_page(run, tmp_path, monkeypatch):
    """Caught, when planted: `except UserError` around the playing."""

    def broken(*given, **named):
        raise RuntimeError(EVIL)

    monkeypatch.setattr(policy_section.making, "single", broken)
    page = report.report([run], tmp_path / "r.html").read_text()
    assert "could not be played here: &lt;script" in page
    assert 'class="map"' in page


@pytest.mark.parametrize("module", ["a2c", "natural", "ppo", "reinforce", "vpg"])
def test_every_metric_of_an_algorithm_has_a_name_that_people_read(module):
    """Caught, when planted: a metric without one."""
    named = {*training.METRICS, *training.RETURN, "finite"}
    assert not set(importlib.import_module(f"pg_theano.graphs.algorithms.{module}").METRICS) - named
    assert not set(learner.METRICS) - named
