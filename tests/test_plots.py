"""Figures of runs: what is read, how it is reduced, and what stands in the figure."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pg_theano import plot
from pg_theano.reports import plots
from pg_theano.runs import curves
from pg_theano.types import UserError


def record(update, env_steps, value=1.0, **more):
    return {"update": update, "env_steps": env_steps, "cost": -0.1 * value, "return_mean": value, **more}


def write_run(folder, records, result=None, tail=""):
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records) + tail)
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def learning_run(folder, *, seed=0, updates=40, status="solved", **result):
    """A logistic learning curve with noise, as of CartPole-v1 under REINFORCE."""
    rng = np.random.default_rng(seed)
    k = np.arange(1, updates + 1)
    mean = np.clip(20 + 475 / (1 + np.exp(-(k - updates / 2) / (updates / 9))) + rng.normal(0, 10, updates), 9, 500)
    steps = np.cumsum(16 * mean).astype(int)
    records = [
        record(
            int(k[i]), int(steps[i]), float(mean[i]), return_std=0.3 * float(mean[i]), return_min=9.0,
            return_max=min(500.0, 1.8 * float(mean[i])), length_mean=float(mean[i]),
            length_max=int(min(500, 1.8 * mean[i])), learning_rate=0.05 * 0.99**i, exploration_rate=0.2 * 0.9**i,
            episodes_per_update=16, **({"evaluation_mean": float(mean[i])} if k[i] % 10 == 0 else {}),
        )
        for i in range(updates)
    ]  # fmt: skip
    summary = {"name": folder.name, "status": status, "updates": updates, "env_steps": int(steps[-1])}
    evaluation = {"mean": 498.2, "std": 5.0, "min": 470.0, "max": 500.0, "n": 100}
    summary |= {"environment": "CartPole-v1", "threshold": 475.0, "evaluation": evaluation}
    return write_run(folder, records, summary | result)


def figure_of(*folders, title=None):
    return plots.figure_of([curves.read_run(folder) for folder in folders], title)


def panel(figure, label):
    return next(axes for axes in figure.axes if axes.get_ylabel().startswith(label))


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def dashed_levels(axes):
    return [line.get_ydata()[0] for line in axes.lines if np.array_equal(line.get_xdata(), [0, 1])]


# Reading


def test_missing_and_null_fields_are_nan_and_a_torn_last_line_is_ignored(tmp_path):
    records = [record(1, 100), {"update": 2, "env_steps": None, "note": "text"}, record(3, 300, 7.0)]
    columns = curves.read_metrics(write_run(tmp_path / "run", records, tail='{"update": 4, "env_st'))
    assert columns["update"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(columns["env_steps"], [100, np.nan, 300])
    np.testing.assert_array_equal(columns["return_mean"], [1, np.nan, 7])
    assert "note" not in columns


def test_a_field_that_appears_late_in_a_long_file_is_nan_before(tmp_path):
    records = [record(i, i) for i in range(1, 4500)] + [record(4500, 4500, evaluation_mean=5.0)]
    columns = curves.read_metrics(write_run(tmp_path / "run", records))
    assert columns["update"].size == columns["evaluation_mean"].size == 4500
    assert np.flatnonzero(np.isfinite(columns["evaluation_mean"])).tolist() == [4499]


def test_where_a_resumed_run_repeats_updates_the_later_record_counts(tmp_path):
    records = [record(1, 10), record(2, 20), record(3, 30, 99.0), record(2, 20, 5.0), record(3, 30, 6.0)]
    columns = curves.read_metrics(write_run(tmp_path / "run", records))
    assert columns["update"].tolist() == [1, 2, 3]
    assert columns["return_mean"].tolist() == [1, 5, 6]


def test_a_bad_line_in_the_middle_is_named(tmp_path):
    folder = write_run(tmp_path / "run", [record(1, 10)], tail='{"upd\n' + json.dumps(record(3, 30)) + "\n")
    with pytest.raises(UserError, match=r"metrics\.jsonl:2 is not JSON"):
        curves.read_metrics(folder)


def test_a_folder_that_is_no_run_and_a_run_without_records(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(UserError, match=r"x: no metrics\.jsonl in it; expected a run folder such as runs/cartpole"):
        curves.read_run(tmp_path / "x")
    for name, tail in (("empty", ""), ("torn", '{"upd')):
        with pytest.raises(UserError, match="no records yet"):
            curves.read_run(write_run(tmp_path / name, [], tail=tail))
    write_run(tmp_path / "group" / "seed-0", [])
    with pytest.raises(UserError, match="no records yet in any of its 1 seed folders"):
        curves.read_run(tmp_path / "group")


# Curves


def test_binning_keeps_the_extremes_and_the_mean():
    rng = np.random.default_rng(0)
    y = rng.normal(size=123_457)
    y[[0, 77_777, -1]] = [-50.0, 90.0, -60.0]
    curve = curves.bin_curve(curves.Curve(np.arange(y.size, dtype=float), y, y, y))
    assert curve.x.size == curves.POINTS
    assert np.all(np.diff(curve.x) > 0)
    assert (curve.low.min(), curve.low[0], curve.high.max()) == (-60.0, -50.0, 90.0)
    assert np.isclose(curve.middle.mean(), y.mean(), atol=1e-3)  # bins differ by one in size
    assert np.all((curve.low <= curve.middle) & (curve.middle <= curve.high))


def test_the_band_of_a_run_is_one_std_within_what_was_seen(tmp_path):
    seen = [record(1, 10, 5.0, return_std=2.0, return_min=4.0, return_max=20.0), record(2, 20, 6.0, return_std=1.0)]
    curve = curves.curve_of(
        curves.read_metrics(write_run(tmp_path / "run", seen)), "env_steps", "return_mean", "return_std"
    )
    assert curve.low.tolist() == [4.0, 5.0]
    assert curve.high.tolist() == [7.0, 7.0]


def test_the_mean_over_seeds_is_the_mean_of_interpolations(tmp_path):
    """Seed 0 goes 0 -> 100 over 1000 steps; seed 1 rises 10 -> 30 over 500, where it ends; seed 2 stays at 20."""
    write_run(tmp_path / "g" / "seed-0", [record(1, 0, 0.0), record(2, 1000, 100.0)])
    write_run(tmp_path / "g" / "seed-1", [record(1, 0, 10.0), record(2, 500, 30.0)])
    write_run(tmp_path / "g" / "seed-2", [record(1, 0, 20.0), record(2, 1000, 20.0)])
    write_run(tmp_path / "g" / "seed-3", [])  # not begun: left out
    run = curves.read_run(tmp_path / "g")
    assert run.is_group and len(run.seeds) == 3
    curve = curves.curve_of_run(run, "env_steps", "return_mean", "return_std")
    expected = {0: (0, 10, 20), 250: (20, 65 / 3, 25), 750: (20, 125 / 3, 75), 1000: (20, 50, 100)}
    for x, (low, mean, high) in expected.items():
        at = [np.interp(x, curve.x, part) for part in (curve.low, curve.middle, curve.high)]
        assert np.allclose(at, [low, mean, high], atol=0.1)


# The figure


def test_a_single_run_has_labels_with_units_legends_threshold_and_outcome(tmp_path):
    figure = figure_of(learning_run(tmp_path / "cartpole"))
    labels = [axes.get_ylabel().replace("\n", " ") for axes in figure.axes]
    assert labels == [
        "cost (loss of an update)", "episode length (steps)", "return (reward per episode)",
        "learning rate (step size)", "exploration (probability)", "episodes (per update)",
    ]  # fmt: skip
    assert {axes.get_xlabel() for axes in figure.axes} == {"environment steps", "updates", ""}
    assert legend_of(panel(figure, "episode length")) == ["mean", "longest episode"]
    assert legend_of(panel(figure, "return")) == ["mean", "episodes, ± std", "evaluation", "solved at 475"]
    assert dashed_levels(panel(figure, "return")) == [475.0]
    title = figure.texts[0].get_text()
    assert title.startswith("CartPole-v1: solved after 40 updates, ")
    assert title.endswith(" steps; 100 greedy episodes: 498.2 ± 5")
    assert panel(figure, "return").xaxis.get_major_formatter()(62000) == "62,000"


def test_compared_runs_differ_in_colour_line_and_marker_and_are_named(tmp_path):
    folders = [learning_run(tmp_path / name, seed=i, status="budget") for i, name in enumerate(("ppo", "trpo", "npg"))]
    figure = figure_of(*folders)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text.split(":")[0] for text in named] == ["ppo", "trpo", "npg"]
    assert "budget spent after 40 updates" in named[0]
    handles = figure.legends[0].legend_handles
    for look in ("get_color", "get_linestyle", "get_marker"):
        assert len({getattr(handle, look)() for handle in handles}) == 3
    assert figure.texts[0].get_text() == "CartPole-v1: 3 runs compared"


def test_a_group_says_what_its_band_is(tmp_path):
    for seed in range(3):
        learning_run(tmp_path / "g" / f"seed-{seed}", seed=seed, status="solved" if seed else "budget")
    figure = figure_of(tmp_path / "g")
    assert legend_of(panel(figure, "return")) == ["mean of 3 seeds", "seeds, min–max", "evaluation", "solved at 475"]
    assert "2 of 3 seeds solved" in figure.texts[0].get_text()


@pytest.mark.parametrize("singles", [1, 7])
def test_no_text_stands_outside_the_figure_or_on_another(tmp_path, singles):
    """In the panels' headers, where legends, titles and labels come close."""
    for seed in range(2):
        learning_run(tmp_path / "g" / f"seed-{seed}", seed=seed)
    folders = [learning_run(tmp_path / f"runs-{i}", env_steps=1_234_567) for i in range(singles)]
    figure = figure_of(tmp_path / "g", *folders, title="a long title of a comparison " * 8)
    figure.canvas.draw()
    boxes = [figure.texts[0], figure.legends[0], *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    boxes += [label for axes in figure.axes for label in (axes.xaxis.label, axes.yaxis.label) if label.get_text()]
    boxes = [artist.get_window_extent() for artist in boxes]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:i])


