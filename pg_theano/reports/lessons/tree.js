// ∇J = Σ_τ P(τ)·R(τ)·Σ_t ∇log π(a_t|s_t): every trajectory of the three-state task, with logits [S, A].
lesson.tree = ({ logits, trajectories, seed, samples }) => {
  const policy = logits.map(lesson.softmax), size = logits.length * logits[0].length, width = logits[0].length;
  const leaves = trajectories.map(([chance, places, actions, total]) => {
    let p = chance;
    const score = new Array(size).fill(0);
    places.forEach((s, t) => {
      p *= policy[s][actions[t]];
      for (let j = 0; j < width; j++) score[s * width + j] += (j === actions[t] ? 1 : 0) - policy[s][j];
    });
    return { p, total, arrow: score.map(v => v * total) };
  });
  const J = lesson.sum(leaves.map(one => one.p * one.total));
  const gradient = leaves.reduce((g, one) => lesson.add(g, one.arrow, one.p), new Array(size).fill(0));
  const chances = leaves.map(one => one.p), drawn = lesson.uniforms(seed, samples).map(u => lesson.pick(chances, u));
  const estimate = drawn.reduce((g, i) => lesson.add(g, leaves[i].arrow, 1 / samples), new Array(size).fill(0));
  return { leaves, J, gradient, drawn, estimate, cosine: lesson.cosine(estimate, gradient) };
};
lesson.draw = () => {
  const { trajectories } = lesson.data(), svg = document.getElementById("picture"), said = document.getElementById("said");
  let chosen = 0, whole = true;
  const mode = all => (state, button) => {
    whole = all;
    if (!all) state.seed += 1;
    for (const one of document.querySelectorAll("button[data-do]")) one.setAttribute("aria-pressed", String(one === button));
  };
  lesson.actions = { all: mode(true), ten: mode(false) };
  // Leaves in the order of their paths, so that branches do not cross.
  const order = trajectories.map((_, i) => i).sort((i, j) => {
    const key = k => trajectories[k][1].map((s, t) => [s, trajectories[k][2][t]]).flat();
    const a = key(i), b = key(j);
    for (let k = 0; k < Math.max(a.length, b.length); k++) if ((a[k] ?? -1) !== (b[k] ?? -1)) return (a[k] ?? -1) - (b[k] ?? -1);
    return 0;
  });
  lesson.listen(state => {
    const logits = [0, 1, 2].map(s => [state["z" + s], 0]);
    const found = lesson.tree({ logits, trajectories, seed: state.seed, samples: 10 });
    const times = {}, H = 20 * trajectories.length + 44, focused = document.activeElement && document.activeElement.dataset.leaf;
    found.drawn.forEach(i => { times[i] = (times[i] || 0) + 1; });
    svg.setAttribute("viewBox", `0 0 640 ${H}`);
    svg.replaceChildren();
    ["step 1", "step 2", "step 3", "return"].forEach((w, i) => lesson.make("text", { x: [70, 220, 370, 530][i], y: 18 }, svg, w));
    const most = Math.max(...found.leaves.map(one => one.p)), middle = {};
    order.forEach((k, row) => {
      const [, places, actions] = trajectories[k];
      places.forEach((_, t) => {
        const key = [places.slice(0, t + 1), actions.slice(0, t)].join("|");
        (middle[key] = middle[key] || []).push(38 + 20 * row);
      });
    });
    const mean = key => lesson.sum(middle[key]) / middle[key].length;
    order.forEach((k, row) => {
      const [, places, actions, total] = trajectories[k], one = found.leaves[k], y = 38 + 20 * row;
      const points = places.map((_, t) => [[30, 180, 330][t], mean([places.slice(0, t + 1), actions.slice(0, t)].join("|"))]);
      if (places.length < 3) points.push([[180, 330][places.length - 1], y]);
      points.push([530, y]);
      const on = whole || times[k], look = total >= 0 ? "sa" : "sb";
      const group = lesson.make("g", { class: "leaf" + (k === chosen ? " on" : ""), tabindex: "0", role: "button", "data-leaf": k,
        "aria-label": `states ${places.join(" ")}, actions ${actions.join(" ")}: probability ${lesson.shown(one.p, 4)}, return ${lesson.shown(total, 1)}` }, svg);
      const wide = whole ? 0.6 + 9 * one.p / most : 1.5 * (times[k] || 0.4);
      lesson.make("path", { class: `none ${look}` + (on ? "" : " faint"), "stroke-width": wide.toFixed(2), "stroke-opacity": on ? 0.75 : 0.25, d: "M" + points.map(q => q.map(v => v.toFixed(1)).join(",")).join("L") }, group);
      lesson.make("text", { x: 538, y: y + 4 }, group, `${lesson.shown(total, 1)}` + (!whole && times[k] ? `  ×${times[k]}` : ""));
      const choose = () => { chosen = k; again(); };
      group.addEventListener("click", choose);
      group.addEventListener("keydown", event => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(); }
        if (step) { event.preventDefault(); const next = svg.querySelector(`[data-leaf="${order[(row + step + order.length) % order.length]}"]`); next.focus(); }
      });
    });
    const [, places, actions, total] = trajectories[chosen], one = found.leaves[chosen], names = [0, 1, 2].map(s => `z${s}`);
    said.textContent = `Trajectory: ${places.map((s, t) => `state ${s}, action ${actions[t]}`).join("; ")}. Probability ${lesson.shown(one.p, 4)}, return ${lesson.shown(total, 1)}; its arrow is its return times the sum of its scores.`;
    const first = v => [0, 2, 4].map(i => lesson.shown(v[i]));
    lesson.table(document.getElementById("numbers"), ["", ...names, "cosine with ∇J"], [
      ["this trajectory's arrow", ...first(one.arrow), lesson.shown(lesson.cosine(one.arrow, found.gradient))],
      [`all ${trajectories.length}, weighed by p: ∇J`, ...first(found.gradient), "1.000"],
      ["mean of the 10 that were sampled", ...first(found.estimate), lesson.shown(found.cosine)]]);
    document.getElementById("J").textContent = lesson.shown(found.J);
    if (focused !== undefined) svg.querySelector(`[data-leaf="${focused}"]`)?.focus();
  });
  const again = () => document.querySelector("input[type=range]").dispatchEvent(new Event("input"));
};
