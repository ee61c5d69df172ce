"""A trained policy by itself: in NumPy, from a run or a file, in any ONNX runtime, in JAX, and in others' loops."""

import dataclasses
import shutil
import subprocess
import sys

import gymnasium
import numpy as np
import onnxruntime
import pytest
import scipy.stats
from helpers_runs import command, merged, ran, small

import pg_theano
from pg_theano.config import reading
from pg_theano.environments import making
from pg_theano.environments.rows import Flat
from pg_theano.policies import acting, kept, onnx, policy
from pg_theano.runs import exported
from pg_theano.training import specs
from pg_theano.types import GREEDY, UserError

pytestmark = pytest.mark.usefixtures("elsewhere")

DISCRETE = {
    "softmax": ("Lengths-v0", {}),
    "starts at 1": ("ActionsFromOne-v0", {}),
    "logistic": ("ConstantValue-v0", {"policy": {"logistic": True}}),
    "matrix observed": ("Matrix-v0", {"normalize": {"observations": True}}),
    "number observed": ("DiscreteObs-v0", {"policy": {"hidden": []}}),
    "numbers observed": ("MultiDiscreteObs-v0", {}),
    "bits observed": ("BinaryObs-v0", {}),
    "dict observed": ("DictObs-v0", {}),
    "tuple observed": ("TupleObs-v0", {"policy": {"activation": "relu"}}),
}
OTHERS = {
    "several": ("MultiDiscreteActions-v0", {}),
    "several, a matrix": ("MatrixOfChoices-v0", {}),
    "binary": ("MultiBinaryActions-v0", {}),
    "box": ("BoxActions-v0", {"policy": {"activation": "tanh"}}),
    "matrix": ("MatrixActions-v0", {"dtype": "float64"}),
    "whole": ("WholeActions-v0", {}),
    "unbounded": ("UnboundedActions-v0", {}),
    "squashed": ("BoxActions-v0", {"policy": {"squash": True}, "normalize": {"observations": True}}),
    "std of the network": ("Drift-v0", {"policy": {"log_std": "state_dependent"}}),
    "noise of the state": (
        "Drift-v0",
        {"policy": {"noise": "state_dependent", "hidden": [5, 4]}, "algorithm": {"name": "ppo", "num_steps": 8}},
    ),
    "searched": ("BoxActions-v0", {"algorithm": {"name": "cem"}, "normalize": {"observations": True}}),
    "searched, several": ("MultiDiscreteActions-v0", {"algorithm": {"name": "cmaes"}}),
}
CASES = DISCRETE | OTHERS


def case(name, seed=0):
    """(config, spec, state with random parameters, spaces, an environment) of a case."""
    id, changes = CASES[name]
    data = merged(small(environment={"id": f"probe_environments:{id}"}), changes)
    if name.startswith("searched"):
        del data["schedules"]
    made = reading.from_dict(data, {}, name)
    environment = specs.environment_of(made, [])
    spec = specs.spec_of(made, environment.task, environment, [])
    rng = np.random.default_rng(seed)
    params = rng.normal(0, 0.7, spec.acting.num_params)
    if name == "whole":
        params = 40 * np.abs(params)  # actions all over 0 to 255
    state = {"params": params.astype(spec.dtype)}
    if spec.acting.normalize_observations:
        size = spec.acting.obs_size
        state |= dict(zip(policy.NORMALIZER, (rng.normal(size=size), rng.uniform(0.5, 2, size)), strict=True))
        state = {key: value.astype(spec.dtype) for key, value in state.items()}
    return made, spec, state, environment.task.spaces, making.single(made.environment)


def policy_of(name, seed=0):
    made, spec, state, described, _ = case(name, seed)
    about = policy.About(made.environment.id, "reinforce", {}, "run", "best-1")
    return policy.Policy(*policy.acting_part(spec, state), described, about)


def observed(env, number, seed=0):
    """Observations of the environment's space, as it gives them."""
    env.observation_space.seed(seed)
    return [env.observation_space.sample() for _ in range(number)]