@pytest.mark.parametrize("fields", [{"update": 1}, {"env_steps": 10, "cost": None}, {"return_mean": 3.0}])
def test_any_field_may_be_missing(tmp_path, fields):
    out = plots.draw([write_run(tmp_path / "run", [fields, fields])], tmp_path / "out.png")
    assert out.stat().st_size > 1000


# Files and the command


def test_draw_writes_a_png_1200_pixels_wide_and_leaves_nothing_else(tmp_path):
    out = tmp_path / "new" / "figure.png"
    assert plots.draw([learning_run(tmp_path / "run")], out) == out
    assert Image.open(out).size[0] == 1200
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(("name", "message"), [("a.xyz", "ends in .png, .pdf or .svg"), ("d.png", "cannot be written")])
def test_a_file_that_cannot_be_written_is_a_user_error(tmp_path, name, message):
    (tmp_path / "d.png").mkdir()
    with pytest.raises(UserError, match=message):
        plots.draw([learning_run(tmp_path / "run")], tmp_path / name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.png", "run"]


def test_a_long_run_is_drawn_in_seconds(tmp_path):
    line = '{"update": %d, "env_steps": %d, "cost": -0.1, "return_mean": 20.5, "length_mean": 20.5, "length_max": 40}\n'
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("".join(line % (i, 100 * i) for i in range(1, 200_001)))
    start = time.perf_counter()
    figure = figure_of(tmp_path / "run")
    assert time.perf_counter() - start < 15  # 1.5 s on a quiet core
    assert max(line.get_xdata().size for axes in figure.axes for line in axes.lines) <= curves.POINTS


def test_the_command_draws_into_plots_and_prints_json(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    learning_run(tmp_path / "runs" / "cartpole")
    assert plot.main(["runs/cartpole", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": "plots/cartpole.png"}
    assert Path("plots/cartpole.png").exists()


def test_the_command_prints_one_line_and_returns_2(tmp_path, capsys):
    assert plot.main([str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and "no metrics.jsonl" in captured.err


def test_pyplot_is_never_imported():
    code = "import sys, pg_theano.reports.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
