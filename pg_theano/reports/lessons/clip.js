// Gradient ascent on 𝔼[min(r·Â, clip(r, 1 − ε, 1 + ε)·Â)] of steps that an old policy played; logits [S, A].
lesson.clip = ({ logits, steps, epsilon, rate, epochs }) => {
  let z = logits.map(row => [...row]);
  const old = logits.map(lesson.softmax), trail = [];
  for (let k = 0; k <= epochs; k++) {
    const pi = z.map(lesson.softmax), gradient = z.map(row => row.map(() => 0));
    let surrogate = 0;
    const points = steps.map(([s, a, advantage]) => {
      const r = pi[s][a] / old[s][a], zero = advantage > 0 ? r > 1 + epsilon : r < 1 - epsilon;
      surrogate += Math.min(r * advantage, Math.min(Math.max(r, 1 - epsilon), 1 + epsilon) * advantage) / steps.length;
      if (!zero) for (let j = 0; j < z[s].length; j++) gradient[s][j] += r * advantage * ((j === a ? 1 : 0) - pi[s][j]) / steps.length;
      return { r, advantage, zero };
    });
    trail.push({ points, surrogate, zero: points.filter(one => one.zero).length, outside: points.filter(one => Math.abs(one.r - 1) > epsilon).length });
    z = z.map((row, s) => lesson.add(row, gradient[s], rate));
  }
  return trail;
};
lesson.draw = () => {
  const { logits, steps } = lesson.data(), svg = document.getElementById("picture"), slider = document.getElementById("epoch");
  let running = null;
  const stop = () => { clearInterval(running); running = null; document.querySelector("[data-do=play]").setAttribute("aria-pressed", "false"); };
  lesson.actions = { play: (state, button) => {
    if (running) { stop(); return; }
    button.setAttribute("aria-pressed", "true");
    slider.value = 0;
    running = setInterval(() => {
      if (+slider.value >= +slider.max) { stop(); return; }
      slider.value = +slider.value + 1;
      slider.dispatchEvent(new Event("input"));
    }, 400);
  } };
  lesson.listen(state => {
    const { epsilon, rate } = state, trail = lesson.clip({ logits, steps, epsilon, rate, epochs: state.epoch }), now = trail[state.epoch];
    const most = Math.max(1.6, ...now.points.map(one => one.r)) + 0.1, frame = lesson.frame(svg, [0, most], [-2.6, 2.6], ["ratio r", "advantage Â"], 360);
    const cell = (x0, x1, y0, y1) => lesson.make("rect", { class: "zero", x: frame.x(x0), y: frame.y(y1), width: Math.max(0, frame.x(x1) - frame.x(x0)), height: frame.y(y0) - frame.y(y1) }, svg);
    cell(1 + epsilon, most, 0, 2.6); cell(0, 1 - epsilon, -2.6, 0);
    lesson.make("text", { x: frame.x(most) - 6, y: frame.y(2.4), "text-anchor": "end" }, svg, "no gradient");
    lesson.make("text", { x: frame.x(0) + 6, y: frame.y(-2.45) }, svg, "no gradient");
    for (const v of [1 - epsilon, 1 + epsilon]) lesson.make("path", { class: "line ss thin", "stroke-dasharray": "5 4", d: lesson.path(frame, [[v, -2.6], [v, 2.6]]) }, svg);
    now.points.forEach((one, i) => {
      lesson.make("path", { class: "none sa thin faint", d: lesson.path(frame, trail.map(e => [e.points[i].r, one.advantage])) }, svg);
      lesson.make("circle", { class: one.zero ? "fb" : "fa", cx: frame.x(one.r), cy: frame.y(one.advantage), r: one.zero ? 5 : 6, "fill-opacity": one.zero ? 1 : 0.8 }, svg);
    });
    lesson.table(document.getElementById("numbers"), ["epoch", "0", String(state.epoch)], [
      ["clipped objective", lesson.shown(trail[0].surrogate), lesson.shown(now.surrogate)],
      ["outside of 1 ± ε", `${trail[0].outside} of ${steps.length}`, `${now.outside} of ${steps.length}`],
      ["without a gradient", `${trail[0].zero} of ${steps.length}`, `${now.zero} of ${steps.length}`]]);
  });
};
