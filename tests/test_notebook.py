"""Notebooks: one display that is updated in place, an interrupted cell that is saved, results as HTML."""

import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from helpers_runs import SMALL, as_arguments, assert_equal_runs, ran, resumed, small
from test_report import EVIL
from test_report_browser import browser, opened  # noqa: F401 - fixtures

import pg_theano
from pg_theano.config import reading as configs
from pg_theano.reports import notebook
from pg_theano.reports.pages import cells
from pg_theano.system import stopping
from pg_theano.training.display import Quiet
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("elsewhere", "functions_kept")


class Handle:
    def __init__(self, shown):
        self.shown = shown

    def update(self, bundle, raw):
        assert raw
        self.shown.append(("update", bundle))


@pytest.fixture
def kernel(monkeypatch):
    """A stand-in for IPython in a kernel; the list of what it was told to show."""
    shown = []

    def display(bundle, raw, display_id):
        assert raw and display_id
        shown.append(("display", bundle))
        return Handle(shown)

    shell = types.SimpleNamespace(kernel=object())
    of_display = types.ModuleType("IPython.display")
    of_display.display = display
    fake = types.ModuleType("IPython")
    fake.display, fake.get_ipython = of_display, lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", of_display)
    shown_of = types.SimpleNamespace(shown=shown, shell=shell)
    return shown_of


def run(*knobs, **options):
    return pg_theano.run(small(), *knobs, run_dir="run", plot=False, **options)


def test_a_kernel_gets_one_display_that_is_updated_and_no_line(kernel, capsys, monkeypatch):
    """Caught, when planted: a display for every picture; the plain screen's lines beside it; a screen for each run."""
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    monkeypatch.setattr(notebook, "SHARE", 1e9)
    result = pg_theano.run(small(), "runs=2", run_dir="run", plot=False)
    assert capsys.readouterr().out == ""
    kinds = [kind for kind, _ in kernel.shown]
    assert kinds[0] == "display" and set(kinds[1:]) == {"update"} and len(kinds) > 12
    assert all(set(bundle) == {"text/html", "text/plain"} for _, bundle in kernel.shown)
    middle, last = kernel.shown[-6][1]["text/html"], kernel.shown[-1][1]["text/html"]
    assert "<polyline" in middle and "steps/s" in middle and "budget" in middle
    assert "<polyline" not in last and "<details>" in last and str(result.folder) in last


@pytest.mark.slow
def test_agents_that_go_on_side_by_side_have_a_line_each(kernel, monkeypatch):
    """Caught, when planted: as it was, one empty line taken for another, and three of four lost."""
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    monkeypatch.setattr(notebook, "SHARE", 1e9)
    knobs = ["environment.id=CartPole-v1", "runs=4", "agents_per_process=4", "solved.stop=false"]
    pg_theano.run(small(), *knobs, run_dir="run", plot=False)
    middle = [bundle["text/html"] for _, bundle in kernel.shown if "steps/s" in bundle["text/html"]][-2]
    assert middle.count("<polyline") == 4 and "seed-3" in middle and "4 agents at once" in middle


def test_pictures_are_no_more_than_two_a_second(kernel, monkeypatch):
    """Caught, when planted: a picture an update."""
    clock = iter(range(10_000))
    monkeypatch.setattr(notebook.time, "perf_counter", lambda: next(clock) * 0.01)
    cell = notebook.Cell()
    shown = cell("x")
    for update in range(200):
        shown.update(record(update), update / 200)
    drawn = len(kernel.shown)
    assert 2 <= drawn <= 10  # 400 readings or so of a clock that moves by 0.01 s


def record(update):
    return {
        "update": update, "env_steps": 10 * update + 1, "episodes": update, "return_mean": float(update), "return_std": 1.0,
        "return_min": 0.0, "return_max": 1.0, "seconds": 1.0, "learning_rate": 0.1, "exploration_rate": 0.0, "entropy": 0.5,
        "gradient_norm": 1.0, "cost": 1.0,
    }  # fmt: skip


