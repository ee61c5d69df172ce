"""Figures as inline SVG; the page's script zooms them and reads values from them: the numbers are in the drawing."""

import math
import struct
import zlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from pg_theano.reports.pages.html import text
from pg_theano.runs.curves import Curve, bin_curve
from pg_theano.types import Array

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 10, 36
POINTS = 240  # of a line: more than there are pixels between two of them
COLOURS = 8  # classes c0 to c7 of page.css


class Mark(NamedTuple):
    """One drawn element of a series: a line, its band, points, or a step line. A series can be hidden."""

    kind: str  # line, thin, band, points, rings, steps, bars
    curve: Curve
    colour: int
    series: str


def chart(
    title: str, marks: Sequence[Mark], *, x: str, y: str = "", levels: Sequence[float] = (),
    scale_x: Literal["linear", "log"] | Sequence[tuple[float, str]] = "linear",
    hold: tuple[float, float] | None = None,
) -> str:  # fmt: skip
    """One figure with its title, axes and legend. `scale_x` is the scale of x, or the (place, name) of each choice;
    `hold` is the range of y, where marks may leave it."""
    log_x, ticks = scale_x == "log", [] if isinstance(scale_x, str) else scale_x
    shown = [mark for mark in marks if mark.curve.x.size]
    if not shown:
        return ""
    wanted = [(m.curve.low, m.curve.high) if m.kind == "band" else (m.curve.middle,) for m in shown]
    x_low, x_high = _range([m.curve.x for m in shown], log_x)
    if ticks:  # of choices
        x_low, x_high = -0.5, len(ticks) - 0.5
    y_low, y_high = hold or _range([part for parts in wanted for part in parts] + [np.array(list(levels))], False)
    across = _scale(x_low, x_high, LEFT, WIDTH - RIGHT, log_x)
    down = _scale(y_low, y_high, HEIGHT - BOTTOM, TOP, False)
    drawn = "".join(_mark(mark, across, down) for mark in shown)
    lines = "".join(
        f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_p(down(v))}" y2="{_p(down(v))}"/>' for v in levels
    )
    below = list(ticks) or [(v, number(v)) for v in _ticks(x_low, x_high, 5, log_x)]
    x_marks = "".join(
        f'<line class="grid" x1="{_p(across(v))}" x2="{_p(across(v))}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        f'<text x="{_p(across(v))}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{text(label)}</text>'
        for v, label in below
    )
    y_marks = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_p(down(v))}" y2="{_p(down(v))}"/>'
        f'<text x="{LEFT - 5}" y="{_p(down(v) + 4)}" text-anchor="end">{number(v)}</text>'
        for v in _ticks(y_low, y_high, 5, False)
    )
    names = dict.fromkeys((mark.series, mark.colour) for mark in shown)
    legend = "".join(
        f'<li><button type="button" class="toggle c{colour % COLOURS}" data-series="{text(name)}" aria-pressed="true">'
        f"<i></i>{text(name)}</button></li>"
        for name, colour in names
    )
    many = f'<ul class="legend">{legend}</ul>' if len(names) > 1 else ""
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'x="12" y="{middle:g}" text-anchor="middle" transform="rotate(-90 12 {middle:g})"'
    beside = f'<text class="name" {turned}>{text(y)}</text>' if y else ""
    scale = f'data-range="{x_low!r} {x_high!r} {y_low!r} {y_high!r}"' + (" data-log" if log_x else "")
    fixed = " data-fixed" if ticks else ""
    return (
        f'<figure class="chart" {scale}{fixed}><figcaption>{text(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}"><g class="x axis">{x_marks}</g>'
        f'<g class="y axis">{y_marks}</g><svg class="frame" x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" '
        f'height="{HEIGHT - TOP - BOTTOM}" viewBox="{LEFT} {TOP} {WIDTH - LEFT - RIGHT} {HEIGHT - TOP - BOTTOM}" '
        f'preserveAspectRatio="none"><g class="marks">{lines}{drawn}</g></svg>'
        f'<text class="name" x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 5}" text-anchor="middle">{text(x)}</text>'
        f"{beside}</svg>{many}</figure>"
    )


