// One step, three actions: g = (Q(a) − b)·(1[j = a] − π(j)), which lies in a plane, for its entries sum to 0.
lesson.cloud = ({ logits, q, baseline, batch, points, seed }) => {
  const pi = lesson.softmax(logits), A = logits.length;
  const U = [[1 / Math.sqrt(2), -1 / Math.sqrt(2), 0], [1 / Math.sqrt(6), 1 / Math.sqrt(6), -2 / Math.sqrt(6)]];  // a basis of that plane
  const score = a => pi.map((p, j) => (j === a ? 1 : 0) - p), flat = g => U.map(u => lesson.dot(u, g));
  const each = pi.map((_, a) => flat(score(a).map(v => v * (q[a] - baseline))));
  const mean = each.reduce((m, g, a) => lesson.add(m, g, pi[a]), [0, 0]);
  const cov = [[0, 0], [0, 0]];
  each.forEach((g, a) => [0, 1].forEach(i => [0, 1].forEach(j => { cov[i][j] += pi[a] * (g[i] - mean[i]) * (g[j] - mean[j]) / batch; })));
  const trace = cov[0][0] + cov[1][1], gap = Math.hypot(cov[0][0] - cov[1][1], 2 * cov[0][1]);
  const axes = [(trace + gap) / 2, (trace - gap) / 2].map(v => Math.sqrt(Math.max(v, 0)));
  const angle = Math.atan2(2 * cov[0][1], cov[0][0] - cov[1][1]) / 2;
  const squares = pi.map((_, a) => lesson.dot(score(a), score(a)));
  const best = lesson.sum(pi.map((p, a) => p * squares[a] * q[a])) / lesson.sum(pi.map((p, a) => p * squares[a]));
  const us = lesson.uniforms(seed, batch * points), cloud = [];
  for (let n = 0; n < points; n++) {
    let g = [0, 0];
    for (let i = 0; i < batch; i++) g = lesson.add(g, each[lesson.pick(pi, us[n * batch + i])], 1 / batch);
    cloud.push(g);
  }
  const cosine = lesson.sum(cloud.map(g => lesson.cosine(g, mean))) / points;
  return { pi, mean, cov, variance: trace * batch, axes, angle, best, value: lesson.dot(pi, q), cloud, cosine };
};
lesson.draw = () => {
  const { logits, q } = lesson.data(), svg = document.getElementById("picture"), slider = document.getElementById("baseline");
  const of = (state, baseline, points = 200) => lesson.cloud({ logits, q, baseline, batch: state.batch, points, seed: state.seed });
  const set = value => () => { slider.value = value; };
  const known = of({ batch: 1, seed: 1 }, 0, 1);
  lesson.actions = { again: state => { state.seed += 1; }, zero: set(0), value: set(known.value), best: set(known.best) };
  lesson.listen(state => {
    const found = of(state, state.baseline), reach = 3.2;
    const frame = lesson.frame(svg, [-reach, reach], [-reach / 2, reach / 2], ["", ""], 400, true);
    for (const g of found.cloud) lesson.make("circle", { class: "fa faint", cx: frame.x(g[0]), cy: frame.y(g[1]), r: 3.5 }, svg);
    const turn = Array.from({ length: 61 }, (_, i) => {
      const t = i / 30 * Math.PI, [u, v] = [2 * found.axes[0] * Math.cos(t), 2 * found.axes[1] * Math.sin(t)], [c, s] = [Math.cos(found.angle), Math.sin(found.angle)];
      return [found.mean[0] + c * u - s * v, found.mean[1] + s * u + c * v];
    });
    lesson.make("path", { class: "line sb", d: lesson.path(frame, turn) }, svg);
    lesson.arrow(svg, frame, [0, 0], found.mean, "sc thick");
    const row = (name, b) => { const one = of(state, b); return [name, lesson.shown(b), lesson.shown(one.variance), lesson.shown(one.cosine), lesson.shown(lesson.norm(one.mean))]; };
    lesson.table(document.getElementById("numbers"), ["baseline", "b", "variance of one", "mean cosine", "length of ∇J"], [
      row("the slider's", state.baseline), row("none", 0), row("V = Σ π·Q", found.value), row("b*, the best", found.best)]);
  });
};