def test_a_long_run_takes_no_more_memory_and_keeps_its_shape(kernel):
    """Caught, when planted: every point kept; the first half forgotten."""
    shown = notebook.Cell()("x")
    for update in range(50_000):
        shown._remember(float(update), float(update))
    steps, returns = shown.points
    assert len(steps) <= notebook.MOST_POINTS and steps == returns
    assert steps[0] == 0 and steps[-1] > 49_000 and len(steps) > notebook.MOST_POINTS / 3


def test_warnings_stay_however_much_is_said(kernel):
    """Caught, when planted: the last lines alone; what was left out not counted."""
    cell = notebook.Cell()
    cell.say("warning: <b>one</b>")
    for number in range(500):
        cell.say(f"line {number}")
    cell._end(["done"], None)
    html = kernel.shown[-1][1]["text/html"]
    assert html.count("warning: &lt;b&gt;one&lt;/b&gt;") == 2  # open, and where it was said
    assert "(301 lines before these are left out)" in html and "line 499" in html and "line 3\n" not in html


def test_terminals_and_scripts_are_as_they_were(capsys, monkeypatch):
    """IPython without a kernel is a terminal. Caught, when planted: `IPython in sys.modules` taken for a notebook."""
    fake = types.ModuleType("IPython")
    fake.get_ipython = lambda: types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", fake)
    assert not notebook.is_here()
    run()
    assert "update " in capsys.readouterr().out
    fake.get_ipython = lambda: None
    assert not notebook.is_here()


