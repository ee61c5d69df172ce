// J = p·R₁ + (1 − p)·R₀ of one toss, p = σ(θ); a sample's arrow is (R − b)·(a − p).
lesson.coin = ({ theta, heads, tails, baseline, tosses, seed }) => {
  const p = 1 / (1 + Math.exp(-theta)), J = p * heads + (1 - p) * tails, slope = p * (1 - p) * (heads - tails);
  const arrows = lesson.uniforms(seed, tosses).map(u => (u < p ? (heads - baseline) * (1 - p) : (tails - baseline) * -p));
  const mean = lesson.sum(arrows) / tosses;
  const variance = p * ((heads - baseline) * (1 - p)) ** 2 + (1 - p) * ((tails - baseline) * p) ** 2 - slope ** 2;
  return { p, J, slope, arrows, mean, variance, error: Math.sqrt(Math.max(variance, 0) / tosses) };
};
lesson.draw = () => {
  const svg = document.getElementById("picture"), dots = document.getElementById("dots");
  lesson.listen(state => {
    const found = lesson.coin(state), { theta, heads, tails } = state;
    const at = t => lesson.coin({ ...state, theta: t, tosses: 1 }).J;
    const low = Math.min(heads, tails, 0) - 0.5, high = Math.max(heads, tails, 0) + 0.5;
    const frame = lesson.frame(svg, [-5, 5], [low, high], ["θ", "J"], 280);
    const xs = Array.from({ length: 101 }, (_, i) => -5 + i / 10);
    lesson.make("path", { class: "line sa", d: lesson.path(frame, xs.map(t => [t, at(t)])) }, svg);
    lesson.make("path", { class: "line sb", d: lesson.path(frame, [[theta - 1.2, found.J - 1.2 * found.slope], [theta + 1.2, found.J + 1.2 * found.slope]]) }, svg);
    lesson.make("path", { class: "line sc", "stroke-dasharray": "6 5", d: lesson.path(frame, [[theta - 1.2, found.J - 1.2 * found.mean], [theta + 1.2, found.J + 1.2 * found.mean]]) }, svg);
    lesson.make("circle", { class: "fa", cx: frame.x(theta), cy: frame.y(found.J), r: 6 }, svg);
    const most = Math.max(1, ...found.arrows.map(Math.abs)), below = lesson.frame(dots, [-most, most], [0, 1], ["arrow of a toss: (R − b)·(a − p)", null], 130);
    found.arrows.forEach((v, i) => lesson.make("circle", { class: "fa faint", cx: below.x(v), cy: below.y(0.15 + 0.7 * ((i * 0.618) % 1)), r: 4 }, dots));
    for (const [v, look, dash] of [[found.slope, "line sb", ""], [found.mean, "line sc", "6 5"]]) lesson.make("path", { class: look, "stroke-dasharray": dash, d: lesson.path(below, [[v, 0], [v, 1]]) }, dots);
    lesson.table(document.getElementById("numbers"), ["", "value"], [
      ["π(heads) = σ(θ)", lesson.shown(found.p)], ["J", lesson.shown(found.J)],
      ["slope dJ/dθ = p(1 − p)(R₁ − R₀) (solid)", lesson.shown(found.slope)],
      ["mean of the arrows (dashed)", lesson.shown(found.mean)],
      ["± one standard error", lesson.shown(found.error)], ["variance of one arrow", lesson.shown(found.variance)]]);
  });
};
