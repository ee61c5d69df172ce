"""The clinic: a function of somebody's own is held to the definition, and its fault is named."""

import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from pg_theano.by_hand import advantages as twin
from pg_theano.clinic import __main__ as command
from pg_theano.clinic import calling, definition, detectors, faults, measuring, planted, probe, right, table
from pg_theano.clinic.cases import cases
from pg_theano.types import UserError

SOURCE = Path(right.__file__).read_text()


def report_of(function, layout="TN", **how):
    return probe.held(calling.described(function, "mine:advantages", layout), number=20, **how)


def written(tmp_path, *replaced, source=SOURCE):
    """The function of a file in which each (old, new) stands."""
    for old, new in replaced:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    file = tmp_path / "mine.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("mine_of_a_test", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.advantages


# -- right code passes, however it is written


def twins(reward, value, next_value, terminated, truncated, mask, discount, gae_lambda):
    found = twin.gae(
        reward, value, next_value, terminated, truncated, mask, discount=discount, gae_lambda=gae_lambda
    )  # fmt: skip
    return found, found + value


def cleanrl(rewards, values, dones, next_value, next_done, gamma, gae_lambda):
    """As in cleanrl/ppo.py, of NumPy."""
    advantages, lastgaelam, num_steps = np.zeros_like(rewards), 0, len(rewards)
    for t in reversed(range(num_steps)):
        if t == num_steps - 1:
            nextnonterminal, nextvalues = 1.0 - next_done, next_value
        else:
            nextnonterminal, nextvalues = 1.0 - dones[t + 1], values[t + 1]
        delta = rewards[t] + gamma * nextvalues * nextnonterminal - values[t]
        advantages[t] = lastgaelam = delta + gamma * gae_lambda * nextnonterminal * lastgaelam
    return advantages, advantages + values


def stable_baselines3(rewards, values, episode_starts, last_values, dones, gamma, gae_lambda):
    """As RolloutBuffer.compute_returns_and_advantage."""
    return cleanrl(rewards, values, episode_starts, last_values, dones, gamma, gae_lambda)


def spinning_up(rews, vals, dones, last_val, gamma, lam):
    """One environment, by a filter over each episode."""
    out, start = np.zeros_like(rews), 0
    for t in range(len(rews)):
        if dones[t] or t == len(rews) - 1:
            path = slice(start, t + 1)
            after = 0.0 if dones[t] else last_val
            v = np.append(vals[path], after)
            deltas = rews[path] + gamma * v[1:] - v[:-1]
            weights = np.triu(
                np.power(gamma * lam, np.maximum(0, np.arange(len(deltas)) - np.arange(len(deltas))[:, None]))
            )
            out[path] = weights @ deltas
            start = t + 1
    return out


def single_precision(rewards, values, next_values, terminated, truncated, gamma, lam):
    arrays = [one.astype(np.float32) for one in (rewards, values, next_values)]
    found = right.advantages(*arrays, terminated, truncated, np.float32(gamma), np.float32(lam))
    return {"advantages": found[0].astype(np.float32), "returns": found[1].astype(np.float32)}


def lists(rewards, values, next_values, terminated, dones, gamma, lam):
    """Both flags, one of them merged; a list of lists."""
    return right.advantages(rewards, values, next_values, terminated, dones & ~terminated, gamma, lam)[0].tolist()


@pytest.mark.parametrize(
    ("function", "layout"),
    [(right.advantages, "TN"), (twins, "NT"), (cleanrl, "TN"), (stable_baselines3, "TN"), (spinning_up, "T"),
     (single_precision, "TN"), (lists, "TN")],
    ids=lambda one: getattr(one, "__name__", one),
)  # fmt: skip
def test_right_code_passes_in_every_layout(function, layout):
    """Caught, when planted: `dones` of SB3's layout not shifted, no bonus at a time limit, a tolerance of 1e-9."""
    found = report_of(function, layout)
    assert found.right, found.lines()


