"""The five pages to play with: what their scripts compute is Python's, and they are whole, small and readable."""

import json
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from test_report_browser import browser, opened  # noqa: F401 (fixtures)

from pg_theano.exact import card as cards
from pg_theano.exact import task as exact
from pg_theano.reports.lessons import pages

ROOT = Path(__file__).parent.parent
NODE = shutil.which("node") or shutil.which("nodejs")
LESSONS = Path(pages.__file__).parent
NAMES = [page.name for page in pages.PAGES]
CLOSE = 1e-12


# -- Python's numbers


def uniforms(seed, number):
    """mulberry32 (Tommy Ettinger 2017), of 32-bit integers."""
    a, out, low = seed, [], 0xFFFFFFFF
    for _ in range(number):
        a = (a + 0x6D2B79F5) & low
        t = (a ^ (a >> 15)) * (a | 1) & low
        t ^= (t + ((t ^ (t >> 7)) * (t | 61) & low)) & low
        out.append((t ^ (t >> 14)) / 2**32)
    return np.array(out)


def picked(chances, us):
    """Which of several chances each uniform falls on."""
    sums = [math.fsum(chances[: i + 1]) for i in range(len(chances) - 1)]
    return [sum(u >= one for one in sums) for u in us]


def coin(theta, heads, tails, baseline, tosses, seed):
    p = 1 / (1 + math.exp(-theta))
    both = np.array([(tails - baseline) * -p, (heads - baseline) * (1 - p)])
    arrows = both[(uniforms(seed, tosses) < p).astype(int)]
    slope = p * (1 - p) * (heads - tails)
    variance = np.array([1 - p, p]) @ (both - slope) ** 2
    found = {"p": p, "J": p * heads + (1 - p) * tails, "slope": slope, "arrows": arrows, "mean": arrows.mean()}
    return found | {"variance": variance, "error": math.sqrt(variance / tosses)}


def tree(logits, seed, samples, **_):
    logits = np.array(logits)
    policy, every = exact.table(logits), exact.trajectories()
    chances = [exact.probability(one, policy) for one in every]
    arrows = [exact.discounted_return(one) * exact.scores(one, logits).sum(axis=0).ravel() for one in every]
    drawn = picked(chances, uniforms(seed, samples))
    estimate = np.mean([arrows[i] for i in drawn], axis=0)
    true = exact.true_gradient(logits).ravel()
    leaves = [{"p": p, "total": exact.discounted_return(one), "arrow": arrow}
              for p, one, arrow in zip(chances, every, arrows, strict=True)]  # fmt: skip
    return {"leaves": leaves, "J": exact.expected_return(policy), "gradient": true, "drawn": drawn,
            "estimate": estimate, "cosine": cards.cosine(estimate, true)}  # fmt: skip


def cloud(logits, q, baseline, batch, points, seed):
    pi, q = np.exp(logits) / np.exp(logits).sum(), np.array(q)
    plane = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    scores = np.eye(3) - pi  # [A, 3]
    each = (scores * (q - baseline)[:, None]) @ plane.T  # [A, 2]
    mean = pi @ each
    cov = (pi[:, None] * (each - mean)).T @ (each - mean) / batch
    squares = (scores**2).sum(axis=1)
    drawn = np.array(picked(pi.tolist(), uniforms(seed, batch * points))).reshape(points, batch)
    found = each[drawn].mean(axis=1)
    return {"pi": pi, "mean": mean, "cov": cov, "variance": np.trace(cov) * batch,
            "axes": np.sqrt(np.linalg.eigvalsh(cov)[::-1].clip(0)), "best": pi @ (squares * q) / (pi @ squares),
            "value": pi @ q, "cloud": found, "cosine": np.mean([cards.cosine(one, mean) for one in found])}  # fmt: skip


def bias(logits, quality, lam, **data):
    logits = np.array(logits)
    policy, estimates, chances = exact.table(logits), [], []
    V = quality * np.array(data["exact"]) + (1 - quality) * np.array(data["wrong"])
    for one in exact.trajectories():
        values = np.array([V[s, t] for t, s in enumerate(one.places)] + [0.0])
        errors = exact.rewards(one) + values[1:] - values[:-1]
        steps = range(len(errors))
        advantages = [sum(lam ** (k - t) * errors[k] for k in steps if k >= t) for t in steps]
        estimates.append(np.tensordot(advantages, exact.scores(one, logits), axes=1).ravel())
        chances.append(exact.probability(one, policy))
    true = exact.true_gradient(logits).ravel()
    found = cards.card(np.array(estimates), true, np.array(chances))
    return {"gradient": true, "mean": np.array(chances) @ estimates, "bias": found.bias, "variance": found.variance,
            "cosine": found.cosine}  # fmt: skip


