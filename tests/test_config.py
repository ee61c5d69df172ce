"""The config: defaults, overrides, numbers, schedules, messages, help."""

import importlib

import pytest

from pg_theano.config import knobs, tables
from pg_theano.config import reading as configs
from pg_theano.config.reading import from_dict, read_config, to_dict
from pg_theano.types import UserError


def written(tmp_path, text, name="mine.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_nothing_given_is_the_defaults():
    config = read_config()
    assert config == configs.Config()
    assert (config.environment.id, config.policy.hidden, config.algorithm.discount) == ("CartPole-v1", [8], 0.99)
    assert from_dict({}) == from_dict(to_dict(config)) == config


def test_overrides_win_over_the_file_and_the_seed_over_both(tmp_path):
    """Caught, when planted: the file read after the overrides."""
    path = written(tmp_path, "seed: 4\nalgorithm:\n  discount: 0.5\n  signal: reward\n")
    config = read_config(path, ["algorithm.discount=0.9", "algorithm.discount=0.8", "policy.hidden=[32, 16]"], seed=9)
    assert config.algorithm.discount == 0.8
    assert config.algorithm.signal == "reward"
    assert config.policy.hidden == [32, 16]
    assert config.seed == 9
    assert read_config(path).seed == 4


def test_the_name_is_the_files(tmp_path):
    assert read_config(written(tmp_path, "", "my run (2).yaml")).name == "my-run--2-"
    assert read_config(written(tmp_path, "name: other\n")).name == "other"
    assert read_config().name is None


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("schedules.learning_rate.initial=1e-4", 1e-4),
        ("schedules.learning_rate.initial=1", 1.0),
        ("schedules.learning_rate.initial=.5", 0.5),
        ("budget.updates=1e6", 1_000_000),
        ("budget.updates=2.0", 2),
        ("budget.updates=null", None),
        ("budget.updates=", None),
        ("solved.stop=false", False),
        ("environment.kwargs={a: 1, b: [x, 1e-3]}", {"a": 1, "b": ["x", 1e-3]}),
        ("environment.wrappers=[a:B]", ["a:B"]),
        ("environment.id=ale_py:ALE/Pong-v5", "ale_py:ALE/Pong-v5"),
        ("optimizer.max_gradient_norm=0.5", 0.5),
        ("seed=9223372036854775807", 2**63 - 1),
    ],
)
def test_values_as_people_write_them(override, expected):
    value = read_config(overrides=[override])
    for part in override.partition("=")[0].split("."):
        value = getattr(value, part)
    assert value == expected
    assert type(value) is type(expected)


