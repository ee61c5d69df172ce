"""Masks of actions, from the environment to the report: a ruled-out action raises, so that to have trained is a test."""

import itertools
import json
from pathlib import Path

import gymnasium
import jax
import masked_environments
import numpy as np
import pytest

import pg_theano
from pg_theano import evaluate, report
from pg_theano.config import knobs
from pg_theano.config.algorithms import ALGORITHMS
from pg_theano.config.reading import from_dict
from pg_theano.environments import inspection, making, masks_of_many, symbolic
from pg_theano.reports import animation, model_card
from pg_theano.runs import checkpoints, folder
from pg_theano.runs.exported import export
from pg_theano.system import seals, yaml_lines
from pg_theano.training import explaining, run
from pg_theano.types import Record, UserError

pytestmark = pytest.mark.usefixtures("functions_kept")
OPTIMISED = False
GATES = "masked_environments:Gates-v0"


@pytest.fixture(autouse=True)
def here(elsewhere):
    (elsewhere / "masked_environments.py").symlink_to(Path(masked_environments.__file__))
    return elsewhere


# -- the whole table

NETWORKS = {
    "dense": {"hidden": [3]},
    "conv": {"network": [{"conv": {"filters": 2, "kernel": 3}}, {"dense": 3}]},
}
LEARNERS = {
    "reinforce": {"schedules": {"episodes_per_update": {"initial": 3}}},
    "ppo": {"algorithm": {"num_steps": 8, "num_minibatches": 2, "num_epochs": 2}},
    "a2c": {"algorithm": {"num_steps": 8}},
} | {name: {"schedules": {"episodes_per_update": {"initial": 3}}} for name in ("vpg", "npg", "trpo")}
SEARCHED = {"algorithm": {"population_size": 4}}
ENGINES = {"gymnasium": ("discrete", "multi_discrete"), "compiled": ("discrete",)}
TABLE = [
    cell
    for cell in itertools.product(
        [name for name, one in ALGORITHMS.items() if not one.pathwise],  # which take no discrete actions
        NETWORKS,
        ENGINES,
        ("discrete", "multi_discrete"),
    )
    if cell[3] in ENGINES[cell[2]] and not (cell[2] == "compiled" and cell[1] == "conv")  # which has numbers only
]
QUICK = [("reinforce", "dense", "gymnasium", "discrete"), ("es", "dense", "gymnasium", "multi_discrete")]


def config_of(algorithm, network="dense", engine="gymnasium", kind="discrete", **environment):
    kwargs = {"kind": kind, "picture": network == "conv"} | environment.pop("kwargs", {})
    of_gymnasium = {"id": GATES, "kwargs": kwargs}
    compiled = {"dynamics": "masked_environments:GatesAsDynamics"}
    data = {
        "environment": {"num_envs": 2} | (of_gymnasium if engine == "gymnasium" else compiled) | environment,
        "policy": NETWORKS[network],
        "budget": {"updates": 2},
        "evaluation": {"episodes": 3},
    }
    own = LEARNERS.get(algorithm, SEARCHED)
    return data | own | {"algorithm": {"name": algorithm} | own.get("algorithm", {})}


@pytest.mark.parametrize(
    ("algorithm", "network", "engine", "kind"),
    [pytest.param(*cell, marks=[] if cell in QUICK else pytest.mark.slow) for cell in TABLE],
)
def test_whatever_learns_keeps_to_the_mask(algorithm, network, engine, kind):
    """Gymnasium's raises at an action that is ruled out, the compiled one costs 1,000 for it, in training and after.

    Caught, when planted: the mask of the step before; that of the neighbouring environment; mode, sample or the
    population's argmax of logits without it.
    """
    result = run.run(config_of(algorithm, network, engine, kind)).figures
    assert result["status"] == "budget" and result["evaluation"]["mean"] >= 0
    assert result["updates"] == 2


# -- where a mask is found, and what is wrong with it


def made(told="info", kind="discrete", mask="auto", num_envs=2, **changes):
    config = knobs.Environment(id=GATES, kwargs={"told": told, "kind": kind} | changes)
    return making.make(config.masked_by(mask), num_envs=num_envs, dtype="float32")


