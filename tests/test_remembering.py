"""Policies that remember: layers, what is acted against what is learned from, runs, and all that a policy is handed to."""

import dataclasses
import itertools

import helpers_graphs as by_definition
import jax
import numpy as np
import onnxruntime
import pytensor
import pytensor.tensor as pt
import pytest
from helpers_runs import assert_equal_runs, ran, small, whole_and_resumed

import pg_theano
from pg_theano import parameters
from pg_theano.config.reading import from_dict
from pg_theano.graphs import actors, estimates
from pg_theano.graphs import networks as expressions
from pg_theano.graphs import rollout as rollouts
from pg_theano.graphs.algorithms import blocks, common, minibatches
from pg_theano.graphs.layers import dense as products
from pg_theano.graphs.networks import Remembered
from pg_theano.layers import Dense, Gru, LayerNorm, Lstm, layout_of, memory
from pg_theano.parameters import Network
from pg_theano.policies import networks, onnx
from pg_theano.report import report
from pg_theano.runs import exported
from pg_theano.spec import Acting
from pg_theano.training import checking, programs, seeding, specs
from pg_theano.training.playing import collecting
from pg_theano.types import ActionSpace, Record, UserError

OPTIMISED = False  # see conftest.machine_code
INPUTS = 3


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def remembered_next(layer, w, u, b, x, before):
    """The definition of one step, for one row."""
    width = layer.width
    if isinstance(layer, Gru):
        driven, told = x @ w + b, before @ u
        reset, kept = (sigmoid(driven[k : k + width] + told[k : k + width]) for k in (0, width))
        new = np.tanh(driven[2 * width :] + reset * told[2 * width :])
        return (1 - kept) * new + kept * before
    driven = x @ w + b + before[:width] @ u
    given, forgets, new, shown = (driven[k * width : (k + 1) * width] for k in range(4))
    cells = sigmoid(forgets + 1) * before[width:] + sigmoid(given) * np.tanh(new)
    return np.concatenate([sigmoid(shown) * np.tanh(cells), cells])


def stepped(path, named, x, before):
    """(what layers give, what they remember), one observation and one row after the other, by definition."""
    after, start = [], 0
    for placed in path:
        arrays, size = [named[name] for name, *_ in placed.arrays], memory(placed.layer)
        if size:
            after.append(remembered_next(placed.layer, *arrays, x, before[start : start + size]))
            x, start = after[-1][: placed.layer.width], start + size
        elif isinstance(placed.layer, LayerNorm):
            x = arrays[0] * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + arrays[1]
        else:
            y = x @ arrays[0] + arrays[1]
            x = {"tanh": np.tanh, "sigmoid": sigmoid, None: lambda y: y}[placed.layer.activation](y)
    return x, np.concatenate(after) if after else before


SAMPLES = {
    "gru": [Gru(4)],
    "lstm": [Lstm(3)],
    "several, among others": [Dense(5, "tanh"), Lstm(2), LayerNorm(), Gru(3)],
}


