"""The five pages: what each says, its sliders, its data; the script beside it computes and draws.

What a script computes is held to Python's, number by number, by tests/test_lessons.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pg_theano.exact import task as exact
from pg_theano.reports.pages.html import hash_of, text

HERE = Path(__file__).parent


class Slider(NamedTuple):
    id: str
    label: str
    low: float
    high: float
    step: float
    value: float
    digits: int = 2


class Page(NamedTuple):
    name: str
    title: str
    lead: str  # HTML
    sliders: tuple[Slider, ...]
    buttons: tuple[
        tuple[str, str, str], ...
    ]  # (what it does, its words, "true" or "false" where it stays pressed, or "")
    body: str  # HTML
    data: Callable[[], dict[str, Any]]


def trajectories() -> list[list[Any]]:
    """[chance, places, actions, return, rewards] of all that can happen in the three-state task."""
    return [
        [one.chance, list(one.places), list(one.actions), exact.discounted_return(one), exact.rewards(one).tolist()]
        for one in exact.trajectories()
    ]


def bias_data() -> dict[str, Any]:
    """A policy [S, A], all its trajectories, V as it is and V as it is not, each [S, T + 1]."""
    logits = np.array([[0.4, -0.3], [-0.5, 0.2], [0.1, 0.6]])
    wrong = np.random.default_rng(8).normal(0, 1.5, (3, exact.THREE_STATES.length + 1)).round(2)
    right = exact.values(exact.table(logits))
    return {"logits": logits.tolist(), "trajectories": trajectories(), "exact": right.tolist(), "wrong": wrong.tolist()}


def clip_data() -> dict[str, Any]:
    """A policy [S, A], and 40 steps [state, action, advantage] that it played."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 0.7, (8, 3)).round(2)
    states = rng.integers(0, 8, 40)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    actions = [int(rng.choice(3, p=chances[s])) for s in states]
    advantages = rng.normal(0, 1, 40).clip(-2.4, 2.4).round(2)
    steps = [[int(s), a, float(v)] for s, a, v in zip(states, actions, advantages, strict=True)]
    return {"logits": logits.tolist(), "steps": steps}


