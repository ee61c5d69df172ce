"use strict";
// What every page computes with, and draws with. Nothing here asks anybody for anything.
const lesson = {};
(function () {
  // -- numbers: each is held to Python's (pg_theano/reports/lessons/numbers.py)
  lesson.softmax = z => {
    const top = Math.max(...z), e = z.map(v => Math.exp(v - top)), sum = e.reduce((a, b) => a + b, 0);
    return e.map(v => v / sum);
  };
  lesson.sum = xs => xs.reduce((a, b) => a + b, 0);
  lesson.dot = (x, y) => x.reduce((a, v, i) => a + v * y[i], 0);
  lesson.norm = x => Math.sqrt(lesson.dot(x, x));
  lesson.add = (x, y, k = 1) => x.map((v, i) => v + k * y[i]);
  lesson.cosine = (x, y) => {
    const l = lesson.norm(x) * lesson.norm(y);
    return l ? Math.min(1, Math.max(-1, lesson.dot(x, y) / l)) : 0;
  };
  // Uniforms in [0, 1) of a seed: mulberry32, the same bits in Python.
  lesson.uniforms = (seed, n) => {
    const out = [];
    let a = seed >>> 0;
    for (let i = 0; i < n; i++) {
      a = (a + 0x6D2B79F5) >>> 0;
      let t = Math.imul(a ^ (a >>> 15), a | 1);
      t = (t ^ (t + Math.imul(t ^ (t >>> 7), t | 61))) >>> 0;
      out.push(((t ^ (t >>> 14)) >>> 0) / 4294967296);
    }
    return out;
  };
  // Which of several chances a uniform falls on.
  lesson.pick = (chances, u) => {
    let sum = 0;
    for (let i = 0; i < chances.length - 1; i++) if (u < (sum += chances[i])) return i;
    return chances.length - 1;
  };

  // -- drawing
  const NS = "http://www.w3.org/2000/svg";
  lesson.make = (name, attributes, parent, words) => {
    const one = document.createElementNS(NS, name);
    for (const key in attributes) one.setAttribute(key, attributes[key]);
    if (words !== undefined) one.textContent = words;
    if (parent) parent.appendChild(one);
    return one;
  };
  lesson.shown = (v, digits = 3) => {
    if (!isFinite(v)) return v > 0 ? "∞" : "–";
    const text = Math.abs(v) >= 1e4 ? v.toExponential(1) : v.toFixed(digits);
    return (+text === 0 ? text.replace("-", "") : text).replaceAll("-", "−");
  };
  // A frame with its ticks: {svg, x, y} that turn numbers into places.
  lesson.frame = (svg, [x0, x1], [y0, y1], names = ["", ""], height = 300, square = false) => {
    const W = 640, L = 46, R = W - 10, T = 12, B = height - 34;
    svg.setAttribute("viewBox", `0 0 ${W} ${height}`);
    svg.replaceChildren();
    if (square) {  // one unit is as long on both axes
      const per = Math.max((x1 - x0) / (R - L), (y1 - y0) / (B - T)), mx = (x0 + x1) / 2, my = (y0 + y1) / 2;
      [x0, x1, y0, y1] = [mx - per * (R - L) / 2, mx + per * (R - L) / 2, my - per * (B - T) / 2, my + per * (B - T) / 2];
    }
    const x = v => L + (v - x0) / (x1 - x0) * (R - L), y = v => B - (v - y0) / (y1 - y0) * (B - T);
    for (const [low, high, isX] of [[x0, x1, true], [y0, y1, false]]) {
      if (!isX && names[1] === null) continue;
      let step = 10 ** Math.floor(Math.log10((high - low) / 5));
      step *= [1, 2, 5, 10].find(m => (high - low) / (step * m) <= 6);
      for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9; i++) {
        const v = i * step, at = isX ? x(v) : y(v), kind = i === 0 ? "axis" : "grid";
        lesson.make("line", isX ? { class: kind, x1: at, x2: at, y1: T, y2: B } : { class: kind, x1: L, x2: R, y1: at, y2: at }, svg);
        const words = lesson.shown(v, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
        lesson.make("text", isX ? { x: at, y: B + 16, "text-anchor": "middle" } : { x: L - 6, y: at + 4, "text-anchor": "end" }, svg, words);
      }
    }
    if (names[0]) lesson.make("text", { x: R, y: B + 33, "text-anchor": "end" }, svg, names[0]);
    if (names[1]) lesson.make("text", { x: L + 6, y: T + 14 }, svg, names[1]);
    return { x, y, x0, x1, y0, y1 };
  };
  lesson.path = (frame, points) =>
    "M" + points.map(([u, v]) => `${frame.x(u).toFixed(2)},${frame.y(v).toFixed(2)}`).join("L");
  lesson.arrow = (svg, frame, [u0, v0], [u1, v1], look) => {
    const [a, b, c, d] = [frame.x(u0), frame.y(v0), frame.x(u1), frame.y(v1)], l = Math.hypot(c - a, d - b);
    lesson.make("line", { class: look, x1: a, y1: b, x2: c, y2: d }, svg);
    if (l < 4) return;
    const [p, q] = [(c - a) / l, (d - b) / l], h = Math.min(11, l);
    const tip = [[c, d], [c - h * p + h / 2 * q, d - h * q - h / 2 * p], [c - h * p - h / 2 * q, d - h * q + h / 2 * p]];
    lesson.make("polygon", { class: look.replace(/\bs([abcds])\b/, "f$1") + " " + look, points: tip.map(t => t.join(",")).join(" ") }, svg);
  };
  // Rows of a table: [name, numbers...], numbers as text.
  lesson.table = (element, heads, rows) => {
    const line = (cells, tag) => "<tr>" + cells.map((c, i) => `<${i ? tag : "th"} ${i || tag === "th" ? "" : 'scope="row"'}>${c}</${i ? tag : "th"}>`).join("") + "</tr>";
    element.innerHTML = `<thead>${line(heads, "th")}</thead><tbody>${rows.map(r => line(r, "td")).join("")}</tbody>`;
  };
  // Sliders and buttons: each change draws again. `state` has their numbers by name.
  lesson.listen = draw => {
    const state = { seed: 1 };
    const inputs = [...document.querySelectorAll("input[type=range]")];
    const read = () => {
      for (const one of inputs) {
        state[one.id] = +one.value;
        one.closest("label").querySelector("output").textContent = lesson.shown(+one.value, +(one.dataset.digits || 2));
      }
    };
    const again = () => { read(); draw(state); };
    for (const one of inputs) one.addEventListener("input", again);
    for (const one of document.querySelectorAll("button[data-do]"))
      one.addEventListener("click", () => { lesson.actions[one.dataset.do](state, one); again(); });
    again();
    return again;
  };
  lesson.actions = { again: state => { state.seed += 1; } };
  lesson.data = () => JSON.parse(document.getElementById("data").textContent);
})();