@pytest.mark.parametrize("name", CASES)
def test_it_acts_as_the_run_does_in_its_environment(name):
    """One at a time: what `evaluate` and `watch` give the environment. Caught, when planted: the start of an action
    left out; a matrix of actions left flat; a Dict in another order."""
    made, spec, state, described, env = case(name)
    ours = policy_of(name)
    act = acting.numpy_act(spec.acting)
    row_of, given = making.converters(
        env, made.environment, spec.dtype, made.policy.squash and spec.acting.action.kind == "box"
    )
    original = (env.env if isinstance(env, Flat) else env).observation_space
    noise = np.zeros((1, max(spec.acting.noise_kind[1], 1)), spec.dtype)
    original.seed(1)
    for _ in range(20):
        obs = original.sample()
        flat = gymnasium.spaces.flatten(original, obs) if described["observation"]["kind"] in ("Dict", "Tuple") else obs
        expected = given(act(state, row_of(flat), noise, {"exploration_rate": 0.0}, GREEDY)[0])[0]
        action = ours(obs)
        np.testing.assert_array_equal(action, expected)
        assert np.asarray(action).dtype == env.action_space.dtype
        assert env.action_space.contains(action)


@pytest.mark.parametrize("name", CASES)
def test_a_batch_is_its_observations_one_by_one(name):
    """Caught, when planted: a batch of one number taken for one observation; a Dict's leaves read along another axis."""
    ours = policy_of(name)
    ours.observation_space.seed(2)
    each = [ours.observation_space.sample() for _ in range(7)]
    batch = gymnasium.vector.utils.concatenate(
        ours.observation_space, each, gymnasium.vector.utils.create_empty_array(ours.observation_space, 7)
    )
    np.testing.assert_allclose(ours(batch), np.stack([ours(obs) for obs in each]), rtol=1e-5, atol=1e-5)
    together, alone = ours.probs(batch), [ours.probs(obs) for obs in each]
    if isinstance(together, np.ndarray):
        together, alone = [together], [[one] for one in alone]
    for part, parts in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(part, np.stack(parts), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_samples_follow_what_probs_says(name):
    """20,000 actions of one observation. Caught, when planted: a variance for the standard deviation; the probabilities
    of a logistic policy exchanged; noise of one component used for all."""
    ours, rng = policy_of(name), np.random.default_rng(3)
    ours.observation_space.seed(4)
    one = ours.observation_space.sample()
    rows = ours._rows(one)[0]
    drawn = np.asarray(ours.sample(np.repeat(rows, 20_000, axis=0), rng))
    said, kind = ours.probs(one), ours.acting.action.kind
    if name == "searched":  # what explored was its parameters
        assert (drawn == ours(one)).all() and not said[1].any()
        return
    if kind == "box":
        if name in ("box", "squashed", "matrix", "whole"):  # most of it is clipped: the mean of what is not
            inside = scipy.stats.norm(*[np.asarray(part, float) for part in said])
            low, high = (np.asarray(bound) for bound in (ours.acting.action.low, ours.acting.action.high))
            edge = np.arctanh(np.clip(2 * 0.9 - 1, -1, 1)) if name == "squashed" else high
            reached = high * 0.9 + low * 0.1 if name == "squashed" else high
            share = (drawn.reshape(len(drawn), -1) >= reached - (0.5 if name == "whole" else 1e-6)).mean(axis=0)
            expected = 1 - inside.cdf(edge - (0.5 if name == "whole" else 0))
            np.testing.assert_allclose(share, expected, atol=0.02)
        else:
            free = [0] if name == "unbounded" else [c for c in range(2) if abs(said[0][c]) + 3 * said[1][c] < 1]
            for c in free:
                values = drawn[:, c]
                np.testing.assert_allclose(values.mean(), said[0][c], atol=5 * said[1][c] / 140)
                np.testing.assert_allclose(values.std(), said[1][c], rtol=0.05)
        return
    start = np.asarray(ours.described["action"].get("start", 0)).reshape(-1)
    chosen = drawn.reshape(len(drawn), -1) - start
    tables = {"discrete": lambda: [said], "multi_discrete": lambda: said}.get(
        kind, lambda: [np.array([1 - p, p]) for p in said]
    )()
    for c, table in enumerate(tables):
        shares = np.bincount(chosen[:, c].astype(int), minlength=len(table)) / len(chosen)
        np.testing.assert_allclose(shares, table, atol=0.02)


@pytest.mark.parametrize("name", CASES)
def test_a_file_gives_the_same_policy(name, tmp_path):
    ours = policy_of(name)
    np.savez(tmp_path / "policy.npz", **kept.arrays_of(ours))
    read = pg_theano.load(tmp_path / "policy.npz")
    ours.observation_space.seed(5)
    for _ in range(10):
        obs = ours.observation_space.sample()
        np.testing.assert_array_equal(read(obs), ours(obs))
    assert read.about == ours.about


@pytest.mark.parametrize("name", CASES)
def test_an_onnx_runtime_gives_the_same_actions(name, tmp_path):
    """On 10,000 observations. Caught, when planted: bounds of the log-std left out; features of gSDE taken after the
    last layer; the normaliser's bound left out; rounding left out."""
    ours, rng = policy_of(name), np.random.default_rng(6)
    session = onnxruntime.InferenceSession(onnx.model_of(ours))
    (given,) = session.get_inputs()
    shape, dtype = given.shape[1:], {"tensor(float)": "float32", "tensor(double)": "float64"}[given.type]
    obs = (3 * rng.normal(size=(10_000, *shape))).astype(dtype)
    action, *others = session.run(None, {"obs": obs})
    rows = obs.reshape(len(obs), -1)
    expected, said = ours(rows), ours.probs(rows)
    assert action.dtype == np.asarray(expected).dtype and action.shape == np.shape(expected)
    if ours.acting.action.kind == "box":
        np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1 if name == "whole" else 1e-5)
        assert (action == expected).mean() > 0.999 or name != "whole"
    else:  # a tie within rounding may fall either way
        assert (action == expected).all()
    for part, theirs in zip(others, [said] if isinstance(said, np.ndarray) else said, strict=True):
        np.testing.assert_allclose(part, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "starts at 1",
        "several",
        "several, a matrix",
        "binary",
        "squashed",
        "whole",
        "matrix",
        "searched",
        "searched, several",
    ],
)
def test_the_likeliest_action_as_stablehlo(name, tmp_path):
    import jax.export

    _, spec, state, described, _ = case(name)
    spec = spec._replace(acting=dataclasses.replace(spec.acting, exploration="softmax"))
    content = exported.stablehlo_of(spec, state, described, [])
    with jax.enable_x64(spec.dtype == "float64"):
        run = jax.export.deserialize(bytearray(content))
        rows = np.random.default_rng(7).normal(size=(500, spec.acting.obs_size)).astype(spec.dtype)
        action = np.asarray(run.call(rows))
    expected = policy_of(name)(rows)
    assert action.shape == np.shape(expected)
    np.testing.assert_allclose(action, expected, rtol=1e-5, atol=1e-5)