@pytest.mark.parametrize("kind", masked_environments.SPACES)
@pytest.mark.parametrize("told", ["info", "method", "key"])
def test_a_row_ends_with_the_mask_of_the_state_that_it_shows(told, kind):
    """After the reset and after each step; at the end, where nothing is allowed, all is. Caught: the mask asked for
    before the step."""
    env, number = made(told, kind), sum(masked_environments.CHOICES[kind])
    rows = env.begin(np.ones(2, bool), np.array([5, 6]))
    for step in range(masked_environments.LENGTH):
        allowed = np.array([slot.unwrapped.masks[step] for slot in env.slots])
        assert rows.shape == (2, 3 + number) and np.array_equal(rows[:, 3:], allowed)
        assert np.allclose(rows[:, 0], step / masked_environments.LENGTH)
        action = [[int(part.argmax()) for part in parts(row, kind)] for row in allowed]
        rows, _, over, _, _ = env.step(
            np.array(action).reshape(2, -1)[:, 0] if kind == "discrete" else np.array(action)
        )
    assert over.all() and (rows[:, 3:] == 1).all()
    env.close()


def parts(row, kind):
    return np.split(row, np.cumsum(masked_environments.CHOICES[kind])[:-1])


def test_none_leaves_the_mask_out_and_keys_are_named():
    """Caught, when planted: the key still among what is seen."""
    assert made(mask="none").task.obs_size == 3
    task = made("key", mask="none").task
    assert task.obs_size == 7 and not task.mask_size
    task = made("key", mask="action_mask").task
    assert task.obs_size == 7 and task.num_features == 3
    assert task.spaces["mask"] == {"kind": "key", "name": "action_mask"}
    assert task.spaces["observation"]["kind"] == "Box"


FAULTS = {
    "short": "has 3 numbers; expected 4, one for each choice",
    "two": "has the number 2; expected 0 or 1",
    "nan": "has the number nan; expected 0 or 1",
    "text": "is 'all'; expected 4 numbers, 0 or 1",
    "nothing": "allows nothing; expected a choice that is allowed",
    "missing": "is missing; expected it of every reset and step",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_mask_that_is_none_is_one_line_with_environment_step_and_seed(fault):
    """Caught, when planted: a mask of other numbers taken for true."""
    env = made(fault=fault, num_envs=1)
    env.begin(np.ones(1, bool), np.array([8]))
    action = lambda step: np.array([int(env.slots[0].unwrapped.masks[step].argmax())])  # noqa: E731
    for step in range(2):
        env.step(action(step))
    with pytest.raises(UserError) as caught:
        env.step(action(2))
    line = str(caught.value)
    assert line.startswith(f'{GATES}, environment 0, step 3 (seed 8): info["action_mask"] {FAULTS[fault]}')
    assert "; try " in line
    env.close()


def test_a_key_of_an_environment_with_real_actions_is_refused():
    config = knobs.Environment(id="Pendulum-v1").masked_by("legal")
    with pytest.raises(UserError, match=r"policy\.action_mask: got legal, and Pendulum-v1 has the action space Box"):
        making.make(config, num_envs=1, dtype="float32", single_environments=True)


def test_an_environment_without_the_word_is_not_asked():
    """A reset more would be another run where an environment counts them. Caught, when planted: a probe of all."""

    class Counted(gymnasium.Wrapper):
        resets = 0

        def reset(self, **options):
            Counted.resets += 1
            return super().reset(**options)

    from pg_theano.environments import masks

    assert masks.source_of(Counted(gymnasium.make("CartPole-v1")), "auto", "any") is None and Counted.resets == 0
    assert masks.source_of(Counted(gymnasium.make(GATES)), "auto", "any").place == 'info["action_mask"]'
    assert Counted.resets == 1


def test_workers_send_the_mask_with_the_row():
    """The same rows, bit for bit, and `none` is heard there too. Caught: the knob lost on the way to a worker."""
    config = knobs.Environment(id=GATES, workers=1)
    assert making.make(config.masked_by("none"), num_envs=2, dtype="float32").task.obs_size == 3
    envs = [made(), making.make(config.masked_by("auto"), num_envs=2, dtype="float32")]
    rows = [env.begin(np.ones(2, bool), np.array([5, 6])) for env in envs]
    for _ in range(masked_environments.LENGTH):
        assert np.array_equal(*rows)
        rows = [env.step(row[:, 3:].argmax(axis=1))[0] for env, row in zip(envs, rows, strict=True)]
    for env in envs:
        env.close()


# -- what is done with a policy that was trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on the environment that keeps its mask in a key of its observation."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "masked_environments.py").symlink_to(Path(masked_environments.__file__))
        config = config_of("reinforce", kwargs={"told": "key"})
        return run.run(config, run_dir=folder / "run").folder


SEEN, MASK = np.array([0.5, 1, -1], np.float32), np.array([0, 1, 0, 1], np.int8)


def test_a_loaded_policy_takes_the_mask_beside_the_observation_or_in_it(trained, tmp_path):
    """One and a batch; by word, in the Dict, in a row; from the run and from an npz; as sb3-contrib calls it.

    Caught, when planted: the key among what is seen; probabilities of the masked ones; one mask for a whole batch.
    """
    exported = export(trained, "npz", tmp_path / "policy.npz")
    for policy in (pg_theano.load(trained), pg_theano.load(exported)):
        probs = policy.probs(SEEN, mask=MASK)
        assert (probs[MASK == 0] == 0).all() and np.isclose(probs.sum(), 1)
        row = np.concatenate([SEEN, MASK]).astype(np.float32)
        for one in (policy.probs({"observation": SEEN, "action_mask": MASK}), policy.probs(row)):
            assert np.array_equal(one, probs)
        assert (
            policy(SEEN, mask=MASK) == probs.argmax() == policy.predict(SEEN, action_masks=MASK, deterministic=True)[0]
        )
        only = np.eye(4, dtype=np.int8)
        assert policy(np.tile(SEEN, (4, 1)), mask=only).tolist() == [0, 1, 2, 3]
        assert policy.sample(np.tile(SEEN, (4, 1)), 0, mask=only).tolist() == [0, 1, 2, 3]
        assert policy.predict(SEEN, action_masks=only[2])[0] == 2


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (None, r"got no mask; expected mask=observation\[\"action_mask\"\]; try mask=numpy\.ones\(4\)"),
        ([1, 1, 1], "the mask has 3 numbers; expected 4"),
        ([0, 0, 0, 0], "the mask allows nothing"),
        ([0, 1, 2, 0], "the mask has the number 2"),
    ],
)
def test_a_policy_says_what_is_wrong_with_a_mask(trained, mask, said):
    with pytest.raises(UserError, match=said):
        pg_theano.load(trained)(SEEN, mask=mask)