def clip(logits, steps, epsilon, rate, epochs):
    z, out = np.array(logits), []
    s, a = np.array([one[:2] for one in steps]).T
    advantage = np.array([one[2] for one in steps])
    old = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    for _ in range(epochs + 1):
        pi = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        r = pi[s, a] / old[s, a]
        clipped = np.clip(r, 1 - epsilon, 1 + epsilon)
        zero = (r * advantage) > (clipped * advantage)  # min takes the constant
        out.append({"surrogate": np.minimum(r * advantage, clipped * advantage).mean(), "zero": int(zero.sum()),
                    "outside": int((np.abs(r - 1) > epsilon).sum()),
                    "points": [{"r": r[i], "zero": bool(zero[i])} for i in range(len(r))]})  # fmt: skip
        gradient = np.zeros_like(z)
        weights = np.where(zero, 0.0, r * advantage) / len(r)
        np.add.at(gradient, s, weights[:, None] * (np.eye(z.shape[1])[a] - pi[s]))
        z = z + rate * gradient
    return out


DATA = {page.name: page.data() for page in pages.PAGES}
ASKED = {
    "coin": [{"theta": t, "heads": h, "tails": -1.5, "baseline": b, "tosses": n, "seed": s}
             for t, h, b, n, s in ((-0.5, 2, 0, 12, 1), (3, -1, 0.7, 200, 7), (0, 1, -3, 1, 2**31))],
    "tree": [{"logits": [[a, 0], [b, 0], [c, 0]], "seed": s, "samples": 10, "trajectories": DATA["tree"]["trajectories"]}
             for a, b, c, s in ((0.2, 0, -0.2, 1), (3, -2.5, 1, 9))],
    "cloud": [dict(DATA["cloud"], baseline=b, batch=n, points=50, seed=s) for b, n, s in ((0, 5, 1), (-0.83, 1, 3), (4, 30, 2))],
    "bias": [dict(DATA["bias"], quality=k, lam=lam) for k, lam in ((0.5, 0.95), (0, 0.3), (1, 0), (0.2, 1))],
    "clip": [dict(DATA["clip"], epsilon=e, rate=r, epochs=30) for e, r in ((0.2, 2), (0.05, 8), (0.5, 0.1))],
}  # fmt: skip
"""What each page is asked for, besides what its sliders begin with."""
EXPECTED = {"coin": coin, "tree": tree, "cloud": cloud, "bias": bias, "clip": clip}


def largest(ours, theirs):
    """The largest difference of all numbers that Python has, relative to numbers above 1."""
    if isinstance(ours, dict):
        return max(largest(value, theirs[name]) for name, value in ours.items())
    if isinstance(ours, list) and ours and isinstance(ours[0], dict):
        assert len(ours) == len(theirs)
        return max(map(largest, ours, theirs))
    one, other = np.asarray(ours, float), np.asarray(theirs, float)
    assert one.shape == other.shape
    return float((np.abs(one - other) / np.maximum(1, np.abs(one))).max())


def agrees(name, answers):
    for asked, answer in zip(ASKED[name], answers, strict=True):
        assert largest(EXPECTED[name](**asked), answer) <= CLOSE, (name, asked)


@pytest.mark.skipif(NODE is None, reason="no Node: apt-get install nodejs")
@pytest.mark.parametrize("name", NAMES)
def test_a_page_computes_in_node_what_python_does(name):
    """To 1e-12, against the enumerated task and its card. Caught, when planted: a score without −π, V of the last step
    not left out, a clip on the wrong side, a variance of one batch for one step's, a generator of 31 bits."""
    script = "".join((LESSONS / file).read_text() for file in ("common.js", f"{name}.js"))
    script += f"\nconsole.log(JSON.stringify({json.dumps(ASKED[name])}.map(one => lesson.{name}(one))));\n"
    done = subprocess.run([NODE, "-e", script], capture_output=True, text=True, check=True, timeout=60)
    agrees(name, json.loads(done.stdout))


def test_what_the_pages_say_of_a_baseline_is_so():
    """The three variances of issue and lead. Caught, when planted: V the best, b* the mean of Q."""
    found = {name: cloud(**DATA["cloud"], baseline=b, batch=1, points=1, seed=1)["variance"]
             for name, b in (("none", 0.0), ("V", -0.8313), ("b*", 0.6259))}  # fmt: skip
    assert found == pytest.approx({"none": 0.756, "V": 1.601, "b*": 0.565}, abs=2e-3)


