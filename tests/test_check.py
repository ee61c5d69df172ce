"""`pg_theano.check`: right gradients pass, wrong ones do not, and what cannot be compared is counted."""

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from pg_theano import check
from pg_theano.training import checking, differences
from pg_theano.types import UserError

OPTIMISED = False  # see conftest.machine_code

pytestmark = pytest.mark.usefixtures("functions_kept")

# -- derivatives


@pytest.mark.parametrize(
    ("function", "slope"),
    [(lambda t: np.exp(3 * t), 3.0), (lambda t: np.sin(t) / (1 + t), 1.0), (lambda t: 5.0, 0.0), (lambda t: t**5, 0.0)],
)
def test_a_smooth_function_is_differentiated_to_ten_digits(function, slope):
    found = differences.derivative(function, function(0.0), most=1e-7)
    assert found == pytest.approx(slope, abs=2e-10)


def test_a_kink_is_avoided_or_the_point_is_skipped_and_never_differentiated_across():
    """A kink at every place around 0, of either sign. Caught, when planted: without the cubics a kink at 0 itself
    counts; without the two differences one at 2h/7 does, where the cubics have the same slope."""
    skipped = []
    blind = [share * h for h in differences.STEPS for share in (2 / 7, 10 / 11)]
    for place in [0.0, *blind, *np.geomspace(1e-7, 1e-2, 400)]:
        for side in (1, -1):
            here = side * place
            value = differences.derivative(lambda t, here=here: 2 * t + max(t - here, 0.0), max(-here, 0.0), most=2e-7)
            if value is None:
                skipped.append(abs(here))
            else:
                assert value == pytest.approx(3.0 if here < 0 else 2.0, abs=1e-6)
    assert 0.0 in skipped
    assert max(skipped) <= 2.1 * differences.STEPS[-1]


# -- comparing

LAYOUT = [("policy/w1", (4, 3), "zeros"), ("policy/b1", (3,), "zeros"), ("value/w1", (50, 10), "zeros")]
SIZE = 12 + 3 + 500


def loss(params):
    return float(np.sum(np.sin(params) * np.arange(SIZE)) / SIZE + params @ params)


def gradient(params):
    return np.cos(params) * np.arange(SIZE) / SIZE + 2 * params


def compared(faulty=None, by_hand=None, function=loss):
    at = np.random.default_rng(1).normal(size=SIZE)
    gradients = {"symbolic": gradient(at), "by_hand": gradient(at)}
    for which, fault in (("symbolic", faulty), ("by_hand", by_hand)):
        if fault:
            fault(gradients[which])
    rows, total = differences.compare(function, at, LAYOUT, gradients, points=8, rng=np.random.default_rng(0))
    return {row.name: differences.passes(row) for row in rows}, rows, total


def test_right_gradients_pass_with_errors_of_rounding():
    passed, rows, total = compared()
    assert all(passed.values()) and differences.passes(total)
    assert [row.compared for row in rows] == [9, 3, 9]  # 8 numbers and one direction through all; all of a small one
    assert total.symbolic_by_hand == 0.0
    assert max(total.symbolic_numerical, total.by_hand_numerical) < 1e-9


def flipped(part):
    def fault(values):
        values[part] *= -1

    return fault


def scaled(part, by):
    def fault(values):
        values[part] *= by

    return fault


@pytest.mark.parametrize(
    ("fault", "array"),
    [
        (flipped(slice(12, 15)), "policy/b1"),
        (scaled(slice(0, 12), 1 + 1e-5), "policy/w1"),
        (flipped(slice(400, 401)), "value/w1"),
    ],
    ids=["a sign", "a hundred-thousandth", "one number of 500 that no single point moves"],
)
def test_a_wrong_gradient_fails_in_its_own_array_whoever_gave_it(fault, array):
    """The last is seen by the direction through the whole array alone. Caught, when planted: no such direction."""
    for which in ("faulty", "by_hand"):
        passed, rows, total = compared(**{which: fault})
        assert [name for name, right in passed.items() if not right] == [array]
        assert not differences.passes(total)
        wrong = next(row for row in rows if row.name == array)
        right = wrong.by_hand_numerical if which == "faulty" else wrong.symbolic_numerical
        assert right < differences.NUMERICAL
        assert wrong.symbolic_by_hand > differences.BY_HAND


def test_what_has_a_kink_is_counted_as_skipped_and_nothing_left_to_compare_is_no_pass():
    at = np.random.default_rng(1).normal(size=SIZE)

    def kinked(params):
        return loss(params) + np.abs(params[:14] - at[:14]).sum()

    passed, rows, total = compared(function=kinked)
    assert [(row.compared, row.skipped) for row in rows] == [(0, 9), (1, 2), (9, 0)]
    assert passed == {"policy/w1": False, "policy/b1": True, "value/w1": True}
    assert total.skipped == 11


def test_a_loss_that_is_not_finite_is_no_pass():
    passed, *_ = compared(function=lambda params: float("nan"))
    assert not any(passed.values())


# -- of a config