def test_the_definition_is_the_twins_and_a_table_worked_by_hand():
    """Caught, when planted: δ without γ, a sum that does not stop. γ = ½, λ = ½, one column:
    δ = 1 + ½·4 − 2 = 1; 2 − 4 = −2 (terminated); 1 + ½·6 − 1 = 3 (truncated); 0 + ½·8 − 2 = 2 (cut)."""
    column = [np.array(one, float)[:, None] for one in ([1, 2, 1, 0], [2, 4, 1, 2], [4, 9, 6, 8])]
    flags = [np.array(one, bool)[:, None] for one in ([0, 1, 0, 0], [0, 0, 1, 0])]
    worked = definition.Case(*column, *flags, np.array([8.0]), 0.5, 0.5)
    assert definition.estimated(worked)[:, 0].tolist() == [0.5, -2.0, 3.0, 2.0]
    for case in itertools.islice(cases(30, 1, gamma=None, lam=None), 320, None):
        arrays = [one.T for one in case[:5]]
        ours = twin.gae(*arrays, np.ones_like(arrays[0]), discount=case.gamma, gae_lambda=case.lam).T
        assert np.allclose(definition.estimated(case), ours, rtol=0, atol=1e-12)


@pytest.mark.parametrize("one", [cleanrl, spinning_up, stable_baselines3])
def test_what_a_function_is_told_has_the_same_advantages(one):
    """Caught, when planted: no γ·V of the final observation in the reward of a time limit."""
    function = calling.described(one, "mine:advantages")
    for case in itertools.islice(cases(20, 5, gamma=None, lam=None), 60, None):
        told = calling.seen(case, function)
        assert np.allclose(definition.estimated(told), definition.estimated(case), rtol=0, atol=1e-12)


# -- wrong code is named