TONES = ("#3987c9", "#d97706", "#1a9c74", "#c9498c", "#7a70e0", "#808890", "#1496b0", "#a98324")
"""c0 to c7 under another's style sheet: visible on white and on black."""


def still(title: str, marks: Sequence[Mark], *, x: str, y: str, levels: Sequence[float] = ()) -> str:
    """One figure for another's page: drawn by attributes alone, its words in the colour of the text around."""
    shown = [mark for mark in marks if mark.curve.x.size]
    if not shown:
        return ""
    parts = [part for m in shown for part in ((m.curve.low, m.curve.high) if m.kind == "band" else (m.curve.middle,))]
    x_low, x_high = _range([m.curve.x for m in shown], False)
    y_low, y_high = _range([*parts, np.array(list(levels))], False)
    across = _scale(x_low, x_high, LEFT, WIDTH - RIGHT, False)
    down = _scale(y_low, y_high, HEIGHT - BOTTOM, TOP, False)
    rule = 'stroke="currentColor" stroke-opacity="0.18"'
    lines, words = "", ""
    for value in _ticks(x_low, x_high, 5, False):
        at = _p(across(value))
        lines += f'<path {rule} d="M{at},{TOP}V{HEIGHT - BOTTOM}"/>'
        words += f'<text x="{at}" y="{HEIGHT - BOTTOM + 14}" text-anchor="middle">{number(value)}</text>'
    for value in _ticks(y_low, y_high, 5, False):
        at = _p(down(value))
        lines += f'<path {rule} d="M{LEFT},{at}H{WIDTH - RIGHT}"/>'
        words += f'<text x="{LEFT - 5}" y="{at}" dy="4" text-anchor="end">{number(value)}</text>'
    for value in levels:
        lines += (
            f'<path stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="5 4" '
            f'd="M{LEFT},{_p(down(value))}H{WIDTH - RIGHT}"/>'
        )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    words += (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 5}" text-anchor="middle">{text(x)}</text>'
        f'<text x="12" y="{middle:g}" text-anchor="middle" transform="rotate(-90 12 {middle:g})">{text(y)}</text>'
    )
    drawn = "".join(_still_mark(mark, across, down) for mark in shown)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH * 1.3:g}" '
        f'style="max-width:100%;height:auto" role="img" aria-label="{text(title)}" fill="none">{lines}{drawn}'
        f'<g fill="currentColor" fill-opacity="0.8" font-size="11" font-family="sans-serif">{words}</g></svg>'
    )


def _still_mark(mark: Mark, across, down) -> str:
    colour, curve = TONES[mark.colour % COLOURS], mark.curve
    px = across(curve.x)
    if mark.kind == "points":
        dots = "".join(f"M{_p(a)},{_p(b)}h0" for a, b in zip(px, down(curve.middle), strict=True))
        return f'<path stroke="{colour}" stroke-width="5.5" stroke-linecap="round" d="{dots}"/>'
    if mark.kind == "band":
        corners = f"{_pairs(px, down(curve.low))} {_pairs(px[::-1], down(curve.high)[::-1])}"
        return f'<polygon fill="{colour}" fill-opacity="0.2" points="{corners}"/>'
    width, seen = ("0.9", "0.55") if mark.kind == "thin" else ("2", "1")
    return (
        f'<polyline stroke="{colour}" stroke-width="{width}" stroke-opacity="{seen}" stroke-linejoin="round" '
        f'points="{_pairs(px, down(curve.middle))}"/>'
    )


def bars(title: str, names: Sequence[str], values: Sequence[float], unit: str = "") -> str:
    """A bar for each name, in a table that reads without it."""
    most = max([*values, 1e-12])
    rows = "".join(
        f'<tr><th scope="row">{text(name)}</th><td>'
        f'<svg viewBox="0 0 200 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="c0 bar" width="{200 * max(value, 0) / most:.1f}" height="12" rx="2"/></svg></td>'
        f"<td>{number(value)}{text(unit)}</td></tr>"
        for name, value in zip(names, values, strict=True)
    )
    return f'<figure class="bars"><figcaption>{text(title)}</figcaption><table>{rows}</table></figure>'