def test_a_policy_without_masks_takes_none(trained):
    result = run.run(
        config_of("es", kwargs={"told": "method"}), ["policy.action_mask=none", "environment.kwargs.free=true"]
    )
    assert "mask_size" not in json.loads((result.folder / "run.json").read_text())["spec"]
    with pytest.raises(UserError, match="got a mask; expected none; try without it"):
        pg_theano.load(result.folder)(SEEN, mask=MASK)


def test_commands_play_what_was_trained_with_masks(trained, capsys):
    """Evaluated, explained, reported, exported to ONNX and StableHLO. Caught: names of four more features."""
    assert evaluate.main([str(trained), "--episodes", "3"]) == 0
    explained = explaining.explain(trained, episodes=2)
    assert len(explained.names) == 3 == explained.slopes.shape[1]
    html = report.report([trained], "page.html").read_text()
    assert "where all actions are allowed" in html
    exported = jax.export.deserialize(bytearray(export(trained, "stablehlo").read_bytes()))
    rows = np.concatenate([np.tile(SEEN, (4, 1)), np.eye(4)], axis=1).astype(np.float32)
    assert np.asarray(exported.call(rows)).tolist() == [0, 1, 2, 3]
    capsys.readouterr()


def test_a_card_shows_how_the_mask_is_given():
    """Caught: `policy(obs)`, which is an error."""
    ways = {"info": 'policy(obs, mask=info["action_mask"])', "method": "mask=env.get_wrapper_attr('action_masks')()"}
    for kind, way in ways.items():
        source = {"mask": {"kind": kind, "name": "action_mask" + "s" * (kind == "method")}}
        assert way in model_card._use(from_dict({"environment": {"id": "Taxi-v4"}}), source)
    assert "obs, _ =" in model_card._use(from_dict({}), {})


@pytest.mark.parametrize("told", ["info", "method", "key"])
def test_check_env_tells_of_the_mask_and_of_one_that_is_none(told):
    """Caught, when planted: a mask in a key that nobody sees, whose random actions raise."""
    for fault in (None, "short"):
        found = []
        make = lambda: gymnasium.make(GATES, told=told, fault=fault, at=0)  # noqa: B023, E731
        inspection.Inspection(make, found.append).thorough()
        (one,) = [one for one in found if one.what == "mask"]
        assert one.kind == ("fault" if fault else "note"), one
        assert ("its mask, " if fault else "it has a mask, ") in str(one)