MISTAKES = [
    ("algorithm: {signl: reward}", "mine.yaml:1 algorithm.signl: unknown knob; did you mean algorithm.signal?"),
    ("\n\nalgoritm:\n  discount: 1", "mine.yaml:3 algoritm: unknown knob; did you mean algorithm?"),
    ("discount: 0.9", "mine.yaml:1 discount: unknown knob; did you mean algorithm.discount?"),
    ("learning_rate: 0.1", "mine.yaml:1 learning_rate: unknown knob; did you mean schedules.learning_rate?"),
    (
        "schedules:\n  learning_rate:\n    inital: 1",
        "mine.yaml:3 schedules.learning_rate.inital: unknown knob; did you mean",
    ),
    ("algorithm:\n  discount: 1.5", "mine.yaml:2 algorithm.discount: got 1.5; expected a number from 0 to 1"),
    ("algorithm:\n  discount: high", "mine.yaml:2 algorithm.discount: got 'high'; expected a number from 0 to 1"),
    ("algorithm: {discount: .nan}", "got nan; expected a number from 0 to 1"),
    ("algorithm: 3", "mine.yaml:1 algorithm: got 3; expected a mapping of knobs"),
    (
        "environment:\n  num_envs: -3",
        "mine.yaml:2 environment.num_envs: got -3; expected a whole number from 1 to 65536",
    ),
    (
        "environment:\n  num_envs: 1.5",
        "mine.yaml:2 environment.num_envs: got 1.5; expected a whole number from 1 to 65536",
    ),
    ("environment:\n  num_envs: [1]", "mine.yaml:2 environment.num_envs: got a list; expected a whole number from 1"),
    ("environment:\n  num_envs: true", "mine.yaml:2 environment.num_envs: got true; expected a whole number from 1"),
    ("environment:\n  id: 3", "mine.yaml:2 environment.id: got 3; expected text"),
    ("environment:\n  kwargs: [1]", "mine.yaml:2 environment.kwargs: got a list; expected a mapping"),
    ("policy:\n  hidden: 8", "mine.yaml:2 policy.hidden: got 8; expected a list; try [8]"),
    (
        "policy:\n  hidden:\n    - 8\n    - 0",
        "mine.yaml:4 policy.hidden.1: got 0; expected a whole number from 1 to 1000000000000",
    ),
    ("policy: {activation: sigmod}", "got 'sigmod'; expected one of sigmoid, tanh, relu"),
    ("backend: cuda", "mine.yaml:1 backend: got 'cuda'; expected one of jax, numba, c"),
    ("dtype: float16", "expected one of float32, float64"),
    ("solved: {stop: maybe}", "solved.stop: got 'maybe'; expected true or false"),
    ("budget: {updates: 0}", "budget.updates: got 0; expected a whole number from 1 to 1000000000000"),
    ("budget: {seconds: 0}", "budget.seconds: got 0; expected a number above 0"),
    ("optimizer: {beta1: 1}", "optimizer.beta1: got 1; expected a number from 0 below 1"),
    ("seed: -1", "seed: got -1; expected a whole number from 0"),
    ("name: a/b", "name: got 'a/b'; expected letters, digits"),
    ("runs: 0", "runs: got 0; expected a whole number from 1 to 10000"),
    ("- 1\n- 2", "mine.yaml:1: got a list; expected a mapping of knobs"),
    ("just text", "mine.yaml:1: got text; expected a mapping of knobs"),
    ("a: [1", "mine.yaml:"),
    ("seed: 1\nseed: 2", "mine.yaml:2 seed: got it twice (first on line 1); expected it once; try without one"),
    ("seed: !!python/object/apply:os.system ['true']", "mine.yaml:1"),
    # schedules
    ("schedules: {learning_rate: 0.1}", "learning_rate: got 0.1; expected a mapping of knobs; try {initial: 0.1}"),
    ("schedules: {learning_rate: {kind: linear}}", "learning_rate.initial: missing; it has no default"),
    (
        "schedules: {learning_rate: {kind: linear, initial: 1}}",
        "got kind linear without `final` or `over_updates`; expected both; try {kind: linear, ",
    ),
    (
        "schedules: {learning_rate: {kind: exponential_decay, initial: 1}}",
        "got kind exponential_decay without `decay_rate`; expected it; try decay_rate: 0.01",
    ),
    (
        "schedules: {learning_rate: {initial: 1, final: 2}}",
        "got `final` or `over_updates` with kind constant; expected kind linear; try",
    ),
    (
        "schedules: {learning_rate: {initial: 1, decay_rate: 2}}",
        "got `decay_rate` with kind constant; expected kind exponential_decay; try",
    ),
    ("schedules: {learning_rate: {initial: -1}}", "learning_rate.initial: got -1; expected 0 to inf"),
    ("schedules: {exploration_rate: {initial: 2}}", "exploration_rate.initial: got 2; expected 0 to 1"),
    (
        "schedules: {learning_rate: {initial: 1, minimum: 3, maximum: 2}}",
        "got minimum 3 above maximum 2; expected it below; try exchanging them",
    ),
    (
        "schedules: {episodes_per_update: {kind: exponential_decay, initial: 8, decay_rate: -0.1}}",
        "episodes_per_update: got decay_rate -0.1, which grows without end; expected a maximum; try episodes_per_update.maximum=",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_one_line_with_place_and_remedy(tmp_path, text, message):
    with pytest.raises(UserError) as error:
        read_config(written(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("algorithm.discount", "got no `=`; expected knob=value"),
        ("=3", "got no knob before `=`"),
        ("algorithm.discont=1", "command line algorithm.discont: unknown knob; did you mean algorithm.discount?"),
        ("algorithm.discount=2", "command line algorithm.discount: got 2; expected a number from 0 to 1"),
        ("algorithm.discount.x=2", "command line algorithm.discount: got a mapping; expected a number from 0 to 1"),
        ("policy.hidden=[8", "policy.hidden=[8"),
        ("algorithm=reinforce", "command line algorithm: got 'reinforce'; expected a mapping of knobs"),
        ("algorithm..name=x", "command line algorithm.: unknown knob; did you mean algorithm.name?"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_too(override, message):
    with pytest.raises(UserError) as error:
        read_config(overrides=[override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_names_its_neighbour(tmp_path):
    written(tmp_path, "", "cartpole.yaml")
    with pytest.raises(UserError, match=r"no such file; expected a YAML file; did you mean .*cartpole.yaml\?"):
        read_config(tmp_path / "cartpol.yaml")


def test_the_help_names_every_knob_with_default_and_meaning():
    """Caught, when planted: a section left out of the table."""
    text, rows = tables.help_text(), tables.knobs()

    def leaves(data, prefix=""):
        for key, value in data.items():
            if isinstance(value, dict) and value and "initial" not in value:
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}"

    assert {key for key, *_ in rows} == set(leaves(configs.Config().model_dump(mode="json")))
    for key, _, default, meaning in rows:
        assert f"  {key} = {default}" in text
        assert meaning
        assert meaning in text
    for name in knobs.Schedule.model_fields:
        assert f"  {name} = " in text


def test_a_config_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        configs.Config().seed = 3


@pytest.mark.parametrize(
    ("word", "meant"),
    [("learning_rate=1", "schedules.learning_rate"), ("policy.discount=1", "algorithm.discount")],
)
def test_a_knob_in_the_wrong_section_is_found_by_its_own_name(word, meant):
    """Caught, when planted: the nearest name of the section that was written."""
    with pytest.raises(UserError, match=f"unknown knob; did you mean {meant}\\?"):
        configs.resolved(None, [word])


@pytest.mark.parametrize(
    ("command", "lists"), [("train", True), ("check_env", True), ("report", False), ("card", False)]
)
def test_help_lists_the_knobs_of_who_takes_them(command, lists, capsys):
    """Caught, when planted: a hundred lines of knobs under a command that reads none."""
    with pytest.raises(SystemExit):
        importlib.import_module(f"pg_theano.{command}").main(["-h"])
    assert ("environment.max_episode_steps" in capsys.readouterr().out) == lists
