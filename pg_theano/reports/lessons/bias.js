// ĝ = Σ_t ∇log π(a_t|s_t)·Â_t of every trajectory, Â by GAE(λ), V = k·exact + (1 − k)·wrong; γ = 1.
lesson.bias = ({ logits, trajectories, exact, wrong, quality, lam }) => {
  const policy = logits.map(lesson.softmax), width = logits[0].length, size = logits.length * width;
  const V = (s, t) => quality * exact[s][t] + (1 - quality) * wrong[s][t];
  const estimates = [], chances = [];
  let gradient = new Array(size).fill(0);
  for (const [chance, places, actions, total, rewards] of trajectories) {
    let p = chance, advantage = 0;
    const g = new Array(size).fill(0), whole = new Array(size).fill(0);
    for (let t = places.length - 1; t >= 0; t--) {
      const s = places[t], a = actions[t], last = t === places.length - 1;
      const delta = rewards[t] + (last ? 0 : V(places[t + 1], t + 1)) - V(s, t);
      advantage = delta + (last ? 0 : lam * advantage);
      p *= policy[s][a];
      for (let j = 0; j < width; j++) {
        const score = (j === a ? 1 : 0) - policy[s][j];
        g[s * width + j] += score * advantage;
        whole[s * width + j] += score * total;
      }
    }
    chances.push(p); estimates.push(g);
    gradient = lesson.add(gradient, whole, p);
  }
  const mean = estimates.reduce((m, g, i) => lesson.add(m, g, chances[i]), new Array(size).fill(0));
  const length = lesson.norm(mean), spread = lesson.sum(estimates.map((g, i) => chances[i] * lesson.norm(lesson.add(g, mean, -1)) ** 2));
  return {
    gradient, mean, bias: 100 * lesson.norm(lesson.add(mean, gradient, -1)) / lesson.norm(gradient),
    angle: Math.acos(lesson.cosine(mean, gradient)) * 180 / Math.PI, variance: length ? spread / length ** 2 : Infinity,
    cosine: lesson.sum(estimates.map((g, i) => chances[i] * lesson.cosine(g, gradient))),
  };
};
lesson.draw = () => {
  const data = lesson.data();
  lesson.listen(state => {
    const of = lam => lesson.bias({ ...data, quality: state.quality, lam });
    const lams = Array.from({ length: 21 }, (_, i) => i / 20), all = lams.map(of), here = of(state.lam);
    for (const [id, name, label, look] of [["bias", "bias", "bias, % of ‖∇J‖", "b"], ["variance", "variance", "variance / length²", "a"], ["cosine", "cosine", "mean cosine with ∇J", "c"]]) {
      const svg = document.getElementById(id), ys = all.map(one => one[name]), top = name === "cosine" ? 1 : Math.max(name === "bias" ? 20 : 4, ...ys) * 1.1;
      const frame = lesson.frame(svg, [0, 1], [Math.min(0, ...ys), top], ["λ", label], 230);
      lesson.make("path", { class: `line s${look}`, d: lesson.path(frame, lams.map((l, i) => [l, ys[i]])) }, svg);
      lesson.make("circle", { class: `f${look}`, cx: frame.x(state.lam), cy: frame.y(here[name]), r: 6 }, svg);
    }
    const best = all.reduce((b, one, i) => (one.cosine > all[b].cosine ? i : b), 0);
    const row = (name, one) => [name, lesson.shown(one.bias, 1) + " %", lesson.shown(one.angle, 1) + "°", lesson.shown(one.variance, 2), lesson.shown(one.cosine)];
    lesson.table(document.getElementById("numbers"), ["λ", "bias", "angle", "variance / length²", "cosine"], [
      row(`${lesson.shown(state.lam, 2)}, the slider's`, here), row("0, the TD error", all[0]), row("1, reward-to-go less V", all[20]),
      row(`${lesson.shown(lams[best], 2)}, the best cosine`, all[best])]);
  });
};
