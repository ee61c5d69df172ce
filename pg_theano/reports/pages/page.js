"use strict";
// The page reads without this. With it: zoom, values under the pointer, series to hide, and a policy to turn over.
(function () {
  const NS = "http://www.w3.org/2000/svg";
  const L = 52, R = 410, T = 10, B = 214;
  const tip = document.getElementById("tip");
  document.documentElement.classList.add("scripted");

  function shown(v) {
    if (!isFinite(v)) return String(v);
    const s = Math.abs(v);
    for (const [limit, by, letter] of [[1e9, 1e9, "G"], [1e6, 1e6, "M"], [1e4, 1e3, "k"]])
      if (s >= limit && s < 1e15) return minus((+(v / by).toPrecision(4)) + letter);
    if (s >= 1e-12 && s < 1e-3) return minus(v.toExponential(3).replace(/\.?0+e/, "e"));
    return minus(String(s < 1e-12 ? 0 : +v.toPrecision(4)));
  }
  function minus(words) {
    return words.replaceAll("-", "−");
  }
  function make(name, attributes, parent) {
    const one = document.createElementNS(NS, name);
    for (const key in attributes) one.setAttribute(key, attributes[key]);
    if (parent) parent.appendChild(one);
    return one;
  }
  function ticks(low, high, log) {
    if (log) {
      const out = [];
      for (let e = Math.ceil(Math.log10(low)); e <= Math.log10(high); e++) out.push(10 ** e);
      return out.length > 1 ? out : [low, Math.sqrt(low * high), high];
    }
    let step = 10 ** Math.floor(Math.log10((high - low) / 5));
    step *= [1, 2, 5, 10].find(m => (high - low) / (step * m) <= 5);
    const out = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) out.push(i * step);
    return out;
  }

  for (const figure of document.querySelectorAll("figure.chart")) {
    const svg = figure.querySelector("svg"), frame = figure.querySelector(".frame");
    const [x0, x1, y0, y1] = figure.dataset.range.split(" ").map(Number), log = "log" in figure.dataset;
    const fx = log ? Math.log : v => v, gx = log ? Math.exp : v => v;
    const toX = u => gx(fx(x0) + (u - L) / (R - L) * (fx(x1) - fx(x0))), toY = v => y1 + (v - T) / (B - T) * (y0 - y1);
    let view = [L, T, R - L, B - T];
    const outer = u => L + (u - view[0]) / view[2] * (R - L), outerY = v => T + (v - view[1]) / view[3] * (B - T);
    const inner = u => view[0] + (u - L) / (R - L) * view[2], innerY = v => view[1] + (v - T) / (B - T) * view[3];
    const lines = [...figure.querySelectorAll(".marks polyline, .marks path")].map(mark => ({
      mark, name: mark.dataset.series,
      points: (mark.getAttribute("points") || mark.getAttribute("d")).match(/-?[\d.]+,-?[\d.]+/g).map(p => p.split(",").map(Number)),
    }));
    const cross = make("line", { class: "cross", y1: T, y2: B, visibility: "hidden" }, svg);
    const back = document.createElement("button");
    back.type = "button"; back.className = "back"; back.textContent = "whole"; back.hidden = true;
    figure.appendChild(back);

    function redraw() {
      frame.setAttribute("viewBox", view.join(" "));
      back.hidden = view[2] > R - L - 1e-6 && view[3] > B - T - 1e-6;
      for (const axis of ["x", "y"]) {
        const group = svg.querySelector("." + axis + ".axis"), isX = axis === "x";
        if (isX && "fixed" in figure.dataset) continue;
        group.replaceChildren();
        const [low, high] = isX ? [toX(view[0]), toX(view[0] + view[2])] : [toY(view[1] + view[3]), toY(view[1])];
        for (const v of ticks(low, high, isX && log)) {
          const at = isX ? outer(L + (fx(v) - fx(x0)) / (fx(x1) - fx(x0)) * (R - L)) : outerY(T + (v - y1) / (y0 - y1) * (B - T));
          make("line", isX ? { class: "grid", x1: at, x2: at, y1: T, y2: B } : { class: "grid", x1: L, x2: R, y1: at, y2: at }, group);
          make("text", isX ? { x: at, y: B + 14, "text-anchor": "middle" } : { x: L - 5, y: at + 4, "text-anchor": "end" }, group).textContent = shown(v);
        }
      }
    }
    function at(event) {
      const box = svg.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * 420, (event.clientY - box.top) / box.height * 250];
    }
    let start = null, box = null;
    const clampX = u => Math.min(Math.max(u, L), R), clampY = v => Math.min(Math.max(v, T), B);
    svg.addEventListener("pointerdown", event => {
      if (event.pointerType === "touch" || event.button) return;
      start = at(event);
      svg.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    svg.addEventListener("pointermove", event => {
      const [u, v] = at(event);
      if (start) {
        box = box || make("rect", { class: "box" }, svg);
        const xs = [clampX(start[0]), clampX(u)].sort((a, b) => a - b), ys = [clampY(start[1]), clampY(v)].sort((a, b) => a - b);
        box.setAttribute("x", xs[0]); box.setAttribute("width", xs[1] - xs[0]);
        box.setAttribute("y", ys[0]); box.setAttribute("height", ys[1] - ys[0]);
        return;
      }
      if (u < L || u > R) return leave();
      const here = inner(u), seen = new Map();
      for (const line of lines) {
        if (line.mark.classList.contains("off") || !line.points.length) continue;
        const thin = line.mark.classList.contains("thin");
        const near = line.points.reduce((a, b) => Math.abs(b[0] - here) < Math.abs(a[0] - here) ? b : a);
        const far = Math.abs(near[0] - here) > view[2] / 12;
        if (!far && !(thin && seen.has(line.name))) seen.set(line.name + (line.mark.classList.contains("points") ? " •" : ""), toY(near[1]));
      }
      cross.setAttribute("x1", u); cross.setAttribute("x2", u); cross.setAttribute("visibility", "visible");
      const words = [...seen].slice(0, 9).map(([name, value]) => name + ": " + shown(value));
      tip.textContent = [shown(toX(here)), ...words].join("\n");
      tip.hidden = false;
      const wide = tip.offsetWidth;
      tip.style.left = Math.max(4, event.clientX + 14 + wide > innerWidth ? event.clientX - wide - 14 : event.clientX + 14) + "px";
      tip.style.top = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 4) + "px";
    });
    function leave() { tip.hidden = true; cross.setAttribute("visibility", "hidden"); }
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("pointerup", event => {
      if (!start) return;
      const [u, v] = at(event);
      const xs = [clampX(start[0]), clampX(u)].sort((a, b) => a - b), ys = [clampY(start[1]), clampY(v)].sort((a, b) => a - b);
      start = null;
      if (box) box.remove();
      box = null;
      if (xs[1] - xs[0] < 6) return;
      const flat = ys[1] - ys[0] < 12; // a stroke along x zooms x alone
      view = [inner(xs[0]), flat ? view[1] : innerY(ys[0]), (xs[1] - xs[0]) / (R - L) * view[2], flat ? view[3] : (ys[1] - ys[0]) / (B - T) * view[3]];
      redraw();
    });
    svg.addEventListener("pointercancel", () => { start = null; if (box) box.remove(); box = null; });
    const whole = () => { view = [L, T, R - L, B - T]; redraw(); };
    svg.addEventListener("dblclick", whole);
    back.addEventListener("click", whole);
    for (const button of figure.querySelectorAll(".toggle"))
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", on);
        for (const mark of figure.querySelectorAll(".marks [data-series]"))
          if (mark.dataset.series === button.dataset.series) mark.classList.toggle("off", !on);
      });
  }

  // -- a policy: its network is in the page, so that what is drawn is exact at every place of the sliders
  const ACTIVATIONS = { sigmoid: x => 0.5 + 0.5 * Math.tanh(0.5 * x), tanh: Math.tanh, relu: x => x > 0 ? x : 0 };
  function softmax(z) {
    const top = Math.max(...z), e = z.map(v => Math.exp(v - top)), sum = e.reduce((a, b) => a + b, 0);
    return e.map(v => v / sum);
  }
  const softplus = x => x > 30 ? x : Math.log1p(Math.exp(x));
  function channels(net, obs) {
    let x = net.mean ? obs.map((v, i) => Math.max(-10, Math.min(10, (v - net.mean[i]) / net.std[i]))) : obs, hidden = x;
    net.layers.forEach(([weight, bias], place) => {
      hidden = x;
      const out = bias.slice();
      for (let i = 0; i < x.length; i++) { const row = weight[i], v = x[i]; for (let j = 0; j < out.length; j++) out[j] += v * row[j]; }
      x = place < net.layers.length - 1 ? out.map(ACTIVATIONS[net.activation]) : out;
    });
    if (net.kind === "discrete") return softmax(net.logistic ? [0, ...x] : x);
    if (net.kind === "multi_binary") return x.map(ACTIVATIONS.sigmoid);
    if (net.kind === "multi_discrete") { const all = []; let from = 0; for (const n of net.choices) { all.push(...softmax(x.slice(from, from + n))); from += n; } return all; }
    const size = net.size, mean = x.slice(0, size);
    if (net.spread === "network") return [...mean, ...x.slice(size).map(z => Math.exp(-20 + softplus(2 - softplus(2 - z) + 20)))];
    if (net.spread === "features") return [...mean, ...mean.map((_, c) => Math.sqrt(hidden.reduce((sum, h, i) => sum + h * h * net.variance[i][c], 1e-6)))];
    return [...mean, ...net.spread];
  }
  // a network too large for the page: maps made beforehand, at some places of one slider, the others at their medians
  function read(policy, moved, at) {
    const size = policy.side ** 2, count = policy.shown.length, places = policy.places;
    const all = policy.bytes = policy.bytes || Uint8Array.from(atob(policy.grid), c => c.charCodeAt(0));
    const [low, high] = policy.ranges[policy.others[moved]], share = (at[policy.others[moved]] - low) / (high - low);
    const from = (moved * places + Math.round(share * (places - 1))) * count * size, out = [];
    policy.shown.forEach((channel, k) => {
      const [a, b] = policy.scales[k];
      out[channel] = Array.from(all.subarray(from + k * size, from + (k + 1) * size), v => a + (b - a) * v / 255);
    });
    return [policy.side, out];
  }
  function grid(policy, i, j, at, moved) {
    if (policy.grid) return read(policy, moved, at);
    const n = 48, out = policy.channels.map(() => new Float64Array(n * n));
    const [a0, a1] = policy.ranges[i], [b0, b1] = policy.ranges[j], obs = at.slice();
    for (let r = 0; r < n; r++) for (let c = 0; c < n; c++) {
      obs[i] = a0 + (a1 - a0) * (c + 0.5) / n;
      obs[j] = b1 - (b1 - b0) * (r + 0.5) / n;
      channels(policy.net, obs).forEach((v, k) => { if (k < out.length) out[k][r * n + c] = v; });
    }
    return [n, out];
  }
  function paint(canvas, n, values, low, high, table) {
    canvas.width = canvas.height = n;
    const context = canvas.getContext("2d"), pixels = context.createImageData(n, n);
    values.forEach((v, at) => {
      const k = 3 * Math.round(255 * Math.max(0, Math.min(1, (v - low) / (high - low || 1))));
      pixels.data.set([table[k], table[k + 1], table[k + 2], 255], 4 * at);
    });
    context.putImageData(pixels, 0, 0);
  }
  for (const source of document.querySelectorAll("script[type='application/json'].policy")) {
    const policy = JSON.parse(source.textContent), part = source.closest("section, .policy-part");
    const knobs = part.querySelector(".knobs"), maps = [...part.querySelectorAll(".map")];
    const table = Uint8Array.from(atob(policy.colours), c => c.charCodeAt(0));
    const at = policy.at.slice(), picked = [policy.first, policy.second], rows = [];
    let moved = 0;
    const choices = (policy.grid ? [] : ["across", "up"]).map((word, which) => {
      const label = document.createElement("label"), select = document.createElement("select");
      label.textContent = word + ": ";
      policy.names.forEach((name, k) => select.add(new Option(name, k, false, k === picked[which])));
      label.appendChild(select); knobs.appendChild(label);
      select.addEventListener("change", () => {
        const k = +select.value;
        if (k === picked[1 - which]) { picked[1 - which] = picked[which]; choices[1 - which].value = picked[1 - which]; }
        picked[which] = k;
        later();
      });
      return select;
    });
    policy.names.forEach((name, k) => {
      const label = document.createElement("label"), slider = document.createElement("input"), output = document.createElement("output");
      slider.type = "range"; slider.min = policy.ranges[k][0]; slider.max = policy.ranges[k][1]; slider.step = "any"; slider.value = at[k];
      slider.dataset.dimension = k; label.append(name, output, slider); knobs.appendChild(label); rows.push([label, slider, output]);
      slider.addEventListener("input", () => {
        if (policy.grid) {
          moved = policy.others.indexOf(k);
          rows.forEach(([, other], d) => { if (d !== k) other.value = at[d] = policy.at[d]; });
        }
        at[k] = +slider.value;
        later();
      });
    });
    const canvases = maps.map(map => {
      const canvas = document.createElement("canvas");
      map.querySelector("img.still").replaceWith(canvas);
      return canvas;
    });
    let waiting = false;
    function later() { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } }
    function draw() {
      const [i, j] = picked, [n, values] = grid(policy, i, j, at, moved);
      rows.forEach(([label, slider, output], k) => { label.hidden = k === i || k === j; output.textContent = shown(+slider.value); });
      maps.forEach((map, k) => {
        const channel = +map.dataset.channel, v = values[channel];
        let [low, high] = policy.channels[channel].range || (policy.grid && policy.scales[k]) || [Math.min(...v), Math.max(...v)];
        if (low === high) { low -= 0.5; high += 0.5; }
        paint(canvases[k], n, v, low, high, table);
        map.querySelector(".low").textContent = shown(low); map.querySelector(".high").textContent = shown(high);
        map.querySelector(".across").textContent = shown(policy.ranges[i][0]) + " … " + policy.names[i] + " → … " + shown(policy.ranges[i][1]);
        map.querySelector(".up").textContent = policy.names[j] + " ↑ from " + shown(policy.ranges[j][0]) + " to " + shown(policy.ranges[j][1]);
        const seen = map.querySelector("svg.seen");
        seen.replaceChildren();
        for (const obs of policy.seen) {
          const [a, b] = [i, j].map(d => (obs[d] - policy.ranges[d][0]) / (policy.ranges[d][1] - policy.ranges[d][0]));
          if (a >= 0 && a <= 1 && b >= 0 && b <= 1) make("circle", { cx: (100 * a).toFixed(1), cy: (100 - 100 * b).toFixed(1), r: 0.7 }, seen);
        }
      });
    }
    draw();
  }

  // -- while it trains, the file is written again and again: load it anew, where it was being looked at
  const every = +document.body.dataset.refresh;
  if (every) {
    let held = false;
    addEventListener("pointerdown", () => { held = true; });
    addEventListener("pointerup", () => { held = false; });
    const hidden = () => [...document.querySelectorAll(".toggle[aria-pressed=false]")].map(b => b.dataset.series);
    try {
      const kept = JSON.parse(sessionStorage.getItem("pg_theano") || "{}");
      for (const b of document.querySelectorAll(".toggle")) if ((kept.hidden || []).includes(b.dataset.series)) b.click();
      document.querySelectorAll("details").forEach((d, k) => { d.open = (kept.open || []).includes(k); });
      if (kept.y) scrollTo(0, kept.y);
    } catch (error) { /* storage is not to be had for some files: only the place is lost */ }
    setInterval(() => {
      if (held || document.hidden) return;
      const open = [...document.querySelectorAll("details")].flatMap((d, k) => d.open ? [k] : []);
      try { sessionStorage.setItem("pg_theano", JSON.stringify({ hidden: hidden(), open, y: scrollY })); } catch (error) { /* as above */ }
      location.reload();
    }, 1000 * every);
  }
})();
