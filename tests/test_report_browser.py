"""The report page in headless Chromium: no error, no request, sliders that move, nothing wider than the window."""

import json
import os
import shutil
import subprocess
import sys
import time

import helpers_forking as forking
import numpy as np
import pytest
from test_report import ALL, EVIL, a_policy

from pg_theano import report
from pg_theano.reports.pages import html, policies, training, whole

OPTIMISED = False  # see conftest.machine_code

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    """One for all. In CI it must be there; elsewhere the reason for skipping says what to install."""
    missing = "apt-get install chromium" if CHROMIUM is None else None
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = "pip install playwright"
    if missing:
        assert not os.environ.get("CI"), f"no browser for the report's tests: {missing}"
        pytest.skip(f"no browser: {missing}")
    with sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def opened(browser):
    """open(file, width, scripts) -> (page, what went wrong: a list that fills)."""
    contexts = []

    def open_page(file, width=1600, scripts=True):
        context = browser.new_context(viewport={"width": width, "height": 900}, java_script_enabled=scripts)
        contexts.append(context)
        page, wrong = context.new_page(), []
        page.on("console", lambda said: wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on(
            "request", lambda asked: asked.url.startswith(("file:", "data:")) or wrong.append(f"request {asked.url}")
        )
        page.goto(file.as_uri())
        return page, wrong

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The report of a run of two seeds, and of a run beside it."""
    import pg_theano

    folder = tmp_path_factory.mktemp("pages")
    given = {"budget": {"updates": 3}, "evaluation": {"every_updates": 2, "episodes": 4}, "solved": {"stop": False}}
    pg_theano.run(given | {"runs": 2}, run_dir=folder / "two", plot=False)
    report.report([folder / "two"], folder / "one.html")
    report.report([folder / "two", folder / "two" / "seed-0"], folder / "both.html", play=False)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("name", ["one.html", "both.html"])
def test_a_page_loads_without_an_error_or_a_request_and_fits(opened, pages, name, width):
    """Caught, when planted: an <img> of another host, a style attribute, a table outside its scrolling box."""
    page, wrong = opened(pages / name, width)
    assert not wrong
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    small = "[...document.querySelectorAll('figure.chart svg text')].filter(t => t.getBoundingClientRect().height < 8)"
    assert page.evaluate(f"{small}.length") == 0


@pytest.mark.slow
def test_it_reads_with_scripts_blocked(opened, pages):
    """Caught, when planted: maps drawn by the script alone; knobs that are there and do nothing."""
    page, wrong = opened(pages / "one.html", scripts=False)
    assert not wrong
    assert page.locator("table").count() >= 3
    assert page.locator("figure.chart polyline").count() > 10
    assert page.locator(".map img.still").is_visible()
    assert not page.locator(".knobs").is_visible()
    assert page.locator("img.episode").is_visible()


def drawn(page):
    return page.evaluate("document.querySelector('.map canvas').toDataURL()")


@pytest.mark.slow
def test_sliders_and_choices_change_the_map(opened, pages):
    """Caught, when planted: a slider that writes to a copy."""
    page, wrong = opened(pages / "one.html")
    before = drawn(page)
    slider = page.locator(".knobs input[type=range]:visible").first
    slider.evaluate("s => { s.value = s.max; s.dispatchEvent(new Event('input')); }")
    page.wait_for_function("before => document.querySelector('.map canvas').toDataURL() !== before", arg=before)
    moved, select = drawn(page), page.locator(".knobs select").first
    other = select.evaluate("s => [...s.options].map(o => o.value).find(v => v !== s.value)")
    select.select_option(other)
    page.wait_for_function("before => document.querySelector('.map canvas').toDataURL() !== before", arg=moved)
    assert not wrong


@pytest.mark.slow
def test_a_stroke_enlarges_a_name_hides_and_the_pointer_reads(opened, pages):
    page, wrong = opened(pages / "one.html")
    svg = page.locator("figure.chart svg").first
    svg.scroll_into_view_if_needed()
    box, frame = svg.bounding_box(), page.locator("figure.chart .frame").first
    whole = frame.get_attribute("viewBox")
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    assert "mean of 2 seeds:" in page.locator("#tip").inner_text()
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 0.7 * box["height"])
    page.mouse.up()
    assert frame.get_attribute("viewBox") != whole
    page.locator("button.back:visible").first.click()
    assert frame.get_attribute("viewBox") == whole
    toggle = page.locator("button.toggle").first
    name = toggle.get_attribute("data-series")
    marks = page.locator(f"figure.chart >> nth=0 >> [data-series='{name}'].off")
    assert marks.count() == 0
    toggle.click()
    assert marks.count() > 0
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize(("action", "knobs"), ALL)
def test_the_script_computes_what_numpy_does(opened, tmp_path, action, knobs):
    """Every kind of policy, at one place of all the sliders: the map's extremes agree to three digits.

    Caught, when planted: a sigmoid of x for one of ½x, observations that are not normalised, a log-std without its bounds.
    """
    found = a_policy(action, **knobs)
    rows = np.random.default_rng(0).normal(size=(60, 3))
    file = tmp_path / "p.html"
    file.write_text(html.page("p", "", [html.section("p", "p", policies.maps(found, rows))]), encoding="utf-8")
    page, wrong = opened(file)
    assert not wrong
    stills, _ = opened(file, scripts=False)
    size = policies.SIDE
    read = """(element, n) => { const c = document.createElement('canvas'); c.width = c.height = n;
      const g = c.getContext('2d'); g.drawImage(element, 0, 0, n, n); return [...g.getImageData(0, 0, n, n).data]; }"""
    addresses = [one.get_attribute("src") for one in stills.locator("img.still").all()]
    for canvas, address in zip(page.locator(".map canvas").all(), addresses, strict=True):
        ours = np.array(canvas.evaluate(read, size), float)
        page.evaluate(
            """address => new Promise(done => { window.still = new Image(); window.still.onload = done;
            window.still.src = address; })""",
            address,
        )
        theirs = np.array(page.evaluate(f"({read})(window.still, {size})"), float)
        assert np.abs(ours - theirs).max() <= 8  # of 255: a step of the table of colours


@pytest.mark.slow
def test_a_network_too_large_for_the_page_has_its_maps_made_beforehand(opened, tmp_path, monkeypatch):
    """One slider moves at a time; at its end the map is NumPy's there. Caught, when planted: places counted from 1."""
    monkeypatch.setattr(policies, "MOST_WEIGHTS", 0)
    found, rows = a_policy(ALL[0][0]), np.random.default_rng(0).normal(size=(60, 3))
    file, shown = tmp_path / "p.html", policies.maps(found, rows)
    assert '"net"' not in shown
    file.write_text(html.page("p", "", [html.section("p", "p", shown)]), encoding="utf-8")
    page, wrong = opened(file)
    before, slider = drawn(page), page.locator(".knobs input[type=range]:visible")
    assert slider.count() == 1
    slider.evaluate("s => { s.value = s.max; s.dispatchEvent(new Event('input')); }")
    page.wait_for_function("before => document.querySelector('.map canvas').toDataURL() !== before", arg=before)
    assert not wrong

    size = policies.GRID_SIDE
    pixels = "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    theirs = np.array(page.locator(".map canvas").first.evaluate(pixels)).reshape(size, size, 4)[..., :3]
    (first, second), (ranges, _) = policies.chosen(found, rows), policies._ranges(rows, 3)
    (other,) = {0, 1, 2} - {first, second}
    obs = np.empty((size, size, 3))
    middles = (np.arange(size) + 0.5) / size
    obs[..., first] = ranges[first][0] + middles * (ranges[first][1] - ranges[first][0])
    obs[..., second] = (ranges[second][1] - middles * (ranges[second][1] - ranges[second][0]))[:, None]
    obs[..., other] = ranges[other][1]
    levels = np.round(255 * policies.values(found, obs.reshape(-1, 3))[:, 0]).astype(int).reshape(size, size)
    assert np.abs(theirs - policies.colours()[levels].astype(int)).max() <= 8


@pytest.mark.slow
def test_a_name_of_anybodys_is_text_in_a_browser(opened, pages, tmp_path):
    """Caught, when planted: a cell, a caption, a series that is not escaped."""
    found = training.read(pages / "two" / "seed-0")
    columns = {**found.run.seeds[0], EVIL: found.run.seeds[0]["cost"]}
    run = found.run._replace(name=EVIL, seeds=[columns])
    given = {**found.config, EVIL: EVIL, "environment": {**found.config["environment"], "id": EVIL}}
    results = [{**found.results[0], "status": EVIL, "seconds": {EVIL: 1.0}}]
    evil = found._replace(name=EVIL, config=given, run=run, results=results)
    policy = a_policy(ALL[0][0])
    policy.about = policy.about._replace(environment=EVIL)
    both = [evil, evil._replace(name=EVIL + "2")]
    sections = [training.overview(both), training.curves_section(both), training.times_section(both)]
    sections += [whole.config_section(both), html.section("p", EVIL, policies.maps(policy, np.zeros((0, 3))))]
    file = tmp_path / "evil.html"
    file.write_text(html.page(EVIL, html.contents(sections), sections), encoding="utf-8")
    page, wrong = opened(file)
    assert not wrong
    assert page.locator("script").count() == 2  # the page's own, and the policy's data
    assert page.locator("img[src=x]").count() == 0
    assert page.title().startswith("<script>")
    assert EVIL in page.locator("body").inner_text()


@pytest.mark.slow
def test_a_search_is_shown_with_chos_parabolas_and_its_best_configs(opened, tmp_path, monkeypatch):
    """Caught, when planted: the ring at the worst trial's score."""
    from pg_theano.search.__main__ import search

    monkeypatch.chdir(tmp_path)
    given = {
        "name": "small",
        "budget": {"updates": 2},
        "solved": {"stop": False},
        "search": {
            "method": "cho",
            "objective": "learning_curve",
            "space": {
                "schedules.learning_rate.initial": {"low": 0.001, "high": 1.0, "log": True},
                "policy.hidden": {"choices": [[4], [8]]},
            },
            "budget": {"trials": 9},
        },
    }
    (tmp_path / "small.yaml").write_text(json.dumps(given))
    result = search("small.yaml", run_dir="found", plot=False, file=open(os.devnull, "w"))
    page, wrong = opened(report.report(["found"], tmp_path / "s.html"), 400)
    assert not wrong
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    for said in ("History", "Importance", "learning_rate.initial", "hidden", "best so far", "its quadratic"):
        assert said in page.locator("body").inner_text()
    assert page.locator("tr.differs th").first.inner_text() == f"trial {result['trial']}"
    assert page.locator("path.rings").count() == 2
    ring, dots = (
        page.locator(f"figure.chart:has(path.rings) path.{kind}.c{colour}").first.get_attribute("d")
        for kind, colour in (("rings", 1), ("points", 0))
    )
    heights = [float(point.partition(",")[2].partition("h")[0]) for point in dots.split("M")[1:]]
    assert float(ring.partition(",")[2].partition("h")[0]) == min(heights)


@pytest.mark.slow
def test_a_live_page_loads_itself_anew_until_the_run_ends(opened, elsewhere):
    """Caught, when planted: no refresh; a report at the end that goes on loading itself."""
    file, folder = elsewhere / "live.html", elsewhere / "run"
    words = ["solved.stop=false", "budget.updates=null", "budget.env_steps=3000", "--no-plot"]  # 6 s, and idle
    words += ["environment.wrappers=[probe_environments:Paced]", "environment.num_envs=4", "evaluation.episodes=2"]
    words += ["schedules.episodes_per_update.initial=4"]
    command = [sys.executable, "-m", "pg_theano.train", *words, "--run-dir", str(folder), "--live", str(file)]
    training_process = forking.Popen(command, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.1)
        page, wrong = opened(file)
        assert page.locator("header p").inner_text().startswith(("Starting: nothing is recorded yet", "Training:"))
        page.wait_for_function(
            "() => document.querySelector('header p')?.innerText.includes('Training:')", timeout=120_000
        )
        first = page.locator("header p").inner_text()
        page.wait_for_function(
            "first => !document.querySelector('header p') || document.querySelector('header p').innerText !== first",
            arg=first,
            timeout=120_000,
        )
        assert training_process.wait(120) == 0
    finally:
        training_process.kill()
        training_process.wait()
    page.wait_for_function("() => document.body.innerText.includes('budget spent')", timeout=120_000)
    assert not page.evaluate("'refresh' in document.body.dataset")
    assert "The policy, seen" in page.locator("body").inner_text()
    assert not wrong
    assert json.loads((folder / "result.json").read_text())["status"] == "budget"
