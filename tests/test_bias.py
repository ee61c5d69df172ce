"""The table of biases: at most twenty rows, each what it says."""

import json
import math

import pytest

from pg_theano.bias import __main__ as command
from pg_theano.bias import rows

FOUND = {row.name: row for row in rows.rows()}


def test_there_are_at_most_twenty_rows_and_groups_stand_together():
    groups = [row.group for row in FOUND.values()]
    assert len(groups) <= 20
    assert [a for a, b in zip(groups, ["", *groups], strict=False) if a != b] == list(dict.fromkeys(groups))


def test_what_has_no_reason_has_no_bias_and_what_has_one_has_some():
    """Caught, when planted: γᵗ dropped in reward_to_go · γᵗ, its own episode in leave_one_out."""
    for row in FOUND.values():
        assert (row.card.bias < 1e-8) == (not row.why), row


def test_a_running_mean_leaves_what_was_paid_before_and_expects_nothing():
    """γ = 1: G_t − mean of G_k, k ≤ t, is made of rewards before t alone. Caught, when planted: a mean of k < t."""
    made = FOUND["running_mean"].card
    assert made.bias == pytest.approx(100)
    assert math.isnan(made.angle)


def test_more_episodes_weigh_short_ones_less():
    one, two = (FOUND[f"mean over steps, {n}"].card for n in ("1 episode", "2 episodes"))
    assert two.bias < 0.6 * one.bias


def test_the_command_prints_every_row_and_its_json_has_no_infinity(capsys, monkeypatch):
    monkeypatch.setattr(command, "rows", lambda seed: [*FOUND.values()])
    assert command.main([]) == 0
    out = capsys.readouterr().out
    assert all(row.name in out for row in FOUND.values())
    assert command.main(["--json", "--seed", "1"]) == 0
    seen = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert len(seen["rows"]) == len(FOUND)
    assert command.main(["--seed", "-1"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_its_figure_has_a_dot_for_each_of_five_policies(capsys, monkeypatch, tmp_path):
    """And none where there is no figure. Caught, when planted: the first policy five times; null drawn as 0."""
    from pg_theano.reports import plots

    asked, drawn = [], []
    monkeypatch.setattr(command, "rows", lambda seed: asked.append(seed) or [*FOUND.values()])
    monkeypatch.setattr(plots, "saved", lambda figure, out, kind: drawn.append(figure) or out)
    assert command.main(["--figure", str(tmp_path / "bias.png"), "--seed", "3"]) == 0
    assert asked == [3, 4, 5, 6, 7]
    for axes, key in zip(drawn[0].axes, ("bias", "angle", "variance", "episodes"), strict=True):
        for line, row in zip(axes.lines, FOUND.values(), strict=True):
            value = getattr(row.card, key)
            expected = [value] * 5 if math.isfinite(value) else [math.nan] * 5
            assert line.get_xdata() == pytest.approx(expected, abs=1e-9, nan_ok=True)
    assert command.main(["--figure", str(tmp_path / "bias.txt")]) == 2
    assert "kind of figure" in capsys.readouterr().err