def test_a_bar_of_what_is_ruled_out_says_so():
    image = pytest.importorskip("PIL.Image")
    white = image.new("RGB", (20, 20), "white")
    bars = [animation._with_bars(white, [value], ["P(a)"], [(0.0, 1.0)]) for value in (np.nan, 0.0)]
    assert bars[0].size == bars[1].size and bars[0].tobytes() != bars[1].tobytes()


def test_a_masked_run_goes_on_bit_for_bit():
    """Stopped after its second update, in the middle of episodes: the replayed rows have their masks."""
    words = ["algorithm.num_steps=8", "budget.updates=4", "environment.num_envs=2", "evaluation.every_updates=9"]
    config = config_of("a2c")
    whole = run.run(config, words).folder
    begun = run.run(config, [*words, "budget.updates=2"]).folder
    run.resume(begun, ["budget.updates=4"])
    states = [checkpoints.newest(path / "checkpoints").state for path in (whole, begun)]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_onnx_has_the_mask_as_an_input(trained):
    onnx = pytest.importorskip("onnx.reference")
    session = onnx.ReferenceEvaluator(str(export(trained, "onnx")))
    seen = np.tile(SEEN, (4, 1))
    action, probs = session.run(None, {"obs": seen, "mask": np.eye(4, dtype=np.int8)})
    assert action.tolist() == [0, 1, 2, 3] and np.array_equal(probs, np.eye(4))
    masks = np.tile(MASK, (4, 1))
    action, probs = session.run(None, {"obs": seen, "mask": masks})
    assert np.allclose(probs, pg_theano.load(trained).probs(seen, mask=masks), atol=1e-6)


def test_a_run_of_before_goes_on_without_masks(tmp_path):
    """Its config.yaml does not name the knob. Caught, when planted: `auto` read for it, another observation."""
    result = run.run(
        config_of("es", kwargs={"told": "info"}), ["policy.action_mask=none", "environment.kwargs.free=true"]
    )
    path = result.folder / "config.yaml"
    data = yaml_lines.read_file(path).data
    del data["policy"]["action_mask"]
    seals.write_yaml(path, data)
    config = folder.read_run(result.folder)[0]
    assert config.policy.action_mask == config.environment.action_mask == "none"
    run.resume(result.folder, ["budget.updates=3"])
    assert evaluate.main([str(result.folder), "--episodes", "2"]) == 0


# -- other ways to be stepped


@pytest.mark.parametrize("told", ["info", "key"])
def test_only_some_features_are_seen_and_the_mask_whole(told, tmp_path):
    """With `environment.observe`, in training and loaded. Caught: places of the mask counted as features."""
    result = run.run(config_of("es", observe=[2, 0], kwargs={"told": told}), run_dir=tmp_path / "run")
    policy = pg_theano.load(result.folder)
    assert policy.acting.num_features == 2 and result.figures["evaluation"]["mean"] > 0
    only = np.eye(4, dtype=np.int8)
    assert policy(np.tile(SEEN, (4, 1)), mask=only).tolist() == [0, 1, 2, 3]
    assert policy.probs(SEEN, mask=MASK) == pytest.approx(policy.probs(np.r_[SEEN[[2, 0]], MASK].astype(np.float32)))


@pytest.mark.parametrize(("engine", "kind"), [("gymnasium", "multi_discrete"), ("compiled", "discrete")])
@pytest.mark.parametrize(("algorithm", "cell"), [("ppo", "gru"), ("reinforce", "lstm"), ("es", "gru")])
@pytest.mark.slow
def test_a_policy_that_remembers_keeps_to_the_mask(algorithm, cell, engine, kind):
    """The other column of the table: the mask is no part of what is remembered."""
    config = config_of(algorithm, engine=engine, kind=kind) | {"policy": {"network": [{"dense": 3}, {cell: 2}]}}
    result = run.run(config).figures
    assert result["updates"] == 2 and result["evaluation"]["mean"] >= 0


@pytest.mark.parametrize(("told", "mask"), [("key", "auto"), ("info", "action_mask")])
def test_each_agent_has_a_mask_of_its_own(told, mask):
    """Played at random as it is looked at, and by a policy. Caught, when planted: the mask of the first for both."""
    knobs = {"api": "pettingzoo", "id": "masked_environments:pair_env", "kwargs": {"told": told}}
    config = config_of("reinforce") | {"environment": {"num_envs": 2} | knobs}
    result = run.run(config, [f"policy.action_mask={mask}"]).figures
    assert result["status"] == "budget" and result["evaluation"]["mean"] > 0