@pytest.mark.parametrize("page", pages.PAGES, ids=NAMES)
def test_a_page_is_whole_small_and_of_the_day(page):
    """At most 150 kB, no address of another host, and docs/interactive has what the package writes.

    Caught, when planted: a font of another host, an edited script without `python docs/interactive.py`.
    """
    text = pages.html(page)
    assert len(text.encode()) <= 150_000
    assert "default-src 'none'" in text
    outside = set(re.findall(r"https?://[^\"'\s)<]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not outside
    assert (ROOT / "docs" / "interactive" / f"{page.name}.html").read_text("utf-8") == text, (
        "python docs/interactive.py"
    )


# -- in a browser

CONTRAST = """() => {
  const lit = c => { const v = c.map(x => (x /= 255) <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
  const rgb = s => (s.match(/[\\d.]+/g) || []).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; };
  const ratio = (a, b) => { const [x, y] = [lit(a), lit(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    const words = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!words || ["SCRIPT", "STYLE"].includes(e.tagName)) continue;
    const style = getComputedStyle(e), front = rgb(e instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    if (ratio(front, behind(e)) < 4.5) poor.push([e.tagName, e.textContent.slice(0, 30), ratio(front, behind(e))]);
  }
  for (const e of document.querySelectorAll("svg .line, svg .leaf:not(.on) path, button, svg circle:not(.faint)")) {
    const style = getComputedStyle(e), front = rgb(e.tagName === "BUTTON" ? style.borderColor : e.tagName === "circle" ? style.fill : style.stroke).slice(0, 3);
    const back = behind(e.parentElement);  // a button beside what it lies on
    if (ratio(front, back) < 3) poor.push([e.tagName, e.getAttribute("class"), ratio(front, back)]);
  }
  return poor;
}"""
NAMELESS = """() => [...document.querySelectorAll("button, input, svg, [tabindex]")].filter(e =>
  !(e.textContent.trim() || e.getAttribute("aria-label") || e.closest("label")?.textContent.trim()))
  .map(e => e.outerHTML.slice(0, 80))"""


def page_of(name):
    return ROOT / "docs" / "interactive" / f"{name}.html"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_page_computes_in_chromium_what_python_does(opened, name):  # noqa: F811
    page, wrong = opened(page_of(name))
    answers = page.evaluate(f"asked => JSON.stringify(asked.map(one => lesson.{name}(one)))", ASKED[name])
    agrees(name, json.loads(answers))
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_reads_and_fits(opened, name, scheme):  # noqa: F811
    """Text 4.5 to 1, lines and borders 3 to 1 (WCAG 2.1 AA, 1.4.3 and 1.4.11), nothing without a name, 400 pixels wide.

    Caught, when planted: --soft of #8a949e, a table outside its scrolling box, a slider without a label.
    """
    page, wrong = opened(page_of(name), 400)
    page.emulate_media(color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(NAMELESS) == []
    small = "[...document.querySelectorAll('svg text')].filter(t => t.getBoundingClientRect().height < 8)"
    assert page.evaluate(f"{small}.length") == 0
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_slider_and_button_answers_the_keyboard(opened, name):  # noqa: F811
    """Caught, when planted: a slider that draws only after the pointer lets go, a button without its action."""
    page, wrong = opened(page_of(name))
    for slider in page.locator("input[type=range]").all():
        before = page.inner_html("main")
        slider.focus()
        for _ in range(8):
            page.keyboard.press("ArrowLeft" if slider.evaluate("s => s.value === s.max") else "ArrowRight")
        assert page.inner_html("main") != before, slider.get_attribute("id")
    for button in page.locator("button[data-do]").all():
        if button.get_attribute("aria-pressed") == "true":
            continue
        before = page.inner_html("main")
        button.focus()
        page.keyboard.press("Enter")
        page.wait_for_function("before => document.querySelector('main').innerHTML !== before", arg=before)
    assert not wrong


@pytest.mark.slow
def test_a_leaf_of_the_tree_is_chosen_by_keyboard(opened):  # noqa: F811
    page, wrong = opened(page_of("tree"))
    before = page.inner_text("#said")
    page.locator(".leaf").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.inner_text("#said") != before
    assert page.evaluate("document.activeElement.classList.contains('on')")
    assert not wrong