PICTURE = '<svg id="picture" role="img" aria-label="{}"></svg>'
PAGES = (
    Page(
        "coin",
        "A coin: J is a curve, samples are arrows",
        "<p>A policy of one number θ tosses a coin: heads with probability σ(θ). The curve is the expected reward "
        "<b>J(θ)</b>. Nobody can see it; what can be seen are tosses, and each gives an arrow, "
        "<b>(R − b)·(a − p)</b>. Their mean is the slope, on average.</p><p class='soft'>Try: few tosses, again and "
        "again. Then move b: the mean of the arrows stays where it is, their spread does not.</p>",
        (
            Slider("theta", "θ", -4, 4, 0.05, -0.5),
            Slider("heads", "reward of heads, R₁", -3, 3, 0.1, 2, 1),
            Slider("tails", "reward of tails, R₀", -3, 3, 0.1, 1, 1),
            Slider("baseline", "baseline b", -3, 3, 0.05, 0),
            Slider("tosses", "tosses", 1, 200, 1, 12, 0),
        ),
        (("again", "Toss again", ""),),
        "<section><h2>J, its slope (solid), and the slope that the tosses say (dashed)</h2>"
        + PICTURE.format("The expected reward over θ, with its tangent and the tangent that the samples estimate")
        + '<h2>The arrows</h2><svg id="dots" role="img" aria-label="The arrow of each toss"></svg></section>',
        dict,
    ),
    Page(
        "tree",
        "All trajectories of a task, and ten of them",
        "<p>Three states, two actions, at most three steps: every episode that "
        "can happen is a leaf. Its thickness is its "
        "probability <b>p</b>, its colour the sign of its return (blue: paid, "
        "orange: it costs). Its arrow is the return "
        "times the sum of its scores; all arrows, weighed by p, add up to "
        "<b>∇J</b>. Ten samples are an estimate of it.</p>"
        "<p class='soft'>J is <output id='J'></output>. Choose a leaf by "
        "pointer, or with Tab, the arrow keys and Enter. "
        "z0, z1, z2 are the logits of action 0 in each state.</p>",
        tuple(Slider(f"z{s}", f"z{s}, state {s}", -3, 3, 0.05, 0.2 * (1 - s)) for s in range(3)),
        (("all", "All", "true"), ("ten", "Sample 10", "false")),
        '<section><p id="said" role="status"></p><svg id="picture" role="group" aria-label="All trajectories">'
        "</svg></section>",
        lambda: {"trajectories": trajectories()},
    ),
    Page(
        "cloud",
        "A cloud of gradients, and what a baseline does to it",
        "<p>One step, three actions, logits 0.3, −1 and 1.2; they are worth Q "
        "= 1, 3 and −2. Each dot is the gradient of one "
        "batch. The three numbers of a gradient add up to 0, so that it lies "
        "in a plane: this one. The thick arrow is "
        "<b>∇J</b>, the ellipse two standard deviations. <b>b moves the cloud's shape, never its middle.</b></p>"
        "<p class='soft'>V as the baseline is <em>worse</em> than none here; "
        "the best is b* = 𝔼[‖∇log π‖²·Q]/𝔼[‖∇log π‖²].</p>",
        (Slider("baseline", "baseline b", -4, 4, 0.01, 0), Slider("batch", "steps in a batch", 1, 50, 1, 5, 0)),
        (("zero", "b = 0", ""), ("value", "b = V", ""), ("best", "b = b*", ""), ("again", "Sample again", "")),
        f"<section>{PICTURE.format('Gradients of batches, their mean and its ellipse')}</section>",
        lambda: {"logits": [0.3, -1.0, 1.2], "q": [1.0, 3.0, -2.0]},
    ),
    Page(
        "bias",
        "λ, and how good V is: bias, variance and cosine",
        "<p>Â by GAE(λ) on the task of all trajectories, γ = 1. V is a "
        "mixture: 1 is exact, 0 is a table of random numbers. "
        "With λ = 1 the estimate is unbiased <b>whatever V is</b>; with V "
        "exact it is unbiased <b>whatever λ is</b>. What counts "
        "is the cosine of one estimate with ∇J: which way you step.</p>",
        (Slider("quality", "quality of V", 0, 1, 0.01, 0.5), Slider("lam", "λ", 0, 1, 0.01, 0.95)),
        (),
        "".join(
            f'<section><h2>{title}</h2><svg id="{id}" role="img" aria-label="{title} over λ"></svg></section>'
            for id, title in (("bias", "Bias"), ("variance", "Variance over squared length"), ("cosine", "Cosine"))
        ),
        bias_data,
    ),
    Page(
        "clip",
        "Through the clip's cells, epoch by epoch",
        "<p>Forty steps that an old policy played: each has an advantage Â, "
        "which stays, and a ratio r = π/π_old, which begins "
        "at 1. Each epoch climbs <b>𝔼[min(r·Â, clip(r, 1 − ε, 1 + ε)·Â)]</b> "
        "once. In two of the six cells, grey, a step has "
        "no gradient any more (orange): it has gone far enough <em>in its own "
        "direction</em>. On the other side of 1 ± ε it "
        "has one still.</p>"
        "<p class='soft'>Steps of one state pull at the same logits: some are "
        "carried out of the range by others.</p>",
        (
            Slider("epoch", "epoch", 0, 30, 1, 6, 0),
            Slider("epsilon", "clip range ε", 0.05, 0.5, 0.01, 0.2),
            Slider("rate", "learning rate", 0.1, 8, 0.1, 2, 1),
        ),
        (("play", "Play", "false"),),
        f"<section>{PICTURE.format('Ratio and advantage of each step')}</section>",
        clip_data,
    ),
)


def html(page: Page) -> str:
    """A page, whole: its style, its scripts and its data stand in it, and its policy forbids every request."""
    style = (HERE / "lesson.css").read_text("utf-8")
    script = "".join((HERE / name).read_text("utf-8") for name in ("common.js", f"{page.name}.js")) + "lesson.draw();\n"
    packed = json.dumps(page.data(), separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    sliders = "".join(map(_slider, page.sliders))
    buttons = "".join(
        f'<button type="button" data-do="{does}"{pressed and f" aria-pressed={pressed}"}>{words}</button> '
        for does, words, pressed in page.buttons
    )
    others = " · ".join(f'<a href="{one.name}.html">{text(one.title)}</a>' for one in PAGES if one.name != page.name)
    policy = (
        f"default-src 'none'; style-src {hash_of(style)}; script-src {hash_of(script)}; img-src data:; base-uri 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}; form-action \'none\'">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{text(page.title)}</title><style>{style}</style></head><body>"
        f"<header><h1>{text(page.title)}</h1>{page.lead}</header><main>"
        f'<section><div class="knobs">{sliders}<div>{buttons}</div></div></section>{page.body}'
        '<section><h2>Numbers</h2><div class="scroll" tabindex="0" role="region" aria-label="Numbers">'
        '<table id="numbers"></table></div></section></main>'
        f"<footer><p>{others}</p><p>The page is whole: it asks nobody for anything.</p></footer>"
        f'<script type="application/json" id="data">{packed}</script><script>{script}</script></body></html>\n'
    )


def write(folder: Path) -> list[Path]:
    """All five, in a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for page in PAGES:
        written.append(folder / f"{page.name}.html")
        written[-1].write_text(html(page), "utf-8")
    return written


def _slider(one: Slider) -> str:
    bounds = f'min="{one.low:g}" max="{one.high:g}" step="{one.step:g}" value="{one.value:g}"'
    return (
        f'<label>{text(one.label)} <output></output><input type="range" id="{one.id}" {bounds} '
        f'data-digits="{one.digits}"></label>'
    )