def _mark(mark: Mark, across, down) -> str:
    look = f'class="{mark.kind} c{mark.colour % COLOURS}" data-series="{text(mark.series)}"'
    curve = mark.curve
    if mark.kind in ("points", "rings"):
        px, py = across(curve.x), down(curve.middle)
        # a line of no length with a round end is a dot that stays round and small when one zooms
        path = "".join(f"M{_exact(a)},{_exact(b)}h0" for a, b in zip(px.tolist(), py.tolist(), strict=True))
        return f'<path {look} vector-effect="non-scaling-stroke" d="{path}"/>'
    px = across(curve.x)
    if mark.kind == "band":
        low, high = _pairs(px, down(curve.low)), _pairs(px[::-1], down(curve.high)[::-1])
        return f'<polygon {look} points="{low} {high}"/>'
    if px.size == 1:
        look = look.replace(f'class="{mark.kind} ', f'class="{mark.kind} lone ', 1)
    return f'<polyline {look} vector-effect="non-scaling-stroke" points="{_pairs(px, down(curve.middle))}"/>'


def _pairs(x: Array, y: Array) -> str:
    pairs = [(f"{a:.1f}", _exact(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    if len(pairs) == 1:  # a line of no length, whose round ends are a dot
        pairs *= 2
    return " ".join(f"{a},{b}" for a, b in pairs)


def _exact(value: float) -> str:
    """To the thousandth of a unit: the page's script reads values back from here, and shows four digits of them."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _p(value: float) -> str:
    return f"{float(value):.1f}"


def _scale(low: float, high: float, first: float, last: float, log: bool):
    """Data to the drawing's units; what lies far outside is held near it, for a drawing has no infinity."""
    if log:
        low, high = math.log(low), math.log(high)
    slope = (last - first) / (high - low)

    def place(value):
        value = np.log(np.maximum(value, 1e-300)) if log else value
        return np.clip(first + (value - low) * slope, -5000, 5000)

    return place


def _range(parts: Sequence[Array], log: bool) -> tuple[float, float]:
    """The smallest range of all numbers, with a little room, and never empty."""
    values = np.concatenate([np.asarray(part, np.float64) for part in parts])
    values = values[np.isfinite(values) & (np.abs(values) < 1e300)]
    if log:
        values = values[values > 0]
        return (float(values.min()) / 1.1, float(values.max()) * 1.1) if values.size else (0.1, 1.0)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    room = 0.04 * (high - low) if high > low else max(abs(high) * 0.1, 1e-9 if high else 1.0)
    return (low if 0 <= low < 1e-12 else low - room), high + room


def _ticks(low: float, high: float, count: int, log: bool) -> list[float]:
    if log:
        first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
        found = [10.0**e for e in range(first, last + 1) if low <= 10.0**e <= high]
        if len(found) > 1:
            return found[:: max(len(found) // 5, 1)]
        finer = [m * 10.0**e for e in range(first, last + 1) for m in (1, 2, 3, 5, 7)]
        return [v for v in finer if low <= v <= high] or [low, high]
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= count)
    first = math.ceil(low / step)
    return [i * step for i in range(first, math.floor(high / step) + 1)] if abs(first) < 2**53 else [low, high]


def number(value: float) -> str:
    """`12000` -> '12k', `0.00123` -> '0.00123', `0.00055` -> '5.5e−4'; at most four digits."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if 1e15 > size >= limit:
            return f"{value / (1e3 if letter == 'k' else limit):.4g}{letter}".replace("-", "−")
    if 1e-12 <= size < 1e-3:  # short enough to stand beside an axis
        digits, exponent = f"{value:.3e}".split("e")
        return f"{float(digits):g}e{int(exponent)}".replace("-", "−")
    return f"{0.0 if size < 1e-12 else value:.4g}".replace("-", "−")


def thinned(curve: Curve, points: int = POINTS) -> Curve:
    """With no more points than can be seen; a band keeps its extremes."""
    return bin_curve(curve, points)


def png(pixels: Array) -> bytes:
    """A picture [H, W, 3] of uint8 as a PNG: a signature, a header, the rows deflated."""
    height, width, _ = pixels.shape
    rows = np.zeros((height, 1 + 3 * width), np.uint8)  # a leading 0: no filter
    rows[:, 1:] = pixels.reshape(height, -1)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + chunk(b"IEND", b"")
    )