def acting_of(*layers, dtype="float64"):
    network = Network(policy=(*layers, Dense(2)))
    layout = layout_of(network.placed(INPUTS)["policy"])
    return Acting(INPUTS, ActionSpace("discrete", 1, [2], [], []), layout, network, "tanh", dtype=dtype)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_faces_of_a_layer_that_remembers_agree(name):
    """Sequences in which episodes begin, one step, each column with a layer of its own, NumPy and ONNX: as the definition
    has them; and first and second derivatives against differences.

    Caught, when planted: gates exchanged; the reset before the product; a forgotten 1 of the forget gate; memory that is
    not cleared where an episode begins; rows and steps exchanged in what is folded.
    """
    acting, rng, steps, rows = acting_of(*SAMPLES[name]), np.random.default_rng(0), 5, 3
    path, size = acting.path("policy"), acting.memory_size
    params = rng.normal(0, 0.7, acting.num_params)
    x, before = rng.normal(size=(steps, rows, INPUTS)), rng.normal(size=(rows, size))
    begins = np.zeros((steps, rows))
    begins[2, 0] = begins[3, 1] = begins[4, 1] = 1

    def by_steps(params):
        named, after = parameters.views(params, acting.layout), before.copy()
        told = []
        for t, r in itertools.product(range(steps), range(rows)):
            given, after[r] = stepped(path, named, x[t, r], after[r] * (1 - begins[t, r]))
            told.append(np.concatenate([given, after[r]]))
        return np.array(told)  # [L·R, outputs + M]

    flat, obs, start, flags = pt.dvector(), pt.dmatrix(), pt.dmatrix(), pt.dmatrix()
    layers = expressions.views(flat, acting.layout)
    given, after = expressions.remembering(path, layers, obs, Remembered(start, flags), multiply=products.product)
    loss = (given**3).sum()
    first = pytensor.grad(loss, flat)
    direction = rng.normal(size=len(params))
    second = pytensor.grad((first * direction).sum(), flat)
    values = params, x.reshape(-1, INPUTS).T, before.T, begins
    run = by_definition.interpreted([flat, obs, start, flags], [given, after, loss, first, second])
    found = run(*values)
    expected = by_steps(params)
    np.testing.assert_allclose(np.concatenate(found[:2]).T, expected, rtol=0, atol=1e-13)

    def cubes(params):
        return (by_steps(params)[:, :2] ** 3).sum()

    each = 1e-6 * np.eye(len(params))
    numerical = [(cubes(params + step) - cubes(params - step)) / 2e-6 for step in each]
    np.testing.assert_allclose(found[3], numerical, rtol=0, atol=1e-6)
    ahead, behind = (run(params + sign * 1e-5 * direction, *values[1:])[3] for sign in (1, -1))
    np.testing.assert_allclose(found[4], (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-6)

    one, known = expressions.remembering(path, layers, obs, Remembered(start), multiply=products.in_scan)
    ours = by_definition.interpreted([flat, obs, start], [one, known])(params, x[0].T, before.T)
    np.testing.assert_allclose(np.concatenate(ours).T, expected[:rows], rtol=0, atol=1e-13)
    forward = networks.forward(acting, parameters.views(params, acting.layout))
    outputs, _, following = forward(x[0], before)
    np.testing.assert_allclose(np.concatenate([outputs, following], axis=1), expected[:rows], rtol=0, atol=1e-13)

    columns = pt.dmatrix()
    views = expressions.views(columns, acting.layout)
    one, known = expressions.remembering(path, views, obs, Remembered(start), multiply=products.columnwise)
    own = rng.normal(0, 0.7, (rows, len(params)))
    theirs = by_definition.interpreted([columns, obs, start], [one, known])(own.T, x[0].T, before.T)
    blocks_ = networks.forward(acting, parameters.views(own, acting.layout))(x[0][:, None], before[:, None])
    alone = [
        np.concatenate(stepped(path, parameters.views(own[r], acting.layout), x[0, r], before[r])) for r in range(rows)
    ]
    np.testing.assert_allclose(np.concatenate(theirs).T, alone, rtol=0, atol=1e-13)
    np.testing.assert_allclose(np.concatenate([blocks_[0], blocks_[2]], axis=2)[:, 0], alone, rtol=0, atol=1e-13)


# -- what is acted is what is learned from


WAYS = {
    "ppo, cut": {"name": "ppo", "num_steps": 8, "sequence_length": 4, "num_minibatches": 2, "num_epochs": 1},
    "a2c": {"name": "a2c", "num_steps": 6},
    "a2c, whole episodes": {"name": "a2c", "num_steps": None},
}
NETWORK = {"network": [{"dense": 3}, {"gru": 3}], "value_network": [{"lstm": 2}], "activation": "tanh"}
SHARED = {"network": [{"gru": 3}, {"dense": 3}], "shared": True, "activation": "tanh"}


def setting_of(way, engine, policy):
    config = from_dict(
        {
            "environment": {"id": "CartPole-v1", "num_envs": 3, "engine": engine, "max_episode_steps": 11},
            "algorithm": WAYS[way] | {"advantage": "td"},
            "policy": policy,
            "schedules": {"episodes_per_update": {"initial": 4}} if "whole" in way else {},
            "dtype": "float64",
            "seed": 3,
        }
    )
    environment = specs.environment_of(config, ())
    spec = specs.spec_of(config, environment.task, environment)
    program = programs.load(config, spec, lambda what, seconds: None, first="act")
    return config, spec, environment, program


def fields_of(rollout, spec):
    return checking._fields(rollout, spec) if isinstance(rollout, Record) else rollout


KNOBS = {"exploration_rate": 0.0, "discount": 0.9}


@pytest.mark.parametrize("policy", [NETWORK, SHARED], ids=["apart", "shared"])
@pytest.mark.parametrize("engine", ["compiled", "gymnasium"])
@pytest.mark.parametrize("way", WAYS)
def test_what_was_acted_is_what_is_learned_from(way, engine, policy, functions_kept):
    """log π of every real step of four rollouts, as learning computes it from sequences, is what acting said; V of each
    step and of its true successor are those of the definition, one row and one step after the other.

    Caught, when planted: memory not cleared at an episode's start, or cleared at a stretch's; recorded after the step;
    begins one step late; old log π by another memory; the memories of policy and value exchanged; V of a truncated
    episode's successor by the next episode's memory; sequences of another row; padding that is remembered.
    """
    config, spec, environment, program = setting_of(way, engine, policy)
    state = program.init(seeding.generator(config.seed, seeding.INITIAL_WEIGHTS))
    state["params"] = np.random.default_rng(0).normal(0, 0.6, len(state["params"]))  # a policy that is not uniform
    collector, ended, left = collecting.collector_of(config, spec, environment, program), 0, None
    plain = spec._replace(engine=None)
    with by_definition.floats("float64"):
        symbols, _, knobs, given = common.symbols(plain)
        block = blocks.block_of(plain, given)
        inputs = actors.inputs(spec.acting, expressions.views(symbols["params"], spec.acting.layout),
                               blocks.seen(plain, symbols, block))  # fmt: skip
        log_prob = rollouts.log_prob_of(spec.acting, inputs, block.action, knobs["exploration_rate"])
        judged, _ = estimates.estimates(plain, symbols, {"discount": pt.constant(KNOBS["discount"])}, block)
        names = [*symbols, *given]
        run = by_definition.interpreted(
            [*symbols.values(), *given.values()], [log_prob, judged.value, judged.advantage]
        )
    for update in range(4):
        played = collector.collect(state, config_knobs(config), update)
        rollout = fields_of(played.rollout, spec)
        values = {name: np.asarray(value) for name, value in (state | rollout._asdict()).items() if value is not None}
        ours, value, advantage = run(*(values[name] for name in names))
        real = np.asarray(rollout.mask, bool).T  # [T, E]
        np.testing.assert_allclose(ours.reshape(real.shape)[real], rollout.log_prob.T[real], rtol=0, atol=1e-9)
        expected = values_by_definition(spec, state, rollout)
        np.testing.assert_allclose(value[real], expected[0][real], rtol=0, atol=1e-9)
        target = rollout.reward.T + KNOBS["discount"] * expected[1] * (1 - rollout.terminated.T) - expected[0]
        np.testing.assert_allclose(advantage[real], target[real], rtol=0, atol=1e-9)
        ended += len(played.returns)
        if rollout.memory is not None:
            if update:  # an episode that is open goes on with what it remembered
                np.testing.assert_allclose(rollout.memory[:, 0], left, rtol=0, atol=1e-9)
            after = remembered_by_definition(spec, state, rollout)
            left, length = after[-1], len(after) // spec.num_sequences
            assert np.abs(left).sum(axis=1).max() > 0.1
            for k in range(1, spec.num_sequences):
                np.testing.assert_allclose(rollout.memory[:, k], after[k * length - 1], rtol=0, atol=1e-9)
    assert ended >= 3


def config_knobs(config):
    from pg_theano.config import schedules

    return schedules.knobs_at(config, 0) | {"exploration_rate": 0.0}


def remembered_by_definition(spec, state, rollout):
    """What is remembered after each step [T, E, M]; nothing where an episode ended with it."""
    acting, named = spec.acting, parameters.views(state["params"], spec.acting.layout)
    placed, found = acting.network.placed(acting.obs_size), []
    for e in range(len(rollout.mask)):
        before = rollout.memory[e, 0]
        found.append([])
        for t in range(rollout.mask.shape[1]):
            parts, start, x = {}, 0, {"": rollout.obs[e, t]}
            for part in ("shared", "policy", "value"):
                size = acting.memory_of(part)
                given = x[""] if part == "shared" else x["shared"]
                x[part], parts[part] = stepped(placed[part], named, given, before[start : start + size])
                start += size
            over = rollout.terminated[e, t] or rollout.truncated[e, t] or not rollout.mask[e, t]
            before = np.concatenate(list(parts.values())) * (1 - over)
            found[-1].append(before)
    return np.array(found).swapaxes(0, 1)


def values_by_definition(spec, state, rollout):
    """(V of each step, V of what followed it), [T, E]."""
    acting = spec.acting
    named, path = parameters.views(state["params"], acting.layout), acting.path("value")
    shared, own = acting.memory_of("shared"), acting.memory_of("policy")
    rows, steps = rollout.mask.shape
    found = np.zeros((2, steps, rows))
    for e in range(rows):
        whole = np.zeros(acting.memory_size) if rollout.memory is None else rollout.memory[e, 0]
        before = np.concatenate([whole[:shared], whole[shared + own :]])
        for t in range(steps):
            given, after = stepped(path, named, rollout.obs[e, t], before)
            found[0, t, e] = given[0]
            found[1, t, e] = stepped(path, named, rollout.next_obs[e, t], after)[0][0]
            over = rollout.terminated[e, t] or rollout.truncated[e, t] or not rollout.mask[e, t]
            before = np.zeros_like(after) if over else after
    return found


def test_minibatches_are_whole_sequences(functions_kept):
    """Sequences in any order, a step that was none among them: log π of every column is what acting said, weight is 1
    where a step is real and its sequence counts.

    Caught, when planted: columns by sequence and not by step; the memory of another sequence; a mask left out.
    """
    config, spec, environment, program = setting_of("ppo, cut", "gymnasium", NETWORK)
    state = program.init(seeding.generator(config.seed, seeding.INITIAL_WEIGHTS))
    state["params"] = np.random.default_rng(0).normal(0, 0.6, len(state["params"]))
    collector = collecting.collector_of(config, spec, environment, program)
    rollout = [collector.collect(state, config_knobs(config), update).rollout for update in range(2)][-1]
    mask = np.ones_like(rollout.mask)
    mask[1, 5:] = 0  # nothing follows, so that nothing but its weight changes
    rollout = rollout._replace(mask=mask)
    with by_definition.floats("float64"):
        symbols, vector, knobs, given = common.symbols(spec)
        block = blocks.block_of(spec, given)
        judged, _ = estimates.estimates(spec, symbols, {"discount": pt.constant(0.9)}, block)
        opened = common.Opened(spec, symbols, knobs, vector, {}, block, blocks.whole(spec, symbols, block, judged), {})
        index, weight = pt.ivector(), pt.dvector()
        batch = minibatches.taken(spec, minibatches.packed(opened), index, weight)
        layers = expressions.views(symbols["params"], spec.acting.layout)
        log_prob = rollouts.log_prob_of(spec.acting, actors.inputs(spec.acting, layers, batch.obs), batch.action, 0.0)
        inputs = {**symbols, **given, "index": index, "weight": weight}
        run = by_definition.interpreted(inputs.values(), [log_prob, batch.log_prob, batch.weight])
    values = {name: value for name, value in (state | rollout._asdict()).items() if value is not None}
    chosen = np.array([5, 0, 3, 4], np.int32)  # sequence k·E + e, of three rows
    given_weight = np.array([1.0, 1.0, 0.0, 1.0])
    found = run(*({**values, "index": chosen, "weight": given_weight}[name] for name in inputs))
    ours, recorded, weights = (each.reshape(4, 4) for each in found)  # [L, B]
    for place, sequence in enumerate(chosen):
        k, e = divmod(int(sequence), 3)
        steps = slice(4 * k, 4 * k + 4)
        assert np.array_equal(recorded[:, place], rollout.log_prob[e, steps])
        assert np.array_equal(weights[:, place], mask[e, steps] * given_weight[place])
        real = mask[e, steps] > 0
        np.testing.assert_allclose(ours[real, place], recorded[real, place], rtol=0, atol=1e-9)


# -- an exact oracle


def test_the_gradient_of_a_task_that_must_be_remembered_is_that_of_its_return():
    """Three steps, of which the first shows what the last must do. All histories are enumerated: J is the sum of their
    probability times their return, and its gradient by differences is that of the graph, exactly, not on average.

    Caught, when planted: a gradient that is cut within an episode; memory cleared at each step; time and rows exchanged.
    """
    spec = by_definition.make_spec(
        num_actions=2, hidden=(), signal="reward_to_go", baseline="none", average="episodes", max_steps=3
    )
    network = Network(policy=(Gru(2), Dense(2)))
    layout = layout_of(network.placed(2)["policy"])
    spec = spec._replace(acting=dataclasses.replace(spec.acting, network=network, layout=layout))
    params = np.random.default_rng(1).normal(0, 0.8, parameters.count(layout))
    path = spec.acting.path("policy")
    histories = [(cue, *acts) for cue in (0, 1) for acts in itertools.product((0, 1), repeat=3)]

    def seen(cue):
        return np.array([[2 * cue - 1, 1.0], [0, 0.5], [0, 0]])

    def rewards(cue, acts):
        return np.array([0.3 * acts[0], -0.2 * (acts[1] != acts[0]), 1.0 * (acts[2] == cue)])

    def chance(params, cue, acts):
        named, before, log_p = parameters.views(params, layout), np.zeros(2), np.log(0.5)
        for t, action in enumerate(acts):
            logits, before = stepped(path, named, seen(cue)[t], before)
            log_p += logits[action] - np.log(np.exp(logits).sum())
        return np.exp(log_p)

    def expected_return(params):
        return sum(chance(params, cue, acts) * rewards(cue, acts).sum() for cue, *acts in histories)

    number = len(histories)
    weights = np.array([number * chance(params, cue, acts) for cue, *acts in histories])
    rollout = {
        "obs": np.stack([seen(cue) for cue, *_ in histories]),
        "action": np.array([acts for _, *acts in histories], np.int32),
        "reward": np.stack([w * rewards(cue, acts) for w, (cue, *acts) in zip(weights, histories, strict=True)]),
        "mask": np.ones((number, 3)),
    }
    state = by_definition.initial_state(spec, np.random.default_rng(0)) | {"params": params}
    knobs = {"knobs": by_definition.KNOBS | {"discount": 1.0, "exploration_rate": 0.0}}
    fields = {name: rollout.get(name, np.zeros((number, 3))) for name in spec.learning.takes}
    found = by_definition.interpreted_graph(spec, "gradient")(state | fields | knobs)["gradient"]
    steps = 1e-6 * np.eye(len(params))
    numerical = [(expected_return(params + step) - expected_return(params - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(-found, numerical, rtol=0, atol=1e-8)


# -- runs


RUNS = {
    "ppo, workers": {
        "environment": {  # wrapped, so that evaluations have no vectorised class, which rounds otherwise
            "id": "CartPole-v1",
            "wrappers": ["gymnasium.wrappers:RecordEpisodeStatistics"],
            "engine": "gymnasium",
            "num_envs": 4,
            "workers": 2,
        },
        "algorithm": {"name": "ppo", "num_steps": 8, "sequence_length": 4, "num_minibatches": 2},
        "policy": {"network": [{"gru": 3}]},
    },
    "ppo, compiled": {
        "environment": {"id": "CartPole-v1", "num_envs": 4},
        "algorithm": {"name": "ppo", "num_steps": 8, "num_minibatches": 2},
        "policy": {"network": [{"lstm": 3}, {"dense": 3}], "shared": True},
    },
    "cem, compiled": {
        "environment": {"id": "CartPole-v1", "max_episode_steps": 20},
        "algorithm": {"name": "cem", "population_size": 4},
        "policy": {"network": [{"dense": 3}, {"gru": 3}]},
        "normalize": {"observations": False},
    },
    "reinforce": {"policy": {"network": [{"gru": 3}]}},
}


@pytest.mark.parametrize(("name", "engine"), [("pgpe", "compiled"), ("cmaes", "gymnasium")])
def test_searches_remember(name, engine, tmp_path, functions_kept):
    """Both engines, resumed bit for bit; what they found answers otherwise once it remembers."""
    data = small(**RUNS["cem, compiled"]) | {"seed": 3}
    del data["schedules"]
    data["environment"] = data["environment"] | {"engine": engine}
    whole = whole_and_resumed(data | {"algorithm": {"name": name, "population_size": 4}}, tmp_path)
    policy, obs = pg_theano.load(whole), np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    first = policy.probs(obs)
    policy(obs)
    assert policy.acting.memory_size == 3 and not np.allclose(first, policy.probs(obs), atol=1e-6)


@pytest.mark.parametrize("way", RUNS)
def test_a_policy_that_remembers_is_handed_on(way, tmp_path, functions_kept):
    """Resumed bit for bit, with open episodes; loaded, called row by row, with a batch in which one begins anew, as SB3
    calls it; npz and ONNX; evaluated, reported.

    Caught, when planted: memory left out of a checkpoint; a loaded policy that never forgets; ONNX without its gates.
    """
    data = small(**RUNS[way]) | {"seed": 3}
    if "cem" in way:
        del data["schedules"]
    whole = whole_and_resumed(data, tmp_path)
    policy = pg_theano.load(whole)
    size, rng = policy.acting.memory_size, np.random.default_rng(0)
    assert size == {"ppo, compiled": 6}.get(way, 3)
    obs = rng.normal(size=(4, 2, policy.acting.obs_size)).astype(np.float32)
    path, named = policy.acting.path("policy"), parameters.views(policy.state["params"], policy.acting.layout)
    known, logits = np.zeros((2, size)), np.zeros((4, 2, policy.acting.num_outputs))
    session = onnxruntime.InferenceSession(onnx.model_of(policy))
    told = [np.zeros((2, size), np.float32), None]
    state, start = None, np.ones(2, bool)
    read = pg_theano.load(exported.export(whole, "npz", tmp_path / "policy.npz"))
    for t in range(4):
        for row in range(2):
            logits[t, row], known[row] = stepped(path, named, obs[t, row], known[row] * (t != 2 or row != 0))
        began = np.array([t == 2, False])
        if began.any():
            told[0] = np.where(began[:, None], 0, told[0]).astype(np.float32)
        probs = np.exp(logits[t]) / np.exp(logits[t]).sum(axis=1, keepdims=True)
        if not began.any():
            np.testing.assert_allclose(policy.probs(obs[t]), probs, rtol=1e-4, atol=1e-5)
        action = policy(obs[t], began=began)
        assert np.array_equal(action, logits[t].argmax(axis=1))
        assert np.array_equal(read(obs[t], began=began), action)
        sb3, state = read.predict(obs[t], state, start | began, deterministic=True)
        assert np.array_equal(sb3, action)
        start = np.zeros(2, bool)
        by_onnx, said, told[0] = session.run(None, {"obs": obs[t], "memory": told[0]})
        assert np.array_equal(by_onnx, action)
        np.testing.assert_allclose(said, probs, rtol=1e-4, atol=1e-5)
    policy.reset()
    assert policy(obs[0, 0]) == logits[0, 0].argmax()
    with pytest.raises(UserError, match="expected a flag for each of 2"):
        policy(obs[0], began=[True])
    if way == "ppo, workers":
        hlo = jax.export.deserialize(exported.export(whole, "stablehlo", tmp_path / "one.stablehlo").read_bytes())
        known = np.zeros((2, 3), np.float32)
        for t in range(2):  # its value network's memory stays at home
            action, known = map(np.asarray, hlo.call(obs[t], known))
            assert np.array_equal(action, logits[t].argmax(axis=1))
        alone = small(**RUNS[way]) | {"seed": 3, "budget": {"updates": 4}}
        alone["environment"] = {**alone["environment"], "workers": 0}
        ran(alone, tmp_path / "alone")
        assert_equal_runs(whole, tmp_path / "alone")
        alone["environment"]["num_envs"], alone["algorithm"]["num_minibatches"] = 8, 8  # more than its check has
        assert checking.check(alone, points=3).passed
        assert "could not be" not in report([whole], tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"policy": {"network": [{"residual": [{"gru": 4}]}]}}, "policy.network.0.residual.0: got gru inside residual"),
        ({"algorithm": {"sequence_length": 3}}, "algorithm.sequence_length: got 3, which does not divide"),
        ({"algorithm": {"name": "vpg", "num_steps": None, "sequence_length": 4}}, "whole episodes are not cut"),
        ({"algorithm": {"num_minibatches": 9}}, "algorithm.num_minibatches: got 9 of 4 sequences"),
        (
            {"policy": {"network": [{"dense": 4}]}, "algorithm": {"sequence_length": 4}},
            "a policy that does not remember",
        ),
        ({"policy": {"network": [{"gru": 0}]}}, "policy.network.0.gru.width: got 0; expected a whole number above 0"),
        ({"gradients": "by_hand"}, "gradients"),
    ],
)
def test_what_does_not_fit_is_one_line(changes, said, tmp_path):
    data = small(**RUNS["ppo, workers"])
    for section, knobs in changes.items():
        data[section] = {**data.get(section, {}), **knobs} if isinstance(knobs, dict) else knobs
    data["environment"] = {**data["environment"], "workers": 0}
    if "sequence_length" not in changes.get("algorithm", {}):
        data["algorithm"] = {name: value for name, value in data["algorithm"].items() if name != "sequence_length"}
    with pytest.raises(UserError) as error:
        ran(data, tmp_path / "run")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