# -- of a real run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One that compiles nothing."""
    folder = tmp_path_factory.mktemp("runs") / "lengths"
    ran(small(gradients="by_hand", algorithm={"name": "vpg"}), folder)
    return folder


def test_neither_pytensor_nor_jax_is_imported(run):
    script = (
        "import sys, pg_theano, numpy as np\n"
        f"policy = pg_theano.load({str(run)!r})\n"
        "policy(np.zeros(3)), policy.probs(np.zeros((2, 3)))\n"
        "print(sorted({'jax', 'pytensor', 'torch', 'matplotlib', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_run_it_came_from_is_told(run):
    """And nothing of the value network is handed over, as was seen when it was planted."""
    about = pg_theano.load(run).about
    assert sorted(kept.arrays_of(pg_theano.load(run))) == [
        "about",
        "policy/b1",
        "policy/b2",
        "policy/w1",
        "policy/w2",
    ]
    assert about.environment == "probe_environments:Lengths-v0" and about.algorithm == "vpg"
    assert about.config["policy"]["hidden"] == [4] and about.checkpoint.startswith("best-")


def test_it_plays_in_a_plain_gymnasium_loop(run):
    ours, env = pg_theano.load(run), gymnasium.make("Lengths-v0")
    obs, _ = env.reset(seed=0)
    ended = False
    for _ in range(200):
        if not ended:
            obs, _, terminated, truncated, _ = env.step(ours(obs))
            ended = terminated or truncated
    assert ended


def test_it_is_called_as_others_call_a_model(run):
    ours = pg_theano.load(run)
    actions, state = ours.predict(
        np.zeros((4, 3), np.float32), state=None, episode_start=np.ones(4), deterministic=True
    )
    assert state is None
    np.testing.assert_array_equal(actions, ours(np.zeros((4, 3))))
    sampled = [ours.predict(np.zeros((50, 3)), deterministic=False)[0] for _ in range(2)]
    assert (sampled[0] != sampled[1]).any()


@pytest.mark.parametrize(
    ("obs", "said"),
    [
        (np.zeros(4), r"shape \[4\]; expected one of Box"),
        (np.array([np.nan, 0, 0]), "not finite"),
        (None, r"shape \[\]"),
    ],
)
def test_an_observation_that_is_none_is_refused(run, obs, said):
    with pytest.raises(UserError, match=said):
        pg_theano.load(run)(obs)


def test_a_list_of_tuples_is_no_batch_of_a_tuple_space():
    """A batch of them is a tuple of batches, as Gymnasium's. Caught, when planted: NumPy's own words let through."""
    ours = policy_of("tuple observed")
    ours.observation_space.seed(0)
    with pytest.raises(UserError, match="got an observation that is none"):
        ours([ours.observation_space.sample() for _ in range(2)])


def test_the_command_writes_what_load_reads(run, tmp_path):
    code, out, error = command("export", run, "--to", "npz", "--out", tmp_path / "p.npz")
    assert (code, error) == (0, "") and "wrote" in out
    code, _, error = command("export", run, "--to", "onnx")
    assert (code, error) == (0, "")
    session = onnxruntime.InferenceSession("lengths.onnx")
    obs = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    ours = pg_theano.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(session.run(["action"], {"obs": obs})[0], ours(obs))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere", "--to", "npz"], "nowhere: no run folder"),
        (["RUN", "--to", "pickle"], "invalid choice"),
        (["RUN", "--to", "npz", "--out", "no/such/p.npz"], "no folder"),
    ],
)
def test_bad_input_is_one_line(run, words, said):
    code, out, error = command("export", *[run if word == "RUN" else word for word in words])
    assert (code, out) == (2, "")
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize("name", ["metrics.jsonl", "run.json", "checkpoints/best-00000001.npz"])
def test_nothing_is_exported_over_a_file_of_the_run(run, tmp_path, name):
    """Caught, when planted: the run's own records replaced by its policy."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / name).touch()
    before = (folder / name).read_bytes()
    code, _, error = command("export", folder, "--to", "npz", "--out", folder / name)
    assert code == 2 and "is a file of the run" in error and error.count("\n") == 1
    assert (folder / name).read_bytes() == before


def test_a_damaged_file_is_named(run, tmp_path):
    exported.export(run, "npz", tmp_path / "p.npz")
    content = (tmp_path / "p.npz").read_bytes()
    for name, damaged in (
        ("cut", content[:-30]),
        ("text", b"hello"),
        ("flipped", content[:400] + b"!" + content[401:]),
    ):
        (tmp_path / f"{name}.npz").write_bytes(damaged)
        with pytest.raises(UserError, match=f"{name}.npz: not a policy"):
            pg_theano.load(tmp_path / f"{name}.npz")


def test_a_policy_of_ones_own_is_refused_with_a_way_out(run, monkeypatch):
    from pg_theano.runs import folder as runs

    facts = runs.read_run(run)
    own = facts[1] | {"spec": facts[1]["spec"] | {"policy": "mine:mine"}}
    monkeypatch.setattr(runs, "read_run", lambda path: (facts[0], own))
    with pytest.raises(UserError, match="--to stablehlo"):
        pg_theano.load(run)