NEXT = "gamma * bootstraps * next_values[t]"
BOOT, GO, SUM = (
    "bootstraps = 1.0 - terminated[t]",
    "continues = 1.0 - (terminated[t] | truncated[t])",
    "gamma * lam * continues",
)
PLANTED = {
    "merged done": [(BOOT, "bootstraps = 1.0 - (terminated[t] | truncated[t])")],
    "termination bootstrapped": [(BOOT, "bootstraps = 1.0")],
    "truncation leaks": [(GO, "continues = 1.0 - terminated[t]")],
    "termination leaks": [(GO, "continues = 1.0 - truncated[t]")],
    "ends leak": [(GO, "continues = 1.0")],
    "V of the reset observation": [(NEXT, "gamma * bootstraps * (values[t + 1] if t + 1 < len(values) else next_values[t])")],
    "own V for the successor's": [("* next_values[t]", "* values[t]")],
    "own V at a time limit": [("* next_values[t]", "* np.where(truncated[t], values[t], next_values[t])")],
    "ends one step late": [
        ("    result = np", "    terminated, truncated = (np.roll(f, 1, 0) & (np.arange(len(f)) > 0)[:, None] "
                            "for f in (terminated, truncated))\n    result = np")],
    "sum stops one step late": [(GO, "continues = 1.0 - (terminated[t - 1] | truncated[t - 1]) * (t > 0)")],
    "the record's end is an end": [(BOOT, "bootstraps = (1.0 - terminated[t]) * (t + 1 < len(rewards))")],
    "own V at the record's end": [("* next_values[t]", "* (next_values[t] if t + 1 < len(values) else values[t])")],
    "last row left out": [("range(len(rewards))", "range(len(rewards) - 1)")],
    "both flags bootstrap": [(BOOT, "bootstraps = 1.0 - (terminated[t] & ~truncated[t])")],
    "λ forgotten": [(SUM, "gamma * continues")],
    "γ forgotten in the sum": [(SUM, "lam * continues")],
    "γ forgotten in δ": [(NEXT, "bootstraps * next_values[t]")],
    "γ forgotten": [(NEXT, "bootstraps * next_values[t]"), (SUM, "lam * continues")],
    "γ and λ exchanged": [(NEXT, "lam * bootstraps * next_values[t]")],
    "sign": [("        result[t] = last", "        result[t] = -last")],
    "V not taken off": [(" - values[t]", "")],
    "V added": [(" - values[t]", " + values[t]")],
    "δ alone": [(f"last = delta + {SUM} * last", "last = delta")],
    "returns for advantages": [("        result[t] = last", "        result[t] = last + values[t]")],
    "standardised inside": [
        ("    targets = ", "    result = (result - result.mean()) / (result.std() + 1e-8)\n    targets = ")],
    "summed over the past": [("reversed(range(len(rewards)))", "range(len(rewards))"), (GO, f"{GO.replace('[t]', '[t - 1]')}")],
    "reward one step early": [("rewards[t] +", "(rewards[t + 1] if t + 1 < len(rewards) else 0.0) +")],
    "reward one step late": [("rewards[t] +", "(rewards[t - 1] if t else 0.0) +")],
    "targets of standardised advantages": [
        ("targets = result", "targets = (result - result.mean()) / (result.std() + 1e-8)")],
    "targets without V": [("targets = result + values", "targets = result.copy()")],
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_fault_is_named(tmp_path, name):
    """Written into a loop that is not the definition's. Caught, when planted: two readings of the table exchanged."""
    found = report_of(written(tmp_path, *PLANTED[name]))
    assert not found.right
    named = [one.name for one in found.found.faults]
    assert named == [name], (named, found.lines())
    json.dumps(found.as_json(), allow_nan=False)


def test_almost_every_fault_there_is_is_planted_above():
    """So that no row of the table is dead. Caught, when planted: a fault whose reading is another's too."""
    known = {one.name for one in (*faults.FAULTS, *faults.OF_TARGETS)}
    assert set(PLANTED) <= known and len(PLANTED) >= 30
    tried = list(cases(20, 3, gamma=None, lam=None))[-40:]
    readings = [one for one in faults.FAULTS if one.name != "standardised inside"]
    for first, second in itertools.combinations(readings, 2):
        pairs = (
            (definition.estimated(case, first.reading), definition.estimated(case, second.reading)) for case in tried
        )
        assert any(not np.allclose(*pair) for pair in pairs), (first.name, second.name)


def test_two_faults_at_once_are_both_named(tmp_path):
    """Caught, when planted: single readings alone are tried."""
    found = report_of(written(tmp_path, *PLANTED["merged done"], *PLANTED["λ forgotten"]))
    assert {one.name for one in found.found.faults} == {"merged done", "λ forgotten"}


def test_dones_that_are_not_shifted_are_named_in_their_own_layout():
    """CleanRL's most copied line, `dones[t + 1]`, as `dones[t]`. Caught, when planted: a layout in which both are one."""

    def copied(rewards, values, dones, next_value, next_done, gamma, lam):
        result, last = np.zeros_like(rewards), 0.0
        following = np.concatenate([values[1:], next_value[None]])
        for t in reversed(range(len(rewards))):
            going = 1.0 - (next_done if t == len(rewards) - 1 else dones[t])
            last = rewards[t] + gamma * following[t] * going - values[t] + gamma * lam * going * last
            result[t] = last
        return result

    found = report_of(copied)
    assert [one.name for one in found.found.faults] == ["ends one step late, but in the last row"]
    assert "CleanRL" in found.notes[0]


def test_what_is_none_of_the_usual_faults_is_said_with_where_it_is(tmp_path):
    """Caught, when planted: a fault named though it fits only some cases."""
    found = report_of(written(tmp_path, (BOOT, f"{BOOT} + 0.3 * (terminated[t] & ~truncated[t])")))
    assert found.found.faults == () and "where a termination is" in found.found.only
    assert found.found.case.rewards.shape == (1, 1)


def test_the_smallest_case_comes_with_the_lines_to_look_at(tmp_path, monkeypatch, capsys):
    """Caught, when planted: the last case that differs, lines of the whole file."""
    (tmp_path / "mine_own.py").write_text(SOURCE.replace(SUM, "gamma * continues"))
    monkeypatch.chdir(tmp_path)
    assert command.main(["--probe", "mine_own:advantages"]) == 1
    said = capsys.readouterr().out
    assert "fault: λ forgotten" in said and "cleanrl/ppo.py" in said
    table = said.partition("shows it:")[2].partition("look at")[0]
    assert len(table.strip().splitlines()) == 4  # γ and λ, heads, two steps
    assert "last = delta + gamma * continues * last" in said.partition("look at")[2]
    assert command.main(["--probe", "mine_own:advantages", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["faults"][0]["name"] == "λ forgotten" and len(answer["case"]["rewards"]) == 2


# -- bad input


WRONG = {
    "raises": ("raise ValueError('no such')", "raised ValueError: no such (mine_own.py:2)"),
    "leaves": ("raise SystemExit(3)", "raised SystemExit: 3"),
    "shape": ("return rewards[:-1]", "gave advantages of shape"),
    "flat": ("return rewards.sum()", "gave advantages of shape []"),
    "nothing": ("return None", "gave"),
    "text": ("return 'much'", "gave str as advantages"),
    "flags": ("import numpy as np\n    out = np.zeros_like(truncated)\n    return out", "of type bool"),
    "endless": ("while True: pass", "took longer than 0.2 s"),
    "deaf": ("while True:\n        try:\n            while True: pass\n        except Exception: pass", "took longer"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_function_that_goes_wrong_is_one_line(tmp_path, monkeypatch, capsys, name):
    """Caught, when planted: no time limit, an exception let through, a shape that NumPy broadcasts."""
    body, said = WRONG[name]
    (tmp_path / "mine_own.py").write_text(
        f"def advantages(rewards, values, next_values, terminated, truncated, gamma, lam):\n    {body}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert command.main(["--probe", "mine_own:advantages", "--timeout", "0.2"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: mine_own:advantages: ") and said in error and "expected" in error


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--probe", "mine"], "module:function"),
        (["--probe", "no_such_module:f"], "no module no_such_module in"),
        (["--probe", "json:dumps"], "Python's own"),
        (["--probe", "mine:f", "--gamma", "2"], "from 0 to 1"),
        (["--probe", "mine:f", "--timeout", "0"], "seconds above 0"),
        (["--probe", "mine:f", "--no-user-code"], "no-user-code"),
    ],
)
def test_bad_options_are_one_line(tmp_path, monkeypatch, capsys, argv, said):
    monkeypatch.chdir(tmp_path)
    assert command.main(argv) == 2
    assert said in capsys.readouterr().err


def test_parameters_that_nobody_can_give_are_named():
    """Caught, when planted: an unknown parameter that is left out of the call."""
    with pytest.raises(UserError, match=r"takes buffer; expected parameters of these.*adapter"):
        calling.described(lambda rewards, values, dones, buffer: 0, "mine:f")
    with pytest.raises(UserError, match="takes no values"):
        calling.described(lambda rewards, dones: 0, "mine:f")
    with pytest.raises(UserError, match=r"takes no gamma.*--gamma"):
        report_of(lambda rewards, values, dones, last_values: rewards)
    found = report_of(lambda rewards, values, next_values, terminated, truncated: right.advantages(
        rewards, values, next_values, terminated, truncated, 0.9, 0.8), gamma=0.9, lam=0.8)  # fmt: skip
    assert found.right


def test_arguments_that_are_written_into_are_told():
    """Caught, when planted: the case's own arrays given, which the next check would see changed."""

    def writes(rewards, values, next_values, terminated, truncated, gamma, lam):
        found = right.advantages(rewards, values, next_values, terminated, truncated, gamma, lam)
        rewards += 1.0
        return found

    found = report_of(writes)
    assert found.right and found.notes == (
        "it writes into its argument rewards: what your loop does next sees what it left there",
    )


def test_a_sum_that_is_kept_between_two_calls_is_seen():
    """Caught, when planted: each case called once."""
    kept = [0.0]

    def keeps(rewards, values, next_values, terminated, truncated, gamma, lam):
        kept[0] += 1.0
        return right.advantages(rewards, values, next_values, terminated, truncated, gamma, lam)[0] + kept[0]

    with pytest.raises(UserError, match="two answers to the same arrays"):
        report_of(keeps)


# -- faults by detectors


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    return {name: measuring.function_of(name, folder) for name in planted.PLANTED}


@pytest.mark.parametrize("name", planted.PLANTED)
def test_each_planted_fault_is_the_one_that_it_is_called(functions, name):
    """By the probe, and by the table worked by hand. Caught, when planted: two of the ten exchanged, a text of `right.py`
    that is not there any more."""
    found = report_of(functions[name]).found
    assert ([one.name for one in found.faults] if found else ["right"]) == [name]
    assert detectors.by_table(functions[name]) == (name != planted.RIGHT)


ENUMERATED = {  # where the expectation of the gradient is another
    "whole": {"merged done", "termination bootstrapped", "the record's end is an end", "γ forgotten in δ"},
    "stretches": set(planted.PLANTED) - {"right", "λ forgotten", "targets of standardised advantages"},
}


@pytest.mark.parametrize("way", measuring.WAYS)
def test_the_enumerated_gradient_is_right_or_is_not(functions, way):
    """λ and the targets leave the expectation alone; in whole episodes nothing follows that could leak.

    Caught, when planted: γᵗ left out, V of the second episode's cut not the exact one.
    """
    found = {name: detectors.by_enumeration(one, way, 3) for name, one in functions.items()}
    assert {name for name, bias in found.items() if bias > table.SEEN} == ENUMERATED[way]
    assert found["right"] < 1e-12


def test_a_gradient_check_sees_none_of_them(functions):
    """Advantages are constants to it. Caught, when planted: the loss of one and the gradient of another."""
    for name in ("right", "sum stops one step late", "targets of standardised advantages"):
        with measuring.in_the_twin(functions[name]):
            assert detectors.by_differences(1) < table.SEEN


def test_the_twin_estimates_by_what_is_planted_and_is_itself_again(functions):
    """Padding never reaches the function. Caught, when planted: rows given with their padding, targets of the twin's own."""
    from pg_theano.by_hand import vpg
    from pg_theano.by_hand.networks import Network
    from pg_theano.by_hand.policies import LOGISTIC
    from pg_theano.types import Rollout

    rng, shape = np.random.default_rng(0), (3, 7)
    mask = np.ones(shape)
    mask[1, 4:], mask[2, 3] = 0.0, 0.0
    ends = rng.random((2, *shape)) < 0.3
    ends[:, 1, 3], ends[1, 2, 2] = False, True  # one row is cut, and padded
    obs = rng.normal(size=(2, *shape, 2))
    rollout = Rollout(obs[0], np.zeros(shape), rng.normal(size=shape), rng.normal(size=shape), obs[1], *ends, mask)
    agent = vpg.Agent(LOGISTIC, Network((2, 1)), Network((2, 1)))
    state, how = vpg.init(agent, rng), {"discount": 0.9, "gae_lambda": 0.7}
    before, original = vpg.estimate(agent, state, rollout, **how), vpg.estimate
    with measuring.in_the_twin(functions["right"]):
        for ours, theirs in zip(vpg.estimate(agent, state, rollout, **how), before, strict=True):
            assert np.allclose(ours, theirs, rtol=0, atol=1e-12)
    with measuring.in_the_twin(functions["targets of standardised advantages"]):
        found = vpg.estimate(agent, state, rollout, **how)
        assert np.allclose(found.advantage, before.advantage) and not np.allclose(found.target, before.target)
    assert vpg.estimate is original


def test_a_measurement_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Caught, when planted: a cell measured twice, one lost with an interruption."""
    asked = []

    def cell(name, way, seed):
        asked.append((name, way, seed))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return dict(KEPT[0], fault=name, way=way, seed=seed)

    monkeypatch.setattr(measuring, "cell", cell)
    file = tmp_path / "cells.jsonl"
    with pytest.raises(KeyboardInterrupt):
        measuring.measure(file, lambda line: None, seeds=1)
    rows = measuring.measure(file, lambda line: None, seeds=1)
    assert len(rows) == len(table.read(file)) == 2 * len(planted.PLANTED) == len(asked) - 1
    assert len(set(asked)) == len(asked) - 1
    file.write_text("no cells\n")
    with pytest.raises(UserError, match=r"cells\.jsonl: cannot be read"):
        measuring.measure(file, lambda line: None, seeds=1)


KEPT = table.read()


def test_what_was_measured_is_whole():
    """Ten faults and right code, two ways, five seeds; right code is seen by nobody. Caught, when planted: a cell gone."""
    keys = {(cell["fault"], cell["way"], cell["seed"]) for cell in KEPT}
    assert len(keys) == len(KEPT) == 11 * 2 * 5
    assert list(dict.fromkeys(cell["fault"] for cell in KEPT)) == list(planted.PLANTED)
    for row in table.rows(KEPT):
        seen = (row.curve, row.probes, row.table, row.enumeration, row.gradient)
        if row.fault == planted.RIGHT:
            assert seen == (0, 0, 0, 0, 0)
        assert row.enumeration == 5 * (row.fault in ENUMERATED[row.way])
        assert row.table == 5 * (row.fault != planted.RIGHT) and row.gradient == 0


@pytest.mark.slow
def test_a_cell_is_measured_as_it_was_kept():
    """Caught, when planted: another seed, the function of another fault, a budget of another size."""
    (kept,) = (one for one in KEPT if (one["fault"], one["way"], one["seed"]) == ("merged done", "whole", 0))
    found = measuring.cell("merged done", "whole", 0)
    assert {name: found[name] for name in ("solved", "env_steps", "probes", "table")} == {
        name: kept[name] for name in ("solved", "env_steps", "probes", "table")
    }


def test_two_of_the_cases_have_a_perfect_curve():
    """As fast as right code, in stretches, on all five seeds. Caught, when planted: another choice of cases."""
    rows = {row.fault: row for row in table.rows(KEPT) if row.way == "stretches"}
    perfect = [
        number for number, name in planted.CASES.items()
        if rows[name].curve == 0 and rows[name].env_steps <= 1.01 * rows["right"].env_steps and rows[name].mean >= 490
    ]  # fmt: skip
    assert len(perfect) == 2


def test_a_case_is_written_and_revealed(tmp_path, monkeypatch, capsys):
    """Caught, when planted: a file that names its fault, one that is written over."""
    monkeypatch.chdir(tmp_path)
    for number, name in planted.CASES.items():
        assert command.main(["--case", str(number)]) == 0
        text = (tmp_path / f"case_{number}.py").read_text()
        assert name not in text and "as it should be" not in text and "right" not in text.replace("copyright", "")
        assert command.main(["--probe", f"case_{number}:advantages", "--json"]) == 1
        said = capsys.readouterr().out
        assert json.loads(said[said.index("{") :])["faults"][0]["name"] == name
        assert command.main(["--reveal", str(number)]) == 0
        assert f"case {number}: {name}" in capsys.readouterr().out
    for argv, said in ((["--case", "1"], "is there already"), (["--case", "6"], "from 1 to 5"),
                       (["--reveal", "9"], "from 1 to 5"), (["--case", "1", "--reveal", "1"], "one of them")):  # fmt: skip
        assert command.main(argv) == 2
        assert said in capsys.readouterr().err


def test_the_table_is_printed_and_given(capsys):
    assert command.main([]) == 0
    said = capsys.readouterr().out
    assert said.count("λ forgotten") == 2 and "stretches of 64 steps:" in said
    page = Path(__file__).parent.parent / "docs" / "clinic.md"
    assert said in page.read_text(), "the table of docs/clinic.md is another"
    assert command.main(["--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 22