@pytest.mark.slow
def test_the_default_config_passes():
    """In seconds, on the rollout of its own collector, and says why nothing is by hand."""
    report = check.check()
    assert report.passed
    assert [row.name for row in report.rows] == ["policy/w1", "policy/b1", "policy/w2", "policy/b2"]
    assert report.config.dtype == "float64"
    assert 4 <= report.steps <= 4 * checking.MOST_EPISODE
    assert "by_hand has no twin of reinforce" in report.not_by_hand


@pytest.mark.parametrize(
    ("words", "name"), [([], "vpg"), (["algorithm.name=a2c"], "a2c"), (["policy.hidden=[3]"], "vpg")]
)
def test_the_command_begins_with_something_that_has_a_twin(words, name, monkeypatch):
    """Else its middle column is "-". Caught, when planted: reinforce, which is the config's default."""
    asked = []
    monkeypatch.setattr(check, "check", lambda file, overrides, **_: asked.append(overrides) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        check.main(words)
    assert f"algorithm.name={name}" in asked[0] and len(asked[0]) == max(
        1, len(set(words) | {f"algorithm.name={name}"})
    )


def test_where_an_array_has_nothing_but_kinks_the_parameters_are_moved_elsewhere(monkeypatch):
    """Up to five times; then it is no pass. Caught, when planted: the same place again."""
    places = []
    original = checking.compare

    def spied(loss, at, *rest, **options):
        places.append(at)
        rows, total = original(loss, at, *rest, **options)
        return ([rows[0]._replace(compared=0), *rows[1:]] if len(places) <= bad else rows), total

    monkeypatch.setattr(checking, "compare", spied)
    for bad, expected in ((0, 1), (2, 3), (9, checking.MOST_PLACES)):
        places.clear()
        report = check.check(points=2)
        assert (report.places, len(places)) == (expected, expected)
        assert report.passed is (bad != 9)
        assert len({tuple(at) for at in places}) == expected


OWN = """
import pytensor.tensor as pt
from pytensor.gradient import disconnected_grad

def right(log_prob, old_log_prob, advantage, value, mask):
    return pt.sum(pt.exp(log_prob - old_log_prob) * advantage * mask) / pt.sum(mask)

def wrong(log_prob, old_log_prob, advantage, value, mask):
    ratio = pt.exp(log_prob - old_log_prob)
    return pt.sum(disconnected_grad(ratio) * log_prob * advantage * mask) / pt.sum(mask)
"""
TINY = ["policy.hidden=[5]", "algorithm.num_steps=8"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "surrogates.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["reinforce", "vpg", "a2c", "ppo"])
def test_ones_own_objective_is_checked_the_same_way(own, algorithm):
    """`wrong` differentiates one factor of a product alone: it compiles, it trains, and no derivative is its gradient.
    Caught, when planted: log π_old taken at the moved parameters, where the ratio is always 1."""
    words = [f"algorithm.name={algorithm}", *(TINY if algorithm != "reinforce" else TINY[:1])]
    for name, expected in (("right", True), ("wrong", False)):
        report = check.check(overrides=[*words, f"algorithm.objective=surrogates:{name}"])
        failed = {row.name.partition("/")[0] for row in report.rows if not differences.passes(row)}
        assert report.passed is expected
        assert failed == (set() if expected else {"policy"})


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["algorithm.name=ppo", "algorithm.value_clip_range=0.2", "policy.activation=relu"],
        ["algorithm.name=vpg", "environment.id=Pendulum-v1", "policy.squash=true", "policy.log_std=state_dependent"],
        ["algorithm.name=a2c", "policy.shared=true", "algorithm.num_steps=8", "normalize.observations=true"],
        ["algorithm.name=npg", "environment.id=MountainCarContinuous-v0", "algorithm.entropy_coefficient=0.01"],
        ["algorithm.name=trpo", "algorithm.advantage=n_step"],
        ["algorithm.name=ppo", "environment.id=Pendulum-v1", "policy.noise=pink"],
        ["algorithm.name=ppo", "normalize.rewards=true", "normalize.observations=true"],
    ],
    ids=lambda words: " ".join(words)[:60],
)
def test_every_algorithm_passes(words):
    report = check.check(overrides=[*words, "policy.hidden=[6]"])
    assert report.passed, "\n".join(check.table(report))
    assert report.not_by_hand or report.total.symbolic_by_hand is not None


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["reinforce", "vpg", "ppo"])
def test_what_is_masked_must_not_matter(algorithm, tmp_path, monkeypatch):
    """Each trains without a word, and its gradient is the derivative of its loss. Caught, when planted: the
    episode's mask left at 1; the rollout compared with itself."""
    (tmp_path / "careless.py").write_text(
        "def objective(log_prob, old_log_prob, advantage, value, mask):\n"
        "    return (log_prob * advantage).mean()\n\n"
        "def parameters(obs_size, action_size): return [('w', (obs_size, action_size), 'glorot')]\n\n"
        "def policy(params, obs):\n"
        "    out = obs @ params['w']\n"
        "    return out - out.mean(axis=0)\n"
    )
    monkeypatch.chdir(tmp_path)
    words = [f"algorithm.name={algorithm}", *(TINY if algorithm != "reinforce" else TINY[:1])]
    fine = check.check(overrides=words)
    assert fine.passed and fine.padding <= 1e-12
    for knob in ("algorithm.objective=careless:objective", "policy.name=careless:policy"):
        report = check.check(overrides=[*words, knob])
        assert report.padding > 1e-3 and not report.passed, knob
        assert "FAIL: is the mask used" in "\n".join(check.table(report))
        assert report.total.symbolic_numerical < 1e-6  # which is why nothing else sees it