def test_nothing_of_ipython_is_imported_where_it_is_not():
    """Caught, when planted: `import IPython` in `is_here`."""
    code = (
        "import sys; from pathlib import Path; from pg_theano.reports import notebook; print(notebook.is_here())\n"
        "notebook.Result(Path('x'), {}, None)._repr_html_(); print('IPython' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["False"] * 3


@pytest.mark.parametrize("asked", [1, 2])
def test_an_interrupted_cell_is_saved_and_says_how_to_go_on(kernel, tmp_path, monkeypatch, asked):
    """A second interrupt does not spoil it; the run that goes on equals one that was never stopped. Caught, when
    planted: no handler; `os._exit`, as on the command line (the tests end there); no word of how to go on."""
    ran(small(), tmp_path / "whole")

    def interrupt(update, metrics, policy):
        if update == 3:
            os.kill(os.getpid(), signal.SIGINT)

    def again(self, updates):
        os.kill(os.getpid(), signal.SIGINT)

    if asked == 2:
        monkeypatch.setattr(notebook.Told, "saved", again)
    try:
        result = run(callbacks=[interrupt])
    except KeyboardInterrupt:
        pytest.fail("the second interrupt ended the saving")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert result.figures["status"] == "interrupted" and result.figures["updates"] == 3
    for html in (kernel.shown[-1][1]["text/html"], result._repr_html_()):
        assert "pg_theano.run(resume=&#x27;run&#x27;)" in html
        assert "python -m pg_theano.train --resume run" in html
    resumed("run")
    assert_equal_runs("run", tmp_path / "whole")


def test_interrupted_before_its_first_update_it_says_how_to_go_on(kernel, monkeypatch):
    """Caught, when planted: the command's words, which a notebook never shows."""
    from pg_theano.training import begun

    def interrupted(*_):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setattr(begun, "compiled", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert "pg_theano.run(resume=&#x27;run&#x27;)" in kernel.shown[-1][1]["text/html"]


def test_a_third_interrupt_is_heard():
    """Whatever hangs while it saves does not hold the kernel. Caught, when planted: all but the first let pass."""
    with stopping.listening(in_kernel=True):
        with pytest.raises(stopping.Stop):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_error_is_one_line_in_a_notebook(kernel):
    """Caught, when planted: no `_render_traceback_`; the cause's traceback left out; an
    error of ours taken for such a cause."""
    with pytest.raises(UserError) as caught:
        pg_theano.run({"policy": {"hiden": [4]}})
    (line,) = caught.value._render_traceback_()
    assert line == "error: config policy.hiden: unknown knob; did you mean policy.hidden?"
    assert "before it began: ended by UserError" in kernel.shown[-1][1]["text/html"]
    try:
        raise UserError("callback\x1b[31m raised") from ValueError("of theirs")
    except UserError as error:
        rendered = error._render_traceback_()
    assert rendered[0] == "error: callback�[31m raised" and "ValueError: of theirs" in "".join(rendered)
    with pytest.raises(UserError) as caught:  # which the file's line is added to, by another `UserError`
        pg_theano.run("environment.id=Pendulum-v1", "policy.logistic=true")
    assert caught.value.__cause__ is not None and len(caught.value._render_traceback_()) == 1


def test_knobs_and_a_seed_lie_over_whatever_is_given(tmp_path):
    """As on the command line. Caught, when planted: a seed beside a dict or a Config that is forgotten, as it was."""
    file = tmp_path / "mine.yaml"
    file.write_text("policy: {hidden: [4]}\n")
    for given in (file, str(file), {"policy": {"hidden": [4]}}, configs.from_dict({"policy": {"hidden": [4]}})):
        found = configs.resolved(given, ["budget.updates=7"], 5).config
        assert (found.policy.hidden, found.budget.updates, found.seed) == ([4], 7, 5)
    given = small()
    configs.resolved(given, ["policy.hidden=[9]"])
    assert given == small()  # whose it is
    with pytest.raises(UserError, match=r"policy\.hiden: unknown knob"):
        configs.resolved(small(), ["policy.hiden=[9]"])


def test_words_alone_are_knobs_over_the_defaults(monkeypatch):
    """Caught, when planted: `a=b` taken for a file."""
    result = pg_theano.run(*as_arguments(small()), "budget.updates=1", run_dir="words", plot=False, display=quiet)
    assert result.figures["updates"] == 1 and result.figures["environment"] == SMALL["environment"]["id"]


def quiet(title):
    return Quiet()


# -- results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A run, and a set of two seeds."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return (
            pg_theano.run(small(), run_dir=folder / "one", plot=False, display=quiet),
            pg_theano.run(small(), "runs=2", run_dir=folder / "two", plot=False, display=quiet),
        )


def test_a_result_shows_its_curve_and_a_table(results):
    """Caught, when planted: the evaluation left out; no row a seed; the same colour for both of two."""
    one, two = results
    html = one._repr_html_()
    assert html.count("<polyline") == 1 and html.count("<polygon") == 1 and "h0" in html  # evaluations are dots
    evaluation = one.figures["evaluation"]
    said = f"{evaluation['mean']:.1f} ± {evaluation['std']:.1f} ({evaluation['n']:.0f} greedy episodes)"
    for words in (
        one.figures["environment"],
        "6 updates",
        said,
        f"{one.figures['seconds']['total']:.2f}",
        str(one.folder),
    ):
        assert words in html
    html = two._repr_html_()
    assert html.count("<polyline") == 3  # two thin, their mean
    assert str(two.folder / "seed-0") in html and str(two.folder / "seed-1") in html
    html = pg_theano.beside(*results)._repr_html_()
    assert html.count("<polyline") == 4 and len(set(re.findall(r'polyline stroke="(#\w+)"', html))) == 2
    assert html.count("<tr>") == 4


def test_html_for_a_notebook_brings_no_style_no_script_and_no_id(results):
    """Other cells' would be meant as well, and what is not trusted loses them."""
    html = pg_theano.beside(*results)._repr_html_()
    assert not re.search(r"<style|<script|\b(id|class)=", html)


def test_a_folder_that_is_gone_leaves_the_table(results, tmp_path):
    """Caught, when planted: an exception, which a notebook swallows, and shows the tuple."""
    html = results[0]._replace(folder=tmp_path / "gone")._repr_html_()
    assert "no metrics.jsonl" in html and "greedy episodes" in html


def evil_html():
    """Everything that a run can bring into a cell, hostile."""
    folder = Path("<img src=x onerror=alert(1)>")
    figures = {
        "status": EVIL, "environment": EVIL, "threshold": 1.0, "updates": 1, "env_steps": 1, "seconds": {"total": 1.0},
        "evaluation": {"mean": 1.0, "std": 1.0, "n": 2},
    }  # fmt: skip
    more = figures | {"status": "interrupted"}
    progress = cells.of_progress(EVIL, [(EVIL, EVIL)], [([0.0, 1.0], [0.0, 1.0])], [EVIL, EVIL])
    return [
        cells.of_results([(folder, figures)]),
        cells.of_results([(folder, more), (folder, more)]),
        progress,
        cells.of_end([EVIL], [EVIL, f"warning: {EVIL}"], 3, cells.how_to_go_on(folder)),
        cells.figures.still(EVIL, cells.marks_of(a_run(), 0, 1), x=EVIL, y=EVIL),
    ]


def a_run():
    import numpy as np

    from pg_theano.runs.curves import Run

    columns = {"env_steps": np.arange(9.0), "return_mean": np.arange(9.0) ** 2, "return_std": np.ones(9)}
    return Run("x", [columns], [{}], False)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_runs_nothing_of_it_and_reads_it_in_the_light_and_in_the_dark(opened, tmp_path, results, scheme):  # noqa: F811
    """Caught, when planted: a title, a cell, an event and a folder that are not escaped; ink of one colour."""
    ink, paper = ("#111", "#fff") if scheme == "light" else ("#ddd", "#111")
    inside = "".join([*evil_html(), results[0]._repr_html_()])
    file = tmp_path / "cell.html"
    file.write_text(f'<meta charset="utf-8"><body style="color:{ink};background:{paper}">{inside}', encoding="utf-8")
    page, wrong = opened(file, 700)
    assert not wrong
    assert page.locator("script, img, [onerror], [onload]").count() == 0
    assert EVIL in page.locator("body").inner_text()
    assert page.locator("svg").count() == 3
    inks = page.evaluate("[...document.querySelectorAll('svg text')].map(t => getComputedStyle(t).fill)")
    colours = page.evaluate("[...document.querySelectorAll('p, td, th, pre')].map(t => getComputedStyle(t).color)")
    assert set(inks) | set(colours) == {page.evaluate("getComputedStyle(document.body).color")}
    assert page.evaluate("[...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().right <= 700)")
    background = luminance([int(2 * c, 16) for c in paper[1:]])
    for tone in cells.figures.TONES:
        other = luminance([int(tone[i : i + 2], 16) for i in (1, 3, 5)])
        low, high = sorted((background, other))
        assert (high + 0.05) / (low + 0.05) >= 3, tone  # WCAG 1.4.11, of graphics


def luminance(rgb):
    """Of sRGB, from the definition in WCAG 2."""
    linear = [c / 255 / 12.92 if c <= 0.04045 * 255 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.slow
def test_a_real_kernel_is_interrupted_and_outlives_it(tmp_path):
    """SIGINT is what Jupyter's button sends. Two of them, the second while it saves; the next cell goes on to the end.
    Caught, when planted: `os._exit` for the second (the kernel is gone); no handler (the cell fails, nothing is said)."""
    import nbclient
    import nbformat

    begin = (
        "import os, signal, pg_theano\n"
        "def interrupt(update, metrics, policy):\n"
        "    if update == 3: os.kill(os.getpid(), signal.SIGINT)\n"
        "from pg_theano.reports import notebook\n"
        "saved = notebook.Told.saved\n"
        "notebook.Told.saved = lambda self, updates: os.kill(os.getpid(), signal.SIGINT)\n"
        f"result = pg_theano.run({small()!r}, run_dir='run', plot=False, callbacks=[interrupt])\n"
        "notebook.Told.saved = saved\nprint(result.figures['status'], result.figures['updates'])"
    )
    after = "again = pg_theano.run(resume='run', plot=False)\nprint(again.figures['status'], again.figures['updates'])"
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (begin, after)])
    nbclient.NotebookClient(made, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = ["".join(one.text for one in cell.outputs if one.output_type == "stream") for cell in made.cells]
    assert said == ["interrupted 3\n", "budget 6\n"]
    (display,) = [one for one in made.cells[0].outputs if one.output_type == "display_data"]
    assert "pg_theano.run(resume=&#x27;run&#x27;)" in display.data["text/html"]