MODES = [gymnasium.vector.AutoresetMode.NEXT_STEP, gymnasium.vector.AutoresetMode.SAME_STEP]


@pytest.mark.parametrize("told", ["info", "method", "key"])
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_a_vector_environment_that_is_given_keeps_to_its_masks(mode, told):
    """Caught, when planted: the mask of the last step of an episode in place of the first of the next one."""
    make = lambda: gymnasium.make(GATES, told=told)  # noqa: E731
    envs = gymnasium.vector.SyncVectorEnv([make] * 3, autoreset_mode=mode)
    result = run.run(config_of("reinforce") | {"environment": {}}, environment=lambda **_: envs).figures
    assert result["status"] == "budget" and result["evaluation"]["mean"] > 0


def test_dynamics_with_masks_are_the_same_in_all_their_forms():
    """SymbolicVectorEnv beside a SyncVectorEnv of single ones, masks in infos; and what a policy sees of both.

    Caught, when planted: the mask left among the observations; no mask where an episode begins anew.
    """
    dynamics = symbolic.Dynamics("masked_environments:GatesAsDynamics")
    single = lambda: gymnasium.wrappers.TimeLimit(symbolic.SymbolicEnv(dynamics), masked_environments.LENGTH)  # noqa: E731
    for mode in MODES:
        together = symbolic.SymbolicVectorEnv(dynamics, 2, autoreset_mode=mode)
        beside = gymnasium.vector.SyncVectorEnv([single] * 2, autoreset_mode=mode)
        told = [envs.reset(seed=3) for envs in (together, beside)]
        for _ in range(9):
            (obs, infos), (other, others) = ((one[0], one[-1]) for one in told)
            assert np.array_equal(obs, other) and infos.keys() == others.keys() and obs.shape == (2, 2)
            assert np.array_equal(infos["action_mask"], others["action_mask"])
            action = infos["action_mask"].argmax(axis=1)
            told = [envs.step(action) for envs in (together, beside)]
    env = making.single(knobs.Environment(dynamics=dynamics.name))
    row = env.reset(seed=0)[0]
    assert row.shape == (6,) and set(row[2:]) <= {0, 1}


def test_a_class_that_lacks_the_mask_is_not_the_same_task():
    """Single environments are stepped. Caught: the class, whose steps have no mask, or all of them."""

    class Bare(gymnasium.vector.SyncVectorEnv):
        def __init__(self, num_envs=1, **kwargs):
            super().__init__([lambda: gymnasium.make(GATES, told="nowhere", **kwargs)] * num_envs)

    gymnasium.register("MaskedOrNot-v0", masked_environments.Gates, vector_entry_point=Bare)
    env = making.make(knobs.Environment(id="MaskedOrNot-v0"), num_envs=2, dtype="float32")
    assert env.task.mask_size == 4 and env.kind == "single environments"


def test_a_step_of_a_compiled_environment_that_allows_nothing_is_named():
    """Of a real step: after the end of a frozen episode the mask is whatever it is. Caught: rows of padding refused."""
    values = np.ones((3, 5, 2))  # obs of 2 numbers and 2 of the mask, then whether the step is real
    values[1:, 2:, 0] = 0
    masks_of_many.check_masks(Record(values, {"obs": (0, 4), "mask": (4, 1)}), "Gate, episode", 2)
    values[2, 2:4, 1] = 0
    with pytest.raises(UserError, match=r"Gate, episode 1, step 13: action_mask\(state\) allows nothing"):
        masks_of_many.check_masks(Record(values, {"obs": (0, 4), "mask": (4, 1)}), "Gate, episode", 2, before=10)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gradients=by_hand", "algorithm.name=ppo"], r"gradients: got by_hand, which takes no mask of actions"),
        (["policy.action_mask=legal"], r"policy\.action_mask: got legal, and .*GatesAsDynamics has no other mask"),
    ],
)
def test_what_takes_no_mask_is_refused(words, said):
    engine = "gymnasium" if "by_hand" in words[0] else "compiled"
    with pytest.raises(UserError, match=said):
        run.run(config_of("es" if engine == "compiled" else "ppo", engine=engine), words)