@pytest.mark.slow
def test_some_ratios_are_clipped_where_the_gradients_are_compared():
    """Or the clip would not be checked: the loss there depends on the clip range."""
    few = ["algorithm.name=ppo", *TINY]
    losses = []
    original = checking.compare

    def spied(loss, at, *rest, **options):
        losses.append(loss(at))
        return original(loss, at, *rest, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "compare", spied)
        check.check(overrides=[*few, "algorithm.clip_range=0.2"])
        check.check(overrides=[*few, "algorithm.clip_range=100.0"])
    assert losses[0] != losses[1]


@pytest.mark.slow
def test_own_dynamics_are_checked_on_their_compiled_rollout(monkeypatch):
    report = check.check(Path(__file__).parent.parent / "docs" / "examples" / "soft_landing.yaml")
    assert report.passed


# -- the by-hand column


@pytest.fixture
def twin(monkeypatch):
    """A stand-in for the NumPy twin: the symbolic gradient, with what the test does to it."""
    import pg_theano.by_hand
    from pg_theano.compiler import program as compiling

    faults = []

    def load(spec):
        program = compiling.load(spec, backend="jax", report=lambda what, seconds: None, first="act")

        def gradient(state, rollout, knobs, at):
            found = program.gradient(state, rollout, knobs, at)
            values = np.array(found["gradient"])
            for fault in faults:
                fault(values)
            return found | {"gradient": values}

        return program._replace(gradient=gradient)

    module = types.SimpleNamespace(load=load)
    monkeypatch.setattr(pg_theano.by_hand, "program", module, raising=False)
    monkeypatch.setitem(sys.modules, "pg_theano.by_hand.program", module)
    return faults


@pytest.mark.slow
def test_a_sign_flipped_in_one_layer_by_hand_fails_and_names_the_layer(twin, capsys):
    words = ["algorithm.name=vpg", "policy.hidden=[5]"]
    assert check.main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["not_by_hand"] is None
    twin.append(flipped(slice(20, 25)))  # policy/b1
    assert check.main(words) == 1
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.endswith("FAIL")] == ["policy/b1", "all"]
    assert out.splitlines()[-1].startswith("FAIL: tolerance 1e-06 against numerical, 1e-09 symbolic against by hand")


# -- the command

ROW = differences.Row("policy/w1", 12, 9, 3, 2e-16, 3e-9, 3e-9)


def stand_in(monkeypatch, *rows):
    from pg_theano.config import reading

    found = checking.Report(
        reading.from_dict({}), 77, 2, list(rows), rows[0], "why not", all(map(differences.passes, rows)), 0.0
    )
    monkeypatch.setattr(check, "check", lambda *arguments, **options: found)


def test_the_exit_code_is_0_for_a_pass_and_1_for_a_fail(monkeypatch, capsys):
    stand_in(monkeypatch, ROW)
    assert check.main([]) == 0
    out = capsys.readouterr().out
    assert "policy/w1" in out and "2.0e-16" in out and "3.0e-09" in out
    assert "skipped: 3 directions with a kink" in out
    assert "by hand: not compared; why not" in out
    assert "place 2 of at most 5" in out
    assert out.splitlines()[-1].startswith("PASS")
    stand_in(monkeypatch, ROW._replace(symbolic_by_hand=1e-8))
    assert check.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAIL")


def test_json_is_one_object(monkeypatch, capsys):
    stand_in(monkeypatch, ROW)
    assert check.main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert found["arrays"][0] == found["total"] == ROW._asdict()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a.yaml", "b.yaml"], "got 2 config files"),
        (["missing.yaml"], "missing.yaml: no such file"),
        (["--points", "0"], "expected a whole number from 1"),
        (["environment.id=CartPole-v7"], "did you mean CartPole-v1?"),
        (["algorithm.name=ppo", "policy.noise=state_dependent"], "takes the features in its variance for constants"),
    ],
)
def test_bad_input_is_one_line(words, message, capsys):
    assert check.main(words) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_the_help_shows_an_example(capsys):
    with pytest.raises(SystemExit):
        check.main(["-h"])
    assert "python -m pg_theano.check algorithm.name=ppo policy.hidden=[16,16]" in capsys.readouterr().out


def test_a_config_of_a_notebook_is_taken_too():
    with pytest.raises(UserError, match="did you mean algorithm"):
        check.check({"algorithm": {"clip_rage": 1}})
